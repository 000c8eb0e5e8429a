"""Tiles: the receptive field measured, the seams invisible."""

import keras
import numpy as np
import pytest
from keras import layers

from gaintuning_tf import InputError
from gaintuning_tf.networks.architectures import unet
from gaintuning_tf.networks.network import Network
from gaintuning_tf.networks.tiles import denoise_tiled, receptive_field


def stack(*stack):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((None, None, 1)), *stack])


def same(*arguments, **options):
    return layers.Conv2D(*arguments, padding="same", activation="relu", **options)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (stack(same(8, 3), same(8, 3), layers.Conv2D(1, 3, padding="same")), 3),
        (stack(same(8, 5), layers.Conv2D(1, 3, padding="same", dilation_rate=4)), 6),
        (stack(layers.Conv2D(1, (3, 9), padding="same")), 4),
        (stack(*[same(8, 3, dilation_rate=8) for _ in range(9)], layers.Conv2D(1, 3, padding="same")), 73),
    ],
    ids=["plain", "dilated", "oblong", "wide"],
)
def test_measures_the_receptive_field(model, expected):
    assert receptive_field(model) == expected


def test_tiles_of_a_network_that_divides_by_three_begin_where_it_divides():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(4, 3, strides=3, padding="same")(same(4, 3)(inputs))
    network = Network(keras.Model(inputs, layers.Conv2DTranspose(1, 3, strides=3, padding="same")(x)))
    assert network.multiple == 3
    # A third of the pixels beyond the border of a block of three, and the two others of that block.
    assert 1 <= network.receptive_field <= 4
    noisy = np.random.default_rng(0).random((1, 200, 230, 1)).astype("float32")
    pieces = []

    def denoise(piece):
        pieces.append(piece.shape[1:3])
        return network(piece).numpy()

    how = {"receptive_field": network.receptive_field, "multiple": 3}
    np.testing.assert_allclose(denoise_tiled(denoise, noisy, tile=64, **how), network(noisy), atol=1e-5)
    assert pieces == [(200, 230)] * 4, "192 and what is left, with margins of 192"
    with pytest.raises(InputError, match="fixes a side"):
        receptive_field(keras.Sequential([keras.Input((8, None, 1)), layers.Conv2D(1, 3, padding="same")]))


def test_a_network_that_sees_everything_is_refused():
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, inputs - layers.GlobalAveragePooling2D(keepdims=True)(inputs))
    with pytest.raises(InputError, match="cannot be tiled"):
        receptive_field(model)


@pytest.mark.parametrize("size", [(200, 333), (129, 64), (64, 65)])
def test_tiles_are_seamless(size):
    """Also through a downsampling by two, whose phase must be the same in every tile."""
    keras.utils.set_random_seed(3)
    model = unet(bias_free=False, width=4)
    noisy = np.random.default_rng(0).random((1, *size, 1)).astype("float32")
    whole = model.predict(noisy, verbose=0)
    pieces = []

    def denoise(piece):
        pieces.append(piece.shape)
        return model.predict(piece, verbose=0)

    tiled = denoise_tiled(denoise, noisy, receptive_field=receptive_field(model), tile=64)
    assert len(pieces) > 1
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * np.abs(whole).max())


def test_a_margin_that_is_too_small_shows():
    model = stack(same(8, 9), layers.Conv2D(1, 9, padding="same"))
    noisy = np.random.default_rng(0).random((1, 130, 130, 1)).astype("float32")
    whole = model.predict(noisy, verbose=0)
    seams = np.abs(denoise_tiled(lambda x: model.predict(x, verbose=0), noisy, receptive_field=0, tile=64) - whole)
    assert seams.max() > 1e-3, "the test above would pass whatever the margin"


def test_tiles_must_keep_the_phase():
    with pytest.raises(InputError, match="multiple of 64"):
        denoise_tiled(lambda x: x, np.zeros((1, 8, 8, 1)), receptive_field=0, tile=100)
