"""Models of CSBDeep and Noise2Void: the same output as their own `predict`, from folders and zips that these wrote.

`tests/data/csbdeep.zip` is what `tests/helpers/csbdeep_models.py --record` wrote with CSBDeep 0.7.4, Noise2Void 0.3.3
and TensorFlow 2.15.
"""

import json
import os
import shutil
import subprocess
import zipfile

import h5py
import numpy as np
import pytest

from gaintuning_tf import InputError, fold_gains, gain_layers, gaintune, insert_gains, load_denoiser
from gaintuning_tf.cli.program import main
from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.networks.network import Network, network_of
from helpers.places import TESTS

RECORDED = TESTS / "data" / "csbdeep.zip"
DENOISERS = [
    *("n2v", "n2v2", "struct_n2v", "n2v_colour", "n2v_colour_nets", "n2v_3d"),
    *("care", "care_probabilistic", "care_3d", "care_xy"),
]
# Of float32 in another order of sums, of the range of the image.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("csbdeep")
    with zipfile.ZipFile(RECORDED) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def copied(models, tmp_path):
    """A function that copies a model's folder, to be changed."""
    return lambda name: shutil.copytree(models / name, tmp_path / name)


def recorded(models, name):
    with np.load(models / f"{name}.npz") as file:
        return file["image"], file["predicted"], str(file["axes"])


def untuned(path, image):
    """What the network makes of an image, both in the units of the image."""
    network = network_of(path)
    batch = image.reshape(1, *image.shape[: network.dimensions], network.channels)
    return np.asarray(network.whole()(batch)).reshape(image.shape)


def assert_same(path, models, name):
    image, predicted, _ = recorded(models, name)
    scale = np.ptp(image)
    assert np.abs(predicted - image).max() > 0.05 * scale and np.ptp(predicted) > 0.05 * scale, "a test that can fail"
    np.testing.assert_allclose(untuned(path, image), predicted, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("name", DENOISERS)
def test_a_folder_is_what_its_own_predict_makes_of_an_image(models, name):
    assert_same(models / name, models, name)


def test_a_zip_is_what_its_own_predict_makes_of_an_image(models):
    # The mean of a probabilistic one is the first half of what the graph returns.
    assert_same(models / "care_probabilistic" / "TF_SavedModel.zip", models, "care_probabilistic")


def test_a_zip_elsewhere_is_the_same_as_it_says_what_it_is(models, tmp_path):
    path = shutil.copy(models / "care_probabilistic" / "TF_SavedModel.zip", tmp_path / "care.zip")
    assert_same(path, models, "care_probabilistic")
    shutil.unpack_archive(path, tmp_path / "unpacked")
    assert_same(tmp_path / "unpacked", models, "care_probabilistic")


def test_a_zipped_folder_is_the_folder(models, tmp_path):
    path = shutil.make_archive(tmp_path / "n2v", "zip", models, "n2v")
    assert_same(path, models, "n2v")


@pytest.mark.parametrize("file", ["config.json", "weights_best.h5"])
def test_a_file_of_the_folder_is_the_folder(models, file):
    assert_same(models / "n2v" / file, models, "n2v")


@pytest.mark.parametrize("name", ["n2v2", "n2v_colour_nets", "care_probabilistic", "n2v_3d"])
def test_gains_go_in_and_out_again(models, name):
    model = network_of(models / name).model
    gained = insert_gains(model)
    assert len(gain_layers(gained)) >= 7
    image = np.random.default_rng(0).random((1, *([8] * len(model.inputs[0].shape[1:-1])), model.inputs[0].shape[-1]))
    np.testing.assert_allclose(gained(image), model(image), atol=1e-6)


def assert_tuned_and_folded(path, image, axes, folder):
    result = gaintune(image, path, sigma=8.0, steps=1, axes=axes, progress=False)
    assert any(np.abs(gains - 1).max() > 1e-4 for gains in result.gains.values())
    fold_gains(result.model).save(folder / "tuned.keras")
    again = gaintune(image, folder / "tuned.keras", sigma=8.0, steps=0, axes=axes, progress=False).denoised
    np.testing.assert_allclose(again, result.denoised, rtol=0, atol=TOLERANCE * np.ptp(image))


@pytest.mark.parametrize("name", ["n2v_colour"])
def test_it_is_tuned_folded_and_saved(models, name, tmp_path):
    image, _, axes = recorded(models, name)
    assert_tuned_and_folded(models / name, image, axes, tmp_path)


def test_the_command_needs_no_further_option(models, tmp_path):
    image, predicted, _ = recorded(models, "n2v")
    np.save(tmp_path / "noisy.npy", image)
    command = ["denoise", tmp_path / "noisy.npy", "-o", tmp_path / "clean.npy", "--model", models / "n2v", "--no-tune"]
    assert main([*map(str, command), "--quiet"]) in (0, None)
    np.testing.assert_allclose(np.load(tmp_path / "clean.npy"), predicted, rtol=0, atol=TOLERANCE * np.ptp(image))


def test_what_the_numbers_mean_is_that_of_the_folder(models):
    assert str(network_of(models / "care").normalization) == "percentiles:2:99.8"
    found = network_of(models / "n2v_colour").normalization
    assert found.kind == "mean-std" and len(found.low) == len(found.high) == 3
    assert found.low == tuple(map(float, json.loads((models / "n2v_colour" / "config.json").read_text())["means"]))


def test_percentiles_of_care_may_be_said_and_means_of_n2v_may_not(models, copied):
    image, _, _ = recorded(models, "care")
    said = Network(models / "care", normalize="percentiles:10:90")
    assert str(said.normalization) == "percentiles:10:90"
    assert np.abs(untuned(said, image) - untuned(models / "care", image)).max() > 0.01 * np.ptp(image)
    folder = copied("care")
    (folder / "gaintuning.json").write_text('{"normalize": "percentiles:10:90"}')
    np.testing.assert_array_equal(untuned(folder, image), untuned(said, image))
    with pytest.raises(InputError, match="expected no other normalize than 'n2v' brings with it"):
        Network(models / "n2v", normalize="percentiles")


def test_percentiles_of_each_channel_can_be_given(models):
    image, predicted, _ = recorded(models, "care_channels")
    with pytest.warns(GainTuningWarning, match="those of all 2 channels together"):
        load_denoiser(models / "care_channels")
    low, high = np.percentile(image, (2, 99.8), axis=(0, 1))
    ends = [",".join(map(str, values)) for values in (low, high - low)]
    network = Network(models / "care_channels", normalize="mean-std:" + ":".join(ends))
    np.testing.assert_allclose(untuned(network, image), predicted, rtol=0, atol=TOLERANCE * np.ptp(image))


def test_nets_that_all_see_the_last_channel_are_told(models):
    with pytest.warns(GainTuningWarning, match="each sees the last channel"):
        model = load_denoiser(models / "n2v_colour_nets")
    image = np.random.default_rng(0).random((1, 8, 8, 3)).astype("float32")
    other = image * [[[[0, 0, 1]]]]
    np.testing.assert_allclose(model(other), model(image), rtol=1e-5)


def test_nets_of_a_static_graph_see_their_own_channel(copied):
    folder = copied("n2v_colour_nets")
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        file.attrs["keras_version"] = "2.2.4-tf"
    model = load_denoiser(folder)
    image = np.random.default_rng(0).random((1, 8, 8, 3)).astype("float32")
    alone = [np.ptp(model(image * np.eye(3)[number])[..., number]) for number in range(3)]
    assert min(alone) > 1e-4
    assert np.abs(model(image * [1, 0, 0]) - model(image))[..., 0].max() < 1e-4


def test_it_is_loaded_anew_when_its_weights_change(models, copied):
    image, predicted, _ = recorded(models, "n2v")
    folder = copied("n2v")
    np.testing.assert_allclose(untuned(folder, image), predicted, rtol=0, atol=TOLERANCE * np.ptp(image))
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        (name,) = [name for name in file if name.startswith("conv2d")]
        file[name][name]["bias:0"][:] += 1
    std = float(json.loads((folder / "config.json").read_text())["stds"][0])
    again = untuned(folder, image)
    np.testing.assert_allclose(again, predicted + std, rtol=0, atol=TOLERANCE * np.ptp(image))


def test_the_best_weights_are_taken_then_the_last(copied, models):
    folder = copied("n2v")
    shutil.copy(folder / "weights_best.h5", folder / "weights_last.h5")
    (folder / "weights_now.h5").write_bytes(b"")
    assert_same(folder, models, "n2v")
    (folder / "weights_best.h5").unlink()
    assert_same(folder, models, "n2v")


REFUSED = {
    "projection": "ProjectionCARE, whose output has an axis less than its input",
    "isotropic": "IsotropicCARE, which enlarges volumes along Z",
    "care_two_to_one": "expected as many channels out of a denoiser as into it, it makes 1 of 2",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_denoiser_is_refused_in_one_line(models, name):
    with pytest.raises(InputError, match=REFUSED[name]) as caught:
        load_denoiser(models / name)
    assert "\n" not in str(caught.value)


def changed(folder, **values):
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({name: v for name, v in {**known, **values}.items() if v is not ...})
    )
    return folder


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"unet_n_depth": 3}, "expected weights of 'channel_0down_level_2_no_0'"),
        ({"unet_n_depth": 1}, "another network|more layers|cannot use the weights"),
        ({"unet_n_depth": 10**9}, "some levels"),
        ({"unet_n_depth": "deep"}, "cannot use .*ValueError"),
        ({"axes": "YQC"}, "axes such as YXC"),
        ({"axes": None}, "axes such as YXC"),
        ({"means": ..., "stds": ...}, "expected means and stds"),
        ({"stds": ["0.0"]}, "finite numbers"),
        ({"means": ["nan"]}, "finite numbers"),
        ({"means": "many"}, "could not convert"),
        ({"unet_last_activation": "os.system"}, "last activation linear or relu"),
        ({"n_channel_in": ...}, "n_channel_in"),
        ({"n_channel_in": 2, "n_channel_out": 2, "unet_input_shape": [None, None, 2]}, "cannot use|expected"),
        ({"batch_norm": False}, "more layers"),
        ({"n_rays": 32}, "StarDist"),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_line(copied, values, words):
    with pytest.raises(InputError, match=words) as caught:
        load_denoiser(changed(copied("n2v"), **values))
    assert "\n" not in str(caught.value)


def test_early_versions_say_mean_and_std(copied, models):
    folder = copied("n2v")
    known = json.loads((folder / "config.json").read_text())
    changed(folder, means=..., stds=..., mean=known["means"][0], std=known["stds"][0])
    assert_same(folder, models, "n2v")


def test_a_folder_without_weights_says_which(copied):
    folder = copied("n2v")
    (folder / "weights_best.h5").unlink()
    with pytest.raises(InputError, match=r"expected weights in .*n2v, such as weights_best.h5"):
        load_denoiser(folder)
    (folder / "weights_best.h5").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not an HDF5 file that is safe to read"):
        load_denoiser(folder)


def test_a_damaged_zip_is_one_line(models, tmp_path):
    data = (models / "care_probabilistic" / "TF_SavedModel.zip").read_bytes()
    path = tmp_path / "care.zip"
    for cut in (10, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError) as caught:
            load_denoiser(path)
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_what_the_real_packages_write_now(tmp_path):
    """Folders and zips of every kind, made by the packages in an environment of their own: docs/guides/csbdeep.md."""
    python = os.environ.get("CSBDEEP_PYTHON")
    if not python:
        pytest.skip("needs a Python with csbdeep and n2v in CSBDEEP_PYTHON")
    subprocess.run([python, TESTS / "helpers" / "csbdeep_models.py", tmp_path], check=True, capture_output=True)
    for name in DENOISERS:
        folder = tmp_path / name
        zips = sorted(folder.glob("*.zip"))
        assert zips
        for path in (folder, *(zips if name != "care_xy" else ())):
            assert_same(path, tmp_path, name)
        image, _, axes = recorded(tmp_path, name)
        # Noise is looked for in volumes of some size.
        image = np.tile(image, (1, 3, 3)) if axes == "ZYX" else image
        assert_tuned_and_folded(folder, image, axes, tmp_path)
