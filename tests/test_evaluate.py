"""evaluate: the peer's noise, the contract's table."""

import numpy as np
import pytest
from skimage.data import camera
from skimage.io import imsave

from gaintuning_tf import InputError, load_denoiser
from gaintuning_tf.evaluate import MEASURES, evaluate, noisy_version
from gaintuning_tf.image_sources import load_images


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        imsave(tmp_path / f"{index}.png", camera()[100 * index : 100 * index + 48, :52])
    return tmp_path


def test_the_noise_is_the_peers():
    clean = np.full((5, 4), 0.5, "float32")
    expected = clean + np.random.RandomState(7).randn(5, 4).astype("float32") * np.float32(30 / 255)
    np.testing.assert_array_equal(noisy_version(clean, 30, 7), expected)


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
    from gaintuning_tf.image_pairs import ImagePairs

    images = tmp_path / "images"
    images.mkdir()
    (images / "clean").symlink_to(folder, target_is_directory=True)
    builder = ImagePairs(config="clean", data_dir=tmp_path / "data")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(images)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "gaintuning_tf.evaluate.load_images", lambda source: load_images(source, data_dir=tmp_path / "data")
        )
        one = evaluate("tfds:image_pairs/clean", tiny, sigma=25, tune=False)
    other = evaluate(folder, tiny, sigma=25, tune=False)
    assert one["mean"]["psnr_noisy"] == pytest.approx(other["mean"]["psnr_noisy"], abs=0.3)
    assert len(one["images"]) == 3
