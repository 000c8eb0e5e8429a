"""The parts of an image that a step sees, and the random numbers of each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from gaintuning_tf.noise.draws import Seed, random_bits

# This is added to the number of a step for the place of its window, so that its probe
# has other numbers.
_PLACE = 1 << 31
# The numbers of the windows of one step lie this far apart, so that they meet no other
# stream's.
_NEXT_WINDOW = 1 << 35
# A window with less than this share of the pixels that count on average says little of
# the risk: it is put elsewhere.
_LEAST_SHARE = 0.5
# Sides of windows of volumes are looked for up to this: hardly a cube of it fits anywhere.
_LARGEST = 512
Integer: TypeAlias = int | tf.Tensor


class Windows(NamedTuple):
    """The parts of an image that a step looks at, one after the other, each at a random place.

    Attributes:
        size: Their spatial size, (dimensions,).
        count: Their number, ().
    """

    size: tf.Tensor
    count: tf.Tensor


def step_seed(seed: Integer, number: Integer) -> tf.Tensor:
    """Make the two integers that seed a step: the seed of the whole tuning and the number of the step."""
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])


def window_size(noisy: tf.Tensor, window: int | Sequence[int]) -> tf.Tensor:
    """Find the sides of the part of `noisy` (N, ..., C) that a step looks at: `window`, or the image's if smaller.

    `window` is one number, or one for each axis.
    """
    return tf.minimum(tf.shape(noisy)[1:-1], window)


def windows_of(noisy: tf.Tensor, pixels: float, side: int | Sequence[int], whole: float) -> Windows:
    """Choose what a step sees of `noisy`: all of it, or several windows.

    Args:
        noisy: (N, ..., C).
        pixels: About so many pixels are seen, or as many as the image has.
        side: The largest side of a window, or that along each axis.
        whole: An image of at most this many pixels is seen whole.

    Example:

    >>> size, count = windows_of(tf.zeros((1, 600, 900, 1)), pixels=512**2, side=128, whole=512**2)
    >>> size.numpy().tolist(), int(count)
    ([128, 128], 16)
    """
    shape = tf.shape(noisy)[1:-1]
    total = tf.cast(tf.reduce_prod(tf.cast(shape, tf.int64)), tf.float64)
    size = tf.where(total <= whole, shape, tf.minimum(shape, side))
    count = tf.minimum(total, float(pixels)) / tf.cast(tf.reduce_prod(size), tf.float64)
    return Windows(size, tf.cast(tf.maximum(tf.round(count), 1), tf.int32))


def windows_of_volume(noisy: tf.Tensor, voxels: float, unit: int, fitting: float) -> Windows:
    """Choose what a step sees of a volume: all of it, or windows as large as fit.

    Near the borders of a window a network has no context, and a volume has more of these than an image: windows are
    as large as fits, though one alone may then have more voxels than are asked for. A thin volume is seen in its
    whole depth.

    Args:
        noisy: (N, D, H, W, C).
        voxels: About so many are seen, but at least one window.
        unit: The sides of windows are multiples of this, or the volume's.
        fitting: A window has at most so many voxels, unless one of that unit has more.

    Example:

    >>> size, count = windows_of_volume(tf.zeros((1, 20, 600, 900, 1)), voxels=10**6, unit=16, fitting=200_000)
    >>> size.numpy().tolist(), int(count)
    ([20, 96, 96], 5)
    """
    shape = tf.shape(noisy)[1:-1]
    sides = unit * tf.range(1, _LARGEST // unit + 1)
    sizes = tf.minimum(shape, sides[:, None])
    voxels_in = tf.reduce_prod(tf.cast(sizes, tf.float64), 1)
    chosen = tf.maximum(tf.reduce_sum(tf.cast(voxels_in <= fitting, tf.int32)) - 1, 0)
    size = tf.gather(sizes, chosen)
    whole = tf.reduce_prod(tf.cast(shape, tf.float64))
    size = tf.where(whole <= fitting, shape, size)
    count = tf.minimum(whole, float(voxels)) / tf.reduce_prod(tf.cast(size, tf.float64))
    return Windows(size, tf.cast(tf.maximum(tf.round(count), 1), tf.int32))


def window_seed(seed: tf.Tensor, number: Integer) -> tf.Tensor:
    """Make the two integers that seed window `number` of the step of this seed: the first has the same."""
    return tf.cast(seed, tf.int64) + tf.stack([tf.constant(0, tf.int64), _NEXT_WINDOW * tf.cast(number, tf.int64)])


def spread_window(noisy: tf.Tensor, seed: tf.Tensor, number: Integer, windows: Windows, weights: Any = ()) -> tf.Tensor:
    """Cut out window `number` of the step of this seed: together, the windows of a run cover the image evenly.

    Their places are a sequence of low discrepancy that goes on from step to step, the fractions of
    `u + n (1/p, 1/p^2, ...)` where p is the root of `p^(d+1) = p + 1` in d dimensions, from a random u (Roberts, "The
    unreasonable effectiveness of quasirandom sequences", 2018; for d = 1 the golden ratio). Places that are all
    random would overlap here and leave gaps there.

    Args:
        noisy: (N, ..., C).
        seed: The seed of the whole tuning and the number of the step.
        number: That of the window in the step, ().
        windows: Their size and count.
        weights: (N, ..., 1) or (N, ..., C), zero where a pixel does not count: a window with few that
            do is put around one of them; an empty tuple if all do.
    """
    room = tf.shape(noisy)[1:-1] - windows.size
    axes = room.shape.num_elements()
    seed = tf.cast(seed, tf.int64)
    start = tf.random.stateless_uniform([axes], tf.stack([seed[0], _PLACE]), dtype=tf.float64, alg="philox")
    index = seed[1] * tf.cast(windows.count, tf.int64) + tf.cast(number, tf.int64)
    places = tf.math.floormod(start + tf.cast(index, tf.float64) * _strides(axes), 1)
    offset = tf.minimum(tf.cast(places * tf.cast(room + 1, tf.float64), tf.int32), room)
    if not isinstance(weights, tuple):
        offset = _counted_offset(tf.reduce_max(weights, [0, -1]), offset, windows.size, room, places[0])
    begin = tf.concat([[0], offset, [0]], 0)
    return tf.slice(noisy, begin, tf.concat([tf.shape(noisy)[:1], windows.size, tf.shape(noisy)[-1:]], 0))


def _counted_offset(counted, offset, size, room, quantile):
    """Keep the offset of a window, or move it to around the pixel of that quantile among those that count."""
    here, everywhere = tf.reduce_mean(tf.slice(counted, offset, size)), tf.reduce_mean(counted)
    sums = tf.cumsum(tf.cast(tf.reshape(counted, [-1]), tf.float64))
    place = tf.searchsorted(sums, quantile[None] * sums[-1], side="right")[0]
    pixel = []
    for side in reversed(tf.unstack(tf.shape(counted))):
        pixel.insert(0, place % side)
        place //= side
    around = tf.clip_by_value(tf.stack(pixel) - size // 2, 0, room)
    return tf.where(here < _LEAST_SHARE * everywhere, around, offset)


def _strides(axes):
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (axes + 1))
    return tf.constant([root ** -(axis + 1) for axis in range(axes)], tf.float64)


def random_window(noisy: tf.Tensor, seed: Seed, size: tf.Tensor) -> tf.Tensor:
    """Cut out a part of `noisy` (N, ..., C) of the spatial size `size`, its place drawn from `seed`, two integers.

    Example:

    >>> image = tf.reshape(tf.range(6.0), (1, 2, 3, 1))
    >>> random_window(image, [0, 0], tf.constant([2, 2])).shape.as_list()
    [1, 2, 2, 1]
    """
    room = tf.shape(noisy)[1:-1] - size
    place = tf.cast(seed, tf.int64) + tf.constant([0, _PLACE], tf.int64)
    offset = tf.math.floormod(random_bits(tf.shape(room), place), room + 1)
    begin = tf.concat([[0], offset, [0]], 0)
    return tf.slice(noisy, begin, tf.concat([tf.shape(noisy)[:1], size, tf.shape(noisy)[-1:]], 0))
