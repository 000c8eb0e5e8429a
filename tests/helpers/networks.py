"""A small denoiser that many tests use."""

import keras
import numpy as np


def make_tiny():
    """A small denoiser with an activation and a batch norm: the mean of neighbours, perturbed."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(1, 3, padding="same", name="last")(x)
    model = keras.Model(inputs, x)
    kernel = np.random.default_rng(0).normal(0, 0.05, (3, 3, 1, 4)) + 1 / 9
    model.get_layer("first").kernel.assign(kernel)
    last = np.random.default_rng(1).normal(0, 0.01, (3, 3, 4, 1))
    last[1, 1] += 0.25
    model.get_layer("last").kernel.assign(last)
    return model


def make_tiny_of_volumes():
    """A small denoiser of volumes about mid-grey, so that borders stay light: the mean of neighbours, perturbed."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, None, 1))
    x = keras.layers.Rescaling(1.0, -0.5)(inputs)
    x = keras.layers.Conv3D(4, 3, padding="same", use_bias=False, name="first")(x)
    x = keras.layers.Conv3D(1, 1, use_bias=False, name="last")(x)
    model = keras.Model(inputs, keras.layers.Rescaling(1.0, 0.5)(x))
    kernel = np.random.default_rng(0).normal(0, 0.01, (3, 3, 3, 1, 4)) + 1 / 27
    model.get_layer("first").kernel.assign(kernel)
    model.get_layer("last").kernel.assign(np.full((1, 1, 1, 4, 1), 0.25))
    return model


def smooth_volume(shape=(12, 72, 80)):
    """A clean volume of smooth structure, about 50 to 200."""
    z, y, x = np.indices(shape)
    return 125 + 60 * np.sin(z / 5) * np.cos(y / 9) * np.sin(x / 11)
