"""The UNet of volumes."""

import keras
import numpy as np
import pytest

from gaintuning_tf import fold_gains, gain_layers, insert_gains, load_denoiser
from gaintuning_tf.networks.unet3d import unet3d


def volume(*shape):
    return np.random.default_rng(0).random(shape).astype("float32")


@pytest.mark.parametrize("size", [(8, 8, 8), (1, 2, 3), (5, 13, 6)])
def test_any_size_and_channels(size):
    assert unet3d(3, width=4)(volume(2, *size, 3)).shape == (2, *size, 3)


def test_the_number_of_weights_is_that_of_its_convolutions():
    fine = 27 * (1 * 8 + 8 * 8) + 27 * (16 * 8 + 8 * 8) + 27 * 8
    coarse = 8 * 8 * 16 + 27 * 2 * 16 * 16 + 8 * 16 * 8
    assert unet3d(bias_free=True, width=8, scales=2).count_params() == fine + coarse


def test_every_convolution_has_gains_and_they_fold(tmp_path):
    keras.utils.set_random_seed(0)
    unet3d(width=4).save(tmp_path / "volumes.keras")
    model, x = load_denoiser(tmp_path / "volumes.keras"), volume(1, 4, 6, 7, 1)
    tuned = insert_gains(model)
    layers = gain_layers(tuned)
    assert len(layers) == sum("Conv3D" in type(layer).__name__ for layer in model.layers)
    for number, layer in enumerate(layers):
        layer.gain.assign(1 + 0.1 * np.sin(number + np.arange(layer.gain.shape[0])))
    expected = tuned(x).numpy()
    assert np.abs(expected - model(x).numpy()).max() > 1e-3
    np.testing.assert_allclose(fold_gains(tuned)(x), expected, atol=1e-5)


def test_without_biases_it_is_homogeneous_of_degree_one():
    keras.utils.set_random_seed(0)
    x = volume(1, 5, 6, 7, 1)
    free, biased = unet3d(bias_free=True, width=4), unet3d(width=4)
    for layer in biased.layers:
        if getattr(layer, "use_bias", False):
            layer.bias.assign(layer.bias + 0.1)
    np.testing.assert_allclose(free(3 * x), 3 * free(x).numpy(), rtol=1e-4, atol=1e-5)
    assert np.abs(biased(3 * x) - 3 * biased(x).numpy()).max() > 0.1


def test_no_scale_is_refused():
    with pytest.raises(ValueError, match="at least one scale, received 0"):
        unet3d(scales=0)
