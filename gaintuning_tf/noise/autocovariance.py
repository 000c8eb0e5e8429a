"""How far noise is correlated, and how strong it is then, estimated from the flattest places of one image."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

# Blocks of this side are large beside the correlation, and small enough to find flat
# places between edges.
SIDE = 32
# Noise is followed over so many pixels: demosaicing, resampling and microscopes' optics
# reach no further in what was measured
# (docs/log/2026-11-26-white-or-correlated.md).
LAGS = 5
# Blocks are looked at in at most so many places of an image.
BLOCKS = 4096
# Of all blocks, this share is taken for flat.
FLAT = 0.1
# The standard normal distribution's quantile of that share.
_NORMAL_QUANTILE = -1.2815515655446004


class Autocovariance(NamedTuple):
    """What the flattest blocks say of the noise.

    Attributes:
        correlation: Autocovariance over variance, (2 LAGS + 1, 2 LAGS + 1, C, C).
        ratio: The variance of the noise over that of the line, of each channel, (C,).
        blocks: How many blocks were taken for flat.
        spread: Relative standard deviation of the variance of those blocks, over that of
            blocks of such noise alone: about 0.5 where there are many flat blocks, for the
            flattest are alike, and more than one where structure sets what is flattest.
    """

    correlation: np.ndarray
    ratio: np.ndarray
    blocks: int
    spread: float


def autocovariance(
    image: np.ndarray, line: tuple[float, float], mask: np.ndarray | None = None
) -> Autocovariance | None:
    """Estimate the autocovariance of the noise from the flattest blocks of an image.

    Blocks of 32 x 32 pixels, each less the quadratic surface that fits it best, are flat
    where their variance is least beside that of the line at their mean. The median of the
    autocovariances of the flattest tenth, each over its variance, is corrected for what
    the surface took away, which is linear in them: with the projection P away from the
    surfaces, `E[autocovariance(P n)] = A autocovariance(n)`, A known.

    Args:
        image: (H, W, C), any real dtype, or planes of a volume (H, W, planes, C).
        line: Slope and intercept of the variance of the finest details, see `variance_line`.
        mask: bool, of its shape, True where a pixel does not count: blocks with such are left out.

    Returns:
        What was found; None if the image has fewer than 16 such blocks with noise in them.

    Example:

    >>> from scipy.ndimage import uniform_filter
    >>> noise = uniform_filter(np.random.default_rng(0).normal(0, 9, (256, 256, 1)), (3, 3, 1), mode="wrap")
    >>> found = autocovariance(100 + noise, line=(0.0, 1.0))
    >>> expected = [1, 2 / 3, 1 / 3, 0]
    >>> bool(np.abs(found.correlation[LAGS, LAGS : LAGS + 4, 0, 0] - expected).max() < 0.1)
    True
    """
    blocks = _blocks(np.asarray(image, np.float64), mask)
    if blocks is None:
        return None
    means, rest = blocks
    variance = np.square(rest).sum((1, 2)) / (SIDE**2 - 6)
    noisy = (variance > (1e-6 * np.ptp(image)) ** 2).all(-1)
    if np.count_nonzero(noisy) < 16:
        return None
    means, rest, variance = means[noisy], rest[noisy], variance[noisy]
    expected = line[0] * means + line[1]
    # A line may fall below zero where there are no blocks to speak of.
    ratios = variance / np.maximum(expected, expected.max() / 100)
    flat = np.argsort(ratios.mean(-1), kind="stable")[: max(int(FLAT * len(rest)), 8)]
    correlation = _corrected(np.median(_normalised(rest[flat]), 0))
    chance = _chance(correlation)
    ratio = np.quantile(ratios, len(flat) / len(rest), axis=0) / (1 + _NORMAL_QUANTILE * chance)
    spread = float(np.std(np.log(ratios[flat].mean(-1)))) / chance
    return Autocovariance(correlation, ratio, len(flat), spread)


def scan_correlation(correlation: np.ndarray) -> tuple[float, float]:
    """Find what noise that else is white has in common with the next pixel along one axis, as a scan leaves it.

    Structure is alike along both axes, and further than one pixel: the most of what is alike there is taken away.

    Args:
        correlation: See `Autocovariance`.

    Returns:
        What the next pixel has beyond all others, negative where it has less; and the most that others have.

    Example:

    >>> correlation = np.zeros((2 * LAGS + 1, 2 * LAGS + 1, 1, 1))
    >>> correlation[LAGS, LAGS - 1 : LAGS + 2, 0, 0] = 0.06, 1, 0.06
    >>> scan_correlation(correlation)
    (0.06, 0.0)
    """
    grey = np.diagonal(correlation, axis1=-2, axis2=-1).mean(-1)[LAGS:, LAGS:]
    others = [float(max(lags[1, 0], lags[1, 1], lags[0, 2])) for lags in (grey, grey.T)]
    return max((float(grey[0, 1]) - others[0], others[0]), (float(grey[1, 0]) - others[1], others[1]))


def _blocks(image, mask):
    """The means of blocks, and they less their surfaces, (blocks, SIDE, SIDE, C); None if the image is too small."""
    *sides, channels = image.shape
    if min(sides[:2]) < SIDE:
        return None
    step = max(SIDE // 2, int(np.ceil((math.prod(sides) / BLOCKS) ** 0.5)))
    parts = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE), (0, 1))[::step, ::step]
    parts = np.moveaxis(parts, -3, -1).reshape(-1, SIDE**2, channels)
    if mask is not None:
        masked = np.lib.stride_tricks.sliding_window_view(mask.any(-1), (SIDE, SIDE), (0, 1))[::step, ::step]
        parts = parts[~masked.any((-2, -1)).reshape(-1)]
    surfaces = _surfaces()
    rest = parts - surfaces @ (surfaces.T @ parts)
    return parts.mean(1), rest.reshape(-1, SIDE, SIDE, channels)


@functools.cache
def _surfaces():
    """An orthonormal basis of the quadratic surfaces of a block, (SIDE^2, 6)."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    return np.linalg.qr(np.stack([np.ones_like(x), y, x, y * x, y * y, x * x], -1).reshape(SIDE**2, -1))[0]


def _normalised(blocks):
    """The autocovariances of blocks between channels, over their variances, (blocks, 2 LAGS + 1, 2 LAGS + 1, C, C)."""
    spectra = np.fft.rfft2(blocks, (2 * SIDE, 2 * SIDE), (1, 2))
    products = np.conj(spectra[..., :, None]) * spectra[..., None, :]
    found = np.fft.irfft2(products, (2 * SIDE, 2 * SIDE), (1, 2)) / SIDE**2
    found = np.roll(found, (LAGS, LAGS), (1, 2))[:, : 2 * LAGS + 1, : 2 * LAGS + 1]
    deviation = np.sqrt(np.diagonal(found[:, LAGS, LAGS], axis1=-2, axis2=-1))
    return found / (deviation[:, None, None, :, None] * deviation[:, None, None, None, :])


def _corrected(correlation):
    """Undo what taking the surfaces away and dividing by all pixels did to autocovariances."""
    side, channels = 2 * LAGS + 1, correlation.shape[-1]
    undone = np.linalg.solve(_bias(), correlation.reshape(side**2, -1)).reshape(correlation.shape)
    undone = (undone + undone[::-1, ::-1].swapaxes(-1, -2)) / 2
    deviation = np.sqrt(undone[LAGS, LAGS, range(channels), range(channels)])
    return np.clip(undone / np.outer(deviation, deviation), -1, 1)


@functools.cache
def _bias():
    """`A[k, l] = tr(S_k P S_-l P) / SIDE^2` with shifts S: the autocovariance at lag k that one at lag l leaves."""
    lags = [(y, x) for y in range(-LAGS, LAGS + 1) for x in range(-LAGS, LAGS + 1)]
    surfaces = _surfaces().reshape(SIDE, SIDE, -1)
    shifted = {lag: _shifted(surfaces, lag) for lag in lags}
    inner = {lag: np.einsum("yxi,yxj->ij", surfaces, shifted[lag]) for lag in lags}
    bias = np.empty((len(lags), len(lags)))
    for row, (y, x) in enumerate(lags):
        for column, (v, u) in enumerate(lags):
            whole = (SIDE - abs(y)) * (SIDE - abs(x)) if (y, x) == (v, u) else 0
            # tr(S_k Q Q' S_-l) = <S_l Q, S_k Q>, and the same with the transposes of both.
            one = np.sum(shifted[v, u] * shifted[y, x]) + np.sum(shifted[-v, -u] * shifted[-y, -x])
            bias[row, column] = whole - one + np.sum(inner[y, x] * inner[v, u])
    return bias / SIDE**2


def _shifted(images, lag):
    """Move images (H, W, C) by a lag, zeros coming in."""
    moved = np.zeros_like(images)
    target, source = zip(
        *((slice(max(0, d), SIDE + min(0, d)), slice(max(0, -d), SIDE + min(0, -d))) for d in lag), strict=True
    )
    moved[target] = images[source]
    return moved


def _chance(correlation):
    """The relative standard deviation of the variance of a block of such noise."""
    squares = np.square(np.diagonal(correlation, axis1=-2, axis2=-1)).sum((0, 1)).mean()
    return float((2 * squares / SIDE**2) ** 0.5)
