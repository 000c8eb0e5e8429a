"""Where gains go by default."""

import keras
import numpy as np
import pytest
from keras import layers

from gaintuning_tf import InputError, fold_gains, gain_layers, insert_gains
from gaintuning_tf.gains.graphs.graph_models import as_keras_model


def gained(build, where=None, shape=(None, None, 4)):
    """Names of what has gains."""
    inputs = keras.Input(shape)
    model = insert_gains(keras.Model(inputs, build(inputs)), where)
    return sorted(gain.name.removesuffix("_gain") for gain in gain_layers(model))


def gated(x):
    """Channel attention: what is dense sees one vector for an image."""
    means = layers.Dense(4, name="vector")(layers.GlobalAveragePooling2D()(x))
    kept = layers.Dense(4, name="pixel")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    gates = layers.Reshape((1, 1, 4))(means)
    return layers.Dense(4, name="channels")(layers.Conv2D(4, 3, name="conv", padding="same")(x * gates * kept))


def test_dense_layers_on_channels_have_gains_and_those_on_vectors_only_where_it_is_said():
    assert gained(gated) == ["channels", "conv"]
    assert gained(gated, lambda layer: layer.name != "conv") == ["channels", "pixel", "vector"]


@keras.saving.register_keras_serializable("test_places")
class Windows(layers.Layer):
    """Cuts images into windows of 8x8 pixels and puts these together again."""

    def __init__(self, back=False, **options):
        super().__init__(**options)
        self.back = back

    def call(self, inputs):
        if self.back:
            x = keras.ops.reshape(inputs, (-1, 2, 2, 8, 8, 4))
            return keras.ops.reshape(keras.ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, 16, 4))
        x = keras.ops.reshape(inputs, (-1, 2, 8, 2, 8, 4))
        return keras.ops.reshape(keras.ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 64, 4))

    def get_config(self):
        return {**super().get_config(), "back": self.back}


def test_attention_in_windows_has_none_for_its_batch_is_not_that_of_the_images():
    def windowed(x):
        tokens = Windows()(layers.Dense(4, name="before")(x))
        x = x + Windows(back=True)(layers.Dense(4, name="in_windows")(tokens))
        return layers.Dense(4, name="after")(x)

    assert gained(windowed, shape=(16, 16, 4)) == ["after", "before"]


def test_kernels_that_are_fixed_by_design_have_none():
    def blurred(x):
        blur = layers.DepthwiseConv2D(3, padding="same", name="blur", depthwise_initializer="ones", trainable=False)
        return layers.Conv2D(4, 3, padding="same", name="learnt")(blur(x))

    assert gained(blurred) == ["learnt"]
    assert gained(blurred, lambda layer: True) == ["blur", "learnt"]


@keras.saving.register_keras_serializable("test_places")
class Blur(layers.DepthwiseConv2D):
    """A convolution that makes a kernel of its own, no layer that somebody froze."""

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel.trainable = False


def test_a_network_that_was_frozen_has_them_all_and_copies_have_the_same():
    model = keras.Sequential([keras.Input((None, None, 2)), Blur(3), layers.Conv2D(2, 3), layers.Conv2D(1, 3)])
    assert len(gain_layers(insert_gains(model))) == 2
    # Set on a variable, it is not in the configuration.
    model.layers[1].kernel.trainable = False
    folded = fold_gains(insert_gains(model))
    assert len(gain_layers(insert_gains(model))) == len(gain_layers(insert_gains(folded))) == 2
    model.trainable = False
    assert len(gain_layers(insert_gains(model))) == 3


def test_a_blur_in_a_graph_has_none():
    class Pyramid(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = (layers.Conv2D(n, 3, padding="same") for n in (4, 1))
            self.blur = layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="ones", use_bias=False)
            self.learnt = layers.DepthwiseConv2D(3, padding="same")

        def call(self, x):
            return self.second(self.learnt(self.blur(self.first(x))))

    model = Pyramid()
    model(np.zeros((1, 8, 8, 1), "float32"))
    (graph,) = as_keras_model(model).layers[1:]
    assert [found.fixed for found in graph.convolutions] == [False, True, False, False]
    assert len(gain_layers(insert_gains(model))) == 3
    assert len(gain_layers(insert_gains(model, lambda found: True))) == 4


def test_where_nothing_is_left_it_is_said():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="vector")])
    with pytest.raises(InputError, match=r"none of \['vector'\] sees the channels of images"):
        insert_gains(model)
