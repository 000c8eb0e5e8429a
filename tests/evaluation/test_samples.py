"""evaluation_images: the peer's noise, and pairs of the same names."""

import numpy as np
import pytest
import tifffile
from skimage.data import camera
from skimage.io import imsave

from gaintuning_tf import InputError
from gaintuning_tf.evaluation.samples import check_pairs, noisy_version, samples


@pytest.fixture
def pairs(tmp_path):
    for kind in ("noisy", "clean"):
        (tmp_path / kind).mkdir()
    for index in range(2):
        clean = camera()[100 * index : 100 * index + 20, :24]
        imsave(tmp_path / "clean" / f"{index}.png", clean)
        imsave(tmp_path / "noisy" / f"{index}.png", np.clip(clean + 9.0 * (index + 1), 0, 255).astype("uint8"))
    return tmp_path / "noisy", tmp_path / "clean"


def test_the_noise_is_the_peers():
    clean = np.full((5, 4), 0.5, "float32")
    expected = clean + np.random.RandomState(7).randn(5, 4).astype("float32") * np.float32(30 / 255)
    np.testing.assert_array_equal(noisy_version(clean, 30, 7), expected)


def test_clean_images_get_the_noise_of_their_place(pairs):
    _, clean = pairs
    for index, (name, noisy, truth) in enumerate(samples(clean, 30)):
        assert name == f"{index}.png"
        np.testing.assert_array_equal(noisy, noisy_version(truth, 30, index))


def test_pairs_are_read_by_name_and_no_noise_is_drawn(pairs):
    noisy, clean = pairs
    imsave(clean / "2.png", camera()[:20, :24])  # more clean images than noisy ones do no harm
    found = list(samples(noisy, clean=clean))
    assert [name for name, _, _ in found] == ["0.png", "1.png"]
    for index, (_, one, truth) in enumerate(found):
        np.testing.assert_allclose(one - truth, 9 * (index + 1) / 255, atol=1e-6)


def test_float_pairs_are_taken_as_they_are(pairs):
    noisy, clean = pairs
    image = np.linspace(-0.2, 1.3, 480, dtype="float32").reshape(20, 24)
    tifffile.imwrite(noisy / "f.tif", image)
    tifffile.imwrite(clean / "f.tif", image.clip(0, 1))
    name, one, truth = list(samples(noisy, clean=clean))[-1]
    assert name == "f.tif"
    np.testing.assert_array_equal(one, image)
    np.testing.assert_array_equal(truth, image.clip(0, 1))


def test_refusals(pairs):
    noisy, clean = pairs
    with pytest.raises(InputError, match="estimated for pairs only"):
        next(samples(clean))
    tifffile.imwrite(clean / "wide.tif", np.full((9, 9), 255, "float32"))
    with pytest.raises(InputError, match=r"in \[0, 1\].*255"):
        list(samples(clean, 30))
    imsave(clean / "wide.tif", np.zeros((9, 9), "uint16"), check_contrast=False)
    with pytest.raises(InputError, match="8-bit"):
        list(samples(clean, 30))
    imsave(noisy / "a.png", camera()[:20, :24])
    with pytest.raises(InputError, match=r"found none for 1, such as a\.png"):
        check_pairs(noisy, clean)
    imsave(clean / "a.png", camera()[:21, :24])
    with pytest.raises(InputError, match="pairs of one shape"):
        list(samples(noisy, clean=clean))


def test_colour_is_taken_as_it_is_where_asked_for(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    imsave(tmp_path / "a.png", picture, check_contrast=False)
    ((name, noisy, clean),) = samples(tmp_path, 25, colour=True)
    np.testing.assert_allclose(clean, picture / 255, atol=1e-6)
    drawn = np.random.RandomState(0).randn(8, 9, 3).astype("float32") * np.float32(25 / 255)
    np.testing.assert_allclose(noisy - clean, drawn, atol=1e-6)
    ((_, pair, same),) = samples(tmp_path, clean=tmp_path, colour=True)
    assert name == "a.png" and pair.shape == (8, 9, 3) and np.array_equal(pair, same)


def test_grey_pictures_are_refused_by_colour(tmp_path):
    imsave(tmp_path / "a.png", np.zeros((8, 9), np.uint8), check_contrast=False)
    with pytest.raises(InputError, match="three channels"):
        list(samples(tmp_path, 25, colour=True))
    with pytest.raises(InputError, match="green"):
        list(samples(tmp_path, 25, colour=True, channel="green"))
