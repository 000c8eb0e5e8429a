"""Sizes that networks accept."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gaintuning_tf import InputError
from gaintuning_tf.networks.sizes import (
    SHARED,
    at_any_size,
    check_denoiser,
    check_size,
    crop_like,
    fixed_sides,
    mirror,
    pad_symmetric,
    size_multiple,
)


def pyramid(levels, *pools):
    inputs = keras.Input((None, None, 1))
    x, skips = inputs, []
    for pool in pools or [2] * levels:
        skips.append((pool, x))
        x = layers.MaxPooling2D(pool)(x)
    for pool, skip in reversed(skips):
        x = layers.Concatenate()([layers.UpSampling2D(pool)(x), skip])
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))


@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_finds_the_multiple_of_a_pyramid(levels):
    model = pyramid(levels)
    assert size_multiple(model) == 2**levels
    if levels:
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be equal"):
            model(np.zeros((1, 2**levels + 1, 2**levels, 1), "float32"))


@pytest.mark.parametrize("pools", [(3,), (2, 3), (3, 4), (5,), (7, 2, 2)])
def test_finds_multiples_that_are_no_powers_of_two(pools):
    model = pyramid(0, *pools)
    assert size_multiple(model) == np.prod(pools)
    assert at_any_size(model)(np.zeros((1, 11, 29, 1), "float32")).shape == (1, 11, 29, 1)


def test_a_network_that_shrinks_its_image_is_refused():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3)])
    with pytest.raises(InputError, match="size of its input"):
        size_multiple(model)


def test_axes_and_channels_are_held_to_but_no_sides():
    model = keras.Sequential([keras.Input((16, None, 1)), layers.Conv2D(1, 3, padding="same")])
    assert (size_multiple(model), fixed_sides(model)) == (1, (16, None))
    check_size(model, (5, 16, 24, 1))
    check_size(model, (5, 99, 3, 1))
    for shape in ((16, 16, 1), (1, 16, 16, 3)):
        with pytest.raises(InputError, match=r"of shape \(None, None, 1\), received"):
            check_size(model, shape)


def blur(*sides):
    """A mean over 3x3 pixels, which takes images of one size."""
    layer = layers.Conv2D(1, 3, padding="same", kernel_initializer=keras.initializers.Constant(1 / 9))
    return keras.Sequential([keras.Input((*sides, 1)), layer])


def image(*size):
    return np.random.default_rng(0).random((2, *size, 1)).astype("float32")


@pytest.mark.parametrize("size", [(16, 24), (17, 24), (50, 37), (40, 400), (5, 30), (1, 1)])
def test_images_of_any_size_are_seen_in_tiles_of_the_one_that_a_network_takes(size):
    twice = keras.Sequential([keras.Input((16, 24, 1)), layers.Rescaling(2.0)])
    denoise = tf.function(at_any_size(twice), [tf.TensorSpec([None, None, None, 1])], autograph=False)
    # Pixel by pixel, the weights of the tiles add to one.
    np.testing.assert_allclose(denoise(image(*size)), 2 * image(*size), rtol=1e-5)


def test_tiles_leave_no_seams():
    side, y = 24, image(50, 67)
    tiled, whole = at_any_size(blur(side, side))(y), blur(None, None)(y)
    # A tile's outermost pixel lacks a third of its neighbours. The next tile has it inside, where it weighs more.
    outermost, inside = (np.sin(np.pi * (place + 0.5) / side) ** 2 for place in (0, side * SHARED))
    share = outermost / (outermost + inside)
    assert 0 < np.abs(tiled - whole).max() < 2 * share / 3
    inner = blur(side, side)(y[:, :side, :side])
    np.testing.assert_array_equal(at_any_size(blur(side, side))(y[:, :side, :side]), inner)


def test_smaller_images_are_mirrored_to_the_size_that_a_network_takes():
    y = image(10, 24)
    mirrored = np.pad(y, ((0, 0), (0, 6), (0, 0), (0, 0)), "symmetric")
    np.testing.assert_allclose(at_any_size(blur(16, 24))(y), blur(16, 24)(mirrored)[:, :10], atol=1e-6)


def test_one_side_may_be_fixed_and_the_other_a_multiple():
    inputs = keras.Input((8, None, 1))
    model = keras.Model(inputs, layers.UpSampling2D(3)(layers.AveragePooling2D((1, 3))(inputs))[:, :8])
    assert size_multiple(model) == 3
    assert at_any_size(model)(image(20, 31)).shape == (2, 20, 31, 1)


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
