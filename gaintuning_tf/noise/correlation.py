"""Noise of which a pixel knows its neighbours: the correlation, and the filter that makes it of white noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError

# Two numbers that should be the same may differ by the rounding of float32.
ROUNDING = 1e-4
# An estimate of a correlation, or one cut off, has negative values in its spectrum, which
# no noise has. Without them it may differ by this much and not by more: a Gaussian of
# standard deviation 2 pixels, which autocorrelates to one of 2.8, is off by 0.08 when cut
# off at 5 pixels.
MOST_PROJECTED = 0.25
# The root of a spectrum is wider than the correlation, the more so where the spectrum
# touches zero, as that of a mean over pixels does. A filter of radius 3 r + 4 agrees with
# the correlation of radius r to 0.006 for means over 2x2 to 5x5 pixels, and
# Gaussians of standard deviation 0.7 to 2; filters of radius r are off by up to 0.12.
_WIDER, _MARGIN = 3, 4
# Spectra have at least as many frequencies along an axis, or twice as many as the filter
# has values: more than enough for it not to meet itself at the borders.
_FREQUENCIES = 64
# The words about a correlation name lags up to the last of at least this size.
WORTH_NAMING = 0.05
ALONG = "an autocovariance over the variance, of shape (2r+1, 2r+1), or (2r+1, 2r+1, C, C) for C channels"


def radius_of_filter(radius: Any) -> Any:
    """Choose how far the filter reaches that makes a correlation of this radius, a number or a tensor."""
    return _WIDER * radius + _MARGIN


def frequencies(radius: int) -> int:
    """Choose how many frequencies the spectrum of a correlation of this radius has along each axis."""
    return max(_FREQUENCIES, 4 * radius_of_filter(radius))


def checked_correlation(correlation: Any) -> np.ndarray | None:
    """Check that a correlation is one.

    Args:
        correlation: `rho[r + y, r + x, c, d]`, the covariance of the noise in channel c of a pixel with that in
            channel d of the one y rows below and x columns to the right, over the mean variance of
            the channels: (2r+1, 2r+1, C, C); without the last two axes, each channel has this one
            and is independent of the others. At lag zero it is one, of channels in the mean.
            Sides may differ. One more axis in front holds one for each image of a batch. None for white noise.

    Returns:
        It as float64; None for None, and for a correlation that is zero but at lag zero.

    Raises:
        InputError: It is not finite, has even sides, is not one at lag zero, not symmetric,
            larger than one, or far from that of any noise.

    Example:

    >>> checked_correlation([[0.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 0.0]]).shape
    (3, 3)
    """
    if correlation is None:
        return None
    found = np.asarray(correlation)
    if found.dtype.kind not in "fiu" or not 2 <= found.ndim <= 5:
        raise InputError(f"expected correlation to be {ALONG}, received shape {found.shape} of {found.dtype}")
    found = found.astype(np.float64)
    each = found if found.ndim in (3, 5) else found[None]
    if found.ndim > 3 and found.shape[-1] != found.shape[-2]:
        raise InputError(f"expected correlation to be {ALONG}, received shape {found.shape}")
    for one in each:
        _check_one(one)
    return None if _is_white(each) else found


def _check_one(one):
    """Refuse what is no correlation of one image."""
    if not one.size or not np.all(np.array(one.shape[:2]) % 2):
        raise InputError(f"expected correlation with odd sides, lag zero in the middle, received {one.shape[:2]}")
    if not np.isfinite(one).all():
        raise InputError("expected correlation to be finite, received NaN or infinite values")
    zero, own = one[one.shape[0] // 2, one.shape[1] // 2], _variances(one)
    if abs(own.mean() - 1) > ROUNDING or not own.min() > 0:
        raise InputError(f"expected correlation to be one at lag zero, received {zero}: divide it by the variance")
    if np.abs(one - _mirrored(one)).max() > ROUNDING:
        raise InputError(
            "expected correlation to be symmetric, rho[-lag, d, c] = rho[lag, c, d], received one that isn't"
        )
    most = np.abs(one / np.sqrt(np.outer(own, own)) if one.ndim == 4 else one).max()
    if most > 1 + ROUNDING:
        raise InputError(f"expected correlation of at most one, received {most:.4g}")
    off = np.abs(nearest_correlation(one) - one).max()
    if off > MOST_PROJECTED:
        raise InputError(
            f"expected a correlation that noise can have, received one {off:.2g} away from the next such: its spectrum "
            "is negative; do not cut it off where it is large"
        )


def _mirrored(one):
    """Give `rho[-lag, d, c]`."""
    turned = one[::-1, ::-1]
    return np.swapaxes(turned, -1, -2) if one.ndim == 4 else turned


def _is_white(each):
    lags = np.abs(in_colour(each, 1) if each.ndim == 3 else each)
    lags[:, lags.shape[1] // 2, lags.shape[2] // 2] -= np.eye(lags.shape[-1])
    return not np.any(lags)


def in_colour(correlation: np.ndarray, channels: int) -> np.ndarray:
    """Write a correlation (..., K, K) as that of independent channels, (..., K, K, channels, channels).

    Example:

    >>> in_colour(np.ones((1, 1)), 2)[0, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.asarray(correlation)[..., None, None] * np.eye(channels)


def nearest_correlation(correlation: np.ndarray) -> np.ndarray:
    """Find the nearest correlation that noise can have: that of the spectrum without its negative values.

    Negative values of the spectrum, of colours negative eigenvalues at a frequency, become zero: the
    nearest spectrum in mean square. What is left is brought to the same variance, and cut to the same lags.

    Args:
        correlation: That of one image, see `checked_correlation`; symmetric.

    Returns:
        Of the same shape.

    Example:

    >>> nearest_correlation(np.array([[0.6, 1.0, 0.6]])).round(2).tolist()
    [[0.56, 1.0, 0.56]]
    """
    radii = [side // 2 for side in correlation.shape[:2]]
    roots = _spectral_root(correlation)
    spectrum = np.conj(np.swapaxes(roots, -1, -2)) @ roots
    found = _cut(np.fft.ifft2(spectrum, axes=(0, 1)).real, radii)
    scale = np.sqrt(np.diag(found[radii[0], radii[1]]) / _variances(correlation))
    found = found / (scale[:, None] * scale)
    return found if correlation.ndim == 4 else found[..., 0, 0]


def _variances(correlation):
    """What each channel has at lag zero, (C,)."""
    zero = correlation[correlation.shape[0] // 2, correlation.shape[1] // 2]
    return np.diag(zero) if correlation.ndim == 4 else zero[None]


def correlation_filter(correlation: np.ndarray) -> np.ndarray:
    """Find the filter k that gives white noise w a correlation: `e = k * w`.

    The symmetric root of the spectrum, `k = F^-1 (F rho)^(1/2)`, has no phase and is the most compact;
    of colours, it is the root of a matrix at each frequency (Shumway, Stoffer, "Time series
    analysis and its applications", section 4; Makinen, Azzari, Foi, "Collaborative filtering of
    correlated noise", IEEE TIP 2020, eq. 1, for this model of noise). Negative values of the
    spectrum become zero, see `nearest_correlation`. The filter is cut to a radius of 3 r + 4, at which its
    autocovariance agrees with the correlation to 0.01, and divided by the root of its energy: the
    variance of e is one, or that of each channel at lag zero.

    Args:
        correlation: That of one image, see `checked_correlation`.

    Returns:
        (2m+1, 2m+1) or, from channel to channel, (2m+1, 2m+1, C, C): `e_d(p) = sum k[m + lag, c, d] w_c(p - lag)`.

    Example:

    >>> k = correlation_filter(np.array([[0.5, 1.0, 0.5]]))
    >>> round(float(np.sum(k**2)), 6), round(float(np.sum(k[:, 1:] * k[:, :-1])), 2)
    (1.0, 0.5)
    """
    radii = [radius_of_filter(side // 2) for side in correlation.shape[:2]]
    found = _cut(np.fft.ifft2(_spectral_root(correlation), axes=(0, 1)).real, radii)
    found = found * np.sqrt(_variances(correlation) / np.sum(np.square(found), (0, 1, 2)))
    return found if correlation.ndim == 4 else found[..., 0, 0]


def _spectral_root(correlation):
    """Find the root of the spectrum at each frequency, (frequencies, frequencies, C, C)."""
    one = correlation if correlation.ndim == 4 else correlation[..., None, None]
    radii = [side // 2 for side in one.shape[:2]]
    wrapped = np.zeros((*map(frequencies, radii), *one.shape[2:]))
    wrapped[: one.shape[0], : one.shape[1]] = one
    spectrum = np.fft.fft2(np.roll(wrapped, [-radius for radius in radii], (0, 1)), axes=(0, 1))
    if one.shape[-1] == 1:
        return np.sqrt(np.maximum(spectrum.real, 0))
    values, vectors = np.linalg.eigh(spectrum)
    return (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.conj(np.swapaxes(vectors, -1, -2))


def _cut(wrapped, radii):
    """Take the lags up to these radii, lag zero in the middle."""
    rolled = np.roll(wrapped, radii, (0, 1))
    return rolled[: 2 * radii[0] + 1, : 2 * radii[1] + 1]


def effective_share(correlation: np.ndarray | None) -> float:
    """Compute how many independent pixels one pixel of correlated noise is worth, for a mean of squares.

    The mean of n squares of normal noise of variance v has the variance `2 v^2 / n sum rho^2`, the sum over
    all lags, and over the channels d with the mean over c (Isserlis' theorem: `cov(a^2, b^2) = 2 cov(a, b)^2`). So
    it is as certain as that of `n / sum rho^2` independent ones.

    Args:
        correlation: That of one image; None for white noise.

    Example:

    >>> effective_share(np.array([[0.5, 1.0, 0.5]])), effective_share(None)
    (0.6666666666666666, 1.0)
    """
    if correlation is None:
        return 1.0
    channels = correlation.shape[-1] if correlation.ndim == 4 else 1
    return channels / float(np.sum(np.square(correlation)))


def coloured_noise(correlation: np.ndarray, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Draw normal noise of variance one with a correlation.

    Args:
        correlation: That of one image, see `checked_correlation`.
        shape: (H, W), (H, W, C) or, of several images or of the planes of a volume, (N, H, W, C); (N, D, H, W, C) of
            volumes.
        rng: Where the random numbers come from.

    Raises:
        InputError: The image has another number of axes or channels.

    Example:

    >>> noise = coloured_noise(np.array([[0.5, 1.0, 0.5]]), (256, 256), np.random.default_rng(0))
    >>> round(float(np.mean(noise[:, 1:] * noise[:, :-1])), 1)
    0.5
    """
    from scipy.signal import fftconvolve

    if len(shape) not in (2, 3, 4, 5) or correlation.shape[3:] not in ((), tuple(shape[2:][-1:])):
        raise InputError(f"expected an image (H, W) or (H, W, C) for noise {text_of(correlation)}, received {shape}")
    *several, rows, columns, channels = shape if len(shape) >= 4 else (1, *shape, 1)[:4]
    number = math.prod(several)
    kernel = correlation_filter(correlation)
    size = np.add((rows, columns), kernel.shape[:2]) - 1
    white = rng.standard_normal((number, *size, channels))
    if kernel.ndim == 2:
        return fftconvolve(white, kernel[None, ..., None], "valid", axes=(1, 2)).reshape(shape)
    return fftconvolve(white[..., None], kernel[None], "valid", axes=(1, 2)).sum(3).reshape(shape)


def text_of(correlation: np.ndarray | None) -> str:
    """Put a correlation into words: how far it reaches, and how large it is along the stronger axis.

    Args:
        correlation: That of one image, or of several, of which the mean is described; None for white noise.

    Example:

    >>> text_of(None), text_of(np.array([[0.2, 0.6, 1.0, 0.6, 0.2]]))
    ('white', 'correlated over 2 pixels: 0.60, 0.20')
    """
    if correlation is None:
        return "white"
    one = correlation.mean(0) if correlation.ndim in (3, 5) else correlation
    grey = np.mean(np.diagonal(one, axis1=-2, axis2=-1), -1) if one.ndim == 4 else one
    rows, columns = (side // 2 for side in grey.shape)
    along = max(grey[rows, columns + 1 :], grey[rows + 1 :, columns], key=lambda lags: float(np.sum(np.square(lags))))
    named = np.flatnonzero(np.abs(along) >= WORTH_NAMING)
    reach = int(named[-1]) + 1 if named.size else 0
    text = f"correlated over {reach} pixel{'s' * (reach > 1)}: {', '.join(f'{lag:.2f}' for lag in along[:reach])}"
    return text if reach else _weak_text(one, grey)


def _weak_text(one, grey):
    """Describe a correlation that is small along the axes."""
    rest = np.abs(grey).copy()
    rest[tuple(side // 2 for side in grey.shape)] = 0
    if one.ndim == 4 and rest.max() < WORTH_NAMING:
        deviations = np.sqrt(_variances(one))
        between = one[one.shape[0] // 2, one.shape[1] // 2] / np.outer(deviations, deviations) - np.eye(one.shape[-1])
        return f"correlated between channels: up to {between.flat[np.argmax(np.abs(between))]:.2f}"
    return f"correlated by at most {rest.max():.2f}"


def is_between_channels(correlation: np.ndarray | None) -> bool:
    """Tell whether noise is correlated between the channels of a pixel alone, and not between pixels.

    Example:

    >>> alike = np.array([[[[1.0, 0.8], [0.8, 1.0]]]])
    >>> is_between_channels(alike), is_between_channels(np.array([[0.6, 1.0, 0.6]])), is_between_channels(None)
    (True, False, False)
    """
    return correlation is not None and correlation.ndim >= 4 and correlation.shape[-4:-2] == (1, 1)


def joined_correlations(correlations: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Join the correlations of the images of a batch: the one that all have, or one for each.

    Args:
        correlations: Of one image each, of any radii; None for white noise.

    Returns:
        As `checked_correlation` takes it: with an axis in front unless all are the same.

    Raises:
        InputError: They are of different numbers of channels.

    Example:

    >>> joined_correlations([None, np.array([[0.5, 1.0, 0.5]])]).tolist()
    [[[0.0, 1.0, 0.0]], [[0.5, 1.0, 0.5]]]
    """
    first = correlations[0]
    if all((one is None) == (first is None) and np.array_equal(_of(one), _of(first)) for one in correlations):
        return first
    found = [_of(one) for one in correlations]
    channels = {one.shape[-1] for one in found if one.ndim == 4}
    if len(channels) > 1:
        raise InputError(f"expected images of the same number of channels, received correlations of {sorted(channels)}")
    if channels:
        found = [one if one.ndim == 4 else in_colour(one, *channels) for one in found]
    sides = np.max([one.shape[:2] for one in found], 0)
    return np.stack([_padded(one, sides) for one in found])


def _of(correlation):
    return np.ones((1, 1)) if correlation is None else correlation


def _padded(one, sides):
    margins = [((side - own) // 2,) * 2 for side, own in zip(sides, one.shape, strict=False)]
    return np.pad(one, margins + [(0, 0)] * (one.ndim - 2))
