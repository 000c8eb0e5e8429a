"""Networks of one gain whose best value is known, and an image to tune it on."""

import keras
import numpy as np

from gaintuning_tf import gain_layers

SIGMA = 0.1


def noisy(seed=0, shape=(1, 32, 32, 1)):
    rng = np.random.default_rng(seed)
    clean = 0.5 + 0.3 * np.sin(np.arange(shape[2]) / 4)[None, None, :, None]
    return (clean + SIGMA * rng.standard_normal(shape)).astype("float32")


def scaling(factor=1.0):
    """One 1x1 convolution: f(y) = gain * factor * y, whose best gain is known."""
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, use_bias=False)])
    model.layers[0].kernel.assign([[[[factor]]]])
    return model


def gains(model):
    return np.concatenate([gain.gain.numpy().ravel() for gain in gain_layers(model)])


def tune(tuner, image, **options):
    return tuner.tune(image, progress=False, **options)
