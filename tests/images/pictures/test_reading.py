"""What a picture shows is what is read: Pillow's own rendering is the reference."""

import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from PIL import ImageCms

from gaintuning_tf import GainTuningWarning
from gaintuning_tf.images import open_stack
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.pictures.reading import read_picture
from helpers.samples import draw

RGB = draw((14, 20, 3), "uint8")
GREY = draw((14, 20), "uint8")


def shown(path):
    return np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(path)).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_is_read_as_it_is_shown(tmp_path, suffix, orientation):
    exif = PIL.Image.Exif()
    exif[274], exif[271] = orientation, "a maker"
    PIL.Image.fromarray(RGB).save(tmp_path / f"a{suffix}", exif=exif, lossless=True)
    picture = read_picture(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.pixels, shown(tmp_path / f"a{suffix}"))
    again = PIL.Image.Exif()
    again.load(picture.metadata["exif"])
    assert (again.get(274), again[271]) == (None, "a maker")


def test_the_colours_of_a_palette_are_read_not_its_indices(tmp_path):
    PIL.Image.fromarray(RGB).quantize(16).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), shown(tmp_path / "a.png"))
    assert len(np.unique(load_image(tmp_path / "a.png"))) > 16


def test_a_palette_of_greys_is_grey(tmp_path):
    image = PIL.Image.fromarray(GREY // 4)
    image.putpalette([value for grey in range(256) for value in (255 - grey,) * 3])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), 255 - GREY // 4)


def test_a_grey_webp_is_grey(tmp_path):
    PIL.Image.fromarray(GREY).save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(load_image(tmp_path / "a.webp"), GREY)


def test_transparency_of_a_palette_is_alpha(tmp_path):
    image = PIL.Image.fromarray(RGB).quantize(16)
    image.save(tmp_path / "a.png", transparency=3)
    alpha = read_picture(tmp_path / "a.png").metadata["alpha"]
    np.testing.assert_array_equal(alpha, np.where(np.asarray(image) == 3, 0, 255))


def test_cmyk_without_a_profile_is_what_pillow_shows(tmp_path):
    PIL.Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    with pytest.warns(GainTuningWarning, match="CMYK without a profile"):
        pixels = load_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(pixels, shown(tmp_path / "a.jpg"))


def test_a_profile_that_is_not_of_cmyk_is_said(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    PIL.Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=profile)
    with pytest.warns(GainTuningWarning) as said:
        picture = read_picture(tmp_path / "a.jpg")
    assert ["profile cannot be used" in str(said[0].message), "icc_profile" in picture.metadata] == [True, False]
    assert picture.pixels.shape == RGB.shape


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_is_a_movie(tmp_path, suffix):
    frames = [PIL.Image.fromarray(np.roll(GREY, 3 * i, 1)).convert("RGB") for i in range(3)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], lossless=True, duration=50)
    with open_stack(tmp_path / f"a{suffix}") as stack:
        assert (stack.axes, stack.frame_count) == ("TYX", 3)
        np.testing.assert_array_equal(stack.frame(2), np.roll(GREY, 6, 1))


def test_an_animation_in_colour_has_frames_in_colour(tmp_path):
    frames = [PIL.Image.fromarray(np.roll(RGB, 3 * i, 1)) for i in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with open_stack(tmp_path / "a.png", model_channels=3) as stack:
        assert (stack.axes, stack.shape) == ("TYXC", (2, *RGB.shape))
        np.testing.assert_array_equal(stack.frame(1), np.roll(RGB, 3, 1))


def test_the_first_picture_of_a_phone_is_the_picture(tmp_path):
    images = [PIL.Image.fromarray(RGB), PIL.Image.fromarray(RGB[::2, ::2])]
    images[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=images[1:])
    with pytest.warns(GainTuningWarning, match="holds 2 pictures: the first is read"):
        assert read_picture(tmp_path / "a.jpg").pixels.shape == RGB.shape


def test_a_wrong_suffix_does_no_harm_among_pictures(tmp_path):
    PIL.Image.fromarray(RGB).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(load_image(tmp_path / "a.jpg"), RGB)


def test_damaged_exif_data_does_not_cost_the_picture(tmp_path):
    data = io.BytesIO()
    PIL.Image.fromarray(RGB).save(data, format="PNG", exif=b"Exif\0\0nonsense that is no header of TIFF")
    (tmp_path / "a.png").write_bytes(data.getvalue())
    with pytest.warns(GainTuningWarning, match="EXIF data cannot be read"):
        np.testing.assert_array_equal(load_image(tmp_path / "a.png"), RGB)


def test_xmp_data_that_is_not_kept_is_said(tmp_path):
    PIL.Image.fromarray(RGB).save(tmp_path / "a.jpg", xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    with pytest.warns(GainTuningWarning, match="XMP data are not kept"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_sixteen_bits(tmp_path, channels):
    imagecodecs = pytest.importorskip("imagecodecs")
    image = draw((9, 12, channels), "uint16")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image if channels > 1 else image[..., 0]))
    picture = read_picture(tmp_path / "a.png")
    colours = image[..., :-1] if channels in (2, 4) else image
    np.testing.assert_array_equal(picture.pixels, colours[..., 0] if colours.shape[-1] == 1 else colours)
    if channels in (2, 4):
        np.testing.assert_array_equal(picture.metadata["alpha"], image[..., -1])
