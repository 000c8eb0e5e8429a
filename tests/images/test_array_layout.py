"""Arrays in and out without surprises: axes, dtypes, ranges, files."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imsave

from gaintuning_tf import GainTuningWarning, InputError
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.files import load_image, save_image

RNG = np.random.default_rng(0)
DTYPES = ["uint8", "uint16", "int16", "uint32", "float16", "float32", "float64"]


def draw(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(max(limits.min, -30000), min(limits.max, 60000), shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axes", "channels", "frames"),
    [
        ((7, 5), None, 1, (1, 7, 5, 1)),
        ((7, 5, 1), None, 1, (1, 7, 5, 1)),
        ((7, 5, 3), None, 1, (3, 7, 5, 1)),
        ((7, 5, 3), None, 3, (1, 7, 5, 3)),
        ((4, 7, 5), "TYX", 1, (4, 7, 5, 1)),
        ((5, 7), "XY", 1, (1, 7, 5, 1)),
        ((2, 7, 5), "CYX", 1, (2, 7, 5, 1)),
        ((2, 7, 5), "CYX", 2, (1, 7, 5, 2)),
        ((4, 3, 7, 5), "TCYX", 1, (12, 7, 5, 1)),
        ((3, 5, 4, 2, 7), "CXTZY", 1, (24, 7, 5, 1)),
        ((3, 5, 4, 2, 7), "CXTZY", 3, (8, 7, 5, 3)),
    ],
)
def test_there_and_back_is_exact(dtype, shape, axes, channels, frames):
    image = draw(shape, dtype)
    arrangement = layout(image, channels, axes=axes)
    there = arrangement.frames(image)
    assert there.shape == frames
    assert there.dtype == np.float32
    back = arrangement.image(there)
    assert back.dtype == image.dtype
    assert back.shape == image.shape
    # float32 carries 24 bits: less than half a unit for integers up to 60000, 2^-24 relative for floats.
    np.testing.assert_allclose(back, image, rtol=0, atol=0 if image.dtype.kind in "iu" else 2**-24)


def test_frames_are_the_slices_they_should_be():
    image = draw((4, 3, 7, 5), "float32")
    frames = layout(image, 1, axes="TCYX").frames(image)
    np.testing.assert_array_equal(frames[1 * 3 + 2, :, :, 0], image[1, 2])
    colour = draw((7, 5, 3), "float32")
    np.testing.assert_array_equal(layout(colour, 1).frames(colour)[2, :, :, 0], colour[..., 2])


@pytest.mark.parametrize(
    ("image", "offset", "data_range"),
    [
        (np.array([[0, 255]], "uint8"), 0, 255),
        (np.array([[0, 3]], "uint8"), 0, 255),
        (np.array([[0, 200]], "uint16"), 0, 255),
        (np.array([[0, 4095]], "uint16"), 0, 4095),
        (np.array([[0, 4096]], "uint16"), 0, 16383),
        (np.array([[0, 65535]], "uint16"), 0, 65535),
        (np.array([[100, 1e6]], "uint32"), 100, 1e6 - 100),
        (np.array([[-5, 5]], "int16"), -5, 10),
        (np.array([[-0.3, 1.4]], "float32"), 0, 1),
        (np.array([[0, 255]], "float32"), 0, 255),
        (np.array([[1e-3, 2e-3]], "float64"), 0, 1),
        (np.array([[7.0, 7.0]], "float64"), 7, 1),
    ],
)
def test_the_range_is_what_one_would_expect(image, offset, data_range):
    arrangement = layout(image, 1)
    assert (arrangement.offset, arrangement.data_range) == (offset, data_range)


def test_a_range_that_is_given_is_taken():
    image = np.array([[0, 100]], "uint16")
    assert layout(image, 1, data_range=1000).frames(image).ravel().tolist() == [0, pytest.approx(0.1)]


def test_integers_are_rounded_and_clipped_not_wrapped():
    image = np.array([[0, 255]], "uint8")
    frames = np.array([-0.1, 1.1], "float32").reshape(1, 1, 2, 1)
    assert layout(image, 1).image(frames).tolist() == [[0, 255]]
    assert layout(image, 1).image(frames * 0 + 0.5).tolist() == [[128, 128]]


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((0, 5)), {}, "at least 2 pixels"),
        (np.zeros((1, 1)), {}, "at least 2 pixels"),
        (np.zeros((1, 1, 3)), {}, "at least 2 pixels"),
        (np.zeros(5), {}, "axes="),
        (np.zeros((5, 5, 4)), {}, "axes="),
        (np.zeros((9, 5, 5)), {}, "axes='TYX'"),
        (np.zeros((5, 5)), {"axes": "TYX"}, "names 3 axes, the image has 2"),
        (np.zeros((5, 5)), {"axes": "YY"}, "at most one"),
        (np.zeros((5, 5)), {"axes": "TX"}, "have Y and X"),
        (np.zeros((5, 5)), {"axes": "QX"}, "have Y and X"),
        (np.full((5, 5), np.nan), {}, "25 that are NaN"),
        (np.full((5, 5), np.inf), {}, "infinite"),
        (np.zeros((5, 5), bool), {}, "dtype bool"),
        (np.zeros((5, 5), complex), {}, "dtype complex"),
        (np.zeros((5, 5)), {"data_range": 0}, "data_range"),
        (np.zeros((5, 5)), {"data_range": np.nan}, "data_range"),
    ],
)
def test_bad_images_are_refused(image, options, message):
    with pytest.raises(InputError, match=message):
        layout(image, 1, **options)


def test_a_colour_network_does_not_take_grey():
    with pytest.raises(InputError, match="3 channels, received 1"):
        layout(np.zeros((5, 5)), 3)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("a.png", (9, 8), "uint8"),
        ("a.png", (9, 8, 3), "uint8"),
        ("a.png", (9, 8), "uint16"),
        ("a.bmp", (9, 8), "uint8"),
        ("a.tif", (9, 8), "uint16"),
        ("a.tif", (9, 8, 3), "uint16"),
        ("a.tiff", (9, 8), "float32"),
        ("a.tif", (4, 9, 8), "uint16"),
        ("a.npy", (9, 8), "float64"),
    ],
)
def test_lossless_files_come_back_exactly(tmp_path, name, shape, dtype):
    image = draw(shape, dtype)
    save_image(tmp_path / name, image, layout(image, 1, axes="TYX" if shape[0] == 4 else None))
    read = load_image(tmp_path / name)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_what_a_format_cannot_hold_is_scaled_to_eight_bits(tmp_path, name):
    image = np.linspace(0, 1, 64 * 64, dtype="float32").reshape(64, 64)
    save_image(tmp_path / name, image, layout(image, 1))
    read = load_image(tmp_path / name)
    assert read.dtype == np.uint8
    read = read[..., 0] if read.ndim == 3 else read
    np.testing.assert_allclose(read / 255, image, atol=0.03)


@pytest.mark.parametrize(
    ("options", "start", "sides"),
    [({}, 26, b"\xff\x3f\xff\x3f"), ({"lossless": True}, 21, b"\xff" * 4), ({"alpha": True}, 24, b"\xff\x3f\x00" * 2)],
)
def test_a_canvas_that_a_small_webp_file_cannot_hold_is_refused_before_it_is_decoded(tmp_path, options, start, sides):
    from PIL import Image

    picture = Image.fromarray(draw((53, 37, 4 if options.pop("alpha", False) else 3), "uint8"))
    picture.save(tmp_path / "a.webp", **options)
    assert load_image(tmp_path / "a.webp").shape[:2] == (53, 37)
    data = bytearray((tmp_path / "a.webp").read_bytes())
    data[start : start + len(sides)] = sides
    (tmp_path / "a.webp").write_bytes(data)
    with pytest.raises(InputError, match=r"its header says \(16384|its header says \(16383"):
        load_image(tmp_path / "a.webp")


def test_alpha_is_dropped_with_a_warning_unless_opaque(tmp_path):
    rgba = draw((6, 5, 4), "uint8")
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with pytest.warns(GainTuningWarning, match="alpha"):
        assert load_image(tmp_path / "a.png").shape == (6, 5, 3)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), rgba[..., :3])
    Image.fromarray(draw((6, 5, 2), "uint8"), "LA").save(tmp_path / "b.png")
    with pytest.warns(GainTuningWarning, match="alpha"):
        assert load_image(tmp_path / "b.png").shape == (6, 5)


def test_palette_images_are_read_as_colour(tmp_path):
    Image.fromarray(draw((6, 5, 3), "uint8")).quantize(8).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").shape == (6, 5, 3)


def test_files_that_are_no_images_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "a.docx").write_text("x")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object))
    imsave(tmp_path / "whole.png", draw((64, 64), "uint8"))
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    tifffile.imwrite(tmp_path / "whole.tif", draw((64, 64), "uint16"))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:3000])
    for name in ("text.png", "empty.tif", "a.docx", "object.npy", "absent.png", ".", "cut.png", "cut.tif"):
        with pytest.raises(InputError) as caught:
            load_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    target.write_text("previous")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    image = draw((5, 5), "uint8")
    with pytest.raises(OSError, match="disk full"):
        save_image(target, image, layout(image, 1))
    assert target.read_text() == "previous"
    assert len(list(tmp_path.iterdir())) == 1


def test_pictures_show_the_first_frame(tmp_path):
    image = draw((4, 9, 8), "uint16")
    picture = layout(image, 1, axes="TYX").picture(image)
    assert picture.shape == (9, 8)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture, image[0] / 257, atol=0.51)


def test_the_shape_alone_says_that_an_array_is_a_volume_to_a_network_of_volumes():
    assert layout(draw((4, 7, 5), "uint8"), 1, dimensions=3).axes == "ZYX"
    assert layout(draw((4, 7, 5, 3), "uint8"), 1, dimensions=3).order.frame_count == 3
    for shape in ((7, 5), (2, 4, 7, 5)):
        with pytest.raises(InputError, match=r"volumes of shape \(D, H, W\) .* say what the axes are"):
            layout(draw(shape, "uint8"), 1, dimensions=3)


def test_the_picture_of_a_volume_is_its_middle_plane():
    movie = draw((2, 5, 8, 9), "uint8")
    arrangement = layout(movie, 1, axes="TZYX", dimensions=3)
    np.testing.assert_array_equal(arrangement.picture(movie), movie[0, 2])


def test_a_faint_image_is_shown_from_its_own_black_to_its_own_white():
    image = np.linspace(0.01, 0.02, 5000, dtype="float32").reshape(50, 100)
    image[3, 4] = 2.5  # one bright pixel has no say
    seen = layout(image, 1, axes="YX").display(image)
    assert (seen.offset, seen.data_range) == (pytest.approx(0.01, abs=1e-4), pytest.approx(0.01, rel=0.01))
    assert np.ptp(seen.picture(image)[:, 10:90]) > 200


def test_a_photograph_is_shown_as_it_is():
    image = np.arange(256, dtype="uint8").reshape(16, 16)
    whole = layout(image, 1)
    assert whole.display(image) is whole
    flat = np.full((8, 8), 7, "uint8")
    assert whole.display(flat) is whole
