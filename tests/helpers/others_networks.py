"""Networks as other people have them, a kind each: what Keras runs, and what this package has to tune."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

SIDE = 32
RNG = np.random.default_rng(0)
BLUR = np.exp(-(np.mgrid[-2:3, -2:3] ** 2).sum(0) / 2.5)[..., None].astype("float32")
BLUR /= BLUR.sum()


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        name: What it is called in the table of the documents.
        build: Makes it in a folder; returns what a user hands over, a model or a path.
        gains: How many convolutions, and dense layers on channels, it has.
        inputs: Makes what the network itself takes of images (N, H, W, C) in [0, 1], to compare with.
        outputs: Makes images in [0, 1] of what the network itself returns.
        tolerance: How far these are from what this package makes of it; more where the network rounds.
    """

    name: str
    build: Callable[[Path], Any]
    gains: int = 2
    inputs: Callable[[Any], Any] = lambda images: images
    outputs: Callable[[Any], Any] = lambda returned: keras.tree.flatten(returned)[0]
    tolerance: float = 1e-5


@dataclasses.dataclass(frozen=True)
class Refused:
    """A kind of network that is refused in one line.

    Attributes:
        name: What it is called in the table of the documents.
        build: Makes it in a folder.
        message: What is said.
    """

    name: str
    build: Callable[[Path], Any]
    message: str


def blurring(inputs, first=None, **options):
    """Two convolutions that blur, the second of one pixel, and an activation between them."""
    one = first or layers.Conv2D(4, 5, padding="same", activation="relu", **options)
    other = layers.Conv2D(1, 1, bias_initializer="zeros")
    outputs = other(one(inputs))
    convolution = one if isinstance(one, layers.Conv2D) else next(iter(one._flatten_layers(include_self=False)))
    convolution.set_weights(
        [np.repeat(BLUR[..., None], 4, -1), np.full(4, 0.01, "float32"), *convolution.get_weights()[2:]]
    )
    other.set_weights([np.full((1, 1, 4, 1), 0.25, "float32"), np.full(1, -0.01, "float32")])
    return outputs


def grey(sides=(None, None), **options):
    return keras.Input((*sides, 1), **options)


def of(build, sides=(None, None), name=None, **options):
    """A model of what `build` makes of a grey image."""
    inputs = grey(sides, **options)
    return keras.Model(inputs, build(inputs), name=name)


def resized(interpolation, data_format="channels_last"):
    """A blur, and a correction from half the resolution that is small and not zero."""

    def build(x):
        half = layers.AveragePooling2D(2)(x)
        half = layers.Conv2D(2, 3, padding="same", activation="relu")(half)
        whole = layers.UpSampling2D(2, interpolation=interpolation)(half)
        return blurring(x) + 0.01 * layers.Conv2D(1, 1)(whole)

    return build


@keras.saving.register_keras_serializable("others")
class InBuild(layers.Layer):
    """Makes its convolution when it is built."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        self.convolution = layers.Conv2D(self.filters, 5, padding="same", activation="relu")
        self.convolution.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.convolution(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("others")
class Scale(layers.Layer):
    """A block of a UNet: half the resolution, a convolution, and back by interpolation."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.half = layers.AveragePooling2D(2)
        self.convolution = layers.Conv2D(4, 3, padding="same", activation="relu", name="_größe")

    def build(self, input_shape):
        self.whole = layers.UpSampling2D(2, interpolation="bilinear")
        self.convolution.build(input_shape)

    def call(self, inputs):
        return self.whole(self.convolution(self.half(inputs)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


class Opaque(layers.Layer):
    """Has a function for an argument, and no configuration."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.convolution = layers.Conv2D(4, 5, padding="same", activation="relu")

    def call(self, inputs):
        return self.function(self.convolution(inputs))


@keras.saving.register_keras_serializable("others")
class Forgetful(layers.Layer):
    """Has a configuration that does not say all."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = 1.0
        self.convolution = layers.Conv2D(4, 5, padding="same", activation="relu")

    def call(self, inputs):
        return self.factor * self.convolution(inputs)


@keras.saving.register_keras_serializable("others")
class WeightNormalised(layers.Layer):
    """Computes its kernel from a direction and a length, and convolves by itself."""

    def build(self, input_shape):
        self.direction = self.add_weight(name="direction", shape=(5, 5, input_shape[-1], 4))
        self.length = self.add_weight(name="length", shape=(4,), initializer="ones")
        self.direction.assign(np.repeat(BLUR[..., None], 4, -1))
        self.length.assign(np.full(4, np.sqrt((BLUR**2).sum())))

    def call(self, inputs):
        norm = ops.sqrt(ops.sum(self.direction**2, axis=(0, 1, 2)))
        return ops.relu(ops.conv(inputs, self.direction / norm * self.length, padding="same"))


class WithCall(keras.Model):
    """A Functional model with a `call` of its own."""

    def call(self, inputs, training=None):
        return 0.5 * (inputs + super().call(inputs, training=training))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = of(resized("bilinear"))

    def call(self, inputs, training=None):
        return self.inner(inputs)


class OfDict(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = of(blurring)

    def call(self, inputs, training=None):
        return {"clean": self.inner(inputs["noisy"])}


def of_dict(folder):
    model = OfDict()
    model({"noisy": np.zeros((1, SIDE, SIDE, 1), "float32")})
    return model


def channels_first(function):
    return lambda x: tf.transpose(function(tf.transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2])


def called(model):
    model(np.zeros((1, SIDE, SIDE, 1), "float32"))
    return model


def structured(wrap_in, wrap_out):
    inputs = grey(name="noisy")
    return keras.Model(wrap_in(inputs), wrap_out(blurring(inputs)))


def opaque(folder):
    return of(lambda x: blurring(x, Opaque(lambda y: 1.0 * y)))


def forgetful(folder):
    layer = Forgetful()
    layer.factor = 0.9
    return of(lambda x: blurring(x, layer))


def weight_normalised(folder):
    def build(x):
        last = layers.Conv2D(1, 1)
        y = last(WeightNormalised()(x))
        last.set_weights([np.full((1, 1, 4, 1), 0.25, "float32"), np.zeros(1, "float32")])
        return y

    return of(build)


def with_lora(folder):
    model = of(blurring)
    layer = model.layers[1]
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(RNG.normal(0, 0.01, layer.lora_kernel_b.shape))
    return model


def spectral(folder):
    convolution = layers.Conv2D(4, 5, padding="same", activation="relu")
    return of(lambda x: blurring(x, layers.SpectralNormalization(convolution)))


def with_lambda(folder):
    factor = tf.constant(0.9)
    return of(lambda x: blurring(layers.Lambda(lambda image: image * factor + 0.05)(x)))


def with_wrapped_lambda(folder):
    return of(lambda x: blurring(layers.TimeDistributed(layers.Lambda(lambda row: row * 1.0))(x)), (SIDE, SIDE))


def in_tfsm_layer(folder):
    of(blurring).export(folder / "exported", verbose=False)
    layer = keras.layers.TFSMLayer(folder / "exported", call_endpoint="serving_default")
    return of(layer)


def compiled_with_own_loss(folder):
    model = of(blurring)
    model.compile("adam", lambda wanted, found: ops.mean(abs(wanted - found)))
    return model


def named(name):
    def build(folder):
        def network(x):
            first = layers.Conv2D(4, 5, padding="same", activation="relu", name=name)
            return blurring(x, first)

        return of(network, name=name)

    return build


def of_whole_numbers(dtype, top):
    def build(folder):
        return of(lambda x: blurring(layers.Rescaling(1 / top)(x)), dtype=dtype)

    return build


def to_whole_numbers(folder):
    def build(x):
        y = blurring(layers.Rescaling(1 / 255)(x))
        return ops.cast(ops.round(ops.clip(y * 255, 0, 255)), "uint8")

    return of(build, dtype="uint8")


def saved(function, *specs):
    def build(folder):
        module = tf.Module()
        given = specs or (tf.TensorSpec([None, None, None, 1], name="x"),)
        module.function = tf.function(lambda x: function(x), input_signature=given, autograph=False)
        tf.saved_model.save(module, str(folder / "saved"), signatures=module.function)
        return folder / "saved"

    return build


KERNEL = np.repeat(BLUR[..., None], 4, -1)
LAST = np.full((1, 1, 4, 1), 0.25, "float32")


def transposed(x):
    """As onnx-tf writes it: the kernels channels first, transposed when the network runs."""
    first = tf.transpose(tf.constant(KERNEL.transpose(3, 2, 0, 1)), [2, 3, 1, 0])
    bias = tf.reshape(tf.constant(np.full((2, 2), 0.01, "float32")), [4]) * 1.0
    y = tf.nn.relu(tf.nn.conv2d(x, first, 1, "SAME") + bias)
    return tf.nn.conv2d(y, tf.transpose(tf.constant(LAST.transpose(3, 2, 0, 1)), [2, 3, 1, 0]), 1, "SAME")


def in_groups(x):
    """As onnx-tf writes a convolution in groups: a kernel that is split when the network runs."""
    kernels = tf.split(tf.constant(KERNEL), 2, axis=-1)
    y = tf.concat([tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")) for kernel in kernels], -1)
    return tf.nn.conv2d(y, tf.constant(LAST), 1, "SAME")


def dequantised(x):
    scale = np.abs(KERNEL).max() / 127
    kernel = tf.cast(tf.constant(np.round(KERNEL / scale).astype("int8")), tf.float32) * scale
    return tf.nn.conv2d(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), tf.constant(LAST), 1, "SAME")


def bytes_in_and_out(x):
    y = tf.nn.conv2d(tf.cast(x, tf.float32), tf.constant(KERNEL), 1, "SAME")
    y = tf.nn.conv2d(tf.nn.relu(y), tf.constant(LAST), 1, "SAME")
    return tf.cast(tf.clip_by_value(y, 0, 255), tf.uint8)


def bytes_of(images):
    return np.round(np.asarray(images) * 255).astype("uint8")


BYTES = {
    "inputs": bytes_of,
    "outputs": lambda returned: np.asarray(returned).astype("float32") / 255,
    "tolerance": 1.01 / 255,
}
KINDS = [
    Kind("bilinear `UpSampling2D`, open sizes", lambda folder: of(resized("bilinear")), 4),
    Kind("bicubic `UpSampling2D`, open sizes", lambda folder: of(resized("bicubic")), 4),
    Kind("bilinear `UpSampling2D`, fixed sizes", lambda folder: of(resized("bilinear"), (SIDE, SIDE)), 4),
    Kind("bilinear `UpSampling2D` in a subclassed model", lambda folder: called(Subclassed()), 4),
    Kind(
        "interpolation in a layer of one's own",
        lambda folder: of(lambda x: blurring(x) + layers.Conv2D(1, 1)(Scale()(x))),
        4,
    ),
    Kind("one output in a list", lambda folder: structured(lambda x: x, lambda y: [y])),
    Kind("one input and one output in lists", lambda folder: structured(lambda x: [x], lambda y: [y])),
    Kind("one output in a tuple", lambda folder: structured(lambda x: x, lambda y: (y,))),
    Kind(
        "one input and one output in dicts",
        lambda folder: structured(lambda x: {"noisy": x}, lambda y: {"clean": y}),
        inputs=lambda x: {"noisy": x},
    ),
    Kind("subclassed model of a dict", of_dict, inputs=lambda x: {"noisy": x}),
    Kind("`Lambda`", with_lambda),
    Kind(
        "operation that calls a function",
        lambda folder: of(lambda x: blurring(ops.vectorized_map(lambda image: image * 1.0, x))),
    ),
    Kind("`Lambda` in a wrapper", with_wrapped_lambda),
    Kind("`TFSMLayer`", in_tfsm_layer),
    Kind("layer without `get_config`", opaque),
    Kind("layer with a `get_config` that leaves something out", forgetful),
    Kind("convolution made in `build`", lambda folder: of(lambda x: blurring(x, InBuild(4)))),
    Kind("kernel of a custom layer's own, weight-normalised", weight_normalised),
    Kind("`SpectralNormalization`", spectral),
    Kind("LoRA", with_lora),
    Kind("Functional model with a `call` of its own", lambda folder: called(of_class(WithCall))),
    Kind("compiled with a loss of one's own", compiled_with_own_loss),
    Kind("uint8 in", of_whole_numbers("uint8", 255.0), inputs=bytes_of),
    Kind(
        "uint16 in",
        of_whole_numbers("uint16", 65535.0),
        inputs=lambda x: np.round(np.asarray(x) * 65535).astype("uint16"),
    ),
    Kind("int32 in", of_whole_numbers("int32", 255.0), inputs=lambda x: bytes_of(x).astype("int32")),
    Kind("uint8 in and out", to_whole_numbers, **BYTES),
    Kind("a layer and a model named `größe`", named("größe")),
    Kind("a layer and a model named `_best`", named("_best")),
    Kind("a layer and a model named `-v2`", named("-v2")),
    Kind("SavedModel whose kernels are transposed when it runs", saved(transposed)),
    Kind("SavedModel whose kernel is split when it runs", saved(in_groups), 3),
    Kind("SavedModel whose kernel is dequantised when it runs", saved(dequantised)),
    Kind(
        "SavedModel, uint8 in and out",
        saved(bytes_in_and_out, tf.TensorSpec([None, None, None, 1], tf.uint8, name="x")),
        **BYTES,
    ),
    Kind(
        "SavedModel, uint8 in and out, channels first",
        saved(channels_first(bytes_in_and_out), tf.TensorSpec([None, 1, None, None], tf.uint8, name="x")),
        inputs=lambda x: bytes_of(x).transpose(0, 3, 1, 2),
        outputs=lambda y: np.asarray(y).transpose(0, 2, 3, 1).astype("float32") / 255,
        tolerance=BYTES["tolerance"],
    ),
]


def of_class(kind):
    inputs = grey()
    return kind(inputs, blurring(inputs))


class Counting(tf.Module):
    """Assigns to a variable whenever it is called, as batch normalisation in training does."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], name="x")])
    def run(self, x):
        self.calls.assign_add(1.0)
        return tf.nn.conv2d(x, tf.constant(KERNEL[..., :1]), 1, "SAME") / self.calls


def counting(folder):
    module = Counting()
    tf.saved_model.save(module, str(folder / "saved"), signatures=module.run)
    return folder / "saved"


def branching(x):
    return tf.cond(tf.reduce_mean(x) > 2, lambda: transposed(x / 255) * 255, lambda: transposed(x))


def looping(x):
    return tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, transposed(y)), [0, x])[1]


@keras.saving.register_keras_serializable("others")
class Refusing(layers.Layer):
    """Raises as it is traced."""

    def call(self, inputs):
        raise RuntimeError("the sides must match\nand do not")

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


@keras.saving.register_keras_serializable("others")
class OfTens(layers.Layer):
    """Fails as it runs, for all that is no multiple of a hundred pixels."""

    def call(self, inputs):
        return inputs + 0 * tf.reduce_sum(tf.reshape(inputs, [-1, 10, 10, 1]))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def from_file(build):
    def write(folder):
        build(folder).save(folder / "network.keras")
        return folder / "network.keras"

    return write


REFUSED = [
    Refused("SavedModel that assigns to a variable", counting, "found AssignAddVariableOp"),
    Refused("SavedModel with a conditional", saved(branching), "without control flow"),
    Refused("SavedModel with a loop", saved(looping), "without control flow"),
    Refused("file with a `Lambda` of Python code", from_file(with_lambda), "safe_mode=False"),
    Refused(
        "raises while it is traced", from_file(lambda _: of(lambda x: Refusing()(blurring(x)))), "the sides must match"
    ),
    Refused(
        "fails while it runs", from_file(lambda _: of(lambda x: OfTens()(blurring(x)))), "requires a multiple of 100"
    ),
]
