"""Divergence of a denoiser: by random probes, and exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ml_dtypes
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.tensors import NoiseTensors, total

Denoise = Callable[[tf.Tensor], tf.Tensor]
PROBES = ("gaussian", "rademacher")


def probe_step(data_range: float = 1.0, dtype: tf.DType | str = tf.float32) -> float:
    """Choose the length of the finite difference along a probe: `data_range * sqrt(eps)`.

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


def draw_probe(
    shape: tf.Tensor | Sequence[int], seed: draws.Seed, probe: str = "gaussian", dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """Draw a random field of independent entries with mean 0 and variance 1.

    Args:
        shape: Its shape, (N, ...).
        seed: Two integers; the same seed gives the same field, in a graph or not. Under XLA signs are the
            same, too, but normal numbers are others, for it makes them in another way of the same bits.
        probe: `"gaussian"`, or `"rademacher"` for signs of equal probability.
        dtype: Its dtype.

    Raises:
        InputError: `probe` is neither.
    """
    if probe == "gaussian":
        # The algorithm by name: left to itself, TensorFlow may choose another one under XLA.
        return draws.of_shape(lambda size: tf.random.stateless_normal(size, seed, dtype=dtype, alg="philox"), shape)
    if probe == "rademacher":
        bits = draws.of_shape(
            lambda size: tf.random.stateless_uniform(size, seed, 0, 2, dtype=tf.int32, alg="philox"), shape
        )
        return tf.cast(2 * bits - 1, dtype)
    raise InputError(f"expected probe in {PROBES}, received {probe!r}")


def draw_direction(noise: NoiseTensors, images: tf.Tensor, seed: draws.Seed, probe: str = "gaussian") -> tf.Tensor:
    """Draw a probe with the correlation of the noise, of variance one; zero where pixels do not count.

    Filtered signs have the right covariance, as filtered normal numbers have, and that is all that a
    divergence asks of them; they are no signs any more.

    Args:
        noise: What is known of it.
        images: (N, ..., C).
        seed: Two integers.
        probe: Of what it is made, `"gaussian"` or `"rademacher"`.

    Returns:
        Of the shape and dtype of the images.

    Example:

    >>> images = tf.zeros((1, 8, 8, 1))
    >>> bool(tf.reduce_all(draw_direction(NoiseTensors(), images, (0, 1)) == draw_probe((1, 8, 8, 1), (0, 1))))
    True
    """
    return noise.direction(lambda shape: draw_probe(shape, seed, probe, images.dtype), images)


def monte_carlo_divergence(
    denoise: Denoise,
    noisy: tf.Tensor,
    seed: draws.Seed,
    *,
    probe: str = "gaussian",
    step: float | None = None,
    weights: tf.Tensor | None = None,
    noise: NoiseTensors | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Estimate the divergence of a denoiser at `noisy` by one random probe per image.

    `div f(y) = E[b . (f(y + h b) - f(y)) / h]` for b of mean 0 and covariance one
    (Ramani, Blu, Unser, "Monte-Carlo SURE", IEEE TIP 2008, eq. 9). For a linear f
    with matrix A the variance is `2 |sym(A)|_F^2` with Gaussian probes, and less by
    `2 sum(A_ii^2)` with Rademacher ones. With weights w, it is the sum
    `sum_i w_i df_i/dy_i = E[(w b) . (f(y + h b) - f(y)) / h]`. With b of the correlation R of the noise, it
    is `trace(R J)`, J the derivative of f, which takes the divergence's place in Stein's estimate for
    correlated noise, `E[(y - x) . f(y)] = sigma^2 trace(R J)` (Eldar, "Generalized SURE for exponential
    families", IEEE TSP 2009).

    Args:
        denoise: Images (N, H, W, C) to images of the same shape. It is called once,
            on a batch of 2 N.
        noisy: (N, H, W, C).
        seed: Two integers.
        probe: `"gaussian"` or `"rademacher"`.
        step: h, in the units of the image; `probe_step(1.0)` by default, for images
            in [0, 1].
        weights: One for each pixel, broadcast to (N, H, W, C); ones by default.
        noise: What has the correlation, and says which pixels count; by default white noise.

    Returns:
        The divergence, (N,): the trace of the Jacobian of each image, weighted; and the
        denoised images, which come with it for free.

    Example:

    >>> divergence, _ = monte_carlo_divergence(lambda y: 0.5 * y, tf.zeros((1, 64, 64, 1)), (0, 0))
    >>> bool(abs(divergence[0] - 0.5 * 64 * 64) < 5 * (2 * 0.25 * 64 * 64) ** 0.5)
    True
    """
    step = probe_step(dtype=noisy.dtype) if step is None else step
    noise = NoiseTensors() if noise is None else noise
    direction = draw_direction(noise, noisy, seed, probe)
    denoised, shifted = tf.split(denoise(tf.concat([noisy, noisy + step * direction], 0)), 2)
    return noise.total(_weighted(direction * (shifted - denoised), weights)) / step, denoised


def exact_divergence(denoise: Denoise, noisy: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Compute the divergence of a denoiser at `noisy` from its whole Jacobian: for tests and tiny images.

    Args:
        denoise: Images (N, H, W, C) to images of the same shape, image by image.
        noisy: (N, H, W, C).
        weights: One for each pixel, broadcast to (N, H, W, C); ones by default.

    Returns:
        The trace of each image's Jacobian, its diagonal weighted, (N,).

    Example:

    >>> exact_divergence(lambda y: 0.5 * y, tf.zeros((1, 4, 4, 1))).numpy().tolist()
    [8.0]
    """
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        denoised = tf.reshape(denoise(noisy), (noisy.shape[0], -1))
    jacobian = tape.batch_jacobian(denoised, noisy)
    diagonal = tf.linalg.diag_part(tf.reshape(jacobian, (*denoised.shape, -1)))
    return total(_weighted(tf.reshape(diagonal, noisy.shape), weights))


def _weighted(images, weights):
    return images if weights is None else weights * images
