"""Images to train on: folders, TFDS, rules."""

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from gaintuning_tf import InputError
from gaintuning_tf.images.files import image_files
from gaintuning_tf.training.image_sources import at_scales, check_source, load_images


def test_image_files_are_sorted_and_others_left_out(tmp_path):
    with pytest.raises(InputError, match="found none"):
        image_files(tmp_path)
    with pytest.raises(InputError, match="folder"):
        image_files(tmp_path / "absent")
    for name in ("b.png", "a.PNG", "c.txt"):
        imsave(tmp_path / "x.png", np.zeros((4, 4), "uint8"), check_contrast=False)
        (tmp_path / "x.png").rename(tmp_path / name)
    assert [file.name for file in image_files(tmp_path)] == ["a.PNG", "b.png"]


def test_folders_become_grey_or_colour(tmp_path):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 255, (9, 7, 3), dtype="uint8")
    imsave(tmp_path / "colour.png", colour, check_contrast=False)
    (image,) = load_images(tmp_path)
    assert image.shape == (9, 7, 1)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image[..., 0], colour @ [0.2125, 0.7154, 0.0721], atol=0.51)
    np.testing.assert_array_equal(load_images(tmp_path, channels=3)[0], colour)
    imsave(tmp_path / "grey.tif", rng.random((5, 6)).astype("float32"), check_contrast=False)
    with pytest.raises(InputError, match=r"3 channel\(s\), received one of 1.*grey\.tif"):
        load_images(tmp_path, channels=3)
    assert load_images(tmp_path)[1].dtype == np.float32


def test_stacks_are_no_training_images(tmp_path):
    np.save(tmp_path / "stack.npy", np.zeros((5, 8, 8)))
    with pytest.raises(InputError, match=r"one image per file.*\(5, 8, 8\)"):
        load_images(tmp_path)


def test_synthetic_images_are_counted_and_checked():
    assert len(load_images("synthetic:nanoparticles:2")) == 2
    for source in ("synthetic:clouds", "synthetic:clouds:2"):
        for function in (load_images, check_source):
            with pytest.raises(InputError, match="'clouds'"):
                function(source)
    with pytest.raises(InputError, match="COUNT"):
        load_images("synthetic:nanoparticles:many")


def test_images_are_shrunk_to_scales_within_their_range_and_dtype():
    image = np.zeros((40, 60, 1), "uint8")
    image[:, 30:] = 255
    whole, small = at_scales([image], (1, 0.5), least=16)
    assert whole is image and small.shape == (20, 30, 1) and small.dtype == "uint8"
    assert small[:, :13].max() == 0 and small[:, 17:].min() == 255
    # The mean stays: shrinking averages.
    assert abs(float(small.mean()) - float(image.mean())) < 1
    assert [len(at_scales([image], scales, least=16)) for scales in [(1,), (0.3,), (1, 0.3)]] == [1, 0, 1]


def test_a_folder_of_volumes(tmp_path):
    rng = np.random.default_rng(0)
    movie, volume = rng.integers(0, 255, (2, 4, 8, 9), dtype="uint8"), rng.random((5, 8, 9))
    tifffile.imwrite(tmp_path / "a.tif", movie, imagej=True, metadata={"axes": "TZYX"})
    np.save(tmp_path / "b.npy", volume)
    found = load_images(tmp_path, dimensions=3)
    assert [(image.shape, image.dtype) for image in found] == [
        ((4, 8, 9, 1), np.uint8),
        ((4, 8, 9, 1), np.uint8),
        ((5, 8, 9, 1), np.float32),
    ]
    np.testing.assert_array_equal(found[1][..., 0], movie[1])
    with pytest.raises(InputError, match="expected a folder of volumes"):
        load_images("synthetic:nanoparticles:2", dimensions=3)
