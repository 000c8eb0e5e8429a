"""Stein's unbiased risk estimate: for Gaussian noise, for noise that grows with the signal, for an unknown level."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, own_noise, takes_noise_tensors
from gaintuning_tf.losses.divergence import PROBES, Denoise, draw_probe, monte_carlo_divergence, probe_step
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel
from gaintuning_tf.noise.tensors import AnyNoise, mean, noise_tensors, total


class _Probed(RiskEstimate):
    """A risk estimate from random probes, averaged over some."""

    def __init__(self, noise, probe, probes, step):
        name = type(self).__name__
        if probe not in PROBES:
            raise InputError(f"{name} expects probe in {PROBES}, received {probe!r}")
        if int(probes) != probes or probes < 1:
            raise InputError(f"{name} expects probes to be a whole number of at least 1, received {probes!r}")
        if step is not None and not step > 0:
            raise InputError(f"{name} expects step to be positive, received {step!r}")
        self.noise = own_noise(noise)
        self.probe = probe
        self.probes = int(probes)
        self.step = step

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
        known = self.known_noise(noise, noisy) if self.needs_noise else None
        seeds = tf.random.split(seed, self.probes, alg="philox") if self.probes > 1 else [seed]
        estimates = [self._estimate(denoise, noisy, known, seeds[i]) for i in range(self.probes)]
        return tf.add_n(estimates) / self.probes

    def _estimate(self, denoise, noisy, known, seed):
        raise NotImplementedError


class MonteCarloSURE(_Probed):
    """Stein's unbiased risk estimate, its divergence by random probes.

    `SURE = |f(y) - y|^2 / n - sigma^2 + 2 sigma^2 div f(y) / n`, whose expectation
    over Gaussian noise of standard deviation sigma is that of the mean squared
    error `|f(y) - x|^2 / n`, for any weakly differentiable f (Stein, "Estimation of
    the mean of a multivariate normal distribution", Ann. Stat. 1981; Ramani, Blu,
    Unser, IEEE TIP 2008). It is unbiased only where sigma is the true one and f
    was not chosen by looking at this noise; gains tuned on it are few enough for
    the difference to be small.

    Args:
        sigma: The noise, in the units of the image that is tuned on: a number, one
            for each image, or a `GaussianNoise`. May be left out here and given to
            `GainTuner.tune`.
        probe: `"gaussian"` or `"rademacher"`.
        probes: Probes per evaluation, averaged.
        step: Length of the finite difference in the units of the image,
            `probe_step(1.0)` by default, for images in [0, 1].

    Raises:
        InputError: An option is not one of these, or the noise is not Gaussian.

    Example:

    >>> loss = MonteCarloSURE(sigma=0.1)
    >>> noisy = 0.1 * tf.random.stateless_normal((1, 128, 128, 1), (0, 1))
    >>> risk = loss(lambda y: 0.5 * y, noisy, seed=(0, 2))  # the clean image is zero: the risk is (0.5 * 0.1)^2
    >>> bool(abs(risk[0] - 0.0025) < 2e-4)
    True
    """

    def __init__(
        self,
        sigma: float | np.ndarray | NoiseModel | None = None,
        *,
        probe: str = "gaussian",
        probes: int = 1,
        step: float | None = None,
    ):
        if isinstance(sigma, NoiseModel) and not isinstance(sigma, GaussianNoise):
            raise InputError(f"MonteCarloSURE expects Gaussian noise, received {sigma}; use PoissonGaussianSURE")
        super().__init__(sigma, probe, probes, step)

    def check_noise(self, noise: AnyNoise | None) -> None:
        """Refuse noise that grows with the signal.

        Raises:
            InputError: It does, or may.
        """
        if not noise_tensors(noise).is_gaussian:
            raise InputError(
                "MonteCarloSURE expects Gaussian noise, received one with a slope; use PoissonGaussianSURE, or the "
                "loss 'sure'"
            )

    def _estimate(self, denoise, noisy, known, seed):
        self.check_noise(known)
        divergence, denoised = monte_carlo_divergence(denoise, noisy, seed, probe=self.probe, step=self.step)
        pixels = tf.cast(tf.reduce_prod(tf.shape(noisy)[1:]), noisy.dtype)
        return (total(tf.square(denoised - noisy)) + 2 * known.intercept * divergence) / pixels - known.intercept


class PoissonGaussianSURE(_Probed):
    """Stein's unbiased risk estimate for noise whose variance is a line of the signal: Poisson, Gaussian, or both.

    `|f(y) - y|^2 / n + 2/n sum_i v(y_i) df_i/dy_i - 1/n sum_i v(y_i)` with the noise's variance
    `v(y) = slope * y + intercept`, the weighted divergence by random probes.

    For counts, `E[x_i f_i(y)] = E[y_i f_i(y - gain e_i)]` (Hudson, "A natural identity for exponential
    families with applications in multiparameter estimation", Ann. Stat. 1978), which would need
    the network once for each pixel. In its place stands the first order of its expansion,
    `f_i(y) - gain df_i/dy_i(y)`, as in Le Montagner, Angelini, Olivo-Marin, "An unbiased risk
    estimator for image denoising in the presence of mixed Poisson-Gaussian noise", IEEE TIP 2014,
    and Luisier, Blu, Unser, "Image denoising in mixed Poisson-Gaussian noise", IEEE TIP 2011. So it
    is unbiased where f_i is linear in y_i, and nearly where it is close to a line over one count;
    for Gaussian noise it is `MonteCarloSURE`.

    v is taken at the noisy value, not cut off at zero: that would bias it.

    Args:
        noise: `PoissonNoise`, `PoissonGaussianNoise` or `GaussianNoise` in the units of the image that
            is tuned on, or a number, the sigma of the last. May be left out here and given to the call.
        probe: `"gaussian"` or `"rademacher"`.
        probes: Probes per evaluation, averaged.
        step: Length of the finite difference in the units of the image,
            `probe_step(1.0)` by default, for images in [0, 1].

    Raises:
        InputError: An option is not one of these.

    Example:

    >>> from gaintuning_tf.noise.models import PoissonNoise
    >>> noisy = 0.1 * tf.random.stateless_poisson((1, 128, 128, 1), (0, 1), 5.0, tf.float32)  # 0.5 everywhere
    >>> risk = PoissonGaussianSURE(PoissonNoise(0.1))(lambda y: 0.5 * y, noisy, seed=(0, 2))
    >>> bool(abs(risk[0] - (0.25**2 + 0.25 * 0.1 * 0.5)) < 5e-3)
    True
    """

    def __init__(
        self,
        noise: float | np.ndarray | NoiseModel | None = None,
        *,
        probe: str = "gaussian",
        probes: int = 1,
        step: float | None = None,
    ):
        super().__init__(noise, probe, probes, step)

    def _estimate(self, denoise, noisy, known, seed):
        variance = known.variance(noisy)
        divergence, denoised = monte_carlo_divergence(
            denoise, noisy, seed, probe=self.probe, step=self.step, weights=variance
        )
        pixels = tf.cast(tf.reduce_prod(tf.shape(noisy)[1:]), noisy.dtype)
        return mean(tf.square(denoised - noisy) - variance) + 2 * divergence / pixels


class UNSURE(_Probed):
    """Stein's risk for Gaussian noise of unknown level: fit the image, with a divergence near zero.

    Tachella, Davies, Jacques, "UNSURE: self-supervised learning with unknown noise level and Stein's
    unbiased risk estimate", ICLR 2025, replace sigma^2 in SURE by a multiplier eta:
    `min_f max_eta |f(y) - y|^2 / n + 2 eta d` with `d = div f(y) / n`, which is the fit under the
    constraint that the divergence is zero. A multiplier would have to be remembered from step
    to step. With a quadratic term (an augmented Lagrangian's), the inner problem is
    `max_eta 2 eta d - eta^2 / rho`; its solution is `eta = rho d` and its value `rho d^2`, so that

        |f(y) - y|^2 / n + rho (div f(y) / n)^2

    remains, which needs no sigma. d^2 is the product of estimates from two independent probes,
    unbiased, as the square of one is not. At the optimum `d = eta / rho`, where eta is about the
    residual `|f(y) - y|^2 / n` under the constraint, the noise's variance and somewhat more. With
    `rho = strength * variance of y`, which is more than that of any useful fit, d stays below
    1 / strength, and the risk scales with the image as SURE does. The more strength, the nearer
    to the constraint, and the noisier the estimate.

    It is no estimate of the mean squared error: only its minimum means something.

    Args:
        strength: rho in units of the variance of the noisy image.
        probe: `"gaussian"` or `"rademacher"`.
        probes: Pairs of probes per evaluation, averaged.
        step: Length of the finite difference in the units of the image,
            `probe_step(1.0)` by default, for images in [0, 1].

    Raises:
        InputError: An option is not one of these.

    Example:

    >>> noisy = tf.random.stateless_normal((1, 64, 64, 1), (0, 1))
    >>> loss = UNSURE()
    >>> bool(loss(lambda y: 0.0 * y, noisy, seed=(0, 2)) < loss(lambda y: 0.5 * y, noisy, seed=(0, 2)))
    True
    """

    needs_noise = False

    def __init__(self, strength: float = 10.0, *, probe: str = "gaussian", probes: int = 1, step: float | None = None):
        if not 0 < strength < float("inf"):
            raise InputError(f"UNSURE expects strength to be a positive number, received {strength!r}")
        super().__init__(None, probe, probes, step)
        self.strength = float(strength)

    def _estimate(self, denoise, noisy, known, seed):
        step = probe_step(dtype=noisy.dtype) if self.step is None else self.step
        seeds = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        probes = [draw_probe(tf.shape(noisy), each, self.probe, noisy.dtype) for each in seeds]
        together = tf.concat([noisy, *(noisy + step * probe for probe in probes)], 0)
        denoised, *shifted = tf.split(denoise(together), 3)
        first, second = (mean(b * (f - denoised)) / step for b, f in zip(probes, shifted, strict=True))
        rho = self.strength * tf.math.reduce_variance(noisy, axis=range(1, len(noisy.shape)))
        return mean(tf.square(denoised - noisy)) + rho * first * second
