"""Volumes as planes: how noise is looked at in them, and whether it goes on from plane to plane.

The planes of a volume are taken one after the other by most microscopes, so that noise is
white along the depth, and each plane is an image whose noise can be looked at. Where a
volume was resampled, filtered or reconstructed, that is not so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gaintuning_tf.noise.variance_line import masked_coefficients

# So many planes, evenly spread, say what the noise of a volume is: more take time, and
# of 32 planes of 64x64 pixels there are more blocks than of most images.
PLANES = 32
# A volume's noise goes on from plane to plane where the finest details of quiet blocks do
# by this share. That of independent planes, 8 of 32 x 32 pixels or 2 of 64 x 64, is zero
# with a standard deviation of 0.06; linear interpolation half-way gives 0.45.
CORRELATED_IN_DEPTH = 0.25
_SIDE, _QUIET = 8, 0.2


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
    ones, others = (_details(volume, mask, firsts + lag) for lag in (0, 1))
    products, powers = (_block_means(part).ravel() for part in (ones * others, (ones**2 + others**2) / 2))
    seen = np.isfinite(powers) & (powers > 0)
    if np.count_nonzero(seen) < 1 / _QUIET:
        return 0.0
    quiet = seen & (powers <= np.quantile(powers[seen], _QUIET))
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


def _details(volume, mask, numbers):
    """Find the finest diagonal details of some planes, (h, w, planes, C): NaN where a pixel does not count."""
    import pywt

    planes = np.moveaxis(np.asarray(volume[numbers], np.float64), 0, 2)
    found = pywt.dwt2(planes, "db2", mode="symmetric", axes=(0, 1))[1][2]
    if mask is None:
        return found
    return np.where(masked_coefficients(np.moveaxis(mask[numbers], 0, 2)), np.nan, found)


def _block_means(values):
    height, width = (size // _SIDE for size in values.shape[:2])
    parts = values[: height * _SIDE, : width * _SIDE]
    return parts.reshape(height, _SIDE, width, _SIDE, *values.shape[2:]).mean(axis=(1, 3))
