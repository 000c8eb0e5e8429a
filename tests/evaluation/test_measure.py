"""evaluate: the contract's table, beside other methods."""

import sys

import keras
import numpy as np
import pytest
from skimage.data import camera
from skimage.io import imsave

from gaintuning_tf import InputError, load_denoiser
from gaintuning_tf.evaluation.measure import MEASURES, evaluate, summary
from gaintuning_tf.losses.coupled_bootstrap import CoupledBootstrap
from gaintuning_tf.noise.models import GaussianNoise


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        imsave(tmp_path / f"{index}.png", camera()[100 * index : 100 * index + 48, :52])
    return tmp_path


def test_a_row_per_image_and_their_means(folder):
    seen = []
    table = evaluate(folder, load_denoiser("unet-bf-natural"), sigma=25, steps=2, report=seen.append)
    assert [row["image"] for row in table["images"]] == ["0.png", "1.png", "2.png"]
    assert seen == table["images"]
    assert set(table["mean"]) == set(MEASURES)
    for key in MEASURES:
        assert table["mean"][key] == pytest.approx(np.mean([row[key] for row in table["images"]]))
    assert table["mean"]["psnr_pretrained"] > table["mean"]["psnr_noisy"] + 4


def test_a_limit_leaves_the_noise_of_each_image_alone(folder):
    model = load_denoiser("unet-bf-natural")
    whole = evaluate(folder, model, sigma=25, tune=False)
    first = evaluate(folder, model, sigma=25, tune=False, limit=2)
    assert len(first["images"]) == 2
    for a, b in zip(whole["images"], first["images"], strict=False):
        assert a["psnr_pretrained"] == b["psnr_pretrained"]
        assert b["psnr_tuned"] == b["psnr_pretrained"]


def test_refusals(folder, tmp_path):
    with pytest.raises(InputError, match="found none"):
        evaluate(tmp_path / "absent", load_denoiser("unet-bf-natural"), sigma=25)
    imsave(folder / "a.tif", np.zeros((9, 9), "uint16"), check_contrast=False)
    with pytest.raises(InputError, match="8-bit"):
        evaluate(folder, load_denoiser("unet-bf-natural"), sigma=25, steps=0)


def test_tfds_data_sets_are_measured_as_folders_are(folder, tmp_path, tiny):
    tfds = pytest.importorskip("tensorflow_datasets")
    from gaintuning_tf.training.image_pairs import ImagePairs

    images = tmp_path / "images"
    images.mkdir()
    (images / "clean").symlink_to(folder, target_is_directory=True)
    builder = ImagePairs(config="clean", data_dir=tmp_path / "data")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(images)))
    one = evaluate("tfds:image_pairs/clean", tiny, sigma=25, tune=False, data_dir=tmp_path / "data")
    other = evaluate(folder, tiny, sigma=25, tune=False)
    assert one["mean"]["psnr_noisy"] == pytest.approx(other["mean"]["psnr_noisy"], abs=0.3)
    assert len(one["images"]) == 3


def test_a_loss_object_will_do_and_gives_what_its_name_gives(folder, tiny):
    named, given = (
        evaluate(folder, tiny, sigma=25, steps=2, limit=1, loss=loss)["images"][0]
        for loss in ("sure", CoupledBootstrap())
    )
    assert named["psnr_tuned"] == given["psnr_tuned"] != named["psnr_pretrained"]


def test_other_methods_are_told_the_noise_and_measured_on_the_same_image(folder, tiny):
    given = []

    def half(noisy, noise):
        given.append(noise)
        return noisy * 0 + 0.5

    (row,) = evaluate(folder, tiny, sigma=25, tune=False, limit=1, compare={"half": half})["images"]
    assert list(row)[-3:] == ["psnr_half", "ssim_half", "seconds_half"]
    assert given == [GaussianNoise(25 / 255)]
    clean = camera()[:48, :52] / 255
    assert row["psnr_half"] == pytest.approx(-10 * np.log10(np.mean((clean - 0.5) ** 2)), abs=1e-4)


def test_the_noise_that_is_found_in_pairs_is_what_the_others_are_told(tmp_path, tiny):
    for kind in ("noisy", "clean"):
        (tmp_path / kind).mkdir()
    clean = np.tile(np.linspace(40, 200, 96), (96, 1))
    correlation = np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]])
    noisy = GaussianNoise(12.0, correlation).sample(clean, np.random.default_rng(0))
    for kind, image in (("noisy", noisy), ("clean", clean)):
        colour = np.stack([image * 0, image, image * 0], -1)
        imsave(tmp_path / kind / "a.png", colour.round().clip(0, 255).astype("uint8"), check_contrast=False)
    given = []
    options = {"clean": tmp_path / "clean", "tune": False, "compare": {"same": lambda y, n: given.append(n) or y}}
    (row,) = evaluate(tmp_path / "noisy", tiny, channel="green", **options)["images"]
    # That of the green channel: of grey, the noise would have 0.7 times this.
    assert row["psnr_noisy"] == pytest.approx(20 * np.log10(255 / 12), abs=0.5)
    (found,) = given
    assert found.correlation[5, 6] == pytest.approx(0.5, abs=0.15)
    with pytest.raises(InputError, match=r"red, green, blue, received 'alpha'"):
        evaluate(tmp_path / "noisy", tiny, channel="alpha", **options)


def test_the_noise_of_pairs_is_estimated_unless_told(folder, tmp_path, tiny):
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    flat = np.full((64, 64), 128.0)
    imsave(folder / "flat.png", flat.astype("uint8"), check_contrast=False)
    imsave(
        noisy / "flat.png", (flat + 20 * np.random.default_rng(0).standard_normal(flat.shape)).round().astype("uint8")
    )
    given = []
    options = {
        "clean": folder,
        "tune": False,
        "compare": {"same": lambda noisy, noise: given.append(noise.sigma) or noisy},
    }
    for sigma in (None, 25):
        (row,) = evaluate(noisy, tiny, sigma=sigma, **options)["images"]
        assert row["psnr_same"] == row["psnr_noisy"] == pytest.approx(20 * np.log10(255 / 20), abs=0.2)
    # The median of 1024 coefficients has a relative error of about 1.17 / sqrt(1024).
    assert given[0] * 255 == pytest.approx(20, rel=4 * 1.17 / 32)
    assert given[1] == 25 / 255


def test_measured_rows_are_not_measured_again(folder, tiny):
    whole, seen = evaluate(folder, tiny, sigma=25, tune=False), []
    again = evaluate(folder, tiny, sigma=25, tune=False, rows=whole["images"][:2], report=seen.append)
    assert again["images"][:2] == whole["images"][:2]
    assert [row["image"] for row in seen] == ["2.png"]
    assert seen[0]["psnr_pretrained"] == whole["images"][2]["psnr_pretrained"]
    with pytest.raises(InputError, match=r"a row of 0\.png"):
        evaluate(folder, tiny, sigma=25, tune=False, rows=whole["images"][1:])


def test_an_image_whose_tuning_was_interrupted_is_no_row(folder, tiny):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if len(seen) == 1:
                raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, tiny, sigma=25, steps=3, callbacks=[Interrupt()], report=seen.append)
    assert [row["image"] for row in seen] == ["0.png"]


def test_the_fraction_of_an_oracle_that_gains_nothing_is_none():
    row = {"image": "a", "psnr_pretrained": 30.0, "psnr_tuned": 31.0, "psnr_oracle": 29.0}
    assert summary([row])["mean"]["fraction"] is None
    assert summary([row])["spread"] == {"below_pretrained": 0, "least_gain": 1.0, "most_gain": 1.0}
    with pytest.raises(InputError, match="at least one image"):
        summary([])


def test_the_oracle_has_the_recipe_it_is_compared_with(folder, tiny, monkeypatch):
    given = []

    class Told:
        def __init__(self, model, **recipe):
            given.append(recipe)

        def denoise(self, noisy, clean, noise):
            return clean

    monkeypatch.setattr(sys.modules["gaintuning_tf.evaluation.measure"], "Oracle", Told)
    recipe = {"steps": 1, "seed": 2, "prior": None}
    evaluate(folder, tiny, sigma=25, limit=1, oracle=True, loss="monte-carlo-sure", **recipe)
    assert given == [recipe]
