"""Losses that draw noise: on the denoised image, or on a clean one."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gaintuning_tf.losses.base import RiskEstimate, own_noise, takes_noise_tensors
from gaintuning_tf.losses.divergence import Denoise
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import NoiseModel
from gaintuning_tf.noise.tensors import AnyNoise


class NoiseResamplingLoss(RiskEstimate):
    """The error of denoising the denoised image once more, under fresh noise.

    `|f(x0 + e) - x0|^2 / n` with x0 the image as the network denoised it before tuning, and e drawn
    from the noise model: the loss "noise resampling" of Mohan, Vincent, Manzorro, Crozier,
    Fernandez-Granda, Simoncelli, "Adaptive denoising via GainTuning", NeurIPS 2021. x0 stands
    in for the clean image: what it has lost cannot be found again. Its noise is another than that
    of the image, so that noise cannot be fitted.

    Args:
        noise: A noise model in the units of the image that is tuned on, or a number, the
            sigma of Gaussian noise. May be left out here and given to the call.

    The call's `reference` is x0. Without it, it is `f(y)` as f is, through which no gradient
    flows: then the target moves with the gains, and as zero gains have no error at all, only few steps are safe.

    Under XLA the noise must be known to be Gaussian or correlated: it has no Poisson numbers.

    Example:

    >>> loss = NoiseResamplingLoss(0.1)
    >>> risk = loss(lambda y: 0.5 * y, tf.zeros((1, 128, 128, 1)), seed=(0, 2))
    >>> bool(abs(risk[0] - 0.0025) < 5 * 0.0025 * (2 / 128**2) ** 0.5)
    True
    """

    uses_reference = True

    def __init__(self, noise: float | np.ndarray | NoiseModel | None = None):
        self.noise = own_noise(noise)

    @takes_noise_tensors
    def __call__(
        self,
        denoise: Denoise,
        noisy: tf.Tensor,
        noise: AnyNoise | None = None,
        *,
        seed: Seed,
        reference: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Estimate the risk of each image, (N,), in squared units of the image: see `RiskEstimate`."""
        known = self.known_noise(noise, noisy)
        target = tf.stop_gradient(denoise(noisy) if reference is None else tf.cast(reference, noisy.dtype))
        return known.mean(tf.square(denoise(target + known.draw(target, seed)) - target))


class SupervisedLoss(RiskEstimate):
    """The true error, of an image that is known clean: the best that tuning could do, for comparison.

    `|f(x + e) - x|^2 / n` with e drawn afresh from the noise model at each call.

    Args:
        noise: A noise model in the units of the image that is tuned on, or a number, the
            sigma of Gaussian noise. May be left out here and given to the call.

    Under XLA the noise must be known to be Gaussian or correlated: it has no Poisson numbers.

    Example:

    >>> risk = SupervisedLoss(0.1)(lambda y: y, tf.zeros((1, 128, 128, 1)), seed=(0, 2))
    >>> bool(abs(risk[0] - 0.01) < 5 * 0.01 * (2 / 128**2) ** 0.5)
    True
    """

    def __init__(self, noise: float | np.ndarray | NoiseModel | None = None):
        self.noise = own_noise(noise)

    @takes_noise_tensors
    def __call__(
        self,
        denoise: Denoise,
        noisy: tf.Tensor,
        noise: AnyNoise | None = None,
        *,
        seed: Seed,
        reference: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Compute the error of each image, (N,), in its units squared: see `RiskEstimate`; `noisy` is CLEAN here."""
        known = self.known_noise(noise, noisy)
        return known.mean(tf.square(denoise(noisy + known.draw(noisy, seed)) - noisy))
