"""What the convolutions and dense layers of Keras have in common, and where they differ."""

from __future__ import annotations

from typing import TypeVar

import keras
from keras import layers

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.keras_types import as_array

Kind = TypeVar("Kind", bound=keras.layers.Layer)

CONVOLUTIONS = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
)
# Where the input has spatial axes, these are convolutions of 1x1 pixels.
DENSE = (layers.Dense, layers.EinsumDense)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


def convolutions(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """List the convolution layers of `model`, subclasses included, at any depth, each once."""
    return sublayers(model, CONVOLUTIONS)


def sublayers(model: keras.layers.Layer, kind: type[Kind] | tuple[type[Kind], ...]) -> list[Kind]:
    """List the layers of a kind inside `model`, at any depth, each once, in a fixed order."""
    return [layer for layer in model._flatten_layers(include_self=False) if isinstance(layer, kind)]


def with_self(layer: keras.layers.Layer | keras.Operation) -> list[keras.layers.Layer]:
    """List the convolutions in `layer`, then its dense layers: before those in it `layer` itself if it is one.

    Files of gains count by this order.
    """
    if not isinstance(layer, keras.layers.Layer):
        return []  # an operation, such as the sum of two tensors
    kinds = (CONVOLUTIONS, DENSE)
    return [found for kind in kinds for found in [layer] * isinstance(layer, kind) + sublayers(layer, kind)]


def kernel_of(layer: keras.layers.Layer) -> keras.Variable:
    """Give the kernel that a gain is folded into."""
    return layer.pointwise_kernel if isinstance(layer, SEPARABLE) else layer.kernel


def output_axis(layer: keras.layers.Layer) -> int | None:
    """Find the axis of a dense layer's kernel that is the last of its output; None if it is none, or the bias lacks it.

    Example:

    >>> layer = layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de")
    >>> _ = layer(keras.ops.ones((1, 5, 3)))
    >>> output_axis(layer)
    2
    """
    if isinstance(layer, layers.Dense):
        return 1
    inputs, output = layer.equation.replace(" ", "").split("->")
    letters = inputs.partition(",")[2]
    bias = layer.bias
    if output[-1] not in letters or (
        bias is not None and bias.shape[-1] != layer.kernel.shape[letters.index(output[-1])]
    ):
        return None
    return letters.index(output[-1])


def has_own_call(convolution: keras.layers.Layer) -> bool:
    """Whether the code that runs is not Keras's own, so that what it does shows only when it runs.

    A layer as activation counts, too: it may have weights, and so has to stay where it is.
    """
    if isinstance(convolution.activation, keras.layers.Layer):
        return True
    methods = (type(convolution).call, getattr(type(convolution), "convolution_op", type(convolution).call))
    return any(not method.__module__.startswith("keras.") for method in methods)


def scale(convolution: keras.layers.Layer, gain: keras.layers.Layer) -> None:
    """Multiply the kernel and bias of a convolution or dense layer by `gain`, output channel by output channel."""
    if getattr(convolution, "lora_enabled", False):
        raise InputError(f"fold_gains expects plain kernels, {convolution.name!r} has LoRA enabled; merge it first")
    if getattr(convolution, "quantization_mode", None):
        raise InputError(f"fold_gains expects kernels of floating point numbers, those of {convolution.name!r} are not")
    factor = as_array(gain.gain).reshape(-1)
    if isinstance(convolution, DEPTHWISE):
        _multiply(convolution.kernel, factor.reshape(convolution.kernel.shape[-2:]))  # (..., input, multiplier)
    elif isinstance(convolution, SEPARABLE):
        _multiply(convolution.pointwise_kernel, factor)
    elif isinstance(convolution, TRANSPOSED):
        _multiply(convolution.kernel, factor[:, None])  # (..., output, input)
    elif isinstance(convolution, DENSE):
        axis = output_axis(convolution)
        if axis is None:
            raise InputError(f"fold_gains cannot fold into {convolution.name!r}: its last axis is not of its kernel")
        _multiply(convolution.kernel, factor.reshape(-1, *[1] * (len(convolution.kernel.shape) - axis - 1)))
    else:
        _multiply(convolution.kernel, factor)
    if convolution.bias is not None:
        _multiply(convolution.bias, factor)


def _multiply(variable, factor):
    variable.assign(as_array(variable) * factor)
