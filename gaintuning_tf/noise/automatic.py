"""Which noise an image has: the simplest model that the image does not contradict, and the evidence."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.autocovariance import LAGS, autocovariance, scan_correlation
from gaintuning_tf.noise.clipping import CLIPPED, NEAR as CLOSE, clipped_ends, without_bright, without_clipped
from gaintuning_tf.noise.correlation import nearest_correlation, text_of
from gaintuning_tf.noise.details import channel_correlation, detail_floors, detail_level, details_of, side_by_side
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.noise.structure import structure_of
from gaintuning_tf.noise.variance_line import count_unit, median_line, variance_groups, variance_line

# Noise is correlated where the floor of the finest horizontal or vertical details lies
# this much above that of the diagonal ones. White noise has 1. Textured pictures with
# white noise of sigma 5 stayed below on Set12, all phones and microscopes in hand lay
# above 2 (docs/log/2026-11-26-white-or-correlated.md).
CORRELATED = 1.75
# And where the flattest blocks are alike: texture of a photograph without flat places
# differs from block to block. Where details are PLAINLY correlated, they may differ more.
ALIKE, PLAINLY, NEARLY_ALIKE = 1.3, 4.0, 2.5
# Red and blue of a phone have the finest details of their green, and more only in what is coarser:
# there noise is correlated where flat blocks, alike to LIKE_ENOUGH, have NEXT in common with the next
# pixel along both axes, and within two pixels less than FALL of that, which texture seldom has
# (docs/log/2026-11-28-red-and-blue-of-a-phone.md).
NEXT, FALL, LIKE_ENOUGH = 0.3, 0.45, 2.0
# What goes on as far as this, in pixels, by this correlation is not noise but the picture:
# noise of cameras and microscopes in hand had 0.2 at most, 36 of 47 clean photographs whose
# details are correlated have more (docs/log/2026-11-28-clean-pictures-are-no-noise.md).
FAR, SMOOTH = 3, 0.35
# Noise is alike in the channels where the quietest diagonal details of two correlate by this
# much: 0.9 and more in JPEG files whose colours have half the resolution, 0.3 at most where
# it was drawn for each channel, down to sigma 3, and 0.44 where the picture has noise of its own
# (docs/log/2026-11-28-noise-that-is-alike-in-red-green-and-blue.md).
BETWEEN = 0.5
# Noise of point-scanning microscopes is alike by 0.05 to 0.06 in pixels that follow one another,
# for the detector is slower than the scan, and the finest details are weaker by that. What other
# neighbours have in common is structure, of which flat places have less than FLAT
# (docs/log/2026-11-28-noise-of-a-scanning-microscope.md).
SCANNED, FLAT = 0.04, 0.1
# Noise depends on the signal where its variance grows this much from dark to bright, most
# groups of blocks lie within NEAR of a line, and variance and mean correlate. Texture grows
# with brightness, too, but less regularly; the lowest variances of a group see least of it.
GROWTH, NEAR, MOST, STRAIGHT, QUIET = 1.75, 0.3, 0.7, 0.8, 0.1
# Where noise is faint beside that of the brightest group, it need not be as near.
FAINT = 0.02
# Of fewer groups beside clipped ends, nothing is said: then all are looked at.
FEWEST = 6
# In images with a shorter side than this, there is too little to tell one kind of noise
# from another.
SMALLEST = 64
_UNFIT = "nothing was tuned; with --sigma or --noise (sigma=, noise=), it is taken for noise of that kind"


@dataclasses.dataclass(frozen=True)
class NoiseEstimate:
    """The noise of an image as it was found, and what speaks for it.

    Attributes:
        noise: The model, in the units of the image.
        growth: The variance of the noise in bright places over that in dark ones.
        detail_ratio: The floor of horizontal or vertical details over that of diagonal
            ones: 1 for white noise.
        black_level: Where the line of the variance is zero, None where it is not known.
        clipped_low: The smallest value, and the share of pixels that have it.
        clipped_high: The largest, likewise.
        counts: The unit that all values are whole multiples of, if the noise is that of counts.
        uncertainty: Relative standard deviation of the variance, as far as it is known.
        structure: What else the noise has that no model fits, in words: stripes or waves, see
            `structure_of`. Empty if nothing was seen.
        left_out: The share of pixels that do not count, for noise of this level reaches a clipped end there.
        scan_correlation: Correlation of pixels that a scanning microscope takes one after the other, by which the level
            of noise that else is white was corrected; 0 where there is none.
    """

    noise: NoiseModel
    growth: float
    detail_ratio: float
    black_level: float | None
    clipped_low: tuple[float, float]
    clipped_high: tuple[float, float]
    counts: float | None
    uncertainty: float
    structure: str = ""
    left_out: float = 0.0
    scan_correlation: float = 0.0

    @property
    def words(self) -> str:
        """Say what kind of noise it is and why.

        Example:

        >>> estimate = examine_noise(np.random.default_rng(0).normal(100, 5, (256, 256)))
        >>> estimate.words
        'white, the same everywhere'
        """
        parts = [text_of(getattr(self.noise, "correlation", None)) + self._scan(), self._dependence()]
        unfit = [f"with {self.structure}, which no model fits"] if self.structure else []
        return ", ".join([*parts, *self._clipping(), *unfit])

    @property
    def unfit(self) -> str:
        """Say why tuning is not to be done on this noise, and what to do; empty if a model fits."""
        return f"the noise has {self.structure}, which no model fits: {_UNFIT}" if self.structure else ""

    def to_json(self) -> dict[str, Any]:
        """Give the evidence as what JSON knows."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "noise"}
        return {"words": self.words, **fields}

    def _dependence(self):
        if self.counts is not None:
            return f"that of counts, each {self.counts:.4g}"
        if not isinstance(self.noise, GaussianNoise):
            return f"signal-dependent, its variance {self.growth:.2g} times as large where the image is bright"
        return "the same everywhere" if self.growth >= 1 else "weaker where the image is bright, taken for its mean"

    def _scan(self):
        return f" but for {self.scan_correlation:.2f} from pixel to pixel of a scan" if self.scan_correlation else ""

    def _clipping(self):
        ends = (("low", *self.clipped_low), ("high", *self.clipped_high))
        said = [f"{share:.1%} of the pixels clipped at {value:g}" for _, value, share in ends if share > CLIPPED]
        return said + [f"{self.left_out:.0%} left out, being near that"] * (self.left_out >= 0.005)


def examine_noise(image: np.ndarray, mask: np.ndarray | None = None) -> NoiseEstimate:
    """Find the noise of one image: white or correlated, the same everywhere or growing with the signal.

    The simplest model is taken that the image does not contradict:

    - correlated, where the finest horizontal or vertical wavelet details of quiet blocks are
      `CORRELATED` times as strong as the diagonal ones, which in white noise they equal, and the
      flattest blocks are as strong as each other, which texture is not; the correlation is
      theirs, see `autocovariance`, and falls below `SMOOTH` within `FAR` pixels, which that of a picture does not.
      Or where that of the flattest blocks is more than `NEXT` between neighbours, and next to none at two pixels;
    - correlated between channels, where that of the diagonal details of the quietest blocks is more than
      `BETWEEN`, see `channel_correlation`: as in JPEG files whose colours have half the resolution;
    - signal-dependent, where the variance grows with the mean along a line, see `variance_line`;
    - counts, where that line goes through zero and all values are multiples of its slope.

    Noise that depends on the signal and is nearly white, but for pixels that follow one another in a scan, is
    taken for white, with the level that it has then: see `autocovariance.scan_correlation`.

    What is alike all over the image, stripes of rows or columns and waves, fits none of them, and is said:
    see `structure_of`.

    Where noise that is the same everywhere reaches an end at which the image is clipped, it is left out: see
    `clipping.clipped_areas`.

    The level of white noise is that of the quietest of small blocks: structure adds to all
    but a few. That of correlated noise is the level of the finest details times the ratio of
    the two in flat blocks.

    Args:
        image: (H, W) or (H, W, C), any real dtype; or a volume (D, H, W, C), whose noise is that of its planes.
        mask: True where a pixel does not count, of the image's shape.

    Returns:
        The model and the evidence.

    Raises:
        InputError: The image is too small, or no noise is in it.

    Example:

    >>> noisy = np.random.default_rng(0).poisson(np.tile(np.linspace(2, 60, 256), (256, 1)))
    >>> examine_noise(noisy).noise.gain
    1.0
    """
    image = np.asarray(image)
    if mask is not None and mask.ndim < image.ndim:
        mask = mask[..., None]
    whole = None if mask is None else np.broadcast_to(mask, image.shape)
    inside = _unclipped(image, whole)
    if inside is not whole:
        found = _examined(image, inside, whole)
        if isinstance(found.noise, GaussianNoise):
            return found
    found = _examined(image, whole, whole)
    return found if isinstance(found.noise, GaussianNoise) else _beside_bright(image, whole, found)


def _beside_bright(image, whole, found):
    """Examine noise that grows with the signal again, beside where it reaches a clipped highest value."""
    (slope,), (intercept,) = found.noise.level(1)
    inside = without_bright(image, (slope, intercept), whole)
    if inside is whole:
        return found
    again = _examined(image, inside, whole)
    # What is left may be too little to show how the noise is correlated, or that it grows.
    alike = (again.noise.correlation is None) == (found.noise.correlation is None)
    return again if alike and not isinstance(again.noise, GaussianNoise) else found


def is_refined(noise: NoiseModel) -> bool:
    """Say whether the level of an estimate is looked for once more: of correlated noise, and of white Gaussian.

    See `residual_variance.refined_noise`. White noise that depends on the signal is known well from the finest
    details, and a first result is poor where its level changes by much.

    Example:

    >>> is_refined(GaussianNoise(5.0)), is_refined(PoissonGaussianNoise(2.0, 5.0))
    (True, False)
    """
    return noise.correlation is not None or isinstance(noise, GaussianNoise)


def _unclipped(image, mask):
    """Leave out where noise reaches a clipped end, of the level that is then found: the first is too low."""
    inside = mask
    for _ in range(2):
        try:
            level, _ = detail_level(np.asarray(side_by_side(image), np.float64), side_by_side(inside))
        except InputError:
            return mask  # without noise, nothing of it is clipped
        inside = without_clipped(image, level**0.5, mask)
    return inside


def _examined(image, inside, mask):
    """Examine what is inside; what is clipped is that of all that counts."""
    values = np.asarray(side_by_side(image), np.float64)
    masked, counted = side_by_side(inside), image if mask is None else image[~mask]
    ratio = detail_floors(values, masked)
    details = variance_line(values, mask=masked)
    flat = autocovariance(values, details, masked)
    found = flat if _is_correlated(flat, ratio) else None
    between = correlation_between_channels(values, masked) if found is None else None
    growth, line = _dependence(values, masked, details, clipped_ends(image, mask))
    scan = 0.0 if line is None or found is not None else _scan_correlation(flat)
    # The details, which the line is of, hold less of such noise.
    line = line and tuple(part / details_of(np.array([[scan, 1, scan]])).share for part in line)
    noise, doubt = _model(values, masked, line, found, details, between)
    seen = values if masked is None else values[~masked]
    counts = count_unit(seen, line[0]) if line is not None and found is None and between is None else None
    if counts is not None and _through_origin(values, masked, counts):
        noise, scan = PoissonNoise(counts), 0.0
    else:
        counts = None
    black = -line[1] / line[0] if line is not None and line[1] < 0 else None
    low, high = ((float(end), float(np.mean(counted == end))) for end in (counted.min(), counted.max()))
    structure = _structure(values, masked, noise)
    left_out = 0.0 if inside is mask else float(np.mean(inside if mask is None else inside & ~mask))
    return NoiseEstimate(noise, growth, ratio, black, low, high, counts, doubt, structure, left_out, scan)


def _structure(values, masked, noise):
    """Put into words what the noise has beside that of the model; nothing is seen of it in small images."""
    if min(values.shape[:2]) < SMALLEST:
        return ""
    if values.ndim == 4:
        # One plane of a volume, of which most counts, shows what is all over it.
        plane = values.shape[2] // 2 if masked is None else int(np.argmin(masked.mean((0, 1, 3))))
        values, masked = values[:, :, plane], None if masked is None else masked[:, :, plane]
    mean = np.mean(values if masked is None else values[~masked])
    values = values if masked is None else np.where(masked, mean, values)
    found = structure_of(values, float(np.mean(noise.variance(values))))
    return found.words if found else ""


def _is_correlated(flat, ratio):
    """Whether flat blocks and the floor of details show that the noise is correlated."""
    if flat is None:
        return False
    if ratio > CORRELATED:
        return flat.spread <= (NEARLY_ALIKE if ratio > PLAINLY else ALIKE) and not _is_smooth(flat.correlation)
    grey = np.diagonal(flat.correlation, axis1=-2, axis2=-1).mean(-1)[LAGS:, LAGS:]
    nearest = min(grey[0, 1], grey[1, 0])
    return flat.spread <= LIKE_ENOUGH and nearest > NEXT and max(grey[0, 2], grey[2, 0]) < FALL * nearest


def _scan_correlation(flat):
    """Find how far pixels that follow one another in a scan are alike; 0 where it is not plain."""
    if flat is None:
        return 0.0
    along, others = scan_correlation(flat.correlation)
    return along if along > SCANNED and others < FLAT else 0.0


def _is_smooth(correlation):
    """Whether a correlation (K, K, C, C) goes on along an axis as far as that of a picture does."""
    grey = np.diagonal(correlation, axis1=-2, axis2=-1).mean(-1)
    middle = len(grey) // 2
    return middle >= FAR and max(grey[middle + FAR, middle], grey[middle, middle + FAR]) > SMOOTH


def correlation_between_channels(image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray | None:
    """Find the correlation between channels of noise that is white in each of them.

    Args:
        image: (H, W, C), or planes of a volume (H, W, planes, C).
        mask: True where a pixel does not count, of its shape.

    Returns:
        (1, 1, C, C); None of a single channel, and where channels correlate by no more than `BETWEEN`.

    Example:

    >>> grey, *colours = np.random.default_rng(0).normal(100, 5, (4, 96, 96))
    >>> correlation_between_channels(np.stack(colours, -1)) is None
    True
    >>> correlation_between_channels(np.stack([grey + (c - 100) / 5 for c in colours], -1)).shape
    (1, 1, 3, 3)
    """
    if image.shape[-1] == 1:
        return None
    found = channel_correlation(np.asarray(image, np.float64), mask)
    return nearest_correlation(found[None, None]) if np.abs(found - np.eye(len(found))).max() > BETWEEN else None


def _dependence(values, masked, details, ends):
    """Find how much the variance grows from dark to bright; and its line, None where it does not clearly grow."""
    means, variances, _ = variance_groups(values, masked, quantile=QUIET)
    means, variances = _beside_ends(means, variances, ends)
    slope, intercept = median_line(means, variances)
    expected = slope * means + intercept
    growth = float(max(expected[-1], 0) / max(expected[0], variances.max() / 100))
    near = np.mean(np.abs(variances - expected) < NEAR * np.abs(expected) + FAINT * variances.max())
    straight = len(means) > 2 and near >= MOST and abs(np.corrcoef(means, variances)[0, 1]) >= STRAIGHT
    if straight and growth < 1 / GROWTH:
        return growth, None
    return (growth, details) if straight and growth >= GROWTH else (1.0, None)


def _beside_ends(means, variances, ends):
    """Leave out the groups whose noise reaches a clipped end, where it is weaker; all stay if too few would."""
    kept = np.ones(len(means), bool)
    for _ in range(2 if ends else 0):
        slope, intercept = median_line(means[kept], variances[kept])
        reach = CLOSE * np.sqrt(np.maximum(slope * means + intercept, variances))
        kept = np.all([np.abs(means - end) >= reach for end in ends], axis=0)
        if np.count_nonzero(kept) < FEWEST:
            return means, variances
    return means[kept], variances[kept]


def _model(values, masked, line, found, details, between):
    """Make the model of a line, if the noise has one, and a correlation, if it has one; and its uncertainty."""
    level, doubt = detail_level(values, masked)
    doubt = doubt if line is None else _scatter(values, masked, line)
    factor, correlation = 1.0, between
    if found is not None:
        factor = float(found.ratio.mean())
        # Channels may have noise of their own level.
        deviations = np.sqrt(found.ratio / factor)
        correlation = nearest_correlation(found.correlation * np.outer(deviations, deviations))
        correlation = correlation[..., 0, 0] if correlation.shape[-1] == 1 else correlation
        # Correlated noise is often not the same everywhere, and its quietest places are not it.
        slope, intercept = details
        level = slope * np.mean(values if masked is None else values[~masked]) + intercept
    if line is None:
        return GaussianNoise((level * factor) ** 0.5, correlation=correlation), doubt
    slope, intercept = (factor * part for part in line)
    if intercept < 0:
        return PoissonGaussianNoise(slope, 0.0, -intercept / slope, correlation=correlation), doubt
    return PoissonGaussianNoise(slope, intercept**0.5, correlation=correlation), doubt


def _scatter(values, masked, line):
    """How far the variances of groups lie from their line, as a share of it: the median."""
    means, variances, _ = variance_groups(values, masked)
    expected = line[0] * means + line[1]
    return float(np.median(np.abs(variances / np.maximum(expected, variances.max() / 100) - 1)))


def _through_origin(values, masked, unit):
    """Whether the variance of counts explains that of all groups, within their own certainty."""
    means, variances, sizes = variance_groups(values, masked)
    expected = unit * means
    # A third of the blocks of 16 details lie below their quantile: its standard deviation
    # is about a half over the root of their number.
    return bool(np.all(expected > 0) and np.mean(np.abs(variances / expected - 1) < 0.05 + 1.5 / sizes**0.5) > 0.8)
