"""Unsupervised estimates of the mean squared error, from the noisy image alone."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise import GaussianNoise

Denoise = Callable[[tf.Tensor], tf.Tensor]
PROBES = ("gaussian", "rademacher")


def probe_step(data_range: float = 1.0, dtype=tf.float32) -> float:
    """Length of the finite difference along a probe: `data_range * sqrt(eps)`.

    The forward difference `(f(y + h b) - f(y)) / h` has a rounding error of about
    `eps * data_range / h` and a truncation error that grows with h; the textbook
    balance is `h = sqrt(eps)` times the scale of the argument (Press et al.,
    "Numerical Recipes", section 5.7), eps being the machine precision of `dtype`,
    that of the network's computation.
    For float32 and images in [0, 1] this is 3.5e-4. A much larger step crosses
    the kinks of ReLU networks and biases the divergence; a much smaller one drowns
    it in rounding.

    Example:

    >>> round(probe_step(255.0), 3)
    0.088
    """
    return float(data_range) * float(ml_dtypes.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps) ** 0.5


def draw_probe(shape, seed, probe: str = "gaussian", dtype=tf.float32) -> tf.Tensor:
    """A random field of independent entries with mean 0 and variance 1.

    Args:
        shape: Its shape.
        seed: Two integers; the same seed gives the same field, compiled or not.
        probe: `"gaussian"`, or `"rademacher"` for signs of equal probability.
        dtype: Its dtype.

    Raises:
        InputError: `probe` is neither.
    """
    if probe == "gaussian":
        # The algorithm by name: left to itself, TensorFlow may choose another one under XLA.
        return tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox")
    if probe == "rademacher":
        bits = tf.random.stateless_uniform(shape, seed, 0, 2, dtype=tf.int32, alg="philox")
        return tf.cast(2 * bits - 1, dtype)
    raise InputError(f"expected probe in {PROBES}, received {probe!r}")


def monte_carlo_divergence(
    denoise: Denoise, noisy: tf.Tensor, seed, *, probe: str = "gaussian", step: float | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Divergence of a denoiser at `noisy`, estimated by one random probe per image.

    `div f(y) = E[b . (f(y + h b) - f(y)) / h]` for b of mean 0 and covariance one
    (Ramani, Blu, Unser, "Monte-Carlo SURE", IEEE TIP 2008, eq. 9). For a linear f
    with matrix A the variance is `2 |sym(A)|_F^2` with Gaussian probes, and less by
    `2 sum(A_ii^2)` with Rademacher ones.

    Args:
        denoise: Images (N, H, W, C) to images of the same shape. It is called once,
            on a batch of 2 N.
        noisy: (N, H, W, C).
        seed: Two integers.
        probe: `"gaussian"` or `"rademacher"`.
        step: h, in the units of the image; `probe_step(1.0)` by default, for images
            in [0, 1].

    Returns:
        The divergence, (N,): the trace of the Jacobian of each image; and the
        denoised images, which come with it for free.

    Example:

    >>> divergence, _ = monte_carlo_divergence(lambda y: 0.5 * y, tf.zeros((1, 64, 64, 1)), (0, 0))
    >>> bool(abs(divergence[0] - 0.5 * 64 * 64) < 5 * (2 * 0.25 * 64 * 64) ** 0.5)
    True
    """
    step = probe_step(dtype=noisy.dtype) if step is None else step
    direction = draw_probe(tf.shape(noisy), seed, probe, noisy.dtype)
    denoised, shifted = tf.split(denoise(tf.concat([noisy, noisy + step * direction], 0)), 2)
    return _sum(direction * (shifted - denoised)) / step, denoised


def exact_divergence(denoise: Denoise, noisy: tf.Tensor) -> tf.Tensor:
    """Divergence of a denoiser at `noisy` from its whole Jacobian: for tests and tiny images.

    Args:
        denoise: Images (N, H, W, C) to images of the same shape, image by image.
        noisy: (N, H, W, C).

    Returns:
        The trace of each image's Jacobian, (N,).

    Example:

    >>> exact_divergence(lambda y: 0.5 * y, tf.zeros((1, 4, 4, 1))).numpy().tolist()
    [8.0]
    """
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        denoised = tf.reshape(denoise(noisy), (noisy.shape[0], -1))
    jacobian = tape.batch_jacobian(denoised, noisy)
    return tf.linalg.trace(tf.reshape(jacobian, (*denoised.shape, -1)))


class MonteCarloSURE:
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

    Example:

    >>> loss = MonteCarloSURE(sigma=0.1)
    >>> noisy = 0.1 * tf.random.stateless_normal((1, 128, 128, 1), (0, 1))
    >>> risk = loss(lambda y: 0.5 * y, noisy, seed=(0, 2))  # the clean image is zero: the risk is (0.5 * 0.1)^2
    >>> bool(abs(risk[0] - 0.0025) < 2e-4)
    True
    """

    def __init__(self, sigma=None, *, probe: str = "gaussian", probes: int = 1, step: float | None = None):
        if probe not in PROBES:
            raise InputError(f"MonteCarloSURE expects probe in {PROBES}, received {probe!r}")
        if int(probes) != probes or probes < 1:
            raise InputError(f"MonteCarloSURE expects probes to be a whole number of at least 1, received {probes!r}")
        if step is not None and not step > 0:
            raise InputError(f"MonteCarloSURE expects step to be positive, received {step!r}")
        self.noise = None if sigma is None else sigma if isinstance(sigma, GaussianNoise) else GaussianNoise(sigma)
        self.probe = probe
        self.probes = int(probes)
        self.step = step

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, sigma=None, *, seed) -> tf.Tensor:
        """The risk of each image, (N,), in squared units of the image.

        Args:
            denoise: Images (N, H, W, C) to images of the same shape.
            noisy: (N, H, W, C).
            sigma: Overrides the loss's own; () or (N,).
            seed: Two integers.

        Raises:
            InputError: No sigma, here or there.
        """
        if sigma is None:
            if self.noise is None:
                raise InputError(
                    "MonteCarloSURE expects the noise level: MonteCarloSURE(sigma) or tune(..., sigma=...)"
                )
            sigma = self.noise.sigma
        variance = tf.square(tf.cast(sigma, noisy.dtype))
        seeds = tf.random.split(seed, self.probes, alg="philox") if self.probes > 1 else [seed]
        estimates = [self._estimate(denoise, noisy, variance, seeds[i]) for i in range(self.probes)]
        return tf.add_n(estimates) / self.probes

    def _estimate(self, denoise, noisy, variance, seed):
        divergence, denoised = monte_carlo_divergence(denoise, noisy, seed, probe=self.probe, step=self.step)
        pixels = tf.cast(tf.reduce_prod(tf.shape(noisy)[1:]), noisy.dtype)
        return (_sum(tf.square(denoised - noisy)) + 2 * variance * divergence) / pixels - variance


def _sum(images):
    return tf.reduce_sum(images, axis=range(1, len(images.shape)))
