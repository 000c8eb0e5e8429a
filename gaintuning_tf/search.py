"""Which gains to keep, and the random numbers of each step: pure functions of tensors.

The loop of `GainTuner.tune`, in Python, and the loop of `gaintuning_tf.adaptive`, in a graph,
both call them, so that the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

# The estimates that decide which gains are kept draw from this stream of random
# numbers, which tuning never uses: gains cannot be fitted to their probes.
HELD_OUT = 1 << 30
# Two probes of 256x256 pixels do not see a loss of 0.005 dB, which is little enough
# (docs/log/2026-11-23-learning-rate-of-the-default-recipe.md).
HELD_OUT_PROBES = 2
# From this many pixels on one probe is enough, for it has the variance of two of half
# as many: docs/log/2026-11-25-held-out-probes-of-large-images.md.
HELD_OUT_PIXELS = 2 * 256**2
# The running average of the risk reaches back over 1 / (1 - SMOOTHING) = 5 steps, half
# of a round: long enough to calm one step's noise, short enough to follow the gains.
SMOOTHING = 0.8
# This is added to the number of a step for the place of its window, so that its probe
# has other numbers.
_PLACE = 1 << 31
# The numbers of the windows of one step lie this far apart, so that they meet no other
# stream's.
_NEXT_WINDOW = 1 << 35

Gains = Sequence[tf.Tensor]


class Search(NamedTuple):
    """Where the running average of the risk was lowest so far, row by row.

    A row is a set of gains: one for all images, or one for each image of a batch.

    Attributes:
        best: The gains there.
        lowest: That average, (rows,), float64.
        average: The running average, not yet divided by the sum of its weights, (rows,), float64.
        steps: Steps so far, (), int64.
    """

    best: Gains
    lowest: tf.Tensor
    average: tf.Tensor
    steps: tf.Tensor


class Windows(NamedTuple):
    """The parts of an image that a step looks at, one after the other, each at a random place.

    Attributes:
        size: Their spatial size, (dimensions,).
        count: Their number, ().
    """

    size: tf.Tensor
    count: tf.Tensor


def start(gains: Gains, rows: int) -> Search:
    """A search that has seen nothing yet."""
    lowest = tf.fill([rows], tf.constant(math.inf, tf.float64))
    return Search(list(gains), lowest, tf.zeros([rows], tf.float64), tf.zeros([], tf.int64))


def remember(search: Search, gains: Gains, risk: tf.Tensor) -> Search:
    """The search after a step that found `risk` at `gains`.

    The estimate of one step is noisy: what is compared is the running average
    `m_t = (a m_(t-1) + (1 - a) risk_t)`, divided by `1 - a^t` as Adam's moments are
    (Kingma and Ba, "Adam", ICLR 2015, section 3), with a = 0.8.

    Args:
        search: What is known so far.
        gains: The gains before the step's update.
        risk: Their risk, (rows,).

    Example:

    >>> search = start([tf.ones(2)], rows=1)
    >>> for number, risk in enumerate([4.0, 2.0, 3.0]):
    ...     search = remember(search, [tf.fill([2], float(number))], tf.constant([risk]))
    >>> search.best[0].numpy().tolist(), round(float(search.lowest[0]), 3)
    ([1.0, 1.0], 2.889)
    """
    average = SMOOTHING * search.average + (1 - SMOOTHING) * tf.cast(risk, tf.float64)
    steps = search.steps + 1
    unbiased = average / (1 - SMOOTHING ** tf.cast(steps, tf.float64))
    lower = unbiased < search.lowest
    return Search(choose(lower, gains, search.best), tf.where(lower, unbiased, search.lowest), average, steps)


def choose(rows: tf.Tensor, gains: Gains, others: Gains) -> list[tf.Tensor]:
    """Row by row, `gains` where `rows` (rows,), else `others`."""
    return [
        tf.where(tf.reshape(rows, [-1] + [1] * (len(gain.shape) - 1)), gain, other)
        for gain, other in zip(gains, others, strict=True)
    ]


def held_out(risk: Callable[[Gains, tf.Tensor], tf.Tensor], gains: Gains, seed, pixels=0) -> tf.Tensor:
    """The mean risk of `gains` on probes that tuning never sees; infinite where it is not finite.

    Args:
        risk: Gains and a seed to the risk, (rows,).
        gains: The gains.
        seed: The seed of the whole tuning, ().
        pixels: Of each probe, (): from `HELD_OUT_PIXELS` on, one is enough.
    """

    def of_probe(number):
        return tf.cast(risk(gains, step_seed(seed, number)), tf.float64)

    # A loop in the graph, so that the network is in it once: tracing and optimising a graph takes seconds.
    probes = tf.where(tf.convert_to_tensor(pixels) < HELD_OUT_PIXELS, HELD_OUT_PROBES, 1)
    numbers = HELD_OUT + tf.range(tf.cast(probes, tf.int64))
    risks = tf.map_fn(of_probe, numbers, fn_output_signature=tf.float64, parallel_iterations=1)
    mean = tf.reduce_mean(risks, 0)
    return tf.where(tf.math.is_finite(mean), mean, math.inf)


def candidates(start: Gains, best: Gains, last: Gains) -> list[Gains]:
    """The gains to compare at the end; the last of each is the contrast.

    Example:

    >>> start, last = ([tf.ones(1), tf.ones(1)], [tf.constant([3.0]), tf.constant([0.5])])
    >>> [[float(part[0]) for part in gains] for gains in candidates(start, start, last)]
    [[1.0, 1.0], [1.0, 0.5], [2.0, 0.5], [1.0, 1.0], [3.0, 0.5]]
    """
    contrast = last[-1]
    half = [(one + other) / 2 for one, other in zip(start[:-1], last[:-1], strict=True)]
    return [list(start), [*start[:-1], contrast], [*half, contrast], list(best), list(last)]


def keep_best(candidates: Sequence[Gains], risks: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Row by row, the candidate of the lowest risk, the first of equals, and its risk.

    Args:
        candidates: Gains, those at the start first.
        risks: Of each, (rows,).
    """
    kept, lowest = list(candidates[0]), risks[0]
    for gains, risk in zip(candidates[1:], risks[1:], strict=True):
        kept = choose(risk < lowest, gains, kept)
        lowest = tf.where(risk < lowest, risk, lowest)
    return kept, lowest


def annealed(rate: float, number, steps) -> tf.Tensor:
    """The learning rate of step `number` of `steps`: `rate (1 + cos(pi number / steps)) / 2`.

    Falls to zero along a half cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5).

    Example:

    >>> [round(float(annealed(3e-3, number, 4)), 6) for number in range(4)]
    [0.003, 0.002561, 0.0015, 0.000439]
    """
    fraction = tf.cast(number, tf.float64) / tf.cast(steps, tf.float64)
    return tf.cast(rate * (1 + tf.cos(math.pi * fraction)) / 2, tf.float32)


def step_seed(seed, number) -> tf.Tensor:
    """The two integers that seed a step: the seed of the whole tuning and the number of the step."""
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])


def window_size(noisy: tf.Tensor, window: int) -> tf.Tensor:
    """The sides of the part of `noisy` (N, ..., C) that a step looks at: `window`, or the image's if smaller."""
    return tf.minimum(tf.shape(noisy)[1:-1], window)


def windows(noisy: tf.Tensor, pixels: float, side: int, whole: float) -> Windows:
    """What a step sees of `noisy`: all of it, or several windows.

    Args:
        noisy: (N, ..., C).
        pixels: About so many pixels are seen, or as many as the image has.
        side: Of a window, at most.
        whole: An image of at most this many pixels is seen whole.

    Example:

    >>> size, count = windows(tf.zeros((1, 600, 900, 1)), pixels=512**2, side=128, whole=512**2)
    >>> size.numpy().tolist(), int(count)
    ([128, 128], 16)
    """
    shape = tf.shape(noisy)[1:-1]
    total = tf.cast(tf.reduce_prod(tf.cast(shape, tf.int64)), tf.float64)
    size = tf.where(total <= whole, shape, tf.minimum(shape, side))
    count = tf.minimum(total, float(pixels)) / tf.cast(tf.reduce_prod(size), tf.float64)
    return Windows(size, tf.cast(tf.maximum(tf.round(count), 1), tf.int32))


def window_seed(seed: tf.Tensor, number) -> tf.Tensor:
    """The two integers that seed window `number` of the step that `seed` is of: of the first, the same."""
    return tf.cast(seed, tf.int64) + tf.stack([tf.constant(0, tf.int64), _NEXT_WINDOW * tf.cast(number, tf.int64)])


def spread_window(noisy: tf.Tensor, seed: tf.Tensor, number, windows: Windows) -> tf.Tensor:
    """Window `number` of the step that `seed` is of: together, the windows of a run cover the image evenly.

    Their places are a sequence of low discrepancy that goes on from step to step, the fractions of
    `u + n (1/p, 1/p^2, ...)` where p is the root of `p^(d+1) = p + 1` in d dimensions, from a random u (Roberts, "The
    unreasonable effectiveness of quasirandom sequences", 2018; for d = 1 the golden ratio). Places that are all
    random would overlap here and leave gaps there.

    Args:
        noisy: (N, ..., C).
        seed: The seed of the whole tuning and the number of the step.
        number: (), of the window in the step.
        windows: Their size and count.
    """
    room = tf.shape(noisy)[1:-1] - windows.size
    axes = room.shape[0]
    seed = tf.cast(seed, tf.int64)
    start = tf.random.stateless_uniform([axes], tf.stack([seed[0], _PLACE]), dtype=tf.float64, alg="philox")
    index = seed[1] * tf.cast(windows.count, tf.int64) + tf.cast(number, tf.int64)
    places = tf.math.floormod(start + tf.cast(index, tf.float64) * _strides(axes), 1)
    offset = tf.minimum(tf.cast(places * tf.cast(room + 1, tf.float64), tf.int32), room)
    begin = tf.concat([[0], offset, [0]], 0)
    return tf.slice(noisy, begin, tf.concat([tf.shape(noisy)[:1], windows.size, tf.shape(noisy)[-1:]], 0))


def _strides(axes):
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (axes + 1))
    return tf.constant([root ** -(axis + 1) for axis in range(axes)], tf.float64)


def random_window(noisy: tf.Tensor, seed, size: tf.Tensor) -> tf.Tensor:
    """A part of `noisy` (N, ..., C) of the spatial size `size`, its place drawn from `seed`, two integers.

    Example:

    >>> image = tf.reshape(tf.range(6.0), (1, 2, 3, 1))
    >>> random_window(image, [0, 0], tf.constant([2, 2])).shape.as_list()
    [1, 2, 2, 1]
    """
    room = tf.shape(noisy)[1:-1] - size
    place = tf.cast(seed, tf.int64) + tf.constant([0, _PLACE], tf.int64)
    bits = tf.random.stateless_uniform(tf.shape(room), place, None, None, tf.int32, alg="philox")
    offset = tf.math.floormod(bits, room + 1)
    begin = tf.concat([[0], offset, [0]], 0)
    return tf.slice(noisy, begin, tf.concat([tf.shape(noisy)[:1], size, tf.shape(noisy)[-1:]], 0))
