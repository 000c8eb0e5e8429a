"""Stein's risk as a training loss: unbiased for the mean squared error, under Keras's fit."""

import keras
import numpy as np
import pytest

from gaintuning_tf.networks.stein_risk_model import RiskMinimised
from gaintuning_tf.training.batches import Batches, DrawnNoise


def test_the_risk_of_a_linear_network_is_its_error_in_expectation(photograph):
    inputs = keras.Input((None, None, 1))
    layer = keras.layers.Conv2D(1, 3, padding="same", use_bias=False)
    model = RiskMinimised(inputs, layer(inputs))
    layer.kernel.assign(np.random.default_rng(0).normal(1 / 9, 0.1, (3, 3, 1, 1)))
    sigma = 0.2
    noise = DrawnNoise(sigma=(255 * sigma, 255 * sigma))
    sure = Batches([photograph[..., None]], crop=64, batch=4, noise=noise, objective="sure")
    # The same crops and noise, with the clean ones beside them.
    supervised = Batches([photograph[..., None]], crop=64, batch=4, noise=noise)
    difference = []
    for number in range(40):
        noisy, target = sure[number]
        risk = float(model.compute_loss(noisy, target, model(noisy)))
        noisy, clean = supervised[number]
        difference.append(risk - float(np.mean((model(noisy).numpy() - clean) ** 2)))
    # The standard error as measured; the means would differ by 0.01 were a factor of the divergence wrong.
    error = np.std(difference) / np.sqrt(len(difference))
    assert error < 5e-4
    assert np.mean(difference) == pytest.approx(0, abs=4 * error)


def test_it_keeps_its_class_when_saved(tmp_path):
    inputs = keras.Input((None, None, 1))
    model = RiskMinimised(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs))
    model.compile("adam")
    model.save(tmp_path / "m.keras")
    assert isinstance(keras.models.load_model(tmp_path / "m.keras"), RiskMinimised)
