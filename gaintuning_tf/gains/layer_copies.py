"""A layer copied from its configuration, so that it runs where Keras may not run it: at open sizes, in a graph."""

from __future__ import annotations

import contextlib
import copy
import functools
import re
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.gains.convolutions import CONVOLUTIONS, DENSE, with_self
from gaintuning_tf.gains.keras_types import Tensor, ops

# Scopes of TensorFlow take no other letters, and some of these not in front.
_NOT_IN_A_SCOPE = re.compile(r"[^A-Za-z0-9_.>-]")
_IN_FRONT = re.compile(r"[A-Za-z0-9.]")


def clone_layer(layer: Any) -> Any:
    """Make a copy from a layer's configuration, with its inner convolutions, without LoRA.

    What follows is changed in the copy: names that TensorFlow's scopes refuse, and how `UpSampling2D` finds its size.

    Raises:
        InputError: It has no configuration, or not one that makes the same layer.
    """
    try:
        made = ready(_made_again(layer))
        _build_inner(layer, made)
    except InputError:
        raise
    except Exception as error:  # a configuration may be anything, and so may what reads it
        why = f"{type(layer).__name__} needs a get_config that its from_config takes: {reason_of(error)}"
        raise InputError(f"cannot copy layer {layer.name!r}: {why}") from error
    return ready(made)


def ready(layer: Any) -> Any:
    """Change a layer, which must be a copy, so that it runs in a graph of open sizes; returns it."""
    for inner in layer._flatten_layers() if _is_layer(layer) else ():
        ready_alone(inner)
        if getattr(inner, "lora_rank", None) and not inner.built:
            inner.lora_rank = None  # its product goes into the kernel, see `values_of`
    return layer


def ready_alone(layer: layers.Layer) -> None:
    """Change a layer, but not those within it, as `ready` does."""
    layer.name = scope_name(layer.name)
    if sized_by_python(layer):
        layer.call = functools.partial(_upsampled, layer)


def _is_layer(model):
    return isinstance(model, layers.Layer)


@contextlib.contextmanager
def at_open_sizes(model: Any) -> Iterator[None]:
    """Let the layers of a model run at open sizes within the block; they are left as they were."""
    changed = [layer for layer in model._flatten_layers() if needs_change(layer)] if _is_layer(model) else []
    names = [layer.name for layer in changed]
    try:
        for layer in changed:
            ready_alone(layer)
        yield
    finally:
        for layer, name in zip(changed, names, strict=True):
            layer.name = name
            vars(layer).pop("call", None)


def is_own(layer: layers.Layer) -> bool:
    """Say whether a layer is of somebody's own, and not of Keras or of this package."""
    return not type(layer).__module__.startswith(("keras.", "gaintuning_tf."))


def own_kernels(layer: layers.Layer) -> list[keras.Variable]:
    """List a layer's own weights, not those of its inner layers, that have the rank of a convolution's kernel."""
    inner = {id(v) for one in layer._flatten_layers(include_self=False) for v in one.variables}
    is_known = isinstance(layer, (*CONVOLUTIONS, *DENSE))
    return [] if is_known else [v for v in layer.trainable_variables if id(v) not in inner and len(v.shape) > 3]


def needs_change(layer: layers.Layer) -> bool:
    """Say whether `ready` would change what a layer does."""
    return layer.name != scope_name(layer.name) or sized_by_python(layer)


def sized_by_python(layer: layers.Layer) -> bool:
    """Say whether a layer computes its output's size as Python numbers: an interpolating `UpSampling2D`, untouched."""
    return (
        isinstance(layer, layers.UpSampling2D)
        and layer.interpolation != "nearest"
        and getattr(layer.call, "__func__", None) is layers.UpSampling2D.call
    )


def scope_name(name: str) -> str:
    """Write a name so that TensorFlow takes it for a scope.

    Example:

    >>> scope_name("conv_1"), scope_name("größe"), scope_name("_best"), scope_name("-v2")
    ('conv_1', 'gr_f6__df_e', 'layer_best', 'layer-v2')
    """
    plain = _NOT_IN_A_SCOPE.sub(lambda letter: f"_{ord(letter[0]):x}_", name)
    return plain if _IN_FRONT.match(plain) else f"layer{plain}"


def values_of(layer: layers.Layer) -> list[Any]:
    """List the values of a layer's variables as its copy has them: the products of LoRA are part of the kernels."""
    merged, left_out = {}, set()
    for inner in layer._flatten_layers():
        if getattr(inner, "lora_enabled", False):
            factors = {id(value) for name, value in vars(inner).items() if name.startswith("lora_kernel")}
            left_out |= factors
            (kernel,) = [v for v in inner.variables if id(v) not in factors and v.shape == inner.kernel.shape]
            merged[id(kernel)] = inner.kernel
    return [merged.get(id(v), v) for v in layer.variables if id(v) not in left_out]


def _made_again(layer):
    if isinstance(layer, layers.Lambda):
        return _lambda_again(layer)
    if isinstance(layer, layers.Layer):
        inner = [one for one in layer._flatten_layers() if isinstance(one, layers.Lambda)]
        return (
            _wrapper_again(layer, inner) if inner and not is_own(layer) else type(layer).from_config(layer.get_config())
        )
    try:
        return type(layer).from_config(layer.get_config())
    except Exception:  # one that calls a function has no configuration, or one that cannot be read
        # An operation has no state but where its input comes from.
        again = copy.copy(layer)
        again._inbound_nodes, again._outbound_nodes = [], []
        return again


def _lambda_again(layer):
    """Copy a `Lambda` with the function itself: one that is read again is refused, or lacks what it uses."""
    config = {name: value for name, value in layers.Layer.get_config(layer).items() if name in ("name", "trainable")}
    shape = layer._output_shape
    return type(layer)(
        layer.function,
        output_shape=shape,
        mask=layer.mask,
        arguments=layer.arguments,
        dtype=layer.dtype_policy,
        **config,
    )


def _wrapper_again(layer, inner):
    """Copy a layer of Keras around `Lambda` layers: the functions are this program's own, and no file brought them."""
    made: Any = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer), safe_mode=False)
    found = [one for one in made._flatten_layers() if isinstance(one, layers.Lambda)]
    for original, again in zip(inner, found, strict=True):
        again.function = original.function
    return made


def _build_inner(layer, made):
    """Build the copy where the layer has made others when it was built."""
    if not isinstance(layer, layers.Layer) or len(layer._flatten_layers()) == len(made._flatten_layers()):
        return
    if not made.built and layer.get_build_config():
        made.build_from_config(layer.get_build_config())
    wanted, found = (len(with_self(one)) for one in (layer, made))
    if wanted != found:
        raise InputError(
            f"cannot copy layer {layer.name!r}: {type(layer).__name__} has {wanted} convolutions or dense layers, and "
            f"{found} when it is made from its get_config and built"
        )


def _upsampled(layer: layers.UpSampling2D, inputs: Tensor) -> Tensor:
    """Do what `UpSampling2D.call` does, which fails in Keras 3.13 and later where a side is known only when it runs."""
    first = layer.data_format == "channels_first"
    sides = inputs.shape[2:] if first else inputs.shape[1:3]
    if None not in sides:
        return type(layer).call(layer, inputs)
    images = ops.transpose(inputs, (0, 2, 3, 1)) if first else inputs
    size = tf.shape(images)[1:3] * layer.size
    resized = tf.cast(tf.image.resize(images, size, layer.interpolation), images.dtype)
    known = [None if side is None else side * factor for side, factor in zip(sides, layer.size, strict=True)]
    resized.set_shape([None, *known, images.shape[-1]])
    return ops.transpose(resized, (0, 3, 1, 2)) if first else resized
