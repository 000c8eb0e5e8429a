"""Pixels that do not count on the whole way: what is beside them is denoised as if they were not there."""

import warnings

import numpy as np
import pytest
import tifffile
from scipy.ndimage import binary_dilation

from gaintuning_tf import GainTuningWarning, InputError, gaintune, load_denoiser, psnr
from gaintuning_tf.denoising.stack_run import denoise_stack

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]
CLEAN = 0.5 + 0.22 * np.sin(X / 9) * np.cos(Y / 13) + 0.2 * ((abs(Y - 36) < 12) & (abs(X - 36) < 12))
NOISY = CLEAN + 0.08 * np.random.default_rng(0).standard_normal(CLEAN.shape)
BORDER = (Y < 4) | (X >= SIDE - 6)
HALF = X < SIDE // 2
ONE = (Y == 48) & (X == 48)


@pytest.fixture(scope="module")
def network():
    return load_denoiser("unet-bf-natural")


def quick(image, network, **options):
    """Denoise, and keep what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = gaintune(image, network, **{"steps": 3, "progress": False, **options})
    return result, [str(one.message) for one in said if one.category is GainTuningWarning]


def image_of(dtype="float32", scale=300.0, offset=100.0):
    image = NOISY * scale + offset
    return image.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(image).astype(dtype)


def with_value(bad, value, **options):
    image = image_of(**options)
    image[bad] = value
    return image


def away_from(bad, result, scale=300.0, offset=100.0):
    """PSNR of what is 8 pixels and more from them: nearer, a network has less to average than in the whole image."""
    away = ~binary_dilation(bad, iterations=8) if bad.any() else ~bad
    return psnr((CLEAN * scale + offset)[away], np.ma.getdata(result.denoised)[away], data_range=scale)


CASES = {
    "hot": (with_value(ONE, 1e6), ONE, {}, "1 hot pixel replaced"),
    "hot, 16 bits": (with_value(ONE, 65535, dtype="uint16"), ONE, {}, "1 hot pixel replaced"),
    "dead": (with_value(ONE, 0, offset=9000.0), ONE, {}, "1 dead pixel replaced"),
    "nodata": (with_value(BORDER, -9999), BORDER, {}, "10 % of the pixels are constant at -9999 and passed through"),
    "given nodata": (with_value(BORDER, -9999), BORDER, {"nodata": -9999}, None),
    "half constant": (with_value(HALF, 250), HALF, {}, "50 % of the pixels are constant at 250 and passed through"),
    "NaN": (with_value(BORDER | ONE, np.nan), BORDER | ONE, {"nan": "missing"}, None),
    "masked": (np.ma.array(with_value(HALF, 7e5), mask=HALF), HALF, {}, None),
    "mask": (with_value(HALF & (Y > 40), -50), HALF & (Y > 40), {"mask": HALF & (Y > 40)}, None),
}


@pytest.fixture(scope="module")
def whole(network):
    """The same image without bad pixels, by dtype and offset."""
    kinds = (("float32", 100.0), ("float32", 9000.0), ("uint16", 100.0))
    return {kind: quick(image_of(kind[0], offset=kind[1]), network)[0] for kind in kinds}


@pytest.mark.parametrize("name", CASES)
def test_beside_them_an_image_is_denoised_as_without_them(network, whole, name):
    image, bad, options, words = CASES[name]
    offset = 9000.0 if name == "dead" else 100.0
    result, said = quick(image, network, **options)
    expected = away_from(bad, whole[image.dtype.name, offset], offset=offset)
    assert away_from(bad, result, offset=offset) > expected - 0.3
    assert [line for line in said if "pixel" in line] == ([] if words is None else [words])
    assert result.denoised.dtype == image.dtype
    if bad is ONE:
        # What noise the network leaves is far below that of the image, 24.
        assert result.denoised[bad] == pytest.approx(CLEAN[bad] * 300 + offset, abs=24)
    else:
        np.testing.assert_array_equal(np.ma.getdata(result.denoised)[bad], np.ma.getdata(image)[bad])
        np.testing.assert_array_equal(np.ma.getdata(result.pretrained)[bad], np.ma.getdata(image)[bad])
    np.testing.assert_array_equal(result.bad_pixels.kinds > 0, bad)


def test_hot_pixels_are_kept_by_option(network):
    result, said = quick(CASES["hot"][0], network, hot="keep")
    assert result.denoised[48, 48] == 1e6
    assert said[0] == "1 hot pixel kept"


def test_masked_arrays_in_are_masked_arrays_out(network):
    image = CASES["masked"][0]
    result, _ = quick(image, network, steps=0)
    for array in (result.denoised, result.pretrained):
        np.testing.assert_array_equal(array.mask, image.mask)
    assert not np.ma.isMaskedArray(quick(image.data, network, steps=0, mask=HALF)[0].denoised)


def test_a_black_level_costs_nothing(network, whole):
    none = np.zeros_like(ONE)
    result, _ = quick(image_of("uint16", 800.0, 32500.0), network)
    assert away_from(none, result, 800.0, 32500.0) > away_from(none, whole["float32", 100.0]) - 0.1


def test_what_is_masked_does_not_matter(network):
    one, other = (quick(np.ma.array(with_value(HALF, value), mask=HALF), network)[0] for value in (-1e5, 3.5))
    np.testing.assert_array_equal(one.denoised.data[~HALF], other.denoised.data[~HALF])
    assert one.noise == other.noise
    np.testing.assert_array_equal(one.history["risk"], other.history["risk"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": np.ones((SIDE, SIDE))}, "all are missing"),
        ({"mask": np.ones((4, 4))}, "a mask of the image's shape"),
        ({"nan": "drop"}, "nan to be one of error, missing"),
        ({"hot": "drop"}, "hot to be one of replace, keep"),
    ],
)
def test_bad_options_are_refused(network, options, message):
    with pytest.raises(InputError, match=message):
        quick(image_of(), network, **options)


def test_nan_is_an_error_that_names_the_option(network):
    with pytest.raises(
        InputError, match="1 that are NaN or infinite; nan='missing', or --nan missing, leaves them out"
    ):
        quick(with_value(ONE, np.nan), network)


@pytest.fixture
def movie():
    """Five frames: with a hot pixel, half a constant, all a constant, NaN at the border, and with none of these."""
    frames = np.stack([image_of()] * 5)
    frames[0][ONE], frames[1][HALF], frames[2], frames[3][BORDER] = 1e6, 0, 77, np.nan
    return frames


def test_bad_pixels_of_one_frame_do_not_spoil_the_others(tmp_path, network, whole, movie):
    tifffile.imwrite(tmp_path / "in.tif", movie, photometric="minisblack")
    options = {"axes": "TYX", "steps": 3, "progress": False, "nan": "missing"}
    with pytest.warns(GainTuningWarning, match=r"1 hot pixel replaced, 12 % .* constant at 0, 2.5 % missing"):
        result = denoise_stack(tmp_path / "in.tif", tmp_path / "out.tif", network, **options)
    denoised = tifffile.imread(tmp_path / "out.tif")
    # The range is that of the frame that has all pixels, and all frames are of one image.
    alone = whole["float32", 100.0].layout
    assert (result.layout.offset, result.layout.data_range) == (alone.offset, alone.data_range)
    np.testing.assert_array_equal(denoised[4], whole["float32", 100.0].denoised)
    assert result.failed == {2: "all pixels are 77"}
    found = [row["bad_pixels"] for row in result.rows if not row["failed"]]
    assert found == [{"hot": 1}, {"constant": HALF.sum()}, {"missing": BORDER.sum()}, {}]
    for number, bad in ((0, ONE), (1, HALF), (3, BORDER)):
        away = ~binary_dilation(bad, iterations=8)
        errors = [np.square(image - (CLEAN * 300 + 100))[away].mean() for image in (denoised[number], denoised[4])]
        assert errors[0] < errors[1] * 10**0.03
    assert np.isnan(denoised[3][BORDER]).all()


def test_a_mask_holds_for_every_frame_of_a_movie_and_is_a_setting_of_the_run(tmp_path, network, movie):
    np.save(tmp_path / "in.npy", movie[3:])
    np.save(tmp_path / "mask.npy", BORDER)
    options = {"axes": "TYX", "steps": 1, "progress": False, "dtype": "uint16", "sigma": 24.0}
    output = tmp_path / "a.npy"

    def stop(result, noisy):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise_stack(tmp_path / "in.npy", output, network, mask=tmp_path / "mask.npy", listeners=[stop], **options)
    with pytest.raises(InputError, match="another mask"):
        denoise_stack(tmp_path / "in.npy", output, network, **options)
    result = denoise_stack(tmp_path / "in.npy", output, network, mask=BORDER, **options)
    assert [row["bad_pixels"] for row in result.rows] == [{"missing": BORDER.sum()}] * 2
    denoised = np.load(output)
    np.testing.assert_array_equal(denoised[0][~BORDER], denoised[1][~BORDER])
    # NaN is 0 where the output has integers; the other frame passes through, rounded.
    np.testing.assert_array_equal(denoised[0][BORDER], 0)
    np.testing.assert_array_equal(denoised[1][BORDER], np.rint(movie[4][BORDER]))


def test_a_dask_array_is_done_as_a_movie(network, whole, movie):
    dask_array = pytest.importorskip("dask.array")
    from gaintuning_tf.distributed import gaintune_array

    lazy = gaintune_array(dask_array.from_array(movie, chunks=(1, 50, 50)), network, steps=3, nan="missing")
    with pytest.warns(GainTuningWarning, match="frame 0: 1 hot pixel replaced"):
        denoised = lazy[[0, 4]].compute(scheduler="sync")
    np.testing.assert_array_equal(denoised[1], whole["float32", 100.0].denoised)
    assert denoised[0][48, 48] == pytest.approx(CLEAN[48, 48] * 300 + 100, abs=24)
