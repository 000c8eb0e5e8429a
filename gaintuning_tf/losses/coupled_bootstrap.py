"""The risk from two noisier copies of the image: Stein's estimate with a gradient that is less noisy."""

from __future__ import annotations

import copy

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, own_noise, takes_noise_tensors
from gaintuning_tf.losses.divergence import Denoise, draw_direction
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import NoiseModel, along_images
from gaintuning_tf.noise.tensors import AnyNoise

# Results are compared by a difference of this width: short enough for its risk to be
# that at the image's own noise level, whose variance it raises by 1 %
# (docs/log/2026-11-23-why-the-gradient-of-monte-carlo-sure-is-noisy.md).
_NARROW = 0.1


class CoupledBootstrap(RiskEstimate):
    """Stein's risk by a wide symmetric difference, unbiased at a noise level slightly above the image's.

    `1/2n (|f(y + h b) - y|^2 + |f(y - h b) - y|^2) - sigma^2 + sigma^2/(h n) b . (f(y + h b) - f(y - h b))`
    with `b ~ N(0, 1)` and `h = width * sigma`. `y + h b` and `y - sigma^2/h b` have independent noise, so
    that for any f and any width the expectation is that of the mean squared error at the noise level
    `sqrt(1 + width^2) sigma` (Oliveira, Lei, Tibshirani, "Unbiased risk estimation in the normal means
    problem via coupled bootstrap techniques", 2021; the same pairs train networks in Pang, Zheng, Quan, Ji,
    "Recorrupted-to-Recorrupted", CVPR 2021). For width to zero it is `MonteCarloSURE`.

    Why not that: the derivative of the divergence of a network with ReLUs lies where probes
    cross their kinks. A short difference crosses few, each with a weight of 1/h, so that the variance of the risk's
    gradient goes as 1/h; with `MonteCarloSURE`'s step of 3.5e-4 it was 200 times that of a
    width of 0.5 for a UNet. Differentiating the Jacobian misses the kinks altogether
    (docs/log/2026-11-23-why-the-gradient-of-monte-carlo-sure-is-noisy.md).

    Where the variance is a line of the signal, v(y), sigma^2 in the last term is v of each pixel, as in
    `PoissonGaussianSURE`, and h = width * the root of its mean.

    Where the noise is correlated, its covariance `S = sigma^2 R`, b has the correlation R too: `b ~ N(0, R)`. Then
    the noise e of `y = x + e` and b make `e + h b` and `e - sigma^2/h b`, of the covariance
    `S - h sigma^2/h R = 0`: independent, for they are normal. So for any f
    `E[(y - sigma^2/h b - x) . f(y + h b)] = 0`, and

        E |f(y + h b) - x|^2 = E[|f(y + h b) - y|^2 + 2 sigma^2/h b . f(y + h b) - |e|^2]:

    the estimate above, with no further factor for the correlation, for b has it. The half
    difference `b . (f(y + h b) - f(y - h b)) / 2h` has the mean `trace(R J)`, J the derivative of f, for a
    short h, or f linear. With both, `v_i R_ij` stands for the covariance `s_i s_j R_ij`: they are the
    same where the standard deviation s changes little over the lags of R.

    Pixels that do not count have no probe and are in no mean.

    Args:
        noise: The noise, in the units of the image that is tuned on: sigma, or a noise model. May be
            left out here and given to the call.
        width: h in standard deviations of the noise.
        probes: Probes per evaluation, averaged.

    Attributes:
        side: The sign of the one pass that it is of, see `of_side`; None of both.

    Raises:
        InputError: An option is not a positive number.

    Example:

    >>> noisy = 0.1 * tf.random.stateless_normal((1, 128, 128, 1), (0, 1))
    >>> loss = CoupledBootstrap(0.1, width=0.5)
    >>> risk = loss(lambda y: 0.5 * y, noisy, seed=(0, 2))  # the clean image is zero
    >>> bool(abs(risk[0] - 1.25 * 0.0025) < 2e-4)
    True
    """

    def __init__(self, noise: float | np.ndarray | NoiseModel | None = None, *, width: float = 0.5, probes: int = 1):
        if not width > 0:
            raise InputError(f"CoupledBootstrap expects width to be positive, received {width!r}")
        if int(probes) != probes or probes < 1:
            raise InputError(f"CoupledBootstrap expects probes to be a whole number of at least 1, received {probes!r}")
        self.noise = own_noise(noise)
        self.width = float(width)
        self.probes = int(probes)
        self.noise_factor = 1 + self.width**2
        self.side: tf.Tensor | None = None

    @property
    def criterion(self) -> RiskEstimate:
        """The same with a narrow difference: the risk at the image's own noise level, to 1 %."""
        return self if self.width <= _NARROW else CoupledBootstrap(self.noise, width=_NARROW, probes=self.probes)

    sides = (1.0, -1.0)

    def of_side(self, side: tf.Tensor) -> CoupledBootstrap:
        """The same from `y + h b` alone, or with a side of -1 from `y - h b`; unbiased, too, but with more variance."""
        one = copy.copy(self)
        one.side = side
        return one

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
        variance = known.variance(noisy)
        scale = self.width * tf.sqrt(along_images(known.mean(variance), noisy))
        seeds = tf.random.split(seed, self.probes, alg="philox") if self.probes > 1 else [seed]
        estimates = [self._estimate(denoise, noisy, known, variance, scale, seeds[i]) for i in range(self.probes)]
        return tf.add_n(estimates) / self.probes

    def _estimate(self, denoise, noisy, known, variance, scale, seed):
        direction = draw_direction(known, noisy, seed)
        if self.side is not None:
            direction *= tf.cast(self.side, noisy.dtype)
            found = denoise(noisy + scale * direction)
            answer = 2 * tf.math.divide_no_nan(variance, scale) * direction * found
            return known.mean(tf.square(found - noisy) - variance + answer)
        above, below = tf.split(denoise(tf.concat([noisy + scale * direction, noisy - scale * direction], 0)), 2)
        fit = (tf.square(above - noisy) + tf.square(below - noisy)) / 2
        # Without noise, the risk is the fit.
        return known.mean(fit - variance + tf.math.divide_no_nan(variance, scale) * direction * (above - below))
