"""Noise models, and their estimation from one image."""

from __future__ import annotations

import dataclasses

import numpy as np

from gaintuning_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Additive white Gaussian noise, `y = x + sigma * n` with `n ~ N(0, 1)` for each pixel.

    Attributes:
        sigma: Standard deviation, in the units of the image; one number, or one for
            each image of a batch.

    Raises:
        InputError: `sigma` is not a positive finite number.

    Example:

    >>> GaussianNoise(25.0).scaled(1 / 255).sigma  # doctest: +ELLIPSIS
    0.098...
    """

    sigma: float | np.ndarray

    def __post_init__(self):
        sigma = np.asarray(self.sigma)
        if sigma.ndim:
            object.__setattr__(self, "sigma", sigma)
        if sigma.dtype.kind not in "fiu" or not (np.isfinite(sigma).all() and (sigma > 0).all()):
            raise InputError(
                f"expected sigma to be a positive number, in the units of the image, received {self.sigma}"
            )

    def scaled(self, factor: float) -> GaussianNoise:
        """The noise of the image times `factor`."""
        return GaussianNoise(self.sigma * factor)


def estimate_noise(image: np.ndarray, noise: str = "gaussian") -> GaussianNoise:
    """Estimate the noise of one image from itself.

    Gaussian: the median absolute deviation of the finest diagonal wavelet
    coefficients (Donoho and Johnstone, "Ideal spatial adaptation by wavelet
    shrinkage", Biometrika 1994), by `skimage.restoration.estimate_sigma`; the mean
    over the channels.

    Args:
        image: (H, W) or (H, W, C), any real dtype.
        noise: `"gaussian"`.

    Returns:
        The noise in the units of the image.

    Raises:
        InputError: The kind of noise is unknown, or the image is too small or too
            clean for an estimate.

    Example:

    >>> image = np.random.default_rng(0).normal(100, 5, (256, 256))
    >>> bool(abs(estimate_noise(image).sigma - 5) < 0.2)
    True
    """
    from skimage.restoration import estimate_sigma

    if noise != "gaussian":
        raise InputError(f"expected noise to be 'gaussian', received {noise!r}")
    if min(image.shape[:2]) < 4:
        raise InputError(f"cannot estimate the noise of a {image.shape[0]}x{image.shape[1]} image; pass sigma")
    channel_axis = -1 if image.ndim == 3 else None
    spread = float(np.ptp(image.astype(np.float64)))
    # Without spread there are no wavelet coefficients, and scikit-image's median is of nothing.
    sigma = (
        float(estimate_sigma(image.astype(np.float64), channel_axis=channel_axis, average_sigmas=True)) if spread else 0
    )
    if not sigma > 1e-6 * spread:  # what rounding in the wavelet transform leaves
        raise InputError("found no noise in the image: it is constant, or synthetic and clean; pass sigma")
    return GaussianNoise(sigma)
