"""The variance of noise as a line of the mean, estimated from one image, and the unit of counts, which is its slope."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from gaintuning_tf.errors import InputError

# A block has so many wavelet coefficients along each side, of 8 x 8 pixels: small
# enough to find flat places between edges.
SIDE = 4
# This quantile of the variances within a group is looked at. It lies below the median,
# for structure only ever adds to them.
QUANTILE = 1 / 3
# The standard normal distribution has that quantile here.
_NORMAL_QUANTILE = -0.4307272992954576
# A line needs few points, each of as many blocks as possible: there are at most GROUPS,
# and none has fewer than SMALLEST_GROUP blocks, whose quantile would say little.
GROUPS = 16
SMALLEST_GROUP = 8
# The weights depend on the line and the line on the weights; so many fits let both
# settle.
_FITS = 10
# An estimate this far from the unit, as a share of it, is still taken for one of the
# unit: one from the variance was a tenth off in
# docs/log/2026-11-25-the-gain-of-counts-must-be-exact.md.
UNIT_TOLERANCE = 0.2
# Beyond as many counts, the rounding of float32 makes multiples of anything.
MOST_COUNTS = 1000
NO_NOISE = "found no noise in the image: it is constant, or synthetic and clean; pass the noise"


def variance_line(
    image: np.ndarray, *, through_origin: bool = False, mask: np.ndarray | None = None
) -> tuple[float, float]:
    """Fit the line `variance = slope * mean + intercept` of the noise in an image, slope >= 0.

    The image is cut into blocks of 8 x 8 pixels, each with its mean and the mean square of its
    finest diagonal wavelet coefficients, in which the noise is all there is where the image is
    smooth (Foi, Trimeche, Katkovnik, Egiazarian, "Practical Poissonian-Gaussian noise modeling
    and fitting for single-image raw-data", IEEE TIP 2008, section III). Blocks of similar mean
    form a group. Its variance is a low quantile of those of its blocks, which blocks with
    edges and texture do not change, divided by that of a chi-squared distribution over its mean;
    `(1 - 2/9k + z sqrt(2/9k))^3` for k coefficients (Wilson and Hilferty, PNAS 1931). The line
    is fitted by least squares, each group weighted by its number of blocks over the square of
    the variance that the line gives it, which is to what a variance's own variance is proportional.

    Args:
        image: (H, W) or (H, W, C), any real dtype; the channels, and any further axes, are taken to have the same line.
        through_origin: Whether the intercept is zero.
        mask: True where a pixel does not count, of the image's shape: blocks with such pixels are left out.

    Returns:
        Slope, in units of the image; and intercept, in their square.

    Raises:
        InputError: The image is too small, or no noise is in it.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> clean = np.tile(np.linspace(10, 100, 256), (256, 1))
    >>> slope, intercept = variance_line(3 * rng.poisson(clean / 3) + rng.normal(0, 5, clean.shape))
    >>> round(slope), round(intercept / 25)
    (3, 1)
    """
    image = np.asarray(image, np.float64)
    if min(image.shape[:2]) < 8 or image.shape[0] * image.shape[1] < 32**2:
        raise InputError(
            f"cannot estimate the noise of a {image.shape[0]}x{image.shape[1]} image, 32x32 or more are needed; "
            "pass the noise"
        )
    means, variances, sizes = variance_groups(image, mask)
    slope, intercept = _fit(means, variances, sizes, through_origin)
    # What rounding in the wavelet transform leaves is no noise.
    if not slope * means.mean() + intercept > 1e-12 * np.ptp(image) ** 2:
        raise InputError(NO_NOISE)
    return slope, intercept


def variance_groups(
    image: np.ndarray, mask: np.ndarray | None = None, *, quantile: float = QUANTILE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find mean, variance and size of the groups of blocks that `variance_line` fits, from dark to bright.

    Args:
        image: (H, W), (H, W, C) or with further axes, float64.
        mask: As for `variance_line`.
        quantile: Of the variances within a group: a lower one sees less texture, and is less certain.

    Returns:
        (groups,) each: units of the image, their square, numbers of blocks.

    Raises:
        InputError: No noise is in the image.

    Example:

    >>> means, variances, sizes = variance_groups(np.random.default_rng(0).normal(50, 5, (256, 256)))
    >>> len(means), int(sizes.sum()), bool(abs(variances.mean() / 25 - 1) < 0.1)
    (16, 1024, True)
    """
    # The transform of a constant image leaves rounding and no spread to compare it with.
    means, variances = _blocks(image, mask) if np.ptp(image) > 1e-9 * np.abs(image).max() else ((), ())
    if len(means) < 2 * SMALLEST_GROUP:
        raise InputError(NO_NOISE)
    return _groups(means, variances, quantile)


def masked_coefficients(mask: np.ndarray) -> np.ndarray:
    """Find the coefficients of one level of the wavelet transform by `db2` that a masked pixel is in.

    Args:
        mask: bool, (H, W), (H, W, C) or with further axes.

    Returns:
        bool, of the shape that `pywt.dwt2` gives.

    Example:

    >>> masked_coefficients(np.eye(4, dtype=bool)[:, :, None])[..., 0].sum(0).tolist()
    [2, 3, 2]
    """
    for axis in (0, 1):
        size = mask.shape[axis]
        # Coefficient k is of the pixels 2k - 2 to 2k + 1, mirrored at the border.
        places = 2 * np.arange((size + 3) // 2)[:, None] + np.arange(-2, 2)
        places = np.where(places < 0, -1 - places, places)
        places = np.where(places >= size, 2 * size - 1 - places, places)
        mask = np.moveaxis(np.any(np.moveaxis(mask, axis, 0)[places], axis=1, keepdims=True)[:, 0], 0, axis)
    return mask


def _blocks(image, mask):
    """Mean and variance of the noise of each block that is not constant."""
    import pywt

    averages, (_, _, details) = pywt.dwt2(image, "db2", mode="symmetric", axes=(0, 1))
    # Two smoothing filters in a row, each of which doubles a constant's square.
    means = _block_means(averages) / 2
    variances = _block_means(np.square(details))
    noisy = variances > (1e-6 * np.ptp(image)) ** 2
    if mask is not None:
        noisy &= _block_means(masked_coefficients(mask).astype(np.float64)) == 0
    return means[noisy], variances[noisy]


def _block_means(values):
    height, width = (size // SIDE for size in values.shape[:2])
    values = values[: height * SIDE, : width * SIDE]
    return values.reshape(height, SIDE, width, SIDE, -1).mean(axis=(1, 3)).ravel()


def _groups(means, variances, quantile):
    """Mean, variance and size of groups of blocks, from dark to bright."""
    order = np.argsort(means, kind="stable")
    count = min(GROUPS, len(order) // SMALLEST_GROUP)
    groups = np.array_split(order, count)
    return (
        np.array([means[group].mean() for group in groups]),
        np.array([np.quantile(variances[group], quantile) for group in groups]) / low_quantile(quantile=quantile),
        np.array([len(group) for group in groups], np.float64),
    )


def median_line(means: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    """Find the line whose slope is the median of those between any two points, the Theil-Sen estimator.

    Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 1968. `scipy.stats` has it, but
    takes a second to be imported, of all that a small image takes.

    Args:
        means: (n,), not all the same.
        variances: (n,).

    Returns:
        Slope and intercept.

    Example:

    >>> median_line(np.arange(5.0), np.array([1.0, 3.0, 5.0, 7.0, 90.0]))
    (2.0, 1.0)
    """
    earlier, later = np.triu_indices(len(means), 1)
    runs, rises = means[later] - means[earlier], variances[later] - variances[earlier]
    slope = float(np.median(rises[runs != 0] / runs[runs != 0]))
    return slope, float(np.median(variances) - slope * np.median(means))


def low_quantile(independent: float = 1.0, quantile: float = QUANTILE) -> float:
    """Compute the quantile of a block's variance that groups look at, over its mean: Wilson and Hilferty's formula.

    Args:
        independent: How many independent details one detail is worth, below 1 where they are correlated.
        quantile: Which quantile.

    Example:

    >>> round(low_quantile(), 2), round(low_quantile(0.5), 2)
    (0.82, 0.73)
    """
    spread = 2 / (9 * SIDE**2 * independent)
    normal = _NORMAL_QUANTILE if quantile == QUANTILE else NormalDist().inv_cdf(quantile)
    return (1 - spread + normal * spread**0.5) ** 3


def count_unit(image: np.ndarray, about: float) -> float | None:
    """Find the unit that all values of an image are whole multiples of, near an estimate of what one count adds.

    A detector that counts leaves nothing between the counts, which gives the gain exactly;
    the variance gives it to a few percent only, and a loss that splits counts is off by as
    much in the brightness of all it denoises.

    Args:
        image: Any shape.
        about: The estimate.

    Returns:
        The unit; None if the values are no multiples of one, or of one that differs from the estimate.

    Example:

    >>> counts = np.random.default_rng(0).poisson(3, (64, 64))
    >>> count_unit(counts, 0.95), count_unit(counts / 4, 0.26), count_unit(counts, 2.3)
    (1.0, 0.25, None)
    """
    values = np.unique(np.asarray(image, np.float64))
    gaps = np.diff(values)
    # Between two values of float32 that are the same count, there may be rounding.
    gaps = gaps[gaps > 1e-3 * about]
    if values[0] < 0 or not gaps.size:
        return None
    counts = np.rint(values / gaps.min())
    if not 0 < counts[-1] <= MOST_COUNTS:
        return None
    unit = float(np.sum(counts * values) / np.sum(np.square(counts)))
    if np.abs(values - counts * unit).max() > 1e-3 * unit or abs(about / unit - 1) > UNIT_TOLERANCE:
        return None
    return unit


def _fit(means, variances, sizes, through_origin):
    """Slope and intercept, reweighted until they agree with their weights."""
    expected, slope, intercept = variances, 0.0, 0.0
    for _ in range(_FITS):
        weights = sizes / np.square(expected)
        if through_origin:
            slope, intercept = _mean(means * variances, weights) / _mean(means**2, weights), 0.0
        else:
            middle, level = _mean(means, weights), _mean(variances, weights)
            spread = _mean((means - middle) ** 2, weights)
            slope = max(_mean((means - middle) * variances, weights) / spread, 0.0) if spread > 0 else 0.0
            intercept = level - slope * middle
        # A line that falls below zero between dark groups must not give them all the weight.
        expected = np.maximum(slope * means + intercept, variances.max() / 100)
    return float(slope), float(intercept)


def _mean(values, weights):
    return np.sum(values * weights) / np.sum(weights)
