"""The noise estimate in a graph is the one in Python."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.noise.estimation import estimate_noise
from gaintuning_tf.serving.noise_in_graph import estimate_sigma


@pytest.mark.parametrize("shape", [(24, 20, 1), (25, 21, 3), (4, 5, 1), (64, 7, 2)])
def test_the_estimate_is_that_of_estimate_noise(shape):
    image = 0.5 + 0.1 * np.random.default_rng(0).standard_normal(shape)
    for masked in (0, shape[0] // 2):
        image[:masked] = 0  # coefficients that are zero do not count
        assert float(estimate_sigma(tf.constant(image))) == pytest.approx(estimate_noise(image).sigma, rel=1e-9)


@pytest.mark.parametrize("kind", [tf.float32, tf.float64])
def test_where_there_is_no_noise_it_is_zero(kind):
    ramp = np.arange(20.0)[:, None, None] + np.arange(16.0)[None, :, None]
    for image in (np.full((16, 16, 1), 0.3), np.zeros((8, 8, 2)), ramp, np.ones((1, 1, 1))):
        assert float(estimate_sigma(tf.constant(image, kind))) == 0


def test_it_scales_with_the_image():
    image = np.random.default_rng(0).standard_normal((32, 32, 1))
    once, thousandfold = (float(estimate_sigma(tf.constant(factor * image))) for factor in (1, 1000))
    assert thousandfold == pytest.approx(1000 * once, rel=1e-9)
