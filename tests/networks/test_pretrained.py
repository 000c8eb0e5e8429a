"""Networks by name and from files."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import gaintuning_tf
from gaintuning_tf import InputError, gain_layers, insert_gains, list_denoisers, load_denoiser, psnr
from gaintuning_tf.cli.program import main
from gaintuning_tf.evaluation.samples import noisy_version
from gaintuning_tf.gains.contrast import with_contrast
from gaintuning_tf.images.files import load_image
from gaintuning_tf.networks.pretrained import DEFAULT, find_denoiser


def test_every_shipped_network_loads_and_is_what_its_card_says():
    assert DEFAULT in list_denoisers()
    for name, info in list_denoisers().items():
        model = load_denoiser(name)
        assert model.count_params() == info.parameters
        assert model.inputs[0].shape[-1] == info.channels
        gains = gain_layers(insert_gains(model))
        assert sum(gain.gain.shape[0] for gain in gains) == info.gains
        assert (info.path.parent / "README.md").is_file(), "a model card to read"
        assert not getattr(model, "compiled", False)


def test_the_figures_of_the_cards_are_reproduced(shared):
    from gaintuning_tf.evaluation.measure import evaluate

    for name, info in list_denoisers().items():
        # One or two of the twelve images, of which the card has each PSNR: minutes less, and as telling.
        measured = json.loads((info.path.parent / "card.json").read_text())["measured"].get("Set12, sigma 30")
        if measured is None:
            continue
        # The UNets take seconds, the DnCNNs a minute together.
        limit = 2 if "UNet" in info.architecture else 1
        table = evaluate(shared / "data" / "set12", load_denoiser(name), sigma=30, limit=limit, tune=False)
        for row in table["images"]:
            assert row["psnr_pretrained"] == pytest.approx(measured["images"][row["image"]], abs=0.01)


def test_the_figures_of_the_network_for_micrographs_are_reproduced(shared):
    card = json.loads((list_denoisers()["unet-tem"].path.parent / "card.json").read_text())
    file = sorted((shared / "data" / "tem").glob("*.tif"))[0]
    clean, model = load_image(file), load_denoiser("unet-tem")
    noisy = (np.random.RandomState(0).poisson(clean) / 1.0).astype(np.float32)
    denoised = np.clip(model.predict(noisy[None, ..., None], verbose=0)[0, ..., 0], 0, 1)
    assert psnr(clean, denoised, data_range=1.0) == pytest.approx(
        card["measured"]["TEM, dose 1"]["images"][file.name], abs=0.02
    )


def test_files_load_with_and_without_gains(tiny, tmp_path):
    image = np.random.default_rng(0).random((1, 9, 9, 1)).astype("float32")
    tiny.save(tmp_path / "a.keras")
    insert_gains(tiny).save(tmp_path / "b.keras")
    tiny.save(tmp_path / "c.h5")
    for name in ("a.keras", "b.keras", "c.h5"):
        np.testing.assert_allclose(load_denoiser(tmp_path / name)(image), tiny(image), atol=1e-6)


# As other programs load: with nothing imported but what loads.
LOAD = "import sys; from gaintuning_tf import load_denoiser; load_denoiser(sys.argv[1]);"
UNPACK = "import sys, pathlib; from gaintuning_tf.denoising.shipped_network import ShippedNetwork;"
UNPACK += "ShippedNetwork(pathlib.Path(sys.argv[1]).read_bytes(), '').load();"


@pytest.mark.parametrize("load", [LOAD, UNPACK], ids=["from a file", "from another process"])
def test_a_fresh_process_that_loads_knows_all_classes_of_the_package(load, tiny, tmp_path):
    folder = Path(gaintuning_tf.__file__).parent
    # An optimizer, which training has, is not loaded with a network.
    files = [file for file in folder.rglob("*.py") if "@keras.saving.register_keras" in file.read_text()]
    files = [file for file in files if file.parent.name != "training"]
    registering = {".".join(file.relative_to(folder.parent).with_suffix("").parts) for file in files}
    assert len(registering) > 5
    tiny.save(tmp_path / "plain.keras")
    known = "import keras; print(*{c.__module__ for c in keras.saving.get_custom_objects().values()})"
    printed = in_a_fresh_process("-c", load + known, tmp_path / "plain.keras")
    assert registering <= set(printed.split())


def test_a_network_at_a_contrast_is_evaluated_in_a_fresh_process(tiny, tmp_path, photograph):
    clean = photograph[:32, :32]
    model = with_contrast(insert_gains(tiny), 0.5)
    model.save(tmp_path / "m.keras")
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", clean)
    how = ["--sigma", "25", "--no-tune", "--json", tmp_path / "table.json"]
    in_a_fresh_process("-m", "gaintuning_tf", "evaluate", tmp_path / "images", "--model", tmp_path / "m.keras", *how)
    (row,) = json.loads((tmp_path / "table.json").read_text())["images"]
    denoised = model(noisy_version(clean, 25, 0)[None, ..., None])[0, ..., 0]
    assert row["psnr_tuned"] == pytest.approx(psnr(clean, np.clip(denoised, 0, 1), data_range=1.0), abs=1e-3)


def in_a_fresh_process(*arguments):
    """What Python prints."""
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_unknown_names_are_told_which_exist():
    with pytest.raises(InputError, match=r"unet-bf-natural.*received 'unet'"):
        load_denoiser("unet")


def test_what_is_no_network_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.keras").write_text("no")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("no")
    with zipfile.ZipFile(tmp_path / "zip.keras", "w") as archive:
        archive.writestr("a", "b")
    for name in ("text.keras", "folder", "a.txt", "zip.keras", "absent.keras"):
        with pytest.raises(InputError) as caught:
            load_denoiser(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_code_inside_a_file_is_refused(tmp_path):
    model = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Lambda(lambda x: x), keras.layers.Conv2D(1, 1)]
    )
    model.save(tmp_path / "code.keras")
    with pytest.raises(InputError, match=r"[Ll]ambda"):
        load_denoiser(tmp_path / "code.keras")


def test_custom_layers_that_are_not_known_are_named(tmp_path):
    @keras.saving.register_keras_serializable("gone")
    class Vanished(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    keras.Sequential([keras.Input((None, None, 1)), Vanished(), keras.layers.Conv2D(1, 1)]).save(tmp_path / "m.keras")
    keras.saving.get_custom_objects().pop("gone>Vanished")
    with pytest.raises(InputError, match="Vanished"):
        load_denoiser(tmp_path / "m.keras")


def test_finding_needs_no_tensorflow():
    assert find_denoiser(DEFAULT).suffix == ".keras"


def test_every_shipped_network_denoises_from_the_command_line(tmp_path, photograph):
    sigma = 25
    for channels in (1, 3):
        image = np.dstack([255 * photograph] * channels)
        image = (image + sigma * np.random.default_rng(0).standard_normal(image.shape)).squeeze()
        np.save(tmp_path / f"noisy{channels}.npy", (image / 255).astype("float32"))
    for name, info in list_denoisers().items():
        out = tmp_path / f"{name}.npy"
        command = ["denoise", str(tmp_path / f"noisy{info.channels}.npy"), "-o", str(out), "--model", name, "--quiet"]
        # What takes longest is to trace the gradient of twenty layers and more, which other tests do.
        how = ["--steps", "1"] if name.startswith("unet") else ["--no-tune"]
        assert main([*command, *how, "--data-range", "1", "--sigma", str(sigma / 255)]) == 0
        if name != "unet-tem":  # trained on other images and other noise
            denoised = np.load(out).reshape(*photograph.shape, -1)[..., 0]
            assert psnr(photograph, denoised, data_range=1.0) > 20 * np.log10(255 / sigma) + 4
