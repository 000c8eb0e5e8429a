"""Where noise reaches an end of the range, at which it was clipped: there it is weaker, and has a mean."""

from __future__ import annotations

import numpy as np

# A share of pixels at an end of the range that is clipping, and worth a word.
CLIPPED = 1e-3
# Areas whose mean lies so many standard deviations of the noise from a clipped end are left
# out: 7 % of noise that far from it is clipped. Two deviations do alike
# (docs/log/2026-11-27-clipped-noise.md).
NEAR = 1.5
# Noise of the deviation s, clipped at zero, has a mean of 0.4 s at least, for no clean image
# is darker than that. Where more than DARK_SHARE of a dark area lies below DARK s, the
# area has little noise because it is dark, as that of counts.
DARK, DARK_SHARE = 0.25, 0.1
# The mean is that of a Gaussian window of this standard deviation, in pixels.
_WIDTH = 3.0
# So much of the image must be left for it to say anything of the rest.
LEAST = 0.25


def clipped_areas(image: np.ndarray, level: float, mask: np.ndarray | None = None) -> np.ndarray | None:
    """Find the areas in which noise that is the same everywhere reaches an end at which the image is clipped.

    Noise of the standard deviation s about a mean m, clipped at 0, has a mean above m and a variance below s^2; at
    m = 0 it has 0.4 s and 0.34 s^2. No estimate of the error of a result that takes s for the noise is
    true there, and no level that is found there is that of the rest. Dark areas with less noise than that are not
    clipped: noise that depends on the signal is weak there.

    Args:
        image: (H, W), (H, W, C), or a volume (D, H, W, C).
        level: s, in the units of the image.
        mask: True where a pixel does not count, of the image's shape.

    Returns:
        True there, of the image's shape; None where the image is not clipped, or too little of it would be left.

    Example:

    >>> noisy = np.random.default_rng(0).normal(np.repeat([[0.0, 100.0]], 128, 1), 20, (128, 256)).clip(0)
    >>> areas = clipped_areas(noisy, 20.0)
    >>> areas[:, :100].all(), areas[:, 156:].any()
    (True, False)
    """
    counted = image if mask is None else image[~mask]
    ends = [end for end in (counted.min(), counted.max()) if np.mean(counted == end) > CLIPPED]
    if not ends:
        return None
    mean, low = _local_mean(image), counted.min()
    near = [(end, np.abs(mean - end) < NEAR * level) for end in ends]
    areas = np.any([area for end, area in near if end != low or not _is_dark(mean[area] - low, level)], axis=0)
    left = ~areas if mask is None else ~areas & ~mask
    return areas if np.any(areas) and np.count_nonzero(left) >= LEAST * counted.size else None


def _local_mean(image):
    from scipy.ndimage import gaussian_filter

    down, across = (0, 1) if image.ndim == 2 else (image.ndim - 3, image.ndim - 2)
    widths = [_WIDTH if axis in (down, across) else 0 for axis in range(image.ndim)]
    return gaussian_filter(np.asarray(image, np.float64), widths, mode="nearest")


def _is_dark(means, level):
    return means.size > 0 and np.mean(means < DARK * level) > DARK_SHARE


def without_clipped(image: np.ndarray, level: float, mask: np.ndarray | None = None) -> np.ndarray | None:
    """Add `clipped_areas` to a mask: what counts of an image with noise of this level; None if all does."""
    areas = clipped_areas(image, level, mask)
    if areas is None or mask is None:
        return mask if areas is None else areas
    return mask | areas
