"""How much memory a network needs to be tuned."""

import keras
import pytest

from gaintuning_tf import insert_gains
from gaintuning_tf.networks.architectures import dncnn, unet
from gaintuning_tf.networks.memory import COPIES, bytes_per_pixel
from gaintuning_tf.networks.network import Network
from gaintuning_tf.networks.pretrained import load_denoiser


def test_a_dncnn_keeps_the_output_of_each_of_its_layers():
    assert bytes_per_pixel(dncnn(depth=5, width=8)) == COPIES * 4 * (4 * 8 + 1)


def test_a_network_that_halves_the_resolution_keeps_less():
    full, half = 1.0, 0.25
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    outputs = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x)
    assert bytes_per_pixel(keras.Model(inputs, outputs)) == COPIES * 4 * (4 * half + 1 * full)


def test_half_precision_is_half_of_it():
    network = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same", dtype="float16")]
    )
    assert bytes_per_pixel(network) == COPIES * 2


def test_a_size_that_a_graph_does_not_tell_is_taken_for_the_image(tmp_path):
    network = unet(bias_free=True)
    network.export(tmp_path / "saved", verbose=False)
    loaded = load_denoiser(tmp_path / "saved")
    assert bytes_per_pixel(network) <= bytes_per_pixel(loaded) <= 4 * bytes_per_pixel(network)


def test_dense_layers_on_channels_count():
    stack = [keras.layers.Dense(8), keras.layers.EinsumDense("abcd,de->abce", (None, None, 2))]
    assert bytes_per_pixel(keras.Sequential([keras.Input((None, None, 1)), *stack])) == COPIES * 4 * (8 + 2)


def test_a_size_that_the_network_takes_is_used():
    inputs = keras.Input((None, None, 1))
    x = keras.layers.UpSampling2D(3)(keras.layers.Conv2D(8, 3, strides=3, padding="same")(inputs))
    network = Network(keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(x + inputs)))
    assert network.multiple == 3
    assert network.bytes_per_pixel == pytest.approx(COPIES * 4 * (8 / 9 + 1))


def test_a_fixed_size_is_used():
    network = keras.Sequential([keras.Input((24, 40, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    assert bytes_per_pixel(network) == pytest.approx(COPIES * 4)


def test_with_gains_of_its_own_for_each_image_a_network_keeps_as_much_for_a_pixel():
    network = dncnn(depth=5, width=8)
    together = insert_gains(network, images=3)
    assert bytes_per_pixel(together) == bytes_per_pixel(network)
