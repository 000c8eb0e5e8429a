"""Layers copied so that they run where Keras itself may not run them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gaintuning_tf.gains.layer_copies import at_open_sizes, clone_layer, scope_name, values_of

IMAGES = np.random.default_rng(0).random((2, 6, 8, 3)).astype("float32")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos3", "nearest"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_interpolation_is_that_of_keras_at_sizes_known_only_in_a_run(interpolation, data_format):
    layer = layers.UpSampling2D((2, 3), data_format=data_format, interpolation=interpolation)
    copy = clone_layer(layer)
    images = IMAGES if data_format == "channels_last" else IMAGES.transpose(0, 3, 1, 2)
    shape = [None, None, None, 3] if data_format == "channels_last" else [None, 3, None, None]
    run = tf.function(copy, [tf.TensorSpec(shape)], autograph=False)
    np.testing.assert_array_equal(run(images), layer(images))
    np.testing.assert_array_equal(copy(images), layer(images))
    assert type(copy) is type(layer) and copy.get_config() == layer.get_config()


def test_a_side_that_is_known_stays_known():
    copy = clone_layer(layers.UpSampling2D(2, interpolation="bilinear"))
    traced = tf.function(copy, [tf.TensorSpec([None, 6, None, 3])], autograph=False).get_concrete_function()
    assert traced.structured_outputs.shape.as_list() == [None, 12, None, 3]


def broken_off(model):
    with at_open_sizes(model):
        assert model.layers[0].name == scope_name("_up")
        raise ZeroDivisionError


def test_a_model_is_left_as_it_was():
    model = keras.Sequential(
        [keras.Input((None, None, 3)), layers.UpSampling2D(2, interpolation="bilinear", name="_up")]
    )
    before = set(vars(model.layers[0]))
    with pytest.raises(ZeroDivisionError):
        broken_off(model)
    assert model.layers[0].name == "_up"
    assert set(vars(model.layers[0])) == before


@pytest.mark.parametrize(
    "layer", [layers.Conv2D(4, 3), layers.Dense(4), layers.EinsumDense("abcd,de->abce", (None, None, 4))], ids=repr
)
def test_the_products_of_lora_are_in_the_kernel(layer):
    layer(IMAGES)
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(1).normal(0, 1, layer.lora_kernel_b.shape))
    copy = clone_layer(layer)
    expected = layer(IMAGES)
    copy(IMAGES)
    assert not copy.lora_enabled
    for value, variable in zip(values_of(layer), copy.variables, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(copy(IMAGES), expected, rtol=1e-6, atol=1e-6)
    assert layer.lora_enabled


def test_a_lambda_keeps_its_function_and_arguments():
    factors = [tf.constant(2.0)]
    layer = layers.Lambda(lambda x, plus: x * factors[0] + plus, output_shape=(6, 8, 3), arguments={"plus": 1.0})
    copy = clone_layer(layer)
    assert copy is not layer and copy.function is layer.function
    np.testing.assert_array_equal(copy(IMAGES), 2 * IMAGES + 1)
    assert copy.compute_output_shape((2, 6, 8, 3)) == (2, 6, 8, 3)
