#!/usr/bin/env python
"""Time one step of tuning with and without XLA, for the two kinds of network that the package knows.

    python scripts/benchmarks/step_time.py --side 256 --repeats 7

The two are interleaved; the median of the repeats is printed, compilation left out and told apart.
"""

import argparse
import time

import numpy as np
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, GainTuner
from gaintuning_tf.networks.architectures import dncnn, unet


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256, help="side of the square image")
    parser.add_argument("--repeats", type=int, default=7, help="timed steps of each kind")
    args = parser.parse_args()
    noisy = np.random.default_rng(0).random((1, args.side, args.side, 1), "float32")
    for name, model in (("unet", unet(bias_free=True)), ("dncnn", dncnn())):
        tuners = {jit: GainTuner(model, CoupledBootstrap(0.1), jit_compile=jit, prior=None) for jit in (False, True)}
        step = {jit: _timed_step(tuner, noisy) for jit, tuner in tuners.items()}
        first = {jit: step[jit]() for jit in tuners}
        times = {jit: [] for jit in tuners}
        for _ in range(args.repeats):
            for jit in tuners:
                times[jit].append(step[jit]())
        graph, xla = (float(np.median(times[jit])) for jit in (False, True))
        print(
            f"{name}: graph {graph:.3f} s, XLA {xla:.3f} s, graph / XLA {graph / xla:.2f}; "
            f"first step {first[False]:.1f} s and {first[True]:.1f} s",
            flush=True,
        )


def _timed_step(tuner, noisy):
    """A step with the plain gradient: the part that the networks' time is in."""
    gains, state = tuner.initial()
    compiled = tf.function(tuner.step, autograph=False, jit_compile=tuner.jit_compile)
    arguments = (gains, state, tf.constant(noisy), tf.constant([0.1]), tf.constant([0, 0], tf.int64))

    def step():
        start = time.perf_counter()
        compiled(*arguments)[2].numpy()
        return time.perf_counter() - start

    return step


if __name__ == "__main__":
    main()
