#!/usr/bin/env python
"""Press Ctrl-C at random moments of a tuning, and count how it ends.

    python scripts/try_ctrl_c.py --times 150

Of each time: `ended`, the tuning ended early with its best gains; `raised`, a
KeyboardInterrupt came out of it, as it may before the first step; `lost`, it went on until
Ctrl-C was pressed again two seconds later.
"""

import argparse
import collections
import os
import random
import signal
import threading

import keras
import numpy as np

from gaintuning_tf import CoupledBootstrap, GainTuner

SIDE = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=150, help="how often [%(default)s]")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, padding="same", activation="relu"), keras.layers.Conv2D(1, 3, padding="same")]
    tuner = GainTuner(keras.Sequential([keras.Input((None, None, 1)), *layers]), CoupledBootstrap(0.1))
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (1, SIDE, SIDE, 1)).astype("float32")
    tuner.tune(noisy, steps=1, progress=False)
    random.seed(0)
    print(dict(collections.Counter(pressed(tuner, noisy) for _ in range(options.times))))


def pressed(tuner, noisy):
    """How one tuning ends."""
    done, presses = threading.Event(), []

    def press():
        wait = 0.02 + 0.15 * random.random()
        while not done.wait(wait):
            presses.append(wait)
            os.kill(os.getpid(), signal.SIGINT)
            wait = 2

    finger = threading.Thread(target=press)
    try:
        finger.start()
        history = tuner.tune(noisy, steps=10**6)
        assert history.interrupted
        return "lost" if len(presses) > 1 else "ended"
    except KeyboardInterrupt:
        return "raised"
    finally:
        done.set()
        finger.join()


if __name__ == "__main__":
    main()
