"""Noise as tensors: its level in a graph, fresh draws, and the standard error of a risk."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gaintuning_tf.noise import draws
from gaintuning_tf.noise.models import GaussianNoise, NoiseLevel, NoiseModel, along_images


def total(images: tf.Tensor) -> tf.Tensor:
    """The sum over the pixels and channels of each image, (N, ..., C) to (N,)."""
    return tf.reduce_sum(images, axis=range(1, len(images.shape)))


def mean(images: tf.Tensor) -> tf.Tensor:
    """The mean over the pixels and channels of each image, (N, ..., C) to (N,)."""
    return tf.reduce_mean(images, axis=range(1, len(images.shape)))


def as_level(noise, dtype=tf.float32) -> NoiseLevel:
    """The line of the variance of any noise, as tensors that broadcast over the images of a batch.

    Args:
        noise: A standard deviation, () or (N,), number or tensor; a `NoiseModel`; or a `NoiseLevel`.
        dtype: Of the result.

    Returns:
        Slope and intercept, each (), (1,) or (N,). The slope of Gaussian noise is the number zero,
        which tells a graph that no Poisson numbers need to be drawn.

    Example:

    >>> level = as_level(0.5)
    >>> level.slope, level.intercept.numpy().tolist()
    (0.0, 0.25)
    """
    if tf.is_tensor(noise):
        return NoiseLevel(0.0, tf.square(tf.cast(noise, dtype)))
    if not isinstance(noise, (NoiseModel, NoiseLevel)):
        noise = GaussianNoise(noise)
    if isinstance(noise, GaussianNoise):
        return NoiseLevel(0.0, tf.square(tf.cast(noise.sigma, dtype)))
    level = noise if isinstance(noise, NoiseLevel) else noise.level(noise.images)
    return (
        level if is_gaussian(level) and np.ndim(level.slope) == 0 else NoiseLevel(*(tf.cast(p, dtype) for p in level))
    )


def is_gaussian(level: NoiseLevel) -> bool:
    """Whether the slope is known to be zero, while the graph is built."""
    slope = known_slope(level)
    return slope is not None and not np.any(slope)


def known_slope(level: NoiseLevel):
    """The slope as a number or array; None if it is a tensor whose value the graph does not know while it is built."""
    return tf.get_static_value(level.slope) if tf.is_tensor(level.slope) else level.slope


def draw_noise(level: NoiseLevel, images: tf.Tensor, seed) -> tf.Tensor:
    """Noise of mean zero, as it would lie on the clean `images`.

    `sigma n + gain (Poisson(m) - m)` with `m = max(images - offset, 0) / gain`, n standard normal: an
    intercept above zero is `sigma^2`, one below `-gain * offset`. Where the slope is known to be
    zero no Poisson numbers are drawn; XLA cannot draw them.

    Args:
        level: Slope and intercept, each a number, (1,) or (N,).
        images: (N, ..., C), clean.
        seed: Two integers.

    Returns:
        (N, ..., C), to be added to `images`.

    Example:

    >>> images = tf.fill((1, 128, 128, 1), 5.0)
    >>> noise = draw_noise(as_level(NoiseLevel(tf.constant([2.0]), tf.constant([1.0]))), images, (0, 1))
    >>> bool(abs(tf.math.reduce_variance(noise) - 11) < 5 * 11 * (2.2 / 128**2) ** 0.5)
    True
    """
    normal_seed, poisson_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))
    sigma = tf.sqrt(tf.maximum(tf.cast(level.intercept, images.dtype), 0))
    normal = draws.of_shape(
        lambda size: tf.random.stateless_normal(size, normal_seed, dtype=images.dtype, alg="philox"), tf.shape(images)
    )
    noise = along_images(sigma, images) * normal
    if is_gaussian(level):
        return noise
    shot = level.slope > 0
    gain = tf.where(shot, level.slope, tf.ones_like(level.slope))
    offset = tf.maximum(-level.intercept, 0) / gain
    shot, gain, offset = (along_images(part, images) for part in (shot, gain, offset))
    # A count in less than 24 bits would be too far from a whole number to be one.
    exact = tf.float64 if images.dtype == tf.float64 else tf.float32
    mean = tf.where(shot, tf.maximum(images - offset, 0) / gain, tf.zeros_like(images))
    counts = draws.poisson(tf.cast(mean, exact), poisson_seed)
    return noise + gain * tf.cast(counts - tf.cast(mean, exact), images.dtype)


def standard_error(noise, noisy: tf.Tensor) -> tf.Tensor:
    """How far below zero chance alone takes the risk of an image, one standard deviation, (N,).

    `v sqrt(2 / n)`: that of the mean square of the noise in n values, normal and of the mean variance v, to which
    all risk estimates compare.

    Args:
        noise: As `as_level` takes it.
        noisy: (N, ..., C).

    Example:

    >>> standard_error(0.5, tf.zeros((1, 32, 64, 1))).numpy().tolist()
    [0.0078125]
    """
    variance = mean(tf.maximum(as_level(noise, noisy.dtype).variance(noisy), 0) + tf.zeros_like(noisy))
    return variance * (2 / (noisy.shape.num_elements() / noisy.shape[0])) ** 0.5
