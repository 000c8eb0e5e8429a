"""Noise as cameras and microscopes make it, drawn for one crop: correlated, signal-dependent, or both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

# Filters have 7x7 taps: as wide as Gaussians need whose neighbours correlate by 0.8; from lag 5 on
# they leave a correlation below 0.01.
RADIUS = 3
NEIGHBOUR = 0.8  # the highest correlation of neighbours that is drawn; pictures of phones have 0.3 to 0.7
# The variance at black and at white lies between these shares of that at mid-grey: from shot noise
# without read-out noise to pictures after a gamma curve, where the dark is noisier than the bright.
TILT = (-0.5, 1.0)
_TAPS = np.arange(-RADIUS, RADIUS + 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class CameraNoise:
    """Gaussian noise with a line of the variance, a filter for each channel, and a mixture of the channels.

    `y = x + s(x) * sum_i mixing[:, i] * (filters[..., i] convolved with w_i)`, with w white and
    `s(x)^2 = max(slope * x + intercept, 0)`. The line is that of a sensor (Foi, Trimeche, Katkovnik,
    Egiazarian, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE
    TIP 2008); demosaicing, binning and smoothing filter it, whence it is correlated over pixels and
    channels (Zhou et al., "When AWGN-based denoiser meets real noises", AAAI 2020).

    Attributes:
        slope: Of the variance, in units of the crop.
        intercept: The variance at zero, in their square.
        filters: (K, L, C), each with a sum of squares of one.
        mixing: (C, C), its rows with a sum of squares of one on average.

    Example:

    >>> noise = CameraNoise(0.0, 0.01, np.full((2, 1, 1), 0.5**0.5), np.eye(1))
    >>> drawn = noise.sample(np.zeros((400, 400, 1), "float32"), np.random.default_rng(0))[..., 0]
    >>> round(float(drawn.std()), 2), round(float(np.mean(drawn[1:] * drawn[:-1]) / drawn.var()), 1)
    (0.1, 0.5)
    """

    slope: float
    intercept: float
    filters: np.ndarray
    mixing: np.ndarray

    def sample(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a noisy crop, float32.

        Args:
            clean: (H, W, C), in the units of the noise.
            rng: Where the random numbers come from.
        """
        spread = np.sqrt(np.maximum(np.float32(self.slope) * clean + np.float32(self.intercept), 0))
        noise = self._filtered(clean.shape, rng) @ self.mixing.T.astype(np.float32)
        return (clean + spread * noise).astype(np.float32)

    def _filtered(self, shape, rng):
        """Draw white noise, filtered: stationary, so that opposite borders have nothing in common."""
        high, wide = (side - 1 for side in self.filters.shape[:2])
        sides = (shape[0] + high, shape[1] + wide)
        white = rng.standard_normal((*sides, shape[2]), np.float32)
        if not (high or wide):
            return white * self.filters.astype(np.float32)
        spectrum = np.fft.rfft2(white, axes=(0, 1)) * np.fft.rfft2(self.filters, sides, axes=(0, 1))
        return np.fft.irfft2(spectrum, sides, axes=(0, 1))[high:, wide:].astype(np.float32)


def draw_camera_noise(rng: np.random.Generator, sigma: float, channels: int) -> CameraNoise:
    """Draw the noise of a crop that is not white Gaussian: correlated, signal-dependent, or both, equally often.

    Filters are Gaussian (with axes in any direction), linear interpolation (as in demosaicing and enlarging) or a
    box, each alike along both axes in half of the cases; neighbours correlate by 0 to `NEIGHBOUR`, drawn uniformly.
    A third of the filters has a peak in its centre besides, and so tails.

    Args:
        rng: Where the random numbers come from.
        sigma: Standard deviation at mid-grey, the root mean square over the channels, in units of the crop.
        channels: Of the crop. With several, half of the draws give each a filter of its own, and all a random
            covariance between them: from none to common to all, with levels within a factor of two.

    Example:

    >>> noise = draw_camera_noise(np.random.default_rng(0), 0.1, 1)
    >>> round(noise.slope / 2 + noise.intercept, 4)
    0.01
    """
    correlated, dependent = ((True, False), (False, True), (True, True))[rng.integers(3)]
    tilt = rng.uniform(*TILT) if dependent else 0.0
    filters = _filters(rng, channels) if correlated else np.ones((1, 1, channels))
    return CameraNoise(2 * tilt * sigma**2, (1 - tilt) * sigma**2, filters, draw_mixing(rng, channels))


def _filters(rng, channels):
    """Draw a filter for all channels, or one for each."""
    if channels == 1 or rng.random() < 0.5:
        return np.repeat(draw_filter(rng)[..., None], channels, axis=-1)
    return np.stack([draw_filter(rng) for _ in range(channels)], axis=-1)


def draw_filter(rng: np.random.Generator) -> np.ndarray:
    """Draw a filter as `draw_camera_noise` does.

    Args:
        rng: Where the random numbers come from.

    Returns:
        (7, 7), with a sum of squares of one.

    Example:

    >>> drawn = draw_filter(np.random.default_rng(0))
    >>> drawn.shape, round(float(np.sum(drawn**2)), 6)
    ((7, 7), 1.0)
    """
    shape, widths = _SHAPES[rng.integers(len(_SHAPES))]
    first = rng.uniform(0, NEIGHBOUR)
    second = first if rng.random() < 0.5 else rng.uniform(0, NEIGHBOUR)
    one, other = (np.interp(neighbour, widths[1], widths[0]) for neighbour in (first, second))
    turned = shape is _gaussian
    drawn = _turned_gaussian(one, other, rng.uniform(0, np.pi)) if turned else np.outer(shape(one), shape(other))
    drawn = drawn / np.linalg.norm(drawn)
    if rng.random() < 1 / 3:
        drawn[RADIUS, RADIUS] += rng.random()
    return drawn / np.linalg.norm(drawn)


def _gaussian(width):
    return np.exp(-np.square(_TAPS / width) / 2)


def _interpolation(width):
    return np.maximum(1 - np.abs(_TAPS) / width, 0)


def _box(width):
    return np.clip((width + 1) / 2 - np.abs(_TAPS), 0, 1)


def _turned_gaussian(one, other, angle):
    along = np.cos(angle) * _TAPS[:, None] + np.sin(angle) * _TAPS
    across = np.cos(angle) * _TAPS - np.sin(angle) * _TAPS[:, None]
    return np.exp(-(np.square(along / one) + np.square(across / other)) / 2)


def _by_neighbour(shape: Callable, narrowest: float, widest: float) -> tuple[np.ndarray, np.ndarray]:
    """Tabulate widths of a shape, and the correlation of neighbours after it."""
    widths = np.linspace(narrowest, widest, 200)
    taps = np.stack([shape(width) for width in widths])
    neighbour = np.sum(taps[:, 1:] * taps[:, :-1], axis=1) / np.sum(np.square(taps), axis=1)
    # A box whose ends are nearly whole pixels correlates less than a narrower one: such widths are not drawn.
    return widths, np.maximum.accumulate(neighbour)


_SHAPES = tuple(
    (shape, _by_neighbour(shape, *limits))
    for shape, limits in ((_gaussian, (0.2, 1.3)), (_interpolation, (1.0, 3.0)), (_box, (1.0, 5.0)))
)


def draw_mixing(rng: np.random.Generator, channels: int) -> np.ndarray:
    """Draw how white noise of as many sources enters the channels, as `draw_camera_noise` does.

    Args:
        rng: Where the random numbers come from.
        channels: Of the image.

    Returns:
        (channels, channels), its rows with a sum of squares of one on average.

    Example:

    >>> draw_mixing(np.random.default_rng(0), 1).tolist()
    [[1.0]]
    """
    if channels == 1:
        return np.ones((1, 1))
    common = rng.random()
    mixing = (1 - common) * np.eye(channels) + common * rng.normal(rng.uniform(0, 2), 1, (channels, channels))
    levels = 2 ** rng.uniform(-0.5, 0.5, channels)
    mixing *= (levels / np.linalg.norm(mixing, axis=1))[:, None]
    return mixing / np.sqrt(np.mean(np.square(levels)))
