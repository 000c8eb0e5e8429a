"""Stein's unbiased risk estimate: for Gaussian noise, for noise that grows with the signal, for an unknown level."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, own_noise, takes_noise_tensors
from gaintuning_tf.losses.divergence import PROBES, Denoise, draw_direction, monte_carlo_divergence, probe_step
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, along_images
from gaintuning_tf.noise.tensors import AnyNoise, NoiseTensors, noise_tensors


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
        known = self.known_noise(noise, noisy) if self.needs_noise else noise_tensors(noise, noisy.dtype)
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

    For correlated noise, of the covariance `S = sigma^2 R`, `sigma^2 div f` becomes `trace(S J)`, J the derivative of
    f, by a probe b of the correlation R: `sigma^2 E[b . J b]`. For `E[(y - x) . f(y)] = E trace(S J)` for
    `y ~ N(x, S)` (Stein's identity after a change of variables; Eldar, "Generalized SURE for exponential
    families: applications to regularization", IEEE TSP 2009). Of Rademacher probes, b is the filtered signs.
    Pixels that do not count have no probe and are in no mean.

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

    noise_factor = 1.0

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
        divergence, denoised = monte_carlo_divergence(
            denoise, noisy, seed, probe=self.probe, step=self.step, noise=known
        )
        fit = known.total(tf.square(denoised - noisy))
        return (fit + 2 * known.intercept * divergence) / known.count(noisy) - known.intercept


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

    For correlated noise the probe b has its correlation R, and `E[(v b) . J b] = sum_ij v_i R_ij J_ij` stands for
    the trace of J with the covariance `s_i s_j R_ij`, s the root of v: the same where s changes little over
    the lags of R. See `MonteCarloSURE`.

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

    noise_factor = 1.0

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
            denoise, noisy, seed, probe=self.probe, step=self.step, weights=variance, noise=known
        )
        return known.mean(tf.square(denoised - noisy) - variance) + 2 * divergence / known.count(noisy)


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

    Where the noise may be correlated, in a way that is not known, the constraint is that
    `d_l = sum_i df_i/dy_(i+l) / n` is zero at all lags l that it may have (their C-UNSURE): the covariance
    is `eta_l`, the same for l and -l, and with the quadratic term `-sum_l eta_l^2 / rho` what remains
    is `rho sum_l ((d_l + d_(-l)) / 2)^2`. One probe b gives all, `d_l = E[b_(i+l) (J b)_i]`. Each lag adds to
    the noise of the estimate.

    It is no estimate of the mean squared error: only its minimum means something.

    Args:
        strength: rho in units of the variance of the noisy image.
        lags: The noise may be correlated over so many pixels along each axis; 0 for white noise.
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

    def __init__(
        self,
        strength: float = 10.0,
        *,
        lags: int = 0,
        probe: str = "gaussian",
        probes: int = 1,
        step: float | None = None,
    ):
        if not 0 < strength < float("inf"):
            raise InputError(f"UNSURE expects strength to be a positive number, received {strength!r}")
        if int(lags) != lags or lags < 0:
            raise InputError(f"UNSURE expects lags to be a whole number of at least 0, received {lags!r}")
        super().__init__(None, probe, probes, step)
        self.strength = float(strength)
        self.lags = int(lags)

    def _estimate(self, denoise, noisy, known, seed):
        step = probe_step(dtype=noisy.dtype) if self.step is None else self.step
        # What may be known of a correlation is not used.
        counted = NoiseTensors(weights=known.weights)
        seeds = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        probes = [draw_direction(counted, noisy, each, self.probe) for each in seeds]
        together = tf.concat([noisy, *(noisy + step * probe for probe in probes)], 0)
        denoised, *shifted = tf.split(denoise(together), 3)
        rho = self.strength * _variance(counted, noisy)
        found = [
            [counted.mean(lag * (f - denoised)) / step for lag in self._lagged(b)]
            for b, f in zip(probes, shifted, strict=True)
        ]
        squares = [first * second for first, second in zip(*found, strict=True)]
        constraint = squares[0] if len(squares) == 1 else tf.add_n(squares)
        return counted.mean(tf.square(denoised - noisy)) + rho * constraint

    def _lagged(self, probe):
        """List a probe at all lags, symmetric in them: at lag zero, the probe itself."""
        axes = range(1, len(probe.shape) - 1)
        lags = itertools.product(range(-self.lags, self.lags + 1), repeat=len(axes))
        # Over the borders, pixels meet those of the other side, of which a network knows nothing.
        return [
            probe if not any(lag) else (_rolled(probe, lag, axes) + _rolled(probe, lag, axes, -1)) / 2 for lag in lags
        ]


def _rolled(images, lag, axes, sign=1):
    return tf.roll(images, [sign * each for each in lag], list(axes))


def _variance(counted, images):
    """Compute the variance over the pixels of each image that count."""
    if not counted.is_weighted:
        return tf.math.reduce_variance(images, axis=range(1, len(images.shape)))
    return counted.mean(tf.square(images - along_images(counted.mean(images), images)))
