"""Random numbers for the images of a batch: each its own or, where each has its own gains, what it would get alone."""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

# Two integers: the same ones give the same numbers.
Seed: TypeAlias = tf.Tensor | tuple[int, int]
_alike = contextvars.ContextVar("whether all images of a batch get the same random numbers", default=False)


@contextlib.contextmanager
def alike() -> Iterator[None]:
    """Within, every image of a batch gets the same random numbers: those that it would get alone.

    For images that have nothing in common, such as those with gains of their own. Where they share what is
    tuned, the same numbers for all would add up to more noise.
    """
    token = _alike.set(True)
    try:
        yield
    finally:
        _alike.reset(token)


def of_shape(draw: Callable[[Any], tf.Tensor], shape: tf.Tensor | Sequence[int]) -> tf.Tensor:
    """Return `draw(shape)` for images of the shape (N, ...).

    Example:

    >>> def draw(shape):
    ...     return tf.random.stateless_uniform(shape, (0, 0), alg="philox")
    >>> with alike():
    ...     two = of_shape(draw, (2, 3))
    >>> bool(tf.reduce_all(two == draw((1, 3))))
    True
    """
    if not _alike.get():
        return draw(shape)
    shape = tf.convert_to_tensor(shape, tf.int32)
    return tf.broadcast_to(draw(tf.concat([[1], shape[1:]], 0)), shape)


def of_images(draw: Callable[..., tf.Tensor], *images: tf.Tensor) -> tf.Tensor:
    """Return `draw(*images)`, whose numbers depend on images (N, ...), to the shape and dtype of the first."""
    if not _alike.get():
        return draw(*images)
    kind = tf.TensorSpec(images[0].shape[1:], images[0].dtype)
    one = tf.map_fn(lambda parts: draw(*(part[None] for part in parts))[0], images, fn_output_signature=kind)
    return tf.reshape(one, tf.shape(images[0]))


def poisson(rate: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Draw Poisson numbers of the means `rate` (N, ...), of its dtype; NaN where that is not finite.

    TensorFlow's own loop never ends at a mean of NaN, and no Ctrl-C gets through to it.

    Example:

    >>> poisson(tf.constant([[0.0, float("nan")]]), (0, 1)).numpy().tolist()
    [[0.0, nan]]
    """
    return _of_finite(lambda mean: tf.random.stateless_poisson(tf.shape(mean), seed, mean, dtype=mean.dtype), rate)


def binomial(counts: tf.Tensor, share: float, seed: Seed) -> tf.Tensor:
    """Draw how many of `counts` (N, ...) are taken, each with the probability `share`; NaN where that is not finite.

    TensorFlow's own loop never ends at a count of NaN, and no Ctrl-C gets through to it.

    Example:

    >>> binomial(tf.constant([[0.0, float("nan")]], tf.float64), 0.5, (0, 1)).numpy().tolist()
    [[0.0, nan]]
    """
    probability = tf.constant(share, counts.dtype)
    return _of_finite(lambda n: tf.random.stateless_binomial(tf.shape(n), seed, n, probability, n.dtype), counts)


def random_bits(shape: tf.Tensor | Sequence[int], seed: Seed) -> tf.Tensor:
    """Draw integers of which all 32 bits are random, int32.

    Example:

    >>> random_bits([2, 3], (0, 1)).shape.as_list()
    [2, 3]
    """
    # TensorFlow's stubs do not know that both limits may be None.
    uniform: Any = tf.random.stateless_uniform
    return uniform(shape, seed, None, None, tf.int32, alg="philox")


def _of_finite(draw, values):
    finite = tf.math.is_finite(values)
    drawn = of_images(draw, tf.where(finite, values, tf.zeros_like(values)))
    return tf.where(finite, drawn, tf.constant(math.nan, values.dtype))
