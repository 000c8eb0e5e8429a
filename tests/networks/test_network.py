"""What a network wants is asked once, whatever it was given as."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import InputError, insert_gains
from gaintuning_tf.gains.contrast import with_contrast
from gaintuning_tf.networks import sizes
from gaintuning_tf.networks.network import Network, network_of
from helpers.channels_first import run


def halving(channels=3):
    inputs = keras.Input((None, None, channels), dtype="float64")
    half = keras.layers.Conv2D(4, 3, strides=2, padding="same", dtype="float64")(inputs)
    return keras.Model(inputs, keras.layers.Conv2DTranspose(channels, 3, 2, "same", dtype="float64")(half))


def test_it_says_what_it_takes():
    network = Network(halving())
    assert (network.shape, network.channels, network.dimensions) == ((None, None, 3), 3, 2)
    assert (network.dtype, network.multiple) == (tf.float64, 2)
    assert network.contrast.tolist() == [1.0]
    volume = keras.Sequential([keras.Input((8, None, None, 1)), keras.layers.Conv3D(1, 3, padding="same")])
    assert (Network(volume).shape, Network(volume).dimensions) == ((None, None, None, 1), 3)
    # Of a side that it fixes it sees tiles.
    assert Network(volume).fixed_sides == (8, None, None)
    Network(volume).check((1, 7, 9, 9, 1))
    with pytest.raises(InputError, match="expects images of shape"):
        Network(volume).check((1, 9, 9, 1))


def test_it_is_asked_once(monkeypatch):
    network = Network(halving())
    assert network.multiple == 2
    monkeypatch.setattr(sizes, "size_multiple", lambda model: pytest.fail("asked again"))
    assert network(np.zeros((1, 5, 7, 3), "float32")).shape == (1, 5, 7, 3)
    assert network_of(network) is network


def test_images_keep_their_dtype_and_odd_size():
    images = np.random.default_rng(0).random((2, 5, 7, 3)).astype("float32")
    model = halving()
    denoised = Network(model)(images)
    assert (denoised.dtype, denoised.shape) == (tf.float32, (2, 5, 7, 3))
    mirrored = np.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)), "symmetric")
    np.testing.assert_allclose(denoised, model(mirrored)[:, :5, :7], atol=1e-6)


def test_layers_of_a_contrast_are_taken_off_and_put_back(tiny):
    image = np.random.default_rng(0).random((1, 8, 8, 1)).astype("float32")
    given = with_contrast(insert_gains(tiny), 0.5)
    network = network_of(given)
    assert network.contrast.tolist() == [0.5]
    assert len(network.model.layers) == len(insert_gains(tiny).layers)
    np.testing.assert_allclose(network.at_contrast()(image), given(image), atol=1e-6)
    np.testing.assert_allclose(network(image), tiny(image), atol=1e-6)


def test_channels_may_come_first():
    stack = [keras.layers.Conv2D(n, 3, padding="same", data_format="channels_first") for n in (4, 2)]
    model = keras.Sequential([keras.Input((2, None, None)), *stack])
    images = np.random.default_rng(0).random((1, 7, 9, 2)).astype("float32")
    network = network_of(model)
    assert network.shape == (None, None, 2)
    expected = np.moveaxis(run(model, np.moveaxis(images, -1, 1)).numpy(), 1, -1)
    np.testing.assert_allclose(network(images), expected, atol=1e-5)


def test_what_is_no_denoiser_is_refused():
    shrinks = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, padding="same")])
    with pytest.raises(InputError, match="output has its input's shape"):
        network_of(shrinks)
