"""What the convolutions of Keras have in common, and where they differ."""

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
    """List `convolutions(layer)`, and before them `layer` itself if it is one."""
    if not isinstance(layer, keras.layers.Layer):
        return []  # an operation, such as the sum of two tensors
    return ([layer] if isinstance(layer, CONVOLUTIONS) else []) + convolutions(layer)


def has_own_call(convolution: keras.layers.Layer) -> bool:
    """Whether the code that runs is not Keras's own, so that what it does shows only when it runs.

    A layer as activation counts, too: it may have weights, and so has to stay where it is.
    """
    if isinstance(convolution.activation, keras.layers.Layer):
        return True
    methods = (type(convolution).call, getattr(type(convolution), "convolution_op", type(convolution).call))
    return any(not method.__module__.startswith("keras.") for method in methods)


def scale(convolution: keras.layers.Layer, gain: keras.layers.Layer) -> None:
    """Multiply the kernel and bias of `convolution` by `gain`, output channel by output channel."""
    if getattr(convolution, "lora_enabled", False):
        raise InputError(f"fold_gains expects plain kernels, {convolution.name!r} has LoRA enabled; merge it first")
    factor = as_array(gain.gain).reshape(-1)
    if isinstance(convolution, DEPTHWISE):
        _multiply(convolution.kernel, factor.reshape(convolution.kernel.shape[-2:]))  # (..., input, multiplier)
    elif isinstance(convolution, SEPARABLE):
        _multiply(convolution.pointwise_kernel, factor)
    elif isinstance(convolution, TRANSPOSED):
        _multiply(convolution.kernel, factor[:, None])  # (..., output, input)
    else:
        _multiply(convolution.kernel, factor)
    if convolution.use_bias:
        _multiply(convolution.bias, factor)


def _multiply(variable, factor):
    variable.assign(as_array(variable) * factor)
