"""Correlations of noise, and what they are measured by."""

import numpy as np


def of_filter(kernel):
    """The autocorrelation of a filter, at all its lags."""
    kernel = np.asarray(kernel, float)
    radii = [side - 1 for side in kernel.shape]
    return autocorrelation(kernel / np.sqrt(np.sum(kernel**2)), radii)


def autocorrelation(kernel, radii):
    """The sum of products of a filter with itself, up to these lags."""
    sides = [2 * (side + radius) for side, radius in zip(kernel.shape, radii, strict=True)]
    found = np.fft.ifft2(np.abs(np.fft.fft2(kernel, sides)) ** 2).real
    return np.roll(found, radii, (0, 1))[: 2 * radii[0] + 1, : 2 * radii[1] + 1]


def between_channels(kernel):
    """The correlation of `e_d(p) = sum k[lag, c, d] w_c(p - lag)`, without symmetry in lags or channels alone."""
    kernel = kernel / np.sqrt(np.sum(kernel**2, (0, 1, 2)))
    spectrum = np.fft.fft2(kernel, (16, 16), axes=(0, 1))
    found = np.fft.ifft2(np.einsum("yxac,yxad->yxcd", spectrum.conj(), spectrum), axes=(0, 1)).real
    radii = [side - 1 for side in kernel.shape[:2]]
    return np.roll(found, radii, (0, 1))[: 2 * radii[0] + 1, : 2 * radii[1] + 1]


def autocovariance_of(image, radius):
    """The mean of products of an image (H, W, C) with itself, (2r+1, 2r+1, C, C)."""
    height, width = (side - 2 * radius for side in image.shape[:2])
    middle = image[radius : radius + height, radius : radius + width]
    lags = range(2 * radius + 1)
    shifted = [[image[y : y + height, x : x + width] for x in lags] for y in lags]
    return np.array([[np.einsum("hwc,hwd->cd", middle, one) for one in row] for row in shifted]) / (height * width)


def gaussian(width, radius=3):
    """A Gaussian filter."""
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
    return np.outer(line, line)


# Of radius 1, 2 and, between three channels, 2: made of filters, so that noise can have
# them.
GREY = of_filter(np.array([[1.0, 0.5], [0.3, 0.0]]))
BLURRED = of_filter(np.array([[0.5, 1, 0.5], [1, 2, 1], [0.5, 1, 0.5]]))
_MIXED = np.eye(3) * BLURRED[1:4, 1:4, None, None] + np.random.default_rng(0).uniform(-0.3, 0.3, (3, 3, 3, 3))
COLOUR = between_channels(_MIXED)
_LEVELS = np.sqrt([0.5, 0.9, 1.6])
# The same, each channel with a level of its own.
UNEQUAL = COLOUR * np.outer(_LEVELS, _LEVELS)
