"""A model for each kind of layer that gains can be put behind."""

import keras
import numpy as np
from keras import layers


@keras.saving.register_keras_serializable("test_surgery")
class Residual(layers.Layer):
    """A custom layer: two convolutions, a weight of its own, its own call."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.first = layers.Conv2D(filters, 3, padding="same", activation="tanh")
        self.block = keras.Sequential([keras.Input((None, None, filters)), layers.Conv2D(filters, 1, activation="elu")])

    def build(self, input_shape):
        self.slope = self.add_weight(name="slope", shape=(), initializer="ones")
        super().build(input_shape)

    def call(self, inputs, training=None):
        return self.slope * inputs + self.block(self.first(inputs), training=training)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("test_surgery")
class Shifted(layers.Conv2D):
    """A subclass with its own call: something comes after the fused activation."""

    def call(self, inputs):
        return super().call(inputs) ** 2 + 1


@keras.saving.register_keras_serializable("test_surgery")
class Unactivated(layers.Conv2D):
    """A subclass whose call never applies the activation."""

    def call(self, inputs):
        return self.convolution_op(inputs, self.kernel) * 2


@keras.saving.register_keras_serializable("test_surgery")
class Standardised(layers.Conv2D):
    """A subclass that normalises its kernel: no factor on the kernel reaches the output."""

    def call(self, inputs):
        kernel = self.kernel / keras.ops.sqrt(keras.ops.sum(self.kernel**2))
        return self.activation(self.convolution_op(inputs, kernel))


@keras.saving.register_keras_serializable("test_surgery")
class Renamed(layers.Conv2D):
    """A subclass that changes nothing."""


def sequential(*stack, shape=(None, None, 2)):
    return keras.Sequential([keras.Input(shape), *stack])


def functional(build, shape=(None, None, 2)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(inputs))


def slopes():
    return layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.RandomUniform(0.1, 0.9, seed=1))


def called(model):
    """Keras builds an activation that is a layer only when it is called."""
    model(np.zeros((1, 9, 9, 2), "float32"))
    return model


def nested_three_deep():
    inner = functional(lambda x: layers.Conv2D(3, 3, padding="same", activation="tanh")(x), (None, None, 3))
    middle = functional(lambda x: layers.Conv2D(3, 3, padding="same")(inner(x)), (None, None, 3))
    outer = keras.Sequential([keras.Input((None, None, 2)), layers.Conv2D(3, 1, activation="relu"), middle])
    return functional(lambda x: layers.Conv2D(2, 3, padding="same")(outer(x)))


def shared_layer():
    first = layers.Conv2D(2, 3, padding="same", activation="sigmoid")
    return functional(lambda x: layers.Conv2D(2, 3)(first(first(x))))


def several_inputs_and_outputs():
    left, right = keras.Input((None, None, 2), name="left"), keras.Input((None, None, 2), name="right")
    x = layers.Concatenate()([layers.Conv2D(3, 3, activation="relu")(left), layers.Conv2D(3, 3)(right)])
    outputs = {"sum": layers.Conv2D(1, 1, activation="tanh")(x), "raw": layers.Conv2D(2, 3)(x) * 2.0 + 1.0}
    return keras.Model({"left": left, "right": right}, outputs)


def with_batch_norm():
    model = sequential(
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.Conv2D(1, 3),
    )
    norm = model.layers[1]
    norm.moving_mean.assign(np.linspace(-0.5, 0.5, 4))
    norm.moving_variance.assign(np.linspace(0.5, 1.5, 4))
    return model


@keras.saving.register_keras_serializable("test_surgery")
class Mixed(layers.Layer):
    """A custom layer of dense layers, such as a block of ConvNeXt."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.depthwise = layers.DepthwiseConv2D(3, padding="same")
        self.norm = layers.LayerNormalization(epsilon=1e-2)
        self.widened = layers.Dense(4 * width, activation="gelu")
        self.narrowed = layers.EinsumDense("abcd,de->abce", (None, None, width), bias_axes="e")

    def call(self, inputs):
        return inputs + self.narrowed(self.widened(self.norm(self.depthwise(inputs))))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def products():
    heads = layers.EinsumDense("abcd,def->abcef", (None, None, 3, 4), bias_axes="ef", activation="tanh")
    return sequential(heads, layers.EinsumDense("abcef,efg->abcg", (None, None, 2)))


def attention():
    def build(x):
        tokens = layers.Reshape((-1, 2))(x)
        attended = layers.MultiHeadAttention(2, 3)(tokens, tokens)
        return layers.Dense(2)(layers.Add()([tokens, attended]))

    return functional(build, (5, 5, 2))


line, volume = (None, 2), (None, None, None, 2)
# Name in the table of docs/explained/gains.md: (model, number of gains).
KINDS = {
    "Conv1D": (lambda: sequential(layers.Conv1D(4, 3, activation="tanh"), shape=line), 1),
    "Conv2D": (lambda: sequential(layers.Conv2D(4, 3, activation="tanh")), 1),
    "Conv3D": (lambda: sequential(layers.Conv3D(4, 3, activation="tanh"), shape=volume), 1),
    "Conv1DTranspose": (lambda: sequential(layers.Conv1DTranspose(4, 3, strides=2, activation="tanh"), shape=line), 1),
    "Conv2DTranspose": (lambda: sequential(layers.Conv2DTranspose(4, 3, strides=2, activation="tanh")), 1),
    "Conv3DTranspose": (lambda: sequential(layers.Conv3DTranspose(4, 3, activation="tanh"), shape=volume), 1),
    "DepthwiseConv1D": (
        lambda: sequential(layers.DepthwiseConv1D(3, depth_multiplier=3, activation="tanh"), shape=line),
        1,
    ),
    "DepthwiseConv2D": (lambda: sequential(layers.DepthwiseConv2D(3, depth_multiplier=3, activation="tanh")), 1),
    "SeparableConv1D": (lambda: sequential(layers.SeparableConv1D(4, 3, activation="tanh"), shape=line), 1),
    "SeparableConv2D": (lambda: sequential(layers.SeparableConv2D(4, 3, activation="tanh")), 1),
    "grouped, strided, dilated Conv2D": (
        lambda: sequential(
            layers.Conv2D(4, 3, groups=2), layers.Conv2D(4, 3, strides=2), layers.Conv2D(2, 3, dilation_rate=2)
        ),
        3,
    ),
    "channels_first": (
        lambda: sequential(
            layers.Conv2D(4, 3, data_format="channels_first", activation="tanh"),
            layers.Conv2D(2, 3, data_format="channels_first"),
            shape=(2, None, None),
        ),
        2,
    ),
    "subclass of a convolution": (lambda: sequential(Renamed(4, 3, activation="tanh")), 1),
    "subclass with its own call": (lambda: sequential(Shifted(4, 3, activation="tanh"), Unactivated(2, 3)), 2),
    "layer as activation": (
        lambda: called(sequential(layers.Conv2D(4, 3, activation=slopes()), layers.Conv2D(2, 3))),
        2,
    ),
    "custom layer with its own call": (
        lambda: functional(lambda x: layers.Conv2D(2, 3)(Residual(2)(x))),
        3,
    ),
    "Functional, skip and arithmetic": (
        lambda: functional(lambda x: x - layers.Conv2D(2, 3, padding="same", activation="tanh")(x) * 0.5),
        1,
    ),
    "Sequential": (lambda: sequential(layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(2, 3)), 2),
    "nested three deep": (nested_three_deep, 4),
    "shared layer": (shared_layer, 2),
    "several inputs and outputs": (several_inputs_and_outputs, 4),
    "batch norm and dropout": (with_batch_norm, 2),
    "Dense on channels": (lambda: sequential(layers.Dense(4, activation="tanh"), layers.Dense(2)), 2),
    "EinsumDense": (products, 2),
    "custom layer of dense layers": (lambda: sequential(Mixed(2), layers.Dense(1)), 4),
    "MultiHeadAttention": (attention, 5),
}
