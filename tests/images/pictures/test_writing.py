"""What a picture says besides its pixels is in the picture that is written; other programs read it."""

import io

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from gaintuning_tf import GainTuningWarning
from gaintuning_tf.images import open_stack, order_of, save_image
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.kept import check_output, not_kept
from gaintuning_tf.images.pictures import png
from gaintuning_tf.images.pictures.writing import encoded
from helpers.samples import draw

RGB = draw((14, 20, 3), "uint8")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def copied(source, output):
    """Write the pixels of one file into another, as the command line does."""
    with open_stack(source) as stack:
        check_output(output, stack.shape, stack.dtype, stack.metadata)
        array = stack.array()
        save_image(output, array, layout(array, 1, axes=order_of(array, 1).axes), stack.metadata)
    return PIL.Image.open(output)


@pytest.mark.parametrize("output", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp"])
def test_profile_and_exif_go_along(tmp_path, source, output):
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "a maker", 6
    PIL.Image.fromarray(RGB).save(tmp_path / f"a{source}", icc_profile=PROFILE, exif=exif)
    written = copied(tmp_path / f"a{source}", tmp_path / f"b{output}")
    assert written.info["icc_profile"] == PROFILE
    assert (written.getexif()[271], written.getexif().get(274, 1)) == ("a maker", 1)
    assert written.size == (14, 20)


@pytest.mark.parametrize(("source", "output"), [(".png", ".jpg"), (".jpg", ".png"), (".bmp", ".png"), (".png", ".bmp")])
def test_dots_per_inch_go_along(tmp_path, source, output):
    PIL.Image.fromarray(RGB).save(tmp_path / f"a{source}", dpi=(300, 300))
    assert copied(tmp_path / f"a{source}", tmp_path / f"b{output}").info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("output", [".png", ".webp"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays_beside_the_colours(tmp_path, channels, output):
    image = draw((14, 20, channels), "uint8")
    PIL.Image.fromarray(image).save(tmp_path / "a.png")
    written = copied(tmp_path / "a.png", tmp_path / f"b{output}")
    np.testing.assert_array_equal(np.asarray(written)[..., -1], image[..., -1])
    np.testing.assert_array_equal(np.asarray(written.convert("RGB"))[..., 0], image[..., 0])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_in_colour_go_through(tmp_path, channels):
    imagecodecs = pytest.importorskip("imagecodecs")
    image = draw((9, 12, channels), "uint16")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    copied(tmp_path / "a.png", tmp_path / "b.png")
    np.testing.assert_array_equal(imagecodecs.png_decode((tmp_path / "b.png").read_bytes()), image)


def test_gamma_and_texts_of_png_go_along(tmp_path):
    PIL.Image.fromarray(RGB).save(tmp_path / "a.png")
    gamma = (b"gAMA", (45455).to_bytes(4, "big"))
    data = png.with_chunks((tmp_path / "a.png").read_bytes(), [gamma, (b"tEXt", b"Author\0me")])
    (tmp_path / "a.png").write_bytes(data)
    written = copied(tmp_path / "a.png", tmp_path / "b.png")
    written.load()
    assert (written.info["gamma"], written.info["Author"]) == (pytest.approx(0.45455), "me")


def test_jpeg_keeps_the_colours_of_every_pixel(tmp_path):
    PIL.Image.fromarray(RGB).save(tmp_path / "a.png")
    written = copied(tmp_path / "a.png", tmp_path / "b.jpg")
    assert written.layer == [(1, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1)]  # of each component: its sampling is 1 x 1
    # The tables of quality 95 begin with this divisor of the mean, at 100 it would be 1.
    assert written.quantization[0][0] == 2


def test_webp_loses_nothing(tmp_path):
    PIL.Image.fromarray(RGB).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(copied(tmp_path / "a.png", tmp_path / "b.webp")), RGB)


def test_what_a_format_does_not_keep_is_said_before(tmp_path):
    alpha = np.zeros((14, 20), "uint8")
    with pytest.warns(GainTuningWarning, match="does not keep the alpha channel and dots per inch") as said:
        check_output(tmp_path / "a.npy", (14, 20), np.dtype("uint8"), {"alpha": alpha, "dpi": (300.0, 300.0)})
    assert len(said) == 1
    with pytest.warns(GainTuningWarning, match="8 bits a channel, to which the uint16"):
        check_output(tmp_path / "a.jpg", (14, 20), np.dtype("uint16"), {})


def test_an_opaque_alpha_channel_is_no_loss():
    assert not not_kept("a.jpg", {"alpha": np.full((4, 4), 255, "uint8")})


def test_alpha_follows_the_bits_of_the_colours():
    data = encoded(draw((4, 5), "uint8"), ".png", {"alpha": np.array([[0, 65535, 257, 514, 771]] * 4, "uint16")})
    assert np.asarray(PIL.Image.open(io.BytesIO(data)))[0, :, 1].tolist() == [0, 255, 1, 2, 3]
