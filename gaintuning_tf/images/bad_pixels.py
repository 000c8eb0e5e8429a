"""Pixels that do not count: given as missing, or found in the image, and what is put in their place."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.frame_order import FrameOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

# What a pixel that does not count is; 0 is one that does.
MISSING, CONSTANT, SATURATED, HOT, DEAD = range(1, 6)
NAN = ("error", "missing")
HOT_PIXELS = ("replace", "keep")

# An area is constant by chance with less than this probability in a whole image, even if
# neighbours are equal as often in the area as they are outside ...
_CHANCE = 1e-3
# ... and its size is this factor larger than that takes, for noise is not the same everywhere:
# the first for the lowest and the highest value of an image, the second for those between,
# which dead and overexposed areas have less often than smooth surfaces in 8 bits.
_SAFETY, _SAFETY_BETWEEN = 2, 8
# A constant area has at least as many pixels: 4 x 4, or 16 in a row.
_SMALLEST = 16
# Neighbours are taken to be equal at least this often, however few are seen.
_EQUAL = 0.05
# Values within so many of the smallest differences between values are those of rare counts;
# more than _STRAY of them within an area of one value, and it is one of rare counts.
_ALIKE, _STRAY = 3, 2
# Only the most frequent values are looked at: more are those of a drawing without noise.
_VALUES = 8
# Of bands of 1, 2, 4 and so on up to as many rows, the longest that is constant is looked for.
_TALLEST = 16
# Where neighbours are equal less often, the pixels about an area that are equal to it and
# connected with it belong to it. Elsewhere they may be noise.
_RAGGED = 0.2
# A hot pixel is further from its neighbours than so many of their own ranges. Stars and
# beads that a lens has drawn have brighter neighbours, and so have corners and lines.
_RANGES = 8
# It is further, too, than this factor times what one pixel in 200 is, by which rare counts,
# which are as isolated, are no hot pixels.
_TAIL, _RARE = 12, 0.995
# Where a larger share of pixels, and more than _FEW, are as far out, it is how the image
# is; and the second for pixels whose values others have, too, as the dots of a text.
_MOST_HOT, _MOST_BETWEEN, _FEW = 2e-3, 1e-4, 4
# The values of an image are between these quantiles, but for some that are far out.
_INNER = (1e-3, 1 - 1e-3)
# See `BadPixels.extent`: the range of nearly all, how often it fits in between, and the
# number of pixels beyond.
_FENCE, _OUTLIERS = 3, 8
# Width of the Gaussian by which the surroundings of a pixel are averaged.
_WIDTH = 1.5
# Less of such a Gaussian on pixels that count is too little for an average.
_NEAR = 0.05


@dataclasses.dataclass(frozen=True)
class PixelRules:
    """What is known of pixels that do not count, and what becomes of them.

    Attributes:
        nodata: Value of pixels that are missing, in the units of the image.
        nan: `"error"`, or `"missing"`: NaN and infinite pixels are missing.
        hot: `"replace"`, or `"keep"`: whether hot and dead pixels become what the network
            makes of their surroundings, or stay in the output as they are.

    Raises:
        InputError: An option is not one of these.
    """

    nodata: float | None = None
    nan: str = "error"
    hot: str = "replace"

    def __post_init__(self):
        for name, choices in (("nan", NAN), ("hot", HOT_PIXELS)):
            if getattr(self, name) not in choices:
                raise InputError(f"expected {name} to be one of {', '.join(choices)}, received {getattr(self, name)!r}")

    def missing(self, image: np.ndarray) -> np.ndarray:
        """Find the pixels of an image that are missing: masked, of the value `nodata`, or NaN by option.

        Args:
            image: Any shape, integers or floats; or such an `np.ma.MaskedArray`.

        Returns:
            True where one is missing, of the image's shape.

        Raises:
            InputError: The image cannot have the value `nodata`.

        Example:

        >>> PixelRules(nodata=-9999).missing(np.array([[1.0, -9999.0]])).tolist()
        [[False, True]]
        """
        missing = np.ma.getmaskarray(image).copy()
        data = np.ma.getdata(image)
        if self.nodata is not None:
            missing |= data == _as_pixel(self.nodata, data.dtype) if not math.isnan(self.nodata) else np.isnan(data)
        if self.nan == "missing" and data.dtype.kind == "f":
            missing |= ~np.isfinite(data)
        return missing


def _as_pixel(value, dtype):
    """Give `value` as a pixel of that dtype has it."""
    if dtype.kind in "iu" and not (value == int(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise InputError(f"expected a nodata value that an image of {dtype} can have, received {value:g}")
    return np.asarray(value).astype(dtype)


class BadPixels(NamedTuple):
    """What was found of an image: which pixels do not count, and the image with others in their place.

    Attributes:
        kinds: uint8, of the image's shape: 0 where a pixel counts, else `MISSING`,
            `CONSTANT`, `SATURATED`, `HOT` or `DEAD`.
        filled: The image where all pixels count; else float64 with the surroundings of those
            that do not in their place: averaged for single pixels, mirrored for areas.

    Example:

    >>> image = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> image[:8], image[30, 30] = 0, 1e6
    >>> found = find_bad_pixels(image)
    >>> found.counts(), found.words(image), round(float(found.filled[30, 30]) / 100, 1)
    ({'constant': 512, 'hot': 1}, '1 hot pixel replaced, 12 % of the pixels are constant at 0 and passed through', 1.0)
    """

    kinds: np.ndarray
    filled: np.ndarray

    @property
    def mask(self) -> np.ndarray | None:
        """Where a pixel does not count; None if all do."""
        return self.kinds > 0 if self.kinds.any() else None

    def extent(self) -> tuple[float, float]:
        """Find the smallest and the largest value of the pixels that count.

        Up to eight pixels that are further from all others than three times the range of
        nearly all are no part of it, such as what a cosmic ray leaves: they alone should
        not say what is black and white.
        """
        values = self.filled if self.mask is None else self.filled[~self.mask]
        ends = float(values.min()), float(values.max())
        low, high = (float(value) for value in np.quantile(values, _INNER))
        fence = low - _FENCE * (high - low), high + _FENCE * (high - low)
        if (fence[0] <= ends[0] and ends[1] <= fence[1]) or low == high:
            return ends
        inside = values[(values >= fence[0]) & (values <= fence[1])]
        return (float(inside.min()), float(inside.max())) if values.size - inside.size <= _OUTLIERS else ends

    def counts(self) -> dict[str, int]:
        """Count the pixels of each kind that is there, by its name."""
        numbers = np.bincount(self.kinds.ravel(), minlength=len(_NAMES) + 1)
        return {name: int(numbers[kind]) for kind, name in _NAMES.items() if numbers[kind]}

    def restored(self, denoised: np.ndarray, image: np.ndarray, hot: str = "replace") -> np.ndarray:
        """Put the pixels that are passed through into a denoised image.

        Args:
            denoised: Of the image's shape.
            image: The noisy image, in the dtype of the denoised one.
            hot: See `PixelRules`.
        """
        passed = (self.kinds > 0) & ((self.kinds < HOT) | (hot == "keep"))
        if not passed.any():
            return denoised
        result = denoised.copy()
        result[passed] = image[passed]
        return result

    def words(self, image: np.ndarray, hot: str = "replace") -> str:
        """Say what was found in one line; empty if nothing was.

        Args:
            image: The noisy image.
            hot: See `PixelRules`.
        """
        return words_of(self.counts(), self.kinds.size, hot, self.constant_at(image))

    def constant_at(self, image: np.ndarray) -> list[float]:
        """List the values of constant areas of the noisy image, if they are one or two; else none."""
        values = np.unique(np.ma.getdata(image)[self.kinds == CONSTANT])
        return values.tolist() if values.size <= 2 else []


_NAMES = {MISSING: "missing", CONSTANT: "constant", SATURATED: "saturated", HOT: "hot", DEAD: "dead"}


def words_of(counts: dict[str, int], pixels: int, hot: str = "replace", values: tuple | list = ()) -> str:
    """Say in one line how many pixels do not count, and what becomes of them.

    Args:
        counts: By the name of the kind, see `BadPixels.counts`.
        pixels: How many there are in all.
        hot: See `PixelRules`.
        values: Those of constant areas.

    Example:

    >>> words_of({"hot": 12, "constant": 400}, 10000, values=[0])
    '12 hot pixels replaced, 4 % of the pixels are constant at 0 and passed through'
    """
    done = "replaced" if hot == "replace" else "kept"
    single = " and ".join(
        f"{counts[name]} {name} pixel{'s' if counts[name] > 1 else ''}" for name in ("hot", "dead") if name in counts
    )
    where = f"constant at {' and '.join(f'{value:g}' for value in values)}" if len(values) else "constant"
    areas = {"constant": where, "saturated": "saturated", "missing": "missing"}
    shares = [f"{_percent(counts[name] / pixels)} {text}" for name, text in areas.items() if name in counts]
    passed = f"{shares[0]}{''.join(f', {share}' for share in shares[1:])} and passed through" if shares else ""
    passed = passed.replace(" %", " % of the pixels are", 1)
    return ", ".join(filter(None, (f"{single} {done}" if single else "", passed)))


def _percent(share):
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def find_bad_pixels(image: np.ndarray, order: FrameOrder | None = None, rules: PixelRules = PixelRules()) -> BadPixels:
    """Find the pixels of an image that do not count, frame by frame and channel by channel; of volumes, plane by plane.

    Missing are those that are masked, of the value `nodata`, or NaN by option. Constant is
    an area of one value, as the border of a registered image is, a dead or an overexposed
    region: a band of several rows or columns of equal pixels that is larger than chance
    makes it, from how often neighbours of that value are equal elsewhere. Saturated is such an
    area at the end of the dtype, or of the bits that a camera has. Hot and dead pixels are above or below
    all their eight neighbours by much more than these differ among each other, and rare. A plane of a volume that
    is all of one value is constant where other planes are not.

    Args:
        image: Integers or floats, or such an `np.ma.MaskedArray`.
        order: Which part of it is a frame; by default all of it, (H, W) or (H, W, C).
        rules: What is known beforehand.

    Returns:
        What was found. Where nothing would count, but for what is missing, all that is not missing counts:
        an image that is all constant is the caller's to refuse.

    Raises:
        InputError: All pixels are missing, or the rules cannot be those of this image.
    """
    order = order or FrameOrder("YXC"[: image.ndim], image.shape, image.shape[2] if image.ndim == 3 else 1)
    missing = rules.missing(image)
    if missing.all():
        raise InputError("expected pixels that count, received an image of which all are missing")
    data = np.ma.getdata(image)
    planes = order.planes
    places = [planes.index(number) for number in range(planes.frame_count)]
    kinds = planes.array(np.stack([_kinds(planes.frame(data[part]), planes.frame(missing[part])) for part in places]))
    volumes = [order.index(number) for number in range(order.frame_count)] if order.dimensions == 3 else []
    for part in volumes:
        _mark_constant_planes(order.frame(kinds[part]), order.frame(data[part]))
    if not kinds.any():
        return BadPixels(kinds, data)
    filled = data.astype(np.float64)
    for part in places:
        filled[part] = planes.part(_filled(planes.frame(filled[part]), planes.frame(kinds[part]) > 0))
    for part in volumes:
        _fill_planes(order.frame(filled[part]), order.frame(kinds[part]) > 0)
    return BadPixels(kinds, filled)


def whole_mask(mask: ArrayLike, axes: str, shape: Sequence[int]) -> np.ndarray:
    """Make a mask one of all pixels of an array: a mask of one image or volume holds for every one and every channel.

    Args:
        mask: Not zero where a pixel does not count, of the array's shape, (H, W) or, where there is a depth, (D, H, W).
        axes: A letter per axis of the array.
        shape: Of the array.

    Returns:
        bool, of that shape.

    Raises:
        InputError: The mask has another shape.

    Example:

    >>> whole_mask([[0, 1]], "TYX", (5, 1, 2)).sum()
    np.int64(5)
    """
    known = np.asarray(mask)
    kinds = ("YX", "ZYX") if "Z" in axes else ("YX",)
    sides = {tuple(shape[axes.index(letter)] for letter in letters): letters for letters in kinds}
    if known.shape not in (tuple(shape), *sides) or known.dtype.kind not in "biuf":
        raise InputError(
            f"expected a mask of the image's shape {tuple(shape)} or of {' or '.join(map(str, sides))}, not zero where "
            f"a pixel does not count, received {known.dtype} of shape {known.shape}"
        )
    if known.shape != tuple(shape):
        letters = sides[known.shape]
        known = known.transpose([letters.index(letter) for letter in axes if letter in letters])
        known = known.reshape([size if letter in letters else 1 for letter, size in zip(axes, shape, strict=True)])
    return np.broadcast_to(known != 0, tuple(shape))


def common_extent(extents: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Join the extents of several frames: those of one value only where there is nothing else; NaN if there is none.

    Example:

    >>> common_extent([(100.0, 300.0), (0.0, 0.0), (120.0, 310.0)])
    (100.0, 310.0)
    """
    known = list(extents)
    chosen = [extent for extent in known if extent[0] < extent[1]] or known
    return (min(low for low, _ in chosen), max(high for _, high in chosen)) if chosen else (math.nan, math.nan)


def frame_extent(
    frame: np.ndarray, rules: PixelRules = PixelRules(), order: FrameOrder | None = None
) -> list[tuple[float, float]]:
    """Find the extent of the pixels of one frame that count and are finite: a list of one, or of none.

    Args:
        frame: (H, W) or (H, W, C), masked or not; or what `order` says.
        rules: What is known of pixels that do not count.
        order: That of the frame by itself, see `FrameOrder.own`: of volumes it is needed.
    """
    lenient = dataclasses.replace(rules, nan="missing")
    return [] if lenient.missing(frame).all() else [find_bad_pixels(frame, order, lenient).extent()]


def _channels(frame):
    """See a frame as its channels, (H, W) each."""
    return [frame] if frame.ndim == 2 else [frame[..., channel] for channel in range(frame.shape[-1])]


def _kinds(frame, missing):
    """Find the kind of each pixel of a frame (H, W) or (H, W, C)."""
    kinds = np.where(missing, np.uint8(MISSING), np.uint8(0))
    for values, kind in zip(_channels(frame), _channels(kinds), strict=True):
        areas = _constant_areas(values, kind == 0)
        # What is all of one value counts, as it must where nothing else is known.
        if not (kind == 0)[~areas].any():
            continue
        kind[areas] = CONSTANT
        if areas.any() and values[kind != MISSING].max() in _limits(values.dtype):
            kind[areas & (values == values[kind != MISSING].max())] = SATURATED
        _mark_extremes(kind, values)
    return kinds


def _mark_constant_planes(kinds, values):
    """Mark the planes of a volume (D, H, W) or (D, H, W, C) that are of one value, where not all are; in place."""
    for kind, planes in zip(_channels_of_volume(kinds), _channels_of_volume(values), strict=True):
        counted = [plane[own == 0] for plane, own in zip(planes, kind, strict=True)]
        even = [bool(plane.size) and plane.min() == plane.max() for plane in counted]
        if any(plane.size and not one for plane, one in zip(counted, even, strict=True)):
            for number in np.flatnonzero(even):
                kind[number][kind[number] == 0] = CONSTANT


def _fill_planes(filled, bad):
    """Put the nearest plane that has pixels that count in place of planes that have none; in place."""
    for planes, own in zip(_channels_of_volume(filled), _channels_of_volume(bad), strict=True):
        empty = own.all((1, 2))
        for number in np.flatnonzero(empty) if not empty.all() else ():
            known = np.flatnonzero(~empty)
            planes[number] = planes[known[np.argmin(np.abs(known - number))]]


def _channels_of_volume(volume):
    """See a volume as its channels, (D, H, W) each."""
    return [volume] if volume.ndim == 3 else [volume[..., channel] for channel in range(volume.shape[-1])]


def _limits(dtype):
    """List the values at which a camera of this dtype is saturated: it may have fewer bits."""
    return [2**bits - 1 for bits in (8, 10, 12, 14, 16) if bits <= 8 * dtype.itemsize] if dtype.kind == "u" else []


def _constant_areas(values, valid):
    """Find the areas of one value that are larger than chance makes them."""
    areas = np.zeros(values.shape, bool)
    # So many pairs of equal neighbours are in 16 pixels in a row, and more in 4 x 4.
    pairs = np.count_nonzero(values[1:] == values[:-1]) + np.count_nonzero(values[:, 1:] == values[:, :-1])
    if pairs < _SMALLEST - 1:
        return areas
    sizes = np.where(valid, _band_sizes(values), 0)
    large = sizes >= _SMALLEST
    if large.any():
        known, numbers = np.unique(values[large], return_counts=True)
        ends, gap = (values[valid].min(), values[valid].max()), _gap(values[valid])
        for value in known[np.argsort(-numbers, kind="stable")[:_VALUES]]:
            alike = valid & (np.abs(np.subtract(values, value, dtype=np.float64)) <= _ALIKE * gap)
            safety = _SAFETY if value in ends else _SAFETY_BETWEEN
            areas |= _areas_of(valid & (values == value), alike, sizes, safety)
    return areas


def _areas_of(same, alike, sizes, safety):
    """Find the areas of one value, from the largest bands down to where these are chance.

    Args:
        same: Where that value is.
        alike: Where it is, or one that few counts more or less would make.
        sizes: See `_band_sizes`.
        safety: By how much they are to be larger than chance makes them.
    """
    from scipy.ndimage import binary_propagation

    areas, share = np.zeros_like(same), 1.0
    for bits in range(int(math.log2(sizes[same].max())), int(math.log2(_SMALLEST)) - 1, -1):
        seeds = same & (sizes >= 2**bits)
        share_away = _equal_share(same, same & ~_near(seeds, int(2 ** (bits / 2))))
        needed = safety * math.log(same.size / _CHANCE)
        if 2**bits < needed / -math.log(share_away):
            break
        # A count here and there within says that it is an area of rare counts.
        counts = np.count_nonzero(alike & ~same & _enclosed(seeds))
        if counts > _STRAY and 2**bits < needed * np.count_nonzero(seeds) / counts:
            return np.zeros_like(same)
        areas, share = seeds, share_away
    return binary_propagation(areas, mask=same) if share < _RAGGED else areas


def _near(seeds, distance):
    from scipy.ndimage import maximum_filter1d

    along = maximum_filter1d(seeds.view(np.uint8), 2 * distance + 1, axis=0)
    return maximum_filter1d(along, 2 * distance + 1, axis=1).astype(bool)


def _equal_share(same, away):
    """Estimate how often a neighbour has the value, too, from the pixels `away`."""
    equal = np.count_nonzero(same[1:] & away[:-1]) + np.count_nonzero(same[:, 1:] & away[:, :-1])
    pairs = np.count_nonzero(away[:-1]) + np.count_nonzero(away[:, :-1])
    return (equal + 1) / (pairs + 1 / _EQUAL)


def _band_sizes(values):
    """Find for each pixel about how large a rectangle of equal pixels it is in."""
    sizes = np.zeros(values.shape, np.int32)
    for array, target in ((values, sizes), (values.T, sizes.T)):
        # True at the first row of bands of this height whose columns are of one value each.
        flat, height = np.ones(array.shape, bool), 1
        while flat.any():
            found = _widened(height * _runs(array[: len(flat)], flat), height)
            np.maximum(target, found, out=target)
            more = len(flat) - height
            if more <= 0 or height == _TALLEST:
                break
            flat = flat[:more] & flat[height:] & (array[:more] == array[height : height + more])
            height *= 2
    return sizes


def _runs(values, flat):
    """Count for each pixel the pixels of its row that are `flat` and equal to it without a gap; 0 where it is not."""
    linked = flat[:, 1:] & flat[:, :-1] & (values[:, 1:] == values[:, :-1])
    places = np.arange(values.shape[1], dtype=np.int32)
    edge = np.ones((len(values), 1), bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, ~linked]), places, 0), axis=1)
    last = np.where(np.hstack([~linked, edge]), places, values.shape[1])
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return np.where(flat, last - first + 1, 0).astype(np.int32)


def _widened(sizes, height):
    """Give to each pixel of a band what is known at its first row."""
    wide = np.zeros((len(sizes) + height - 1, sizes.shape[1]), sizes.dtype)
    for row in range(height):
        np.maximum(wide[row : row + len(sizes)], sizes, out=wide[row : row + len(sizes)])
    return wide


def _mark_extremes(kind, values):
    """Mark hot and dead pixels, and those that are alone within a constant area as a part of that."""
    counted = kind == 0
    image = _filled(values.astype(np.float64), ~counted)
    lowest, highest = _neighbours(image)
    above, below = image - highest, lowest - image
    spread = highest - lowest
    # Where half of all pixels have equal neighbours, a count is what they differ by.
    scale = float(np.median(spread[counted])) or _gap(image[counted])
    if scale == 0:  # all that counts is of one value
        return
    ratio = np.maximum(above, below) / np.maximum(spread, scale)
    limit = max(_RANGES, _TAIL * float(np.quantile(ratio[counted], _RARE)))
    extreme = counted & (ratio > limit)
    inner = np.quantile(image[counted], _INNER) if extreme.any() else (0, 0)
    between = extreme & (image >= inner[0]) & (image <= inner[1])
    for found, most in ((between, _MOST_BETWEEN), (extreme & ~between, _MOST_HOT)):
        if np.count_nonzero(found) <= max(most * np.count_nonzero(counted), _FEW):
            kind[found] = np.where(above > 0, HOT, DEAD)[found]
    kind[counted & _enclosed((kind == CONSTANT) | (kind == SATURATED))] = CONSTANT


def _enclosed(mask):
    """Find the pixels of which all eight neighbours are in the mask."""
    return _neighbours(mask.view(np.uint8))[0] > 0


def _gap(values):
    """Find the smallest difference of two values: 1 for counts, however few."""
    known = np.unique(values)
    return float(np.diff(known).min()) if known.size > 1 else 0.0


def _neighbours(image):
    """Find the smallest and the largest of the eight neighbours of each pixel, mirrored at the border."""
    padded = np.pad(image, 1, mode="reflect" if min(image.shape) > 1 else "edge")
    return _among_neighbours(np.minimum, padded), _among_neighbours(np.maximum, padded)


def _among_neighbours(extreme, padded):
    beside = extreme(padded[:, :-2], padded[:, 2:])
    three = extreme(beside, padded[:, 1:-1])
    return extreme(extreme(three[:-2], three[2:]), beside[1:-1])


def _filled(frame, mask):
    """Put averages of the surroundings in place of masked pixels of a float frame (H, W) or (H, W, C)."""
    result = frame.copy()
    for values, bad, target in zip(_channels(frame), _channels(mask), _channels(result), strict=True):
        if bad.any() and not bad.all():
            target[bad] = _surroundings(values, bad)
        elif bad.any():
            target[:] = 0.0
    return result


def _surroundings(values, bad):
    """Find what goes on in the bad pixels of a channel.

    Alone, a pixel is the average of its surroundings. An area is its surroundings mirrored
    at its edge: they have the noise that a network expects, where averages would end it.
    Where the mirrored pixel is bad, too, it is the average about the nearest that counts.
    See docs/log/2026-11-26-what-to-put-in-place-of-areas-that-do-not-count.md.
    """
    result = _averages(values, bad)
    area = bad & (_neighbours(bad.view(np.uint8))[1] > 0)
    if area.any():
        nearest = _nearest(bad)
        places = 2 * nearest - np.indices(bad.shape)
        last = np.array(bad.shape)[:, None, None] - 1
        there = np.all((places >= 0) & (places <= last), axis=0)
        places = tuple(np.clip(places, 0, last))
        mirrored = area & there & ~bad[places]
        result[mirrored] = values[places][mirrored]
    return result[bad]


def _averages(values, bad):
    """Average what counts about each pixel; where nothing is near, about the nearest pixel that has some."""
    from scipy.ndimage import gaussian_filter

    weight = gaussian_filter((~bad).astype(np.float64), _WIDTH)
    average = gaussian_filter(np.where(bad, 0.0, values), _WIDTH) / np.maximum(weight, 1e-9)
    empty = weight < _NEAR
    return average[tuple(_nearest(empty))] if empty.any() else average


def _nearest(mask):
    """Find for each pixel the row and column of the nearest pixel that is not in the mask, (2, H, W)."""
    from scipy.ndimage import distance_transform_edt

    # What it returns depends on what is asked for, which its annotations do not say.
    nearest: Any = distance_transform_edt(mask, return_distances=False, return_indices=True)
    return nearest
