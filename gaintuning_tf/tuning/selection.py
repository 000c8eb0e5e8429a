"""Which gains to keep, and the random numbers of each step: pure functions of tensors.

The loop of `GainTuner.tune`, in Python, and the loop of `gaintuning_tf.serving.tuning_in_graph`, in a graph,
both call them, so that the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from gaintuning_tf.tuning.windows import Integer, step_seed

# The estimates that decide which gains are kept draw from this stream of random
# numbers, which tuning never uses: gains cannot be fitted to their probes.
HELD_OUT = 1 << 30
# Of smaller images, two probes. Of 256x256 pixels, they do not see a loss of 0.005 dB
# (docs/log/2026-11-23-learning-rate-of-the-default-recipe.md).
HELD_OUT_PROBES = 2
# From this many pixels on one probe is enough, for candidates are compared on the same
# one: docs/log/2026-11-27-fewer-steps-crops-and-probes.md.
HELD_OUT_PIXELS = 256**2
# The running average of the risk reaches back over 1 / (1 - SMOOTHING) = 5 steps, half
# of a round: long enough to calm one step's noise, short enough to follow the gains.
SMOOTHING = 0.8
Gains = Sequence[tf.Tensor]


class BestSoFar(NamedTuple):
    """Where the running average of the risk was lowest so far, group by group.

    A group is a set of values: one for all images, or one for each image of a batch.

    Attributes:
        values: The values there.
        lowest: That average, (groups,), float64.
        average: The running average, not yet divided by the sum of its weights, (groups,), float64.
        steps: Steps so far, (), int64.
    """

    values: Gains
    lowest: tf.Tensor
    average: tf.Tensor
    steps: tf.Tensor


def nothing_seen(values: Gains, groups: int) -> BestSoFar:
    """Make the selection before the first step."""
    lowest = tf.fill([groups], tf.constant(math.inf, tf.float64))
    return BestSoFar(list(values), lowest, tf.zeros([groups], tf.float64), tf.zeros([], tf.int64))


def remember(known: BestSoFar, values: Gains, risk: tf.Tensor) -> BestSoFar:
    """Update the selection after a step that found `risk` at `values`.

    The estimate of one step is noisy: what is compared is the running average
    `m_t = (a m_(t-1) + (1 - a) risk_t)`, divided by `1 - a^t` as Adam's moments are
    (Kingma and Ba, "Adam", ICLR 2015, section 3), with a = 0.8.

    Args:
        known: The selection so far.
        values: The values before the step's update.
        risk: Their risk, (groups,).

    Example:

    >>> known = nothing_seen([tf.ones(2)], groups=1)
    >>> for number, risk in enumerate([4.0, 2.0, 3.0]):
    ...     known = remember(known, [tf.fill([2], float(number))], tf.constant([risk]))
    >>> known.values[0].numpy().tolist(), round(float(known.lowest[0]), 3)
    ([1.0, 1.0], 2.889)
    """
    average = SMOOTHING * known.average + (1 - SMOOTHING) * tf.cast(risk, tf.float64)
    steps = known.steps + 1
    unbiased = average / (1 - tf.pow(tf.constant(SMOOTHING, tf.float64), tf.cast(steps, tf.float64)))
    lower = unbiased < known.lowest
    return BestSoFar(choose(lower, values, known.values), tf.where(lower, unbiased, known.lowest), average, steps)


def choose(groups: tf.Tensor, values: Gains, others: Gains) -> list[tf.Tensor]:
    """Take, group by group, `values` where `groups` (groups,), else `others`."""
    return [
        tf.where(tf.reshape(groups, [-1] + [1] * (len(gain.shape) - 1)), gain, other)
        for gain, other in zip(values, others, strict=True)
    ]


def held_out(
    risk: Callable[[Gains, tf.Tensor], tf.Tensor], gains: Gains, seed: Integer, pixels: Integer = 0
) -> tf.Tensor:
    """Find the mean risk of `gains` on probes that tuning never sees; infinite where it is not finite.

    Args:
        risk: Gains and a seed to the risk, (groups,).
        gains: The gains.
        seed: The seed of the whole tuning, ().
        pixels: The pixels of a probe, (): from `HELD_OUT_PIXELS` on, one probe is enough.
    """

    def of_probe(number: tf.Tensor):
        return tf.cast(risk(gains, step_seed(seed, number)), tf.float64)

    # A loop in the graph, so that the network is in it once: tracing and optimising a graph takes seconds.
    probes = tf.where(tf.convert_to_tensor(pixels) < HELD_OUT_PIXELS, HELD_OUT_PROBES, 1)
    numbers = HELD_OUT + tf.range(tf.cast(probes, tf.int64))
    risks = tf.map_fn(of_probe, numbers, fn_output_signature=tf.float64, parallel_iterations=1)
    mean = tf.reduce_mean(risks, 0)
    return tf.where(tf.math.is_finite(mean), mean, math.inf)


def candidates(start: Gains, best: Gains, last: Gains) -> list[Gains]:
    """List the gains to compare at the end; the last of each is the contrast.

    Example:

    >>> start, last = ([tf.ones(1), tf.ones(1)], [tf.constant([3.0]), tf.constant([0.5])])
    >>> [[float(part[0]) for part in gains] for gains in candidates(start, start, last)]
    [[1.0, 1.0], [1.0, 0.5], [2.0, 0.5], [1.0, 1.0], [3.0, 0.5]]
    """
    contrast = last[-1]
    half = [(one + other) / 2 for one, other in zip(start[:-1], last[:-1], strict=True)]
    return [list(start), [*start[:-1], contrast], [*half, contrast], list(best), list(last)]


def keep_best(candidates: Sequence[Gains], risks: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Take, group by group, the candidate of the lowest risk, the first of equals.

    Args:
        candidates: Gains, those at the start first.
        risks: Those of each, (groups,).

    Returns:
        The gains, and their risk, (groups,).
    """
    kept, lowest = list(candidates[0]), risks[0]
    for gains, risk in zip(candidates[1:], risks[1:], strict=True):
        kept = choose(risk < lowest, gains, kept)
        lowest = tf.where(risk < lowest, risk, lowest)
    return kept, lowest


def annealed(rate: float, number: Integer, steps: Integer) -> tf.Tensor:
    """Compute the learning rate of step `number` of `steps`: `rate (1 + cos(pi number / steps)) / 2`.

    It falls to zero along a half cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5).

    Example:

    >>> [round(float(annealed(3e-3, number, 4)), 6) for number in range(4)]
    [0.003, 0.002561, 0.0015, 0.000439]
    """
    fraction = tf.cast(number, tf.float64) / tf.cast(steps, tf.float64)
    return tf.cast(rate * (1 + tf.cos(math.pi * fraction)) / 2, tf.float32)
