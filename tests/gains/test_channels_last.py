"""Networks whose channels come first: the same with the channels last."""

import keras
import numpy as np
import pytest
from keras import layers

from gaintuning_tf import InputError, fold_gains, gain_layers, insert_gains
from gaintuning_tf.gains.channels_last import has_channels_first, with_channels_last
from helpers.channels_first import run

FIRST = {"padding": "same", "data_format": "channels_first"}


def image(*shape):
    return np.random.default_rng(0).random(shape).astype("float32")


def assert_same(model, x, atol=1e-5):
    """Compare a model (N, C, ...) with its copy, at weights of all sizes; returns the copy."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            variable.assign(rng.uniform(0.1, 0.5, variable.shape))
    moved = with_channels_last(model)
    expected = np.moveaxis(np.asarray(run(model, np.moveaxis(x, -1, 1))), 1, -1)
    np.testing.assert_allclose(moved(x), expected, atol=atol * np.abs(expected).max())
    return moved


def pyramid():
    """A network of all kinds of layers that have a data format or an axis."""
    inputs = keras.Input((2, None, None))
    x = saved = layers.Conv2D(4, 3, activation="relu", **FIRST)(inputs)
    x = layers.BatchNormalization(axis=1)(x)
    x = layers.DepthwiseConv2D(3, **FIRST)(layers.MaxPooling2D(2, data_format="channels_first")(x))
    x = layers.PReLU(shared_axes=[2, 3])(layers.SeparableConv2D(6, 3, **FIRST)(x))
    x = layers.GroupNormalization(3, axis=-3)(layers.ZeroPadding2D(1, data_format="channels_first")(x))
    x = layers.Cropping2D(1, data_format="channels_first")(layers.SpatialDropout2D(0.5, "channels_first")(x))
    x = layers.Conv2DTranspose(4, 3, strides=2, **FIRST)(x)
    x = layers.Concatenate(axis=1)([x, saved])
    x = layers.UpSampling2D(2, "channels_first")(layers.AveragePooling2D(2, data_format="channels_first")(x))
    weights = layers.GlobalAveragePooling2D("channels_first", keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid", **FIRST)(weights)])
    return keras.Model(inputs, layers.Subtract()([inputs, layers.Conv2D(2, 3, **FIRST)(x)]))


def test_what_has_a_data_format_or_an_axis_is_moved():
    moved = assert_same(pyramid(), image(2, 12, 16, 2))
    assert moved.input_shape == moved.output_shape == (None, None, None, 2)
    assert not any(isinstance(layer, layers.Permute) for layer in moved.layers)


def test_what_else_a_layer_does_it_does_as_before():
    class Columns(layers.Layer):
        def call(self, inputs):
            return inputs * keras.ops.arange(inputs.shape[-1], dtype="float32")

    inputs = keras.Input((3, 4, 6))
    x = layers.Conv2D(3, 3, **FIRST)(inputs)
    x = Columns()(layers.LayerNormalization(axis=-1)(x))
    x = layers.Dense(6)(layers.Softmax(axis=2)(x))
    x = layers.Reshape((3, 4, 6))(layers.Flatten("channels_first")(x)) / 2 + np.arange(6.0)
    x = x + keras.ops.mean(x, axis=2, keepdims=True)
    means = layers.Dense(3)(layers.GlobalMaxPooling2D("channels_first")(x))
    x = x * layers.Reshape((3, 1, 1))(means)
    moved = assert_same(keras.Model(inputs, x), image(2, 4, 6, 3))
    assert any(isinstance(layer, layers.Permute) for layer in moved.layers)


def test_nested_shared_and_sequential_models_stay_so():
    block = keras.Sequential([keras.Input((4, None, None)), layers.Conv2D(4, 3, **FIRST), layers.ReLU()])
    inputs = keras.Input((1, None, None))
    x = block(block(layers.Conv2D(4, 3, **FIRST)(inputs)))
    moved = assert_same(keras.Model(inputs, layers.Conv2D(1, 3, **FIRST)(x)), image(1, 7, 9, 1))
    assert len(gain_layers(insert_gains(moved))) == 3


def test_volumes():
    stack = [layers.Conv3D(2, 3, **FIRST), layers.BatchNormalization(axis=1), layers.Conv3D(1, 3, **FIRST)]
    assert_same(keras.Sequential([keras.Input((1, None, None, None)), *stack]), image(1, 5, 6, 7, 1))


def test_gains_go_in_and_fold_and_the_copy_can_be_saved(tmp_path):
    gained = insert_gains(with_channels_last(pyramid()))
    for gain in gain_layers(gained):
        gain.gain.assign(np.linspace(0.5, 1.5, gain.gain.shape[0]))
    x = image(1, 8, 8, 2)
    folded = fold_gains(gained)
    np.testing.assert_allclose(folded(x), gained(x), atol=1e-5)
    folded.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(x), folded(x))


def test_gains_that_are_there_stay():
    model = keras.Sequential([keras.Input((1, None, None)), layers.Conv2D(3, 3, activation="tanh", **FIRST)])
    gained = insert_gains(model)
    gain_layers(gained)[0].gain.assign([0.5, 1.0, 2.0])
    moved, x = with_channels_last(gained), image(1, 5, 6, 1)
    expected = np.moveaxis(np.asarray(run(gained, np.moveaxis(x, -1, 1))), 1, -1)
    for same in (moved, fold_gains(moved)):
        np.testing.assert_allclose(same(x), expected, atol=1e-6)


def test_a_model_with_its_channels_last_is_left_as_it_is(tiny):
    assert not has_channels_first(tiny) and with_channels_last(tiny) is tiny


def test_convolutions_where_nobody_sees_are_refused():
    class Block(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inner = layers.Conv2D(1, 3, name="inner", **FIRST)

        def call(self, inputs):
            return self.inner(inputs)

    activated = layers.Conv2D(1, 3, activation=layers.PReLU(shared_axes=[2, 3]), name="inner", **FIRST)
    for layer, words in ((Block(name="own"), "in 'own', a Block"), (activated, "in 'inner', a Conv2D")):
        model = keras.Sequential([keras.Input((1, None, None)), layer])
        with pytest.raises(InputError, match=f"{words}, 'inner' has them first; build"):
            with_channels_last(model)
