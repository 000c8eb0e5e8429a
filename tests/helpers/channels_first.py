"""Networks whose channels come first, run on any processor."""

import tensorflow as tf

from gaintuning_tf.gains.channels_last import has_channels_first


def run(model, inputs):
    """Call a model, compiled if its channels come first: TensorFlow's own kernels take them so on some processors."""
    if not has_channels_first(model):
        return model(inputs, training=False)
    return tf.function(lambda x: model(x, training=False), jit_compile=True)(inputs)
