"""The same three convolutions, as every writer of networks writes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

RNG = np.random.default_rng(0)
KERNELS = [RNG.normal(0, 0.3, shape).astype("float32") for shape in ((3, 3, 1, 4), (3, 3, 4, 4), (3, 3, 4, 1))]
BIASES = [RNG.normal(0, 0.1, size).astype("float32") for size in (4, 4, 1)]


def image(size=(2, 13, 18, 1)):
    return np.random.default_rng(1).random(size).astype("float32")


def plain():
    """Three convolutions as a Keras model: what the writers below write, too."""
    inputs = keras.Input((None, None, 1))
    x = inputs
    for number, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True)):
        layer = keras.layers.Conv2D(kernel.shape[-1], 3, padding="same", activation="relu" if number < 2 else None)
        x = layer(x)
        layer.set_weights([kernel, bias])
    return keras.Model(inputs, x)


class Module(tf.Module):
    def __init__(self, data_format="NHWC"):
        super().__init__()
        self.format = data_format
        self.kernels = [tf.Variable(kernel) for kernel in KERNELS]
        self.biases = [tf.Variable(bias) for bias in BIASES]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], name="picture")])
    def __call__(self, x):
        first = self.format == "NCHW"
        x = tf.transpose(x, [0, 3, 1, 2]) if first else x
        for number, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            x = tf.nn.conv2d(x, kernel, 1, "SAME", data_format=self.format)
            x = tf.nn.bias_add(x, bias, self.format)
            x = tf.nn.relu(x) if number < 2 else x
        return {"clean": tf.transpose(x, [0, 2, 3, 1]) if first else x}


def write_keras(path):
    plain().export(path, verbose=False)


def write_tf_keras(path):
    tf_keras = pytest.importorskip("tf_keras")
    live_tf_keras(tf_keras).save(path, save_format="tf")


def live_tf_keras(tf_keras):
    layers = [tf_keras.Input((None, None, 1))]
    layers += [tf_keras.layers.Conv2D(4, 3, padding="same", activation="relu") for _ in range(2)]
    layers += [tf_keras.layers.Conv2D(1, 3, padding="same")]
    model = tf_keras.Sequential(layers)
    model.set_weights([value for pair in zip(KERNELS, BIASES, strict=True) for value in pair])
    return model


def write_module(path):
    tf.saved_model.save(Module(), path)


def write_nchw(path):
    tf.saved_model.save(Module("NCHW"), path)


def write_tf1(path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = inputs = v1.placeholder(tf.float32, [None, None, None, 1], name="image")
        for number, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True)):
            weights = v1.get_variable(f"w{number}", initializer=kernel, use_resource=number > 0)
            x = tf.nn.conv2d(x, weights, 1, "SAME") + v1.get_variable(f"b{number}", initializer=bias)
            x = tf.nn.relu(x) if number < 2 else x
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, path, {"image": inputs}, {"result": x})


def write_channels_first(path):
    """As a converter from ONNX does: constants, and channels first at both ends."""

    @tf.function(input_signature=[tf.TensorSpec([None, 1, None, None], name="x")])
    def network(x):
        x = tf.transpose(x, [0, 2, 3, 1])
        for number, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True)):
            x = tf.nn.conv2d(x, tf.constant(kernel), 1, "SAME") + tf.constant(bias)
            x = tf.nn.relu(x) if number < 2 else x
        return tf.transpose(x, [0, 3, 1, 2])

    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, path, signatures=network)


WRITERS = [write_keras, write_tf_keras, write_module, write_nchw, write_tf1, write_channels_first]
