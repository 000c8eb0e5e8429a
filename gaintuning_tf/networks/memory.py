"""How much memory a network needs to be tuned."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from gaintuning_tf.gains.surgery import gain_layers
from gaintuning_tf.networks.sizes import called

# A network is looked at with sides of this length, or the next that it takes.
SIDE = 128
# The gradient of the gains needs the output of each convolution and what comes of that,
# and a loss may run the network on two images at once: four copies.
COPIES = 4
_CONVOLUTIONS = (
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2dNative",
    "Conv2DBackpropInput",
    "Conv3DBackpropInputV2",
)
# Dense layers, whose outputs may have other axes than the image.
_PRODUCTS = ("MatMul", "BatchMatMulV2", "Einsum")


def bytes_per_pixel(model: keras.Model, multiple: int = 1) -> float:
    """Estimate how many bytes a step of tuning keeps for each pixel, until the gradient has been found.

    `COPIES` times the outputs of all convolutions and dense layers, found in the network's graph.

    Args:
        model: A denoiser of images (N, ..., C).
        multiple: The number whose multiples it takes as sides, see `sizes.size_multiple`.

    Example:

    >>> bytes_per_pixel(keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(8, 3, padding="same")]))
    128.0
    """
    given = model.inputs[0]
    side = -(-SIDE // multiple) * multiple
    # With gains of their own for each image, it takes so many at once.
    images = next((gain.images for gain in gain_layers(model) if gain.images), 1)
    shape = [images, *(side if fixed is None else fixed for fixed in given.shape[1:-1]), given.shape[-1]]
    function = tf.function(lambda image: called(model, image), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec(shape, given.dtype)).graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    sizes = [_bytes(node, shape) for node in nodes if node.op in (*_CONVOLUTIONS, *_PRODUCTS)]
    return COPIES * sum(sizes) / math.prod(shape[:-1])


def _bytes(node, shape):
    found = tf.TensorShape(node.attr["_output_shapes"].list.shape[0])
    if node.op in _PRODUCTS:
        return (found.num_elements() or 0) * tf.as_dtype(node.attr["T"].type).size
    if found.rank != len(shape):
        return 0
    # What a graph knows only while it runs is taken to be as large as the image.
    sides = [side or whole for side, whole in zip(found[:-1], shape[:-1], strict=True)]
    return math.prod([*sides, found[-1] or 0]) * tf.as_dtype(node.attr["T"].type).size
