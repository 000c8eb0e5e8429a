"""Pixels that do not count: found where they are, and nowhere else."""

import numpy as np
import pytest
import tifffile
from skimage.io import imread

from gaintuning_tf import InputError
from gaintuning_tf.images.array_layout import check_finite, layout
from gaintuning_tf.images.bad_pixels import (
    CONSTANT,
    DEAD,
    HOT,
    MISSING,
    SATURATED,
    PixelRules,
    common_extent,
    find_bad_pixels,
    frame_extent,
    whole_mask,
    words_of,
)
from gaintuning_tf.images.frame_order import FrameOrder

SIDE = 128
Y, X = np.mgrid[:SIDE, :SIDE]
SMOOTH = 100 + 60 * np.sin(X / 9) * np.cos(Y / 13)


def noisy(dtype="float32", sigma=10.0, clean=SMOOTH):
    image = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
    return image.astype(dtype) if np.dtype(dtype).kind == "f" else image.round().clip(0, 255).astype(dtype)


AREAS = {
    "border": (Y < 3) | (Y >= SIDE - 5) | (X < 4),
    "one row": Y == 40,
    "one column": X == SIDE - 1,
    "half": X < SIDE // 2,
    "disc": (Y - 50) ** 2 + (X - 70) ** 2 < 20**2,
    "4 x 4": (abs(Y - 60) < 2) & (abs(X - 60) < 2) | (Y // 4 == 15) & (X // 4 == 15),
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("name", AREAS)
def test_areas_of_one_value_are_found_to_the_pixel(name, dtype):
    image = noisy(dtype)
    image[AREAS[name]] = 0
    found = find_bad_pixels(image)
    # A pixel beside that has the value by chance may be taken for a part.
    assert np.all(found.kinds[AREAS[name]] == CONSTANT)
    assert np.count_nonzero(found.kinds) <= AREAS[name].sum() + 3


def test_an_overexposed_area_is_saturated_and_a_clipped_one_is_not():
    image = noisy("uint8")
    image[AREAS["disc"]] = 255
    kinds = find_bad_pixels(image).kinds
    np.testing.assert_array_equal(kinds, np.where(AREAS["disc"], SATURATED, 0))
    # Each second pixel of the other is at the limit, next to others that are not.
    assert not find_bad_pixels(noisy("uint8", clean=np.full((SIDE, SIDE), 255.0))).kinds.any()


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        ("float32", 1e6, HOT),
        ("uint16", 65535, HOT),
        ("int16", 32767, HOT),
        ("float32", -1e4, DEAD),
        ("int16", -9999, DEAD),
    ],
)
def test_isolated_extremes_are_found_and_replaced_by_their_surroundings(dtype, value, kind):
    image, places = noisy(dtype), [(0, 0), (64, 64), (90, 127), (127, 3)]
    for place in places:
        image[place] = value
    found = find_bad_pixels(image)
    assert [tuple(place) for place in np.argwhere(found.kinds)] == places
    assert set(found.kinds[found.kinds > 0]) == {kind}
    for place in places:
        # Nine and more pixels are averaged, of which each has a noise of 10, where the image changes by 7 per pixel.
        assert found.filled[place] == pytest.approx(SMOOTH[place], abs=20)


def test_a_dead_pixel_far_below_a_bright_image_is_found():
    image = (noisy("float64") + 2000).round().astype("uint16")
    image[30, 40] = 0
    assert find_bad_pixels(image).counts() == {"dead": 1}


def stars(fwhm):
    rng, sigma = np.random.default_rng(1), fwhm / 2.355
    image = np.full((SIDE, SIDE), 100.0)
    for _ in range(60):
        y, x, flux = *rng.uniform(0, SIDE, 2), 10 ** rng.uniform(2, 6)
        image += flux * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return rng.poisson(image) + rng.normal(0, 5, image.shape)


def text():
    from PIL import Image, ImageDraw

    page = Image.new("L", (SIDE, SIDE), 235)
    for row in range(10):
        ImageDraw.Draw(page).text((3, 12 * row), "The quick, i.e. brown: fox.", fill=20)
    return np.array(page)


RNG = np.random.default_rng(2)
ORDINARY = {
    **{f"counts, {rate} in a pixel": RNG.poisson(rate, (SIDE, SIDE)) for rate in (1e-3, 0.01, 0.05, 0.2, 1, 5)},
    **{f"counts times 0.37, {rate} in a pixel": 0.37 * RNG.poisson(rate, (SIDE, SIDE)) for rate in (0.01, 0.2)},
    "counts from none to three": RNG.poisson(3 * (Y / SIDE) ** 3),
    **{f"stars {fwhm} pixels wide": stars(fwhm) for fwhm in (1.5, 2, 3, 5)},
    **{f"8 bits, noise of {sigma}": noisy("uint8", sigma) for sigma in (0.2, 0.5, 1, 2)},
    "flat squares": noisy("uint8", 5, np.kron(RNG.choice([20, 90, 160, 230], (16, 16)), np.ones((8, 8)))),
    **{f"text, noise of {sigma}": noisy("uint8", sigma, text()) for sigma in (1, 5, 25)},
    "clipped at both ends": noisy("uint8", 60, 128 + 100 * np.sin(X / 9)),
    "heavy tails": RNG.standard_t(4, (SIDE, SIDE)),
    "a ramp without noise": np.add.outer(np.arange(64.0), np.arange(64.0)),
    "one value": np.full((20, 20), 7.0),
    "one pixel wide": RNG.random((9, 1)),
    "two pixels": RNG.random((1, 2)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_in_an_ordinary_image_all_pixels_count(name):
    image = np.asarray(ORDINARY[name])
    found = find_bad_pixels(image.astype("uint16") if image.dtype == np.int64 else image)
    assert found.counts() == {}
    assert found.mask is None


def test_in_real_images_none_is_hot(shared):
    rng = np.random.default_rng(0)
    for path in sorted((shared / "data/set12").glob("*.png")):
        clean = imread(path)
        for image in (clean, clean + rng.normal(0, 1, clean.shape), clean + rng.normal(0, 25, clean.shape)):
            assert not set(find_bad_pixels(image).counts()) & {"hot", "dead"}, path
    for path in sorted((shared / "data/real/noisy").glob("*.png")):
        assert find_bad_pixels(imread(path)).counts() == {}, path
    for path in sorted((shared / "data/tem").glob("*.tif")):
        assert find_bad_pixels(tifffile.imread(path)).counts() == {}, path


def test_what_is_alone_within_a_constant_area_passes_with_it():
    image = noisy()
    image[AREAS["half"]] = 0
    image[20, 20] = 1e6
    found = find_bad_pixels(image)
    assert found.kinds[20, 20] == CONSTANT
    assert found.counts() == {"constant": AREAS["half"].sum()}


def test_channels_and_frames_are_looked_at_one_by_one():
    image = np.stack([noisy(), noisy().T, noisy()[::-1]], -1)
    image[:, :20, 1] = 0
    kinds = find_bad_pixels(image).kinds
    assert np.all(kinds[:, :20, 1] == CONSTANT)
    assert not kinds[..., 0].any() and not kinds[..., 2].any()
    movie = np.moveaxis(image, -1, 0)
    np.testing.assert_array_equal(
        find_bad_pixels(movie, FrameOrder("TYX", movie.shape, 1)).kinds, np.moveaxis(kinds, -1, 0)
    )


def test_masked_nodata_and_nan_are_missing():
    image = noisy()
    image[:9] = -9999
    image[100, 100], image[110, 110] = np.nan, np.inf
    masked = np.ma.array(image, mask=(X == 5) & (Y > 50))
    rules = PixelRules(nodata=-9999, nan="missing")
    missing = masked.mask | (Y < 9) | ~np.isfinite(image)
    found = find_bad_pixels(masked, rules=rules)
    np.testing.assert_array_equal(found.kinds, np.where(missing, MISSING, 0))
    assert np.isfinite(found.filled).all()
    np.testing.assert_array_equal(found.filled[~missing], image[~missing])
    with pytest.raises(InputError, match="2 that are NaN or infinite; nan='missing'"):
        check_finite(image)
    check_finite(image, missing)


def test_a_nodata_value_may_be_nan():
    assert PixelRules(nodata=np.nan).missing(np.array([[1, np.nan]])).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("options", "message"), [({"nan": "zero"}, "error, missing"), ({"hot": "cold"}, "replace, keep")]
)
def test_unknown_rules_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        PixelRules(**options)


@pytest.mark.parametrize("value", [-9999, 0.5, 70000])
def test_a_nodata_value_that_the_dtype_cannot_have_is_refused(value):
    with pytest.raises(InputError, match="uint16 can have, received"):
        find_bad_pixels(noisy("uint16"), rules=PixelRules(nodata=value))


def test_an_image_that_is_all_missing_is_refused():
    with pytest.raises(InputError, match="all are missing"):
        find_bad_pixels(np.ma.array(noisy(), mask=True))


def test_areas_are_filled_with_their_surroundings_mirrored():
    image = noisy()
    filled = find_bad_pixels(np.ma.array(image, mask=AREAS["half"])).filled
    # The last column is mirrored at the first that counts; there is none for the first.
    np.testing.assert_array_equal(filled[:, 1 : SIDE // 2], image[:, : SIDE // 2 : -1])
    np.testing.assert_array_equal(filled[:, SIDE // 2 :], image[:, SIDE // 2 :])


def test_passed_pixels_are_put_back_and_hot_ones_by_option():
    image = noisy()
    image[:5], image[60, 60] = 0, 1e6
    found = find_bad_pixels(image)
    denoised = np.full_like(image, 50)
    replaced, kept = found.restored(denoised, image), found.restored(denoised, image, "keep")
    assert replaced[60, 60] == 50 and kept[60, 60] == 1e6
    for result in (replaced, kept):
        assert np.all(result[:5] == 0) and result[80, 80] == 50
    assert np.all(denoised == 50)


def test_what_was_found_is_one_line_of_words():
    image = noisy()
    image[:16], image[60, 60], image[70, 70], image[80, 80] = 0, 1e6, 1e6, -1e6
    found = find_bad_pixels(image)
    assert found.words(image) == (
        "2 hot pixels and 1 dead pixel replaced, 12 % of the pixels are constant at 0 and passed through"
    )
    assert found.words(image, "keep").startswith("2 hot pixels and 1 dead pixel kept, ")
    assert words_of({}, 10) == ""
    assert words_of({"saturated": 1, "missing": 2}, 10) == (
        "10 % of the pixels are saturated, 20 % missing and passed through"
    )


def test_the_extent_is_that_of_the_pixels_that_count():
    image = noisy()
    ends = image.min(), image.max()
    assert find_bad_pixels(image).extent() == ends
    spoiled = image.copy()
    spoiled[:5], spoiled[60, 60] = -9999, 1e6
    assert find_bad_pixels(spoiled).extent() == (image[5:].min(), image[5:].max())
    # Two by two are no isolated pixel, but too few to say what is white.
    spoiled = image.copy()
    spoiled[60:62, 60:62] = 1e6
    assert find_bad_pixels(spoiled).extent() == ends
    spoiled[60:66, 60:66] = np.linspace(1e5, 1e6, 36).reshape(6, 6)
    assert find_bad_pixels(spoiled).extent()[1] == 1e6


def test_frames_of_one_value_have_no_say_in_the_common_extent():
    frames = [noisy(), np.zeros((8, 8)), np.full((8, 8), np.nan)]
    assert common_extent(extent for frame in frames for extent in frame_extent(frame)) == (
        frames[0].min(),
        frames[0].max(),
    )
    assert common_extent(frame_extent(frames[1])) == (0, 0)
    assert np.isnan(common_extent([])).all()


@pytest.mark.parametrize(
    ("dtype", "scale", "offset", "expected"),
    [
        ("uint16", 1, 0, (0, 255)),
        ("uint16", 10, 0, (0, 4095)),
        ("uint16", 1, 32500, None),
        ("uint32", 1, 32500, None),
        ("float32", 1, 32500, None),
        ("uint8", 1, 0, (0, 255)),
    ],
)
def test_neither_hot_pixels_nor_a_black_level_set_the_range(dtype, scale, offset, expected):
    image = (noisy("float64").clip(0, 240) * scale + offset).astype(dtype)
    ends = float(image.min()), float(image.max())
    image[60, 60] = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1e6
    arrangement = layout(image, 1)
    found = arrangement.offset, arrangement.offset + arrangement.data_range
    assert found == (ends if expected is None else expected)
    assert layout(image, 1, from_zero=True).offset == (ends[0] if dtype == "float32" else 0)


def test_a_mask_of_one_frame_holds_for_all():
    mask = np.array([[0, 1, 0], [2, 0, 0]])
    for axes, shape in (("TYX", (4, 2, 3)), ("YXC", (2, 3, 3)), ("CXY", (4, 3, 2))):
        whole = whole_mask(mask, axes, shape)
        order = FrameOrder(axes, shape, 1)
        for number in range(order.frame_count):
            np.testing.assert_array_equal(order.frame(whole[order.index(number)]), mask != 0)
    with pytest.raises(InputError, match=r"of \(2, 3\), not zero where"):
        whole_mask(mask.T, "TYX", (4, 2, 3))


def test_a_mask_of_a_volume_holds_for_every_volume_of_a_movie():
    mask = np.random.default_rng(0).random((3, 5, 4)) > 0.5
    found = whole_mask(mask, "TXZY", (2, 4, 3, 5))
    for movie in found:
        np.testing.assert_array_equal(movie.transpose(1, 2, 0), mask)
    with pytest.raises(InputError, match=r"or of \(5, 4\) or \(3, 5, 4\), not zero"):
        whole_mask(mask[:2], "TXZY", (2, 4, 3, 5))


def test_volumes_are_looked_at_plane_by_plane_and_empty_planes_do_not_count():
    rng = np.random.default_rng(0)
    volume = rng.normal(100, 5, (7, 64, 64))
    volume[2, 30, 31], volume[5:], volume[0, :8] = 1e5, 0.0, 0.0
    order = FrameOrder("ZYX", volume.shape, 1, 3)
    found = find_bad_pixels(volume, order)
    assert found.kinds[2, 30, 31] == HOT
    assert (found.kinds[5:] == CONSTANT).all() and (found.kinds[0, :8] == CONSTANT).all()
    assert found.counts() == {"hot": 1, "constant": 2 * 64 * 64 + 8 * 64}
    assert found.filled[2, 30, 31] == pytest.approx(100, abs=5)
    # The next plane that has pixels stands for those that have none.
    np.testing.assert_array_equal(found.filled[5:], np.stack([volume[4]] * 2))
    assert found.extent() == pytest.approx((100 - 22, 100 + 22), abs=6)
    # By itself, a plane of one value counts, and so it does where all are.
    assert not find_bad_pixels(np.zeros((3, 64, 64)), order=FrameOrder("ZYX", (3, 64, 64), 1, 3)).kinds.any()
