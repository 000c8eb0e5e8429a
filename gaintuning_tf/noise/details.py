"""The finest wavelet details of an image, in which noise is nearly all there is, block by block.

Volumes are looked at as their planes: most microscopes take one after the other, so that
noise is white along the depth. Where a volume was resampled or reconstructed, it is not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.variance_line import NO_NOISE, SIDE as BLOCK, masked_coefficients

# A block has so many details along each side, and of all blocks this quantile is taken
# for noise alone. Measured on Set12 and on photographs of BSDS, sigma 5 to 50: the level
# was off by half as much as by the median of all details
# (docs/log/2026-11-26-level-of-white-noise.md).
SIDE, QUANTILE = 6, 0.05
# The floors of horizontal and vertical details are compared with a larger quantile of
# blocks of 8 x 8, for their ratio needs less room for structure and more certainty.
FLOOR_SIDE, FLOOR_QUANTILE = 8, 0.2

# So many planes, evenly spread, say what the noise of a volume is: more take time, and
# of 32 planes of 64x64 pixels there are more blocks than of most images.
PLANES = 32
# A volume's noise goes on from plane to plane where the finest details of quiet blocks do
# by this share. That of independent planes, 8 of 32 x 32 pixels or 2 of 64 x 64, is zero
# with a standard deviation of 0.06; linear interpolation half-way gives 0.45.
CORRELATED_IN_DEPTH = 0.25
QUIET = 0.2


def detail_level(image: np.ndarray, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Estimate the variance of white noise from the quietest blocks of diagonal details.

    The low quantile over the blocks of the mean square of their k details, divided by that
    of a chi-squared distribution over its mean.

    Args:
        image: (H, W, C), float64, or planes of a volume (H, W, planes, C); the channels' variances are averaged.
        mask: bool, of its shape, True where a pixel does not count.

    Returns:
        The variance; and its relative uncertainty: how far another quantile is off, which
        structure raises more.

    Raises:
        InputError: The image is too small, or no noise is in it.

    Example:

    >>> level, doubt = detail_level(np.random.default_rng(0).normal(0, 5, (256, 256, 1)))
    >>> round(level**0.5), doubt < 0.1
    (5, True)
    """
    *_, diagonal = _details(image, mask, SIDE)
    levels = np.array([[_level(channel, quantile) for quantile in (QUANTILE, 1 / 3)] for channel in diagonal])
    low, high = levels.mean(0)
    if not low > (1e-6 * np.ptp(image)) ** 2:
        raise InputError(NO_NOISE)
    blocks = min(len(channel) for channel in diagonal)
    chance = (2 / SIDE**2 / (QUANTILE * blocks)) ** 0.5
    return float(low), float(max(chance, abs(high - low) / low / 2))


def detail_floors(image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Compare the floor of horizontal or vertical details, the higher one, with that of diagonal ones: 1 if white.

    Args:
        image: (H, W, C), float64, or planes of a volume (H, W, planes, C); channels are compared one by one, and the
            ratios averaged.
        mask: bool, of its shape, True where a pixel does not count.

    Example:

    >>> noise = np.random.default_rng(0).normal(0, 5, (256, 256, 1))
    >>> round(detail_floors(noise)), detail_floors(noise + np.roll(noise, 1, 0)) > 2
    (1, True)
    """
    side = FLOOR_SIDE if min(image.shape[:2]) >= 8 * FLOOR_SIDE else 3
    horizontal, vertical, diagonal = _details(image, mask, side)
    ratios = []
    for along, across, both in zip(horizontal, vertical, diagonal, strict=True):
        one, other, floor = (np.quantile(part, FLOOR_QUANTILE) for part in (along, across, both))
        ratios.append(max(one, other) / floor if floor > 0 else 1.0)
    return float(np.mean(ratios))


def channel_correlation(image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Correlate the diagonal details of the channels with each other, in the quietest blocks, where noise is.

    Noise of a camera is alike in red, green and blue where the picture is a JPEG of which the colours have half the
    resolution: what is left of it is in the brightness.

    Args:
        image: (H, W, C), float64, or planes of a volume (H, W, planes, C).
        mask: bool, of its shape, True where a pixel does not count.

    Returns:
        (C, C), ones on the diagonal.

    Example:

    >>> one, other = np.random.default_rng(0).normal(0, 5, (2, 128, 128, 1))
    >>> channel_correlation(np.concatenate([one, 0.9 * one + 0.1 * other], -1)).round(2)[0].tolist()
    [1.0, 0.99]
    """
    import pywt

    channels = image.shape[-1]
    *_, band = pywt.dwt2(image, "db2", mode="symmetric", axes=(0, 1))[1]
    used = np.ones_like(band) if mask is None else 1.0 - masked_coefficients(mask)
    pairs = _blocks(
        band[..., :, None].repeat(channels, -1).reshape(*band.shape[:-1], -1) * np.tile(band, channels), SIDE
    )
    products = pairs.reshape(-1, channels, channels)
    energies = products.diagonal(axis1=1, axis2=2)
    whole = (_blocks(used, SIDE).min(-1) == 1) & (energies > (1e-6 * np.ptp(image)) ** 2).all(-1)
    products, energies = products[whole], energies[whole]
    if not len(products):
        raise InputError(NO_NOISE)
    loud = np.max(energies / np.median(energies, 0), -1)
    covariance = products[loud <= np.quantile(loud, QUANTILE)].mean(0)
    deviations = np.sqrt(covariance.diagonal())
    return covariance / np.outer(deviations, deviations)


class Details(NamedTuple):
    """What correlated noise of variance one is in the finest diagonal details.

    Attributes:
        share: Their variance: 1 if the noise is white.
        independent: How many independent details one is worth in a block of 4 x 4, at most 1.
    """

    share: float
    independent: float


def details_of(correlation: np.ndarray | None) -> Details:
    """Compute what correlated noise leaves to the finest diagonal details.

    With h the autocorrelation of the wavelet's high-pass filter, details a rows and b columns apart have the
    covariance `d[a, b] = sum h[y - 2a] h[x - 2b] rho[y, x]` over the lags: the share is d[0, 0], and the mean of the
    squares of n has the variance of that of `n / sum w (d / d[0, 0])^2` independent ones, w the part of the pairs.

    Args:
        correlation: That of one image, see `NoiseModel`; of colours, the mean over the channels is taken.

    Example:

    >>> details_of(None).share, details_of(np.array([[0.5], [1.0], [0.5]])).share < 0.5
    (1.0, True)
    """
    if correlation is None:
        return Details(1.0, 1.0)
    grey = np.diagonal(correlation, axis1=-2, axis2=-1).mean(-1) if correlation.ndim == 4 else correlation
    rows, columns = (_filtered_lags(side // 2) for side in grey.shape)
    covariance = rows @ grey @ columns.T
    middle = BLOCK - 1
    part = 1 - np.abs(np.arange(-middle, BLOCK)) / BLOCK
    share = covariance[middle, middle]
    return Details(float(share), float(1 / np.sum(np.outer(part, part) * np.square(covariance / share))))


def side_by_side(image: np.ndarray | None, most: int = PLANES) -> Any:
    """Put the planes of a volume beside each other, as what estimators take in place of an image.

    Args:
        image: (D, H, W, C), a volume; or (H, W) or (H, W, C), an image; or None.
        most: So many planes at most, evenly spread.

    Returns:
        (H, W, planes, C); of an image (H, W, C); None for None.

    Example:

    >>> side_by_side(np.zeros((100, 8, 9, 1))).shape, side_by_side(np.zeros((8, 9))).shape
    ((8, 9, 32, 1), (8, 9, 1))
    """
    if image is None or image.ndim < 4:
        return image[..., None] if image is not None and image.ndim == 2 else image
    chosen = np.unique(np.linspace(0, len(image) - 1, min(most, len(image))).round().astype(int))
    return np.moveaxis(image[chosen], 0, 2)


def depth_correlation(volume: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Estimate how far the noise of a plane is that of the next: their correlation, in the finest details.

    Diagonal wavelet details of neighbouring planes are multiplied, where they are quiet: there noise is nearly all
    that is in them. What is quiet by chance makes the estimate a little low.

    Args:
        volume: (D, H, W, C), any real dtype.
        mask: True where a pixel does not count, of its shape.

    Returns:
        About zero for noise that is white along the depth; zero of a single plane, and where nothing can be seen.

    Example:

    >>> noise = np.random.default_rng(0).normal(0, 1, (9, 64, 64, 1))
    >>> round(abs(depth_correlation(noise)), 1), round(depth_correlation(noise[1:] + noise[:-1]), 1)
    (0.0, 0.4)
    """
    if len(volume) < 2:
        return 0.0
    firsts = np.unique(np.linspace(0, len(volume) - 2, min(PLANES, len(volume) - 1)).round().astype(int))
    ones, others = (_details_of_planes(volume, mask, firsts + lag) for lag in (0, 1))
    products, powers = (_blocks(part, FLOOR_SIDE).ravel() for part in (ones * others, (ones**2 + others**2) / 2))
    seen = np.isfinite(powers) & (powers > 0)
    if np.count_nonzero(seen) < 1 / QUIET:
        return 0.0
    quiet = seen & (powers <= np.quantile(powers[seen], QUIET))
    return float(products[quiet].sum() / powers[quiet].sum())


def depth_words(correlation: float) -> str:
    """Say in one line that the noise goes on from plane to plane; empty where it does not.

    Args:
        correlation: See `depth_correlation`.

    Example:

    >>> depth_words(0.1), depth_words(0.5)[:54]
    ('', 'the noise of each plane is that of the next by 0.50: i')
    """
    if correlation < CORRELATED_IN_DEPTH:
        return ""
    return (
        f"the noise of each plane is that of the next by {correlation:.2f}: it is taken for white along the depth, of "
        "which there is no other model, and the result may keep some of it; a volume before interpolation, filtering "
        "or reconstruction is better"
    )


def _filtered_lags(radius):
    """Give `h[y - 2a]` for details up to 3 apart, (7, 2 radius + 1)."""
    import pywt

    wavelets: Any = pywt  # whose types lack what is compiled
    kernel = np.array(wavelets.Wavelet("db2").dec_hi)
    lags = np.convolve(kernel, kernel[::-1])
    places = np.arange(-radius, radius + 1) - 2 * np.arange(1 - BLOCK, BLOCK)[:, None] + len(lags) // 2
    inside = (places >= 0) & (places < len(lags))
    return np.where(inside, lags[np.clip(places, 0, len(lags) - 1)], 0.0)


def _details(image, mask, side):
    """Mean squares in blocks of horizontal, vertical and diagonal details, of each a list by channel."""
    if min(image.shape[:2]) < 4 * SIDE:
        raise InputError(
            f"cannot estimate the noise of a {image.shape[0]}x{image.shape[1]} image, {4 * SIDE}x{4 * SIDE} or more "
            "are needed; pass sigma"
        )
    import pywt

    _, bands = pywt.dwt2(image, "db2", mode="symmetric", axes=(0, 1))
    used = None if mask is None else _blocks(masked_coefficients(mask).astype(np.float64), side) == 0
    found = []
    for band in bands:
        blocks = _blocks(np.square(band), side)
        # A constant block holds no noise to be looked at.
        counted = blocks > (1e-6 * np.ptp(image)) ** 2 if used is None else used & (blocks > 0)
        found.append([blocks[counted[:, c], c] for c in range(image.shape[-1])])
    if any(not len(channel) for band in found for channel in band):
        raise InputError(NO_NOISE)
    return found


def _blocks(values, side):
    height, width = (size // side for size in values.shape[:2])
    values = values[: height * side, : width * side]
    channels = values.shape[-1]
    return values.reshape(height, side, width, side, -1, channels).mean(axis=(1, 3)).reshape(-1, channels)


def _level(blocks, quantile):
    from scipy.special import chdtri

    return np.quantile(blocks, quantile) / (chdtri(SIDE**2, 1 - quantile) / SIDE**2)


def _details_of_planes(volume, mask, numbers):
    """Find the finest diagonal details of some planes, (h, w, planes, C): NaN where a pixel does not count."""
    import pywt

    planes = np.moveaxis(np.asarray(volume[numbers], np.float64), 0, 2)
    found = pywt.dwt2(planes, "db2", mode="symmetric", axes=(0, 1))[1][2]
    if mask is None:
        return found
    return np.where(masked_coefficients(np.moveaxis(mask[numbers], 0, 2)), np.nan, found)
