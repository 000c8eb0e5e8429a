"""TIFF: what the samples mean, and that an output is shown as its input is."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from gaintuning_tf import GainTuningWarning, InputError
from gaintuning_tf.images import load_image, open_stack
from gaintuning_tf.images.tiff import photometry
from helpers.copies import copy

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 8, 3)).astype("uint8")
GREY = RGB[..., 0]
ALPHA = np.repeat(np.arange(0, 256, 32, dtype="uint8")[None], 9, 0)
RAMP = np.tile(np.arange(256, dtype="uint16") * 257, (3, 1))


def shown(path):
    return np.asarray(Image.open(path).convert("RGBA"))


@pytest.mark.parametrize(
    ("dtype", "largest"), [("uint8", 255), ("uint16", 65535), ("uint32", 2**32 - 1), ("int16", -1)]
)
def test_where_white_is_zero_brighter_becomes_larger(tmp_path, dtype, largest):
    stored = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", metadata=None)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.astype("int64"), largest - stored.astype("int64"))
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.MINISBLACK
    if dtype == "uint8":
        np.testing.assert_array_equal(shown(tmp_path / "a.tif"), shown(tmp_path / "b.tif"))


def test_floats_where_white_is_zero_stay_and_are_said_to_be_so(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype("float32"), photometric="miniswhite", metadata=None)
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif"), GREY)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE


def test_a_table_of_colours_becomes_the_colours(tmp_path):
    Image.fromarray(RGB).quantize(16).save(tmp_path / "a.tif")
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3)
    np.testing.assert_array_equal(found, shown(tmp_path / "a.tif")[..., :3])
    np.testing.assert_array_equal(shown(tmp_path / "b.tif"), shown(tmp_path / "a.tif"))
    with open_stack(tmp_path / "a.tif") as stack:  # channel by channel
        assert stack.axes == "YXC"
        np.testing.assert_array_equal(stack.frame(1), found[..., 1])


def test_a_table_of_sixteen_bits_keeps_them(tmp_path):
    table = RNG.integers(0, 65536, (3, 256)).astype("uint16")
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=table, metadata=None)
    found = load_image(tmp_path / "a.tif")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, table.T[GREY])


def test_a_table_of_greys_out_of_order_becomes_grey(tmp_path):
    table = RAMP[:, RNG.permutation(256)]
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=table, metadata=None)
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif"), (table[0] >> 8)[GREY])


def test_a_ramp_is_for_the_display_and_stays(tmp_path):
    ramp = RAMP.copy()
    ramp[2] = 0
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=ramp, metadata=None)
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif"), GREY)
    np.testing.assert_array_equal(shown(tmp_path / "a.tif"), shown(tmp_path / "b.tif"))
    with pytest.warns(GainTuningWarning, match="table of colours for the display is not kept"):
        copy(tmp_path / "a.tif", tmp_path / "c.tif", dtype="float32")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_imagej_values_stay_and_their_colours_too(tmp_path, dtype):
    table = RNG.integers(0, 256, (3, 256)).astype("uint16") * 257
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, colormap=table, photometric="palette")
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif", dtype=dtype), GREY)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        np.testing.assert_array_equal(np.reshape(tif.imagej_metadata["LUTs"], (3, 256)), table >> 8)
        np.testing.assert_array_equal(tif.asarray(), GREY)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_inks_become_rgb_and_black_is_no_alpha(tmp_path, dtype):
    largest = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    inks = (RNG.random((9, 8, 4)) * largest).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", metadata=None)
    with pytest.warns(GainTuningWarning, match="CMYK colours are converted to RGB, without a profile"):
        found = copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3)
    share = inks.astype("float64") / largest
    exact = largest * (1 - share[..., :3]) * (1 - share[..., 3:])
    np.testing.assert_allclose(found, exact, atol=0.5 if dtype != "float32" else 1e-6)
    if dtype == "uint8":
        plain = np.asarray(Image.open(tmp_path / "a.tif").convert("RGB")).astype(int)
        assert np.abs(plain - found).max() <= 1
        np.testing.assert_array_equal(shown(tmp_path / "b.tif")[..., :3], found)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert "InterColorProfile" not in tif.pages[0].tags


def test_inks_with_a_profile_that_is_damaged_are_converted_without_it(tmp_path):
    inks = RNG.integers(0, 256, (9, 8, 4)).astype("uint8")
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", iccprofile=b"no profile", metadata=None)
    with pytest.warns(GainTuningWarning, match="without its profile"):
        assert load_image(tmp_path / "a.tif").shape == (9, 8, 3)


def test_a_profile_is_applied_to_all_frames(monkeypatch):
    # No profile of inks is at hand that may be copied: one of RGB takes its way through the same function.
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(made)), "RGB", "RGB"
    )
    monkeypatch.setattr(ImageCms, "buildTransform", lambda *_: transform)
    monkeypatch.setattr(ImageCms, "applyTransform", lambda image, _: image.convert("RGB"))
    inks = RNG.integers(0, 256, (2, 9, 8, 4)).astype("uint8")
    found = photometry.cmyk_by_profile(made)(inks)
    for frame, values in zip(inks, found, strict=True):
        np.testing.assert_array_equal(values, np.asarray(Image.fromarray(frame, "CMYK").convert("RGB")))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("colours", [1, 3])
def test_opacity_is_kept_beside_the_colours_of_an_image(tmp_path, colours, dtype):
    samples = np.concatenate([RGB[..., :colours], ALPHA[..., None]], -1)
    how = {"photometric": "rgb" if colours == 3 else "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", samples, extrasamples=["unassalpha"], metadata=None, **how)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif", dtype=dtype)
    np.testing.assert_array_equal(found, RGB if colours == 3 else GREY)
    scale = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        written, page = tif.asarray(), tif.pages[0]
        assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        assert page.samplesperpixel == colours + 1
    np.testing.assert_array_equal(written[..., :colours], RGB[..., :colours].astype(dtype))
    np.testing.assert_array_equal(written[..., -1], (ALPHA.astype("float64") * scale).astype(dtype))
    if dtype == "uint8":
        np.testing.assert_array_equal(shown(tmp_path / "b.tif"), shown(tmp_path / "a.tif"))


def test_a_run_with_opacity_is_gone_on_with(tmp_path):
    from gaintuning_tf.images import create_stack

    samples = np.concatenate([RGB, ALPHA[..., None]], -1)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    with open_stack(tmp_path / "a.tif") as stack:
        with create_stack(tmp_path / "b.tif", stack) as writer:
            writer.write(1, stack.frame(1))
        with create_stack(tmp_path / "b.tif", stack, resume=True) as writer:
            np.testing.assert_array_equal(writer.read(1), RGB[..., 1])
            for i in (0, 2):
                writer.write(i, stack.frame(i))
            writer.commit()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), samples)


def test_colours_multiplied_by_their_opacity_are_divided_by_it(tmp_path):
    opacity = ALPHA[..., None] / 255
    samples = np.concatenate([np.rint(RGB * opacity).astype("uint8"), ALPHA[..., None]], -1)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3).astype(int)
    # The rounding of what is stored, and that of the quotient.
    allowed = np.where(ALPHA > 0, 0.5 * 255 / np.maximum(ALPHA, 1) + 0.5, 255)[..., None]
    assert (np.abs(found - RGB) <= allowed).all()
    assert (found[ALPHA == 0] == 0).all()
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)


def test_the_opacity_of_a_stack_is_dropped_with_a_word(tmp_path):
    samples = RNG.integers(0, 256, (3, 9, 8, 4)).astype("uint8")
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", metadata={"axes": "TYXS"})
    with pytest.warns(GainTuningWarning, match="alpha channel of the stack is dropped"):
        found = load_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, samples[..., :3])


def test_a_fourth_band_that_is_no_opacity_stays_a_channel(tmp_path):
    samples = RNG.integers(0, 256, (9, 8, 4)).astype("uint8")
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unspecified"], metadata=None)
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif"), samples)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert tif.pages[0].extrasamples == (tifffile.EXTRASAMPLE.UNSPECIFIED,)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_of_colour_are_read_and_written_as_rgb(tmp_path, dtype, compression):
    colours = RGB.astype(dtype)
    how = {"photometric": "rgb", "planarconfig": "separate", "metadata": None, "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", colours.transpose(2, 0, 1), **how)
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3), colours)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.series[0].axes == "YXS"
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        np.testing.assert_array_equal(tif.asarray(), colours)
    if dtype == "uint8":
        np.testing.assert_array_equal(shown(tmp_path / "b.tif")[..., :3], RGB)


def test_a_jpeg_in_a_tiff_is_rgb(tmp_path):
    pytest.importorskip("imagecodecs", reason="needs the extra `microscopy`")
    smooth = np.add.outer(np.arange(64), np.arange(64))[..., None] * np.array([1.9, 1.0, 0.5])
    Image.fromarray(smooth.astype("uint8")).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3)
    # Two decoders need not round alike.
    assert np.abs(found.astype(int) - shown(tmp_path / "a.tif")[..., :3]).max() <= 2
    np.testing.assert_array_equal(shown(tmp_path / "b.tif")[..., :3], found)


def test_luminance_and_chrominance_that_are_not_packed_become_rgb(tmp_path):
    image = Image.fromarray(RGB).convert("YCbCr")
    whole = [(530, "H", 2, (1, 1), True)]  # not subsampled
    tifffile.imwrite(tmp_path / "a.tif", np.asarray(image), photometric="rgb", metadata=None, extratags=whole)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["PhotometricInterpretation"].overwrite(6)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
    found = load_image(tmp_path / "a.tif").astype(int)
    assert np.abs(found - np.asarray(image.convert("RGB"))).max() <= 1


def test_other_colours_are_refused_with_what_to_do(tmp_path):
    Image.fromarray(RGB).convert("RGB").save(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["PhotometricInterpretation"].overwrite(8)
    with pytest.raises(InputError, match="convert it to RGB first"):
        load_image(tmp_path / "a.tif")


def test_one_bit_is_refused_in_one_line(tmp_path):
    Image.fromarray(GREY > 120).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"dtype bool") as caught:
        open_stack(tmp_path / "a.tif")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("bits", "scale"), [(2, 85), (4, 17)])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits_are_as_bright_as_they_are_shown(tmp_path, bits, scale, photometric):
    if bits == 2:
        pytest.importorskip("imagecodecs", reason="packs them")
    stored = GREY % 2**bits
    tifffile.imwrite(tmp_path / "a.tif", stored, bitspersample=bits, photometric=photometric, metadata=None)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif")
    np.testing.assert_array_equal(found, scale * (stored if photometric == "minisblack" else 2**bits - 1 - stored))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.tif")), found)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_inks_of_another_writer_are_what_it_shows(tmp_path, compression):
    pytest.importorskip("imagecodecs", reason="needs the extra `microscopy`")
    y, x = np.mgrid[:64, :64]
    Image.fromarray(np.stack([x * 3, y * 3, x + y, y], -1).astype("uint8"), "CMYK").save(
        tmp_path / "a.tif", compression=compression
    )
    with pytest.warns(GainTuningWarning, match="CMYK"):
        found = load_image(tmp_path / "a.tif").astype(int)
    # Two decoders of JPEG need not round alike.
    assert np.abs(found - np.asarray(Image.open(tmp_path / "a.tif").convert("RGB"))).max() <= 2
