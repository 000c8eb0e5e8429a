"""The risk of counts from two parts of them: exact for Poisson noise, where differences are not."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, own_noise, takes_noise_tensors
from gaintuning_tf.losses.divergence import Denoise
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import NoiseModel, along_images
from gaintuning_tf.noise.tensors import AnyNoise, noise_tensors


class CountSplitting(RiskEstimate):
    """The error of predicting a random part of the counts from the rest.

    Each of the counts k goes into a second image with probability p: `k2 ~ Binomial(k, p)`, `k1 = k - k2`. If k is
    Poisson noise of mean m, k1 and k2 are independent and Poisson, of means `(1 - p) m` and `p m`. So with
    `y1 = gain k1 / (1 - p)` and `y2 = gain k2 / p`, for any f, the expectation of

    `1/n (|f(y1)|^2 - 2 f(y1) . y2 + 2 f(y) . (y2 - y) + |y|^2 - gain sum y)`

    is that of the mean squared error `|f(y1) - x|^2 / n`, at a dose lower by `1 - p` (Oliveira, Lei, Tibshirani,
    "Unbiased test error estimation in the Poisson means problem via coupled bootstrap techniques",
    2022; Neufeld, Dharamshi, Gao, Witten, "Data thinning for convolution-closed distributions", JMLR
    2024). The third term has mean zero and takes most of the variance of the second with it.

    `CoupledBootstrap` and `PoissonGaussianSURE` are for counts only nearly so: they add what is no
    count to the image, or differentiate where counts jump. At one electron per pixel gains tuned on them
    ended below the network's own output, on this one above
    (docs/log/2026-11-23-counts-split.md, which measured the share, too).

    Args:
        noise: `PoissonNoise` in the units of the image that is tuned on. May be left out here and given to the call.
        share: p.

    Raises:
        InputError: `share` is not between 0 and 1; or, when called, the noise is none of counts,
            or correlated.

    Example:

    >>> from gaintuning_tf.noise.models import PoissonNoise
    >>> noisy = 0.1 * tf.random.stateless_poisson((1, 128, 128, 1), (0, 1), 5.0, tf.float32)  # 0.5 everywhere
    >>> risk = CountSplitting(PoissonNoise(0.1))(lambda y: 0.5 * y, noisy, seed=(0, 2))
    >>> bool(abs(risk[0] - (0.25**2 + 0.25 * 0.1 * 0.5 / 0.8)) < 5e-3)
    True
    """

    def __init__(self, noise: float | np.ndarray | NoiseModel | None = None, *, share: float = 0.2):
        if not 0 < share < 1:
            raise InputError(f"CountSplitting expects share to lie between 0 and 1, received {share!r}")
        self.noise = own_noise(noise)
        self.share = float(share)
        self.noise_factor = 1 / (1 - self.share)

    def check_noise(self, noise: AnyNoise | None) -> None:
        """Refuse noise without counts, whose slope is zero, and correlated noise.

        Raises:
            InputError: It is.
        """
        known = noise_tensors(noise)
        if not known.is_white:
            raise InputError(
                "CountSplitting expects counts that are independent from pixel to pixel, received correlated noise: "
                "take the loss 'sure', CoupledBootstrap()"
            )
        slope = 0 if known.is_gaussian else tf.get_static_value(known.slope)
        if slope is not None and not np.all(np.greater(slope, 0)):
            raise InputError(
                "CountSplitting expects noise of counts, whose variance grows with the signal, received "
                f"{'Gaussian noise' if known.is_gaussian else 'a slope that is not above zero'}: say noise='poisson' "
                "or pass a model such as PoissonNoise(1.0), or take the loss 'sure'"
            )

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
        """Estimate the risk of each image, (N,), in its units squared, NaN at a slope of zero: see `RiskEstimate`."""
        known = self.known_noise(noise, noisy)
        self.check_noise(known)
        # What is no count has no risk, where a graph does not know its noise beforehand.
        slope = known.slope * tf.ones([1], noisy.dtype)
        gain = along_images(tf.where(slope > 0, slope, tf.constant(math.nan, slope.dtype)), noisy)
        counts = tf.maximum(tf.round(tf.cast(noisy / gain, tf.float64)), 0)
        drawn = draws.binomial(counts, self.share, seed)
        counts, second = tf.cast(counts, noisy.dtype), tf.cast(drawn, noisy.dtype)
        rest, part = gain * (counts - second) / (1 - self.share), gain * second / self.share
        from_rest, whole = tf.split(denoise(tf.concat([rest, noisy], 0)), 2)
        fit = tf.square(from_rest) - 2 * from_rest * part + 2 * whole * (part - noisy)
        return known.mean(fit + tf.square(noisy) - known.variance(noisy))
