#!/usr/bin/env python
"""Time the slope of a step of tuning in float32 and in bfloat16, and on request under XLA.

    python scripts/benchmarks/step_time.py --side 256 --repeats 7
    python scripts/benchmarks/step_time.py --models unet-bf-natural --xla

The kinds are interleaved; the median of the repeats is printed, the first time, with its tracing, is told apart.
"""

import argparse
import functools
import time

import numpy as np
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, GaussianNoise, load_denoiser
from gaintuning_tf.noise.tensors import noise_of_batch
from gaintuning_tf.tuning.steps import gain_steps

MODELS = ("unet-bf-natural", "dncnn-natural", "drunet-grey")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="names or .keras files")
    parser.add_argument("--side", type=int, default=256, help="side of the square image")
    parser.add_argument("--repeats", type=int, default=7, help="timed steps of each kind")
    parser.add_argument("--xla", action="store_true", help="under XLA, too")
    args = parser.parse_args()
    for name in args.models:
        found = timed(load_denoiser(name), args)
        print(f"{name}: " + "; ".join(words(kind, *times, found) for kind, times in found.items()), flush=True)


def timed(model, args):
    """The first time and the median of the others, by kind."""
    kinds = {"float32": {}, "bfloat16": {"rounded": True}}
    if args.xla:
        kinds |= {f"{kind}, XLA": {**how, "jit_compile": True} for kind, how in kinds.items()}
    slopes = {kind: slope_of(model, args.side, **how) for kind, how in kinds.items()}
    first = {kind: seconds(slope) for kind, slope in slopes.items()}
    times = {kind: [] for kind in slopes}
    for _ in range(args.repeats):
        for kind, slope in slopes.items():
            times[kind].append(seconds(slope))
    return {kind: (first[kind], float(np.median(times[kind]))) for kind in slopes}


def slope_of(model, side, *, rounded=False, jit_compile=False):
    """A function that computes the risk of a random image and its gradient: the part that a step's time is in."""
    steps = gain_steps(model, CoupledBootstrap(), prior=None)
    objective, (values, _) = steps.objective, steps.initial()
    noisy = tf.constant(np.random.default_rng(0).random((1, side, side, 1), "float32"))
    noise = noise_of_batch(GaussianNoise(0.1), 1, noisy.dtype)
    inputs = steps.unprepared(noisy, noise, objective.windows(noisy, None))
    if rounded and objective.rounded is None:
        raise SystemExit(f"error: there is no {model.name} in bfloat16")
    find = functools.partial(objective.slope, rounded=rounded)
    compiled = tf.function(find, autograph=False, jit_compile=jit_compile)
    return lambda: compiled(values, inputs, tf.constant([0, 0], tf.int64)).risk.numpy()


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def words(kind, first, median, found):
    ratio = found["float32"][1] / median
    return f"{kind} {median:.3f} s, {ratio:.2f} times as fast (first {first:.1f} s)"


if __name__ == "__main__":
    main()
