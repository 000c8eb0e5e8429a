"""Noise that no model here fits, for it is alike all over an image: stripes of rows or columns, and waves."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

# Stripes are looked for in so many parts of an image, side by side, and have to be in each:
# their profiles agree by ALIKE or more, and they are at least this SHARE of the variance of
# the noise. No picture with white noise and no real one had half the one with a fifth of the
# other (docs/log/2026-11-26-noise-that-no-model-fits.md).
PARTS, ALIKE, SHARE = 4, 0.5, 0.05
# A wave is a peak of the spectrum, so many times as high as what is around it, whose phase and
# height are alike in this share of PARTS x PARTS parts of the image. Textures and lattices of
# atoms are as high, but alike in three quarters of the parts at most.
PEAK, EVERYWHERE = 40.0, 0.85
# The height of a wave in a part may differ by this share from the median.
_NEAR = 0.4
# Slower waves are not told from what is in the image.
_PERIODS = 8
# What is around a peak is a square with this side; its mean logarithm lies Euler's constant
# below that of the mean, if what is there is noise.
_AROUND, _EULER = 13, 0.5772156649
# Of larger images, the middle is looked at.
_LARGEST = 1024


class Structure(NamedTuple):
    """A structure of the noise.

    Attributes:
        kind: `"rows"` or `"columns"`, stripes that run along these; or `"waves"`.
        share: Of the variance of the noise with it, how much is its.
        period: Pixels from crest to crest of a wave; None for stripes.
    """

    kind: str
    share: float
    period: float | None = None

    @property
    def words(self) -> str:
        """Put it into words.

        Example:

        >>> Structure("rows", 0.314).words, Structure("waves", 0.5, 13.33).words
        ('stripes along the rows, 31% of its variance', 'waves of 13.3 pixels, 50% of its variance')
        """
        what = f"stripes along the {self.kind}" if self.period is None else f"waves of {self.period:.3g} pixels"
        return f"{what}, {self.share:.0%} of its variance"


def structure_of(image: np.ndarray, variance: float) -> Structure | None:
    """Find stripes or waves that are alike all over an image, which its content is not.

    Stripes: a row less the mean of its two neighbours, averaged over a quarter of its pixels. Those
    four profiles are independent where noise is, and where there is an edge they agree in a row or two; with
    stripes they agree in all. Their covariance is the variance of the stripes, by 3/2 for the difference.

    A wave: the highest peak of the periodogram over its surroundings, at its frequency to a tenth of a bin. In each of
    sixteen parts of the image it has the same phase and height, which a texture or lattice, that ends somewhere,
    has not.

    Args:
        image: (H, W, C), of 64 pixels or more along each side; what pixels that do not count have in their place
            is like their surroundings.
        variance: That of the noise without them, of each channel.

    Returns:
        What was found, the stronger one; None if there is nothing of the kind.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(0, 5, (128, 128, 1))
    >>> structure_of(noise, 25.0), structure_of(noise + rng.normal(0, 5, (128, 1, 1)), 25.0).kind
    (None, 'rows')
    """
    grey = _middle(image.mean(-1))
    found = [_stripes(grey, "rows"), _stripes(grey.T, "columns"), _wave(grey, variance)]
    return max(filter(None, found), key=lambda one: one.share, default=None)


def _middle(image):
    starts = [max(0, (side - _LARGEST) // 2) for side in image.shape]
    return image[starts[0] : starts[0] + _LARGEST, starts[1] : starts[1] + _LARGEST]


def _stripes(image, kind):
    """Find stripes along the rows of an image."""
    details = image[1:-1] - (image[:-2] + image[2:]) / 2
    deviation = 1.4826 * float(np.median(np.abs(details)))
    if not deviation > 0:
        return None
    # Edges are rare and large: cut off, they weigh as any other detail.
    parts = np.array_split(np.clip(details, -2 * deviation, 2 * deviation), PARTS, axis=1)
    profiles = _without_extremes(np.array([part.mean(1) for part in parts]))
    covariance = profiles @ profiles.T / profiles.shape[1]
    deviations = np.sqrt(np.diag(covariance))
    if not deviations.all():
        return None
    pairs = list(itertools.combinations(range(PARTS), 2))
    alike = min(covariance[pair] / (deviations[pair[0]] * deviations[pair[1]]) for pair in pairs)
    share = float(np.median([covariance[pair] for pair in pairs])) / deviation**2
    return Structure(kind, min(share, 1.0)) if alike >= ALIKE and share >= SHARE else None


def _without_extremes(profiles):
    """Cut off what few rows alone have."""
    profiles = profiles - np.median(profiles, 1, keepdims=True)
    limit = 3 * 1.4826 * np.median(np.abs(profiles), 1, keepdims=True)
    return np.clip(profiles, -limit, limit)


def _wave(image, variance):
    """Find a wave, if there is one."""
    values = image - image.mean()
    places, height = _highest_peak(values)
    if height < PEAK:
        return None
    frequency = _refined(values, places)
    rows, columns = (np.exp(-2j * np.pi * f * np.arange(n)) for f, n in zip(frequency, values.shape, strict=True))
    heights = _part_by_part(values * rows[:, None] * columns)
    # The median of both parts, for few of them are at the mercy of an edge.
    middle = np.median(heights.real) + 1j * np.median(heights.imag)
    if not abs(middle) > 0:
        return None
    near = np.abs((heights * np.conj(middle)).real / abs(middle) ** 2 - 1) < _NEAR
    # The mean square of a wave; one that changes its sign from pixel to pixel has no phase.
    alternates = all(abs(f) > 0.49 or abs(f) * n < 0.5 for f, n in zip(frequency, values.shape, strict=True))
    power = abs(middle) ** 2 * (1 if alternates else 2)
    share = power / (power + max(variance, _difference(values)))
    if near.mean() < EVERYWHERE or share < SHARE:
        return None
    return Structure("waves", float(share), float(1 / np.hypot(*frequency)))


def _difference(image):
    """Measure the variance of noise by the difference of neighbours: too high where there is texture."""
    return max(float(np.median(np.abs(np.diff(image, axis=axis)))) for axis in (0, 1)) ** 2 * 1.4826**2 / 2


def _window(shape):
    return np.hanning(shape[0])[:, None] * np.hanning(shape[1])


def _highest_peak(values):
    """Find the bin of the periodogram that is highest beside what is around it, and how high."""
    from scipy.ndimage import uniform_filter

    spectrum = np.abs(np.fft.fft2(values * _window(values.shape))) ** 2
    logarithms = np.log(np.maximum(spectrum, spectrum.max() * 1e-12))
    heights = logarithms - uniform_filter(logarithms, _AROUND, mode="wrap") - _EULER
    rows, columns = (np.fft.fftfreq(side, 1 / side) for side in values.shape)
    slow = np.hypot(rows[:, None], columns) < _PERIODS
    place = np.unravel_index(np.argmax(np.where(slow, -np.inf, heights)), heights.shape)
    return (rows[place[0]], columns[place[1]]), float(np.exp(heights[place]))


def _refined(values, place):
    """Find the frequency of a peak to a tenth of a bin, in periods per pixel."""
    windowed = values * _window(values.shape)
    near = [(one + np.linspace(-0.6, 0.6, 13)) / side for one, side in zip(place, values.shape, strict=True)]
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(frequencies, np.arange(side)))
        for frequencies, side in zip(near, values.shape, strict=True)
    )
    best = np.unravel_index(np.argmax(np.abs(rows @ windowed @ columns.T)), (13, 13))
    return near[0][best[0]], near[1][best[1]]


def _part_by_part(values):
    """Average over PARTS x PARTS parts, each within a window."""
    height, width = (side // PARTS for side in values.shape)
    parts = values[: height * PARTS, : width * PARTS].reshape(PARTS, height, PARTS, width)
    window = _window((height, width))
    return np.einsum("aybx,yx->ab", parts, window / window.sum())
