"""The noise of one image, estimated from itself."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.automatic import examine_noise
from gaintuning_tf.noise.clipping import without_clipped
from gaintuning_tf.noise.details import side_by_side
from gaintuning_tf.noise.models import KINDS, GaussianNoise, NoiseModel, PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.noise.variance_line import count_unit, masked_coefficients, variance_line

# The median of the absolute value of standard normal numbers.
NORMAL_MEDIAN = 0.6744897501960817


@overload
def estimate_noise(
    image: np.ndarray, noise: Literal["gaussian"] = "gaussian", *, mask: np.ndarray | None = None
) -> GaussianNoise: ...
@overload
def estimate_noise(image: np.ndarray, noise: Literal["poisson"], *, mask: np.ndarray | None = None) -> PoissonNoise: ...
@overload
def estimate_noise(
    image: np.ndarray, noise: Literal["poisson-gaussian"], *, mask: np.ndarray | None = None
) -> PoissonGaussianNoise: ...
@overload
def estimate_noise(image: np.ndarray, noise: str, *, mask: np.ndarray | None = None) -> NoiseModel: ...
def estimate_noise(image: np.ndarray, noise: str = "gaussian", *, mask: np.ndarray | None = None) -> NoiseModel:
    """Estimate the noise of one image from itself.

    Auto: the simplest model that the image does not contradict, white or correlated, the same
    everywhere or growing with the signal, see `automatic.examine_noise`.

    Gaussian: the median absolute deviation of the finest diagonal wavelet
    coefficients (Donoho and Johnstone, "Ideal spatial adaptation by wavelet
    shrinkage", Biometrika 1994), by `skimage.restoration.estimate_sigma`; the mean
    over the channels.

    Poisson: the line through the origin, and Poisson-Gaussian: any line, that the variance
    of the noise follows over the mean in small areas, see `variance_line.variance_line`. A line
    has no more than two numbers: of read-out noise and black level, an intercept above zero
    is taken for the first and one below for the second. The variance is known well at the
    values that the image has; slope and intercept by themselves only if these differ enough.
    Of a volume, the planes are looked at, 32 of them or all.
    Gaussian noise is estimated beside the areas in which it was clipped (`clipping.clipped_areas`); of the other kinds,
    it is underestimated there. Where all values are whole multiples of
    nearly the Poisson gain, they are counts, and that unit is the gain: see `count_unit`.

    Args:
        image: (H, W) or (H, W, C), any real dtype; or a volume (D, H, W, C). For `"poisson"`, an image of counts, or of
            counts times any number; nothing must have been subtracted.
        noise: `"auto"`, `"gaussian"`, `"poisson"` or `"poisson-gaussian"`.
        mask: True where a pixel does not count, of the image's shape; what is measured near it is
            left out. There the image has to be finite, as if it went on.

    Returns:
        The noise in the units of the image.

    Raises:
        InputError: The kind of noise is unknown, or the image is too small or too
            clean for an estimate.

    Example:

    >>> image = np.random.default_rng(0).normal(100, 5, (256, 256))
    >>> bool(abs(estimate_noise(image).sigma - 5) < 0.2)
    True
    >>> image = np.random.default_rng(0).poisson(3, (256, 256))
    >>> estimate_noise(image, "poisson").gain
    1.0
    """
    if noise not in KINDS:
        raise InputError(
            f"expected noise to be {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}, received {noise!r}"
        )
    if noise == "auto":
        return examine_noise(image, mask).noise
    if image.ndim == 4:
        image, mask = side_by_side(image), side_by_side(np.zeros(image.shape, bool) if mask is None else mask)
    if noise == "gaussian":
        if min(image.shape[:2]) < 4:
            raise InputError(f"cannot estimate the noise of a {image.shape[0]}x{image.shape[1]} image; pass sigma")
        return GaussianNoise(_unclipped_sigma(image, mask))
    if noise == "poisson":
        counted = image if mask is None else image[~mask]
        if np.mean(counted) <= 0:
            raise InputError("expected counts of Poisson noise, received an image of mean zero or less")
        gain = variance_line(image, through_origin=True, mask=mask)[0]
        return PoissonNoise(count_unit(counted, gain) or gain)
    slope, intercept = variance_line(image, mask=mask)
    if intercept < 0:
        return PoissonGaussianNoise(slope, 0.0, -intercept / slope)
    return PoissonGaussianNoise(slope, intercept**0.5)


def _unclipped_sigma(image, mask):
    """Estimate the level beside where noise of this level was clipped: the first that is found is too low."""
    inside = mask
    for _ in range(3):
        sigma = _estimate_sigma(image) if inside is None else _sigma_beside(image, inside)
        inside = without_clipped(image, sigma, mask)
        if inside is mask:
            break
    return sigma


def _estimate_sigma(image):
    from skimage.restoration import estimate_sigma

    channel_axis = -1 if image.ndim == 3 else None
    spread = float(np.ptp(image.astype(np.float64)))
    # Without spread there are no wavelet coefficients, and scikit-image's median is of nothing.
    # The average is one number, which scikit-image's annotations do not say.
    average: Any = (
        estimate_sigma(image.astype(np.float64), channel_axis=channel_axis, average_sigmas=True) if spread else 0
    )
    sigma = float(average)
    if not sigma > 1e-6 * spread:  # what rounding in the wavelet transform leaves
        raise InputError("found no noise in the image: it is constant, or synthetic and clean; pass sigma")
    return sigma


def _sigma_beside(image, mask):
    """Estimate as `_estimate_sigma` does, from the wavelet coefficients that no masked pixel is in."""
    import pywt

    details = pywt.dwt2(image.astype(np.float64), "db2", mode="symmetric", axes=(0, 1))[1][2]
    used = ~masked_coefficients(mask) & (details != 0)
    channels = zip(np.atleast_3d(details).T, np.atleast_3d(used).T, strict=True)
    sigmas = [np.median(np.abs(values[some])) / NORMAL_MEDIAN for values, some in channels if some.any()]
    spread = float(np.ptp(image[~mask])) if sigmas else 0.0
    sigma = float(np.mean(sigmas)) if sigmas else 0.0
    if not sigma > 1e-6 * spread:
        raise InputError("found no noise in the pixels that count: they are too few, or clean; pass sigma")
    return sigma
