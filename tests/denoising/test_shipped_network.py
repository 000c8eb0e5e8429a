"""What arrives in another process is what was sent."""

import pickle

import keras
import numpy as np
import pytest

from gaintuning_tf import InputError, gain_layers, insert_gains, load_denoiser
from gaintuning_tf.denoising.shipped_network import ShippedNetwork
from gaintuning_tf.gains.contrast import take_contrast, with_contrast


def arrived(model):
    return pickle.loads(pickle.dumps(ShippedNetwork.of(model))).load()


def test_networks_arrive_with_their_weights_gains_and_contrast(tiny, served):
    image = np.random.default_rng(0).random((1, 16, 16, 1)).astype("float32")
    gained = insert_gains(tiny)
    gain_layers(gained)[0].gain.assign([0.5, 1, 1.5, 2])
    for model in (tiny, gained, load_denoiser(served[1].parent), load_denoiser("unet-bf-natural")):
        np.testing.assert_array_equal(arrived(model)(image), model(image))
    contrasted = arrived(with_contrast(gained, 0.8))
    assert take_contrast(contrasted)[1] == np.float32(0.8)
    np.testing.assert_array_equal(gain_layers(take_contrast(contrasted)[0])[0].gain, [0.5, 1, 1.5, 2])


def test_the_digest_tells_weights_and_gains_apart(tiny):
    gained = insert_gains(tiny)
    digests = {ShippedNetwork.of(tiny).digest, ShippedNetwork.of(gained).digest}
    gain_layers(gained)[0].gain.assign([0.5, 1, 1.5, 2])
    digests.add(ShippedNetwork.of(gained).digest)
    tiny.get_layer("last").bias.assign([0.5])
    digests.add(ShippedNetwork.of(tiny).digest)
    assert len(digests) == 4
    assert ShippedNetwork.of(tiny).digest == ShippedNetwork.of(tiny).digest


def test_layers_that_are_not_known_there_are_told(tiny):
    class Own(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    model = keras.Sequential([keras.Input((None, None, 1)), Own(), keras.layers.Conv2D(1, 3, padding="same")])
    with pytest.raises(InputError, match="registered with Keras"):
        ShippedNetwork.of(model).load()
