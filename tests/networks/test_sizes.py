"""Sizes that networks accept."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gaintuning_tf import InputError
from gaintuning_tf.networks.sizes import check_denoiser, check_size, crop_like, mirror, pad_symmetric, size_multiple


def pyramid(levels):
    inputs = keras.Input((None, None, 1))
    x, skips = inputs, []
    for _ in range(levels):
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    for skip in reversed(skips):
        x = layers.Concatenate()([layers.UpSampling2D(2)(x), skip])
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))


@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_finds_the_multiple_of_a_pyramid(levels):
    model = pyramid(levels)
    assert size_multiple(model) == 2**levels
    if levels:
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be equal"):
            model(np.zeros((1, 2**levels + 1, 2**levels, 1), "float32"))


def test_a_network_that_shrinks_its_image_is_refused():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3)])
    with pytest.raises(InputError, match="size of its input"):
        size_multiple(model)


def test_fixed_sizes_are_held_to():
    model = keras.Sequential([keras.Input((16, 24, 1)), layers.Conv2D(1, 3, padding="same")])
    assert size_multiple(model) == 1
    check_size(model, (5, 16, 24, 1))
    with pytest.raises(InputError, match=r"\(16, 24, 1\), received \(16, 16, 1\)"):
        check_size(model, (5, 16, 16, 1))


def test_several_inputs_or_outputs_are_refused():
    left, right = keras.Input((None, None, 1)), keras.Input((None, None, 1))
    with pytest.raises(InputError, match="2 inputs"):
        check_denoiser(keras.Model([left, right], left + right))
    with pytest.raises(InputError, match="2 outputs"):
        check_denoiser(keras.Model(left, [left * 1.0, left * 2.0]))


@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 9])
def test_mirrors_to_the_next_multiple_and_crops_back(side):
    x = tf.reshape(tf.range(float(side * 5)), (1, side, 5, 1))
    padded = pad_symmetric(x, 8)
    assert padded.shape == (1, -(-side // 8) * 8, 8, 1)
    expected = np.pad(x[0, :, :, 0].numpy(), ((0, padded.shape[1] - side), (0, 3)), mode="symmetric")
    np.testing.assert_array_equal(padded[0, :, :, 0], expected)
    np.testing.assert_array_equal(crop_like(padded, x), x)


@pytest.mark.parametrize(("before", "after"), [(0, 3), (2, 0), (7, 11)])
def test_mirrors_at_both_ends_and_as_often_as_needed(before, after):
    image = np.arange(12.0).reshape(4, 3)
    for axis in (0, 1):
        widths = [(before, after) if axis == a else (0, 0) for a in (0, 1)]
        np.testing.assert_array_equal(
            mirror(tf.constant(image), axis, before, after), np.pad(image, widths, "symmetric")
        )
