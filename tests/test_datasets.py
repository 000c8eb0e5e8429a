"""Noisy crops: reproducible, resumable, and with the noise they claim."""

import numpy as np
import pytest
from skimage.io import imsave

from gaintuning_tf import InputError
from gaintuning_tf.datasets import image_files, noisy_crops

OPTIONS = {"crop": 16, "batch": 4, "sigma": (0, 50), "seed": 3}


def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, shape, dtype="uint8") for shape in ((16, 30, 1), (25, 17, 1), (40, 40, 1))]


def batches(first, last, **options):
    return [
        (n.numpy(), c.numpy())
        for n, c in noisy_crops(images(), first_batch=first, last_batch=last, **{**OPTIONS, **options})
    ]


def test_a_batch_depends_on_its_number_alone():
    whole, rest = batches(0, 5), batches(3, 5)
    assert len(whole) == 5
    for (noisy, clean), (noisy_again, clean_again) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(noisy, noisy_again)
        np.testing.assert_array_equal(clean, clean_again)
    assert np.any(whole[0][0] != whole[1][0])
    assert np.any(whole[0][0] != batches(0, 1, seed=4)[0][0])


def test_clean_crops_are_pieces_of_the_images_turned_or_mirrored():
    known = set()
    for image in images():
        for top in range(image.shape[0] - 15):
            for left in range(image.shape[1] - 15):
                piece = image[top : top + 16, left : left + 16, 0]
                known |= {np.rot90(p, k).tobytes() for k in range(4) for p in (piece, piece[::-1])}
    turned = set()
    for _, clean in batches(0, 5):
        for crop in clean:
            data = np.rint(crop[..., 0] * 255).astype("uint8")
            assert data.tobytes() in known
            turned.add(data.tobytes())
    assert len(turned) == 20


def test_noise_levels_are_uniform_over_their_range():
    levels = np.array([255 * np.std(noisy - clean, axis=(1, 2, 3)) for noisy, clean in batches(0, 100)]).ravel()
    # 400 draws of a uniform variable: mean 25 with standard error 50 / sqrt(12 * 400).
    assert levels.mean() == pytest.approx(25, abs=4 * 50 / np.sqrt(12 * 400))
    assert levels.min() < 3
    assert levels.max() > 45


def test_images_smaller_than_the_crop_are_refused():
    with pytest.raises(InputError, match="at least 17x17"):
        batches(0, 1, crop=17)


def test_image_files_are_sorted_and_others_left_out(tmp_path):
    with pytest.raises(InputError, match="found none"):
        image_files(tmp_path)
    with pytest.raises(InputError, match="folder"):
        image_files(tmp_path / "absent")
    for name in ("b.png", "a.PNG", "c.txt"):
        imsave(tmp_path / "x.png", np.zeros((4, 4), "uint8"), check_contrast=False)
        (tmp_path / "x.png").rename(tmp_path / name)
    assert [file.name for file in image_files(tmp_path)] == ["a.PNG", "b.png"]
