"""Image files written whole: what a picture holds, and outputs that are links."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.files import load_image, save_image
from helpers.samples import draw


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
@pytest.mark.parametrize(("shape", "axes"), [((9, 8, 1), "YXC"), ((1, 9, 8), "TYX"), ((1, 1, 9, 8, 3), "TZYXC")])
def test_a_picture_has_no_axes_of_length_one(tmp_path, suffix, shape, axes):
    image = draw(shape, "uint8")
    save_image(tmp_path / f"a{suffix}", image, layout(image, 1, axes=axes))
    np.testing.assert_array_equal(load_image(tmp_path / f"a{suffix}"), image.squeeze())


@pytest.mark.parametrize(("shape", "axes"), [((5, 9, 8), "TYX"), ((9, 8, 4), "YXC")])
def test_several_frames_are_no_picture(tmp_path, shape, axes):
    image = draw(shape, "uint8")
    with pytest.raises(InputError, match="holds one image"):
        save_image(tmp_path / "a.png", image, layout(image, 1, axes=axes))
    assert not list(tmp_path.iterdir())


def test_the_name_of_the_output_says_the_format_not_what_it_links_to(tmp_path):
    image = draw((9, 8), "uint16")
    (tmp_path / "a.tif").symlink_to(tmp_path / "blob")
    save_image(tmp_path / "a.tif", image, layout(image, 1))
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif"), image)
    (tmp_path / "a.png").symlink_to(tmp_path / "blob")
    with pytest.raises(InputError, match=r"suffixes \.png"):
        save_image(tmp_path / "a.png", image, layout(image, 1))
