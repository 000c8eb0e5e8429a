"""Where noise reaches an end of the range, at which it was clipped: it is weaker there, and has a mean."""

from __future__ import annotations

import numpy as np

# A share of pixels at an end of the range that is clipping, and worth a word.
CLIPPED = 1e-3
# In small images, a share of so many pixels at least: of any image one pixel has the least value.
_FEWEST = 16
# Areas whose mean lies so many standard deviations of the noise from a clipped end are left
# out: 7 % of noise that far from it is clipped. Two deviations do alike
# (docs/log/2026-11-27-clipped-noise.md).
NEAR = 1.5
# Noise of the deviation s, clipped at zero, has a mean of 0.4 s at least, for no clean image
# is darker than that. Where more than DARK_SHARE of a dark area lies below DARK s, the
# area has little noise because it is dark, as that of counts.
DARK, DARK_SHARE = 0.25, 0.1
# Where noise is what it is taken for, so many of the pixels near a clipped end lie at it as it
# predicts: 0.97 to 1.2 times as many where it was drawn, 0.45 and 2.5 times in pictures that
# a camera or a microscope has clipped first and processed then
# (docs/log/2026-11-28-what-was-clipped-and-then-processed.md).
AS_OFTEN = 1.5
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
    >>> bool(areas[:, :100].all()), bool(areas[:, 156:].any())
    (True, False)
    """
    near = _near_ends(image, level, mask)
    areas = np.any(list(near.values()), axis=0)
    left = ~areas if mask is None else ~areas & ~mask
    return areas if np.any(areas) and np.count_nonzero(left) >= LEAST * _counted(image, mask).size else None


def without_clipped(image: np.ndarray, level: float, mask: np.ndarray | None = None) -> np.ndarray | None:
    """Add `clipped_areas` to a mask: what counts of an image with noise of this level; None if all does."""
    areas = clipped_areas(image, level, mask)
    if areas is None or mask is None:
        return mask if areas is None else areas
    return mask | areas


def without_bright(image: np.ndarray, line: tuple[float, float], mask: np.ndarray | None = None) -> np.ndarray | None:
    """Add to a mask the areas in which noise that grows with the signal reaches a clipped highest value.

    There it is weaker than the line of its variance says, and what is found of it does not lie on a line. The lowest
    value is no such end: noise that grows with the signal is weak where it is dark.

    Args:
        image: As for `clipped_areas`.
        line: Slope and intercept of the variance.
        mask: True where a pixel does not count, of the image's shape.

    Returns:
        True there, and in the mask; the mask as it is where there are none, or too little would be left.

    Example:

    >>> noisy = np.random.default_rng(0).normal(np.repeat([[100.0, 250.0]], 128, 1), 20, (128, 256)).clip(0, 255)
    >>> bright = without_bright(noisy, (2.0, 0.0))
    >>> bool(bright[:, :100].any()), bool(bright[:, 156:].all())
    (False, True)
    """
    counted = _counted(image, mask)
    if counted.max() not in clipped_ends(image, mask):
        return mask
    mean = _local_mean(image)
    bright = counted.max() - mean < NEAR * np.sqrt(np.maximum(line[0] * mean + line[1], 0))
    both = bright if mask is None else bright | mask
    return both if np.any(bright) and np.count_nonzero(~both) >= LEAST * counted.size else mask


def clipped_ends(image: np.ndarray, mask: np.ndarray | None = None) -> list[float]:
    """Find at which values an image is clipped: its least and its largest, if more pixels than by chance have them.

    Args:
        image: Any shape.
        mask: True where a pixel does not count, of its shape.

    Example:

    >>> clipped_ends(np.random.default_rng(0).normal(10, 20, (64, 64)).clip(0, 255))
    [0.0]
    """
    counted = _counted(image, mask)
    fewest = max(CLIPPED * counted.size, _FEWEST)
    return [float(end) for end in (counted.min(), counted.max()) if np.count_nonzero(counted == end) > fewest]


def unclipped(denoised: np.ndarray, image: np.ndarray, level: float, mask: np.ndarray | None = None) -> np.ndarray:
    """Take from a denoised image what clipping added to the mean of its noise.

    A denoiser finds the mean of what it sees. Noise of the standard deviation s about m, clipped at a and b, has

        E = a Phi((a - m) / s) + b (1 - Phi((b - m) / s)) + m (Phi((b - m) / s) - Phi((a - m) / s))
            + s (phi((a - m) / s) - phi((b - m) / s)),

    Phi the standard normal distribution and phi its density, which grows with m: m is found from it, between the ends,
    for there the clean image lies (Foi, "Clipped noisy images: heteroskedastic modeling and practical
    denoising", Signal Processing 2009).

    Args:
        denoised: Any shape and floating-point dtype.
        image: The noisy image, as for `clipped_areas`.
        level: s, in the units of both.
        mask: As for `clipped_areas`.

    Returns:
        m, of the dtype of `denoised`; `denoised` itself where `clipped_areas` finds none.

    Example:

    >>> noisy = np.random.default_rng(0).normal(np.repeat([[10.0, 100.0]], 128, 1), 20, (128, 256)).clip(0)
    >>> smooth = np.array([noisy[:, :128].mean(), 100.0])
    >>> smooth.round().tolist(), unclipped(smooth, noisy, 20.0).round().tolist()
    ([14.0, 100.0], [10.0, 100.0])
    """
    if clipped_areas(image, level, mask) is None:
        return denoised
    counted = _counted(image, mask)
    low, high = float(counted.min()), float(counted.max())
    clean = np.linspace(low, high, 4096)
    ends = _near_ends(image, level, mask)
    mean = _clipped_mean(clean, level, low if low in ends else -np.inf, high if high in ends else np.inf)
    outside = (denoised < low) & (low not in ends) | (denoised > high) & (high not in ends)
    return np.where(outside, denoised, np.interp(denoised, mean, clean)).astype(denoised.dtype)


def has_clipped_mean(denoised: np.ndarray, image: np.ndarray, found: np.ndarray) -> bool:
    """Tell whether a denoised image has the mean of clipped noise in it: not that of a network trained on such noise.

    Where it has, the noise that was taken out has no mean; where not, it has the one that clipping adds.

    Args:
        denoised: The denoised image.
        image: The noisy one, of its shape.
        found: What `unclipped` makes of it.

    Example:

    >>> noisy = np.random.default_rng(0).normal(np.repeat([[10.0, 100.0]], 128, 1), 20, (128, 256)).clip(0)
    >>> seen = np.repeat([[noisy[:, :128].mean(), 100.0]], 128, 1) * np.ones((128, 1))
    >>> found = unclipped(seen, noisy, 20.0)
    >>> has_clipped_mean(seen, noisy, found), has_clipped_mean(found, noisy, unclipped(found, noisy, 20.0))
    (True, False)
    """
    added = found.astype(np.float64) - denoised
    return bool(np.sum((denoised - image) * added) < np.sum(np.square(added)) / 2)


def is_clipped_as_often(clean: np.ndarray, image: np.ndarray, level: float, mask: np.ndarray | None = None) -> bool:
    """Tell whether as many pixels lie at the ends as noise of this level about a clean image puts there.

    If not, the noise was not clipped as it is now: it is not the same everywhere, or what was clipped was processed.

    Args:
        clean: An estimate of the clean image.
        image: The noisy one, as for `clipped_areas`.
        level: Standard deviation of the noise, in the units of both.
        mask: As for `clipped_areas`.

    Example:

    >>> noisy = np.random.default_rng(0).normal(np.repeat([[10.0, 100.0]], 128, 1), 20, (128, 256)).clip(0)
    >>> clean = np.repeat([[10.0, 100.0]], 128, 1) * np.ones((128, 1))
    >>> is_clipped_as_often(clean, noisy, 20.0), is_clipped_as_often(clean + 15, noisy, 20.0)
    (True, False)
    """
    from scipy.special import ndtr

    found = expected = 0.0
    for end, area in _near_ends(image, level, mask).items():
        area = area if mask is None else area & ~mask
        beyond = 1 if end == _counted(image, mask).min() else -1
        found += np.count_nonzero(image[area] == end)
        expected += np.sum(ndtr(beyond * (end - clean[area]) / level))
    return bool(expected / AS_OFTEN <= found <= expected * AS_OFTEN)


def _clipped_mean(clean, level, low, high):
    from scipy.special import ndtr

    below, above = (low - clean) / level, (high - clean) / level
    densities = [np.exp(-(part**2) / 2) / np.sqrt(2 * np.pi) for part in (below, above)]
    at_ends = [end * share if np.isfinite(end) else 0 for end, share in ((low, ndtr(below)), (high, ndtr(-above)))]
    return sum(at_ends) + clean * (ndtr(above) - ndtr(below)) + level * (densities[0] - densities[1])


def _counted(image, mask):
    return image if mask is None else image[~mask]


def _near_ends(image, level, mask):
    """Find, for each end at which the image is clipped, the area that noise of this level reaches it from."""
    ends = clipped_ends(image, mask)
    if not ends:
        return {}
    low, mean = _counted(image, mask).min(), _local_mean(image)
    near = {end: np.abs(mean - end) < NEAR * level for end in ends}
    return {end: area for end, area in near.items() if end != low or not _is_dark(mean[area] - low, level)}


def _local_mean(image):
    from scipy.ndimage import gaussian_filter

    down, across = (0, 1) if image.ndim == 2 else (image.ndim - 3, image.ndim - 2)
    widths = [_WIDTH if axis in (down, across) else 0 for axis in range(image.ndim)]
    return gaussian_filter(np.asarray(image, np.float64), widths, mode="nearest")


def _is_dark(means, level):
    return means.size > 0 and np.mean(means < DARK * level) > DARK_SHARE
