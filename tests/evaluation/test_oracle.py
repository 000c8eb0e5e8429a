"""The oracle: supervised, with fresh noise, and fair."""

import keras
import numpy as np
import pytest

from gaintuning_tf.evaluation.oracle import Oracle


def linear():
    """f(y) = w y for one weight w, which starts at one."""
    start = keras.initializers.Constant(1.0)
    return keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=start)]
    )


def test_the_gain_of_a_linear_network_becomes_wieners(photograph):
    clean, sigma = photograph[:64, :64] - 0.5, 0.2
    noisy = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape).astype("float32")
    model = linear()
    before = model.get_weights()
    oracle = Oracle(model, steps=300)
    gain = np.sum(oracle.denoise(noisy, clean, sigma) * noisy) / np.sum(noisy**2)
    power = np.mean(clean**2)
    # E |g (x + s n) - x|^2 is least at g = |x|^2 / (|x|^2 + s^2).
    assert gain == pytest.approx(power / (power + sigma**2), abs=0.03)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_every_image_starts_anew(photograph):
    clean = photograph[:20, :20]
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape).astype("float32")
    oracle = Oracle(linear(), steps=3, seed=2)
    first = oracle.denoise(noisy, clean, 0.1)
    oracle.denoise(noisy[:10], clean[:10], 0.5)
    np.testing.assert_array_equal(oracle.denoise(noisy, clean, 0.1), first)
