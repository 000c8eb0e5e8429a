"""The search for the contrast of the lowest risk."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

# Up to this relative difference of f(2 y) and 2 f(y), f has no biases to speak of.
# Doubling is exact in floating point, so that without biases they differ by next to
# nothing. Why networks without biases get no contrast:
# docs/log/2026-11-25-no-contrast-for-networks-without-biases.md.
HOMOGENEOUS = 1e-3
# Contrasts fall by this ratio as long as the risk falls: four of them halve the
# contrast, and the last of the tries, the first of which is no step, is at a fifth.
RATIO = 0.84
TRIES = 10
# Each contrast must lower the risk by at least this share. Inside the trained range the
# estimate's own noise decides over less than that, and is often wrong:
# docs/log/2026-11-23-the-contrast-at-which-a-network-sees-the-image.md.
MARGIN = 0.02


def is_homogeneous(denoise: Callable, shape: tuple[int, ...]) -> bool:
    """Whether `f(2 y) = 2 f(y)`, as for ReLU networks without biases: then no strength of the noise is new to f.

    Asked of random images of this shape. Doubling is exact in floating point, so that only additive
    constants make a difference, and whatever else is not linear along a ray.

    Args:
        denoise: Images (N, H, W, C) to images of the same shape.
        shape: (N, H, W, C).

    Example:

    >>> is_homogeneous(tf.nn.relu, (1, 8, 8, 1)), is_homogeneous(lambda y: y + 0.1, (1, 8, 8, 1))
    (True, False)
    """
    noisy = tf.random.stateless_uniform(shape, (0, 0))
    once, twice = (tf.cast(denoise(scale * noisy), tf.float64) for scale in (1, 2))
    return bool(tf.norm(twice - 2 * once) <= HOMOGENEOUS * tf.norm(twice))


def lowest_contrast(risk: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Search the contrast of the lowest risk, falling from one to the next by `RATIO`.

    Args:
        risk: A contrast, (R,), to the risk there, (R,) of float64.
        start: The first contrast, (R,).

    Returns:
        That contrast, (R,), and the risk at the first, (R,).

    Example:

    >>> best, first = lowest_contrast(lambda s: tf.cast((s - 0.6) ** 2 + 1, tf.float64), tf.ones(1))
    >>> round(float(best[0]), 3), round(float(first[0]), 3)
    (0.706, 1.16)
    """
    infinite = tf.fill(tf.shape(start), tf.constant(math.inf, tf.float64))

    def falls(_, going, *__):
        return tf.reduce_any(going)

    def body(number, going, best, lowest, first):
        contrast = start * RATIO ** tf.cast(number, start.dtype)
        found = risk(contrast)
        enough = found < lowest - MARGIN * tf.abs(lowest)
        going &= (number == 0) | (enough & (number < TRIES))
        best, lowest = tf.where(going, contrast, best), tf.where(going, found, lowest)
        return number + 1, going, best, lowest, tf.where(number == 0, found, first)

    loop = (tf.constant(0), tf.fill(tf.shape(start), True), start, infinite, infinite)
    _, _, best, _, first = tf.while_loop(falls, body, loop, parallel_iterations=1)
    return best, first
