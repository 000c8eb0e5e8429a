"""PSNR and SSIM of scikit-image, the range of the data always said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gaintuning_tf.errors import InputError


def psnr(reference: ArrayLike, image: ArrayLike, *, data_range: float) -> float:
    """Compute the peak signal-to-noise ratio, `10 log10(data_range^2 / mean((reference - image)^2))`, in dB.

    By `skimage.metrics.peak_signal_noise_ratio`; infinite for equal images.

    Args:
        reference: The clean image.
        image: The image to judge, of the same shape.
        data_range: Difference of the highest and the lowest value that the image can
            have: 255 for uint8, 1 for floats in [0, 1].

    Raises:
        InputError: The shapes differ, or `data_range` is not positive.

    Example:

    >>> round(psnr(np.zeros((8, 8)), np.full((8, 8), 0.1), data_range=1.0), 6)
    20.0
    """
    from skimage.metrics import peak_signal_noise_ratio

    reference, image = _checked(reference, image, data_range)
    if np.array_equal(reference, image):
        return math.inf
    return float(peak_signal_noise_ratio(reference, image, data_range=data_range))


def ssim(reference: ArrayLike, image: ArrayLike, *, data_range: float, channel_axis: int | None = None) -> float:
    """Compute the mean structural similarity (Wang et al., IEEE TIP 2004), at most 1.

    By `skimage.metrics.structural_similarity` with its default 7x7 windows.

    Args:
        reference: The clean image, sides of at least 7.
        image: The image to judge, of the same shape.
        data_range: As for `psnr`.
        channel_axis: The axis of the channels, if there is one.

    Raises:
        InputError: The shapes differ, a side is under 7, or `data_range` is not positive.

    Example:

    >>> ssim(np.eye(8), np.eye(8), data_range=1.0)
    1.0
    """
    from skimage.metrics import structural_similarity

    reference, image = _checked(reference, image, data_range)
    sides = [
        side
        for axis, side in enumerate(reference.shape)
        if channel_axis is None or axis != channel_axis % reference.ndim
    ]
    if min(sides) < 7:
        raise InputError(f"ssim expects sides of at least 7 pixels, received the shape {reference.shape}")
    found: Any = structural_similarity(reference, image, data_range=data_range, channel_axis=channel_axis)
    return float(found)


def _checked(reference, image, data_range):
    reference, image = np.asarray(reference, np.float64), np.asarray(image, np.float64)
    if reference.shape != image.shape:
        raise InputError(f"expected two images of one shape, received {reference.shape} and {image.shape}")
    if not data_range > 0:
        raise InputError(f"expected data_range to be a positive number, received {data_range}")
    return reference, image
