"""Networks whose channels come first, with their channels last: TensorFlow tunes only these on any machine."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.convolutions import convolutions, with_self
from gaintuning_tf.gains.keras_types import as_array
from gaintuning_tf.gains.layer_copies import clone_layer, ready
from gaintuning_tf.gains.rewriting import Rewriter, copy_variables_of, is_graph

FIRST, LAST = "channels_first", "channels_last"
# What these do is the same wherever the channels are.
ANYWHERE = (
    layers.Activation,
    layers.ActivityRegularization,
    layers.Add,
    layers.AlphaDropout,
    layers.Average,
    layers.Dropout,
    layers.ELU,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.LeakyReLU,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.ReLU,
    layers.Subtract,
)
# These have one axis, which goes where the channels go.
ALONG_AXIS = (layers.BatchNormalization, layers.GroupNormalization, layers.Concatenate)
# Operations outside of layers, such as the sum of two tensors, by the names of their classes.
PIXELWISE = {"Absolute", "Add", "Clip", "Divide", "Maximum", "Minimum", "Multiply", "Negative", "Relu", "Sigmoid"}
PIXELWISE |= {"Subtract", "Tanh", "TrueDivide"}


def has_channels_first(model: keras.Model) -> bool:
    """Whether a model's images are (N, C, ...): its convolutions have their channels first.

    Example:

    >>> layer = layers.Conv2D(1, 3, padding="same", data_format="channels_first")
    >>> has_channels_first(keras.Sequential([keras.Input((1, None, None)), layer]))
    True
    """
    formats = {layer.data_format for layer in convolutions(model)}
    return is_graph(model) and len(model.inputs) == 1 and len(model.inputs[0].shape) > 2 and FIRST in formats


def with_channels_last(model: keras.Model) -> keras.Model:
    """Copy a model of images (N, C, ...) as one of images (N, ..., C); any other is returned as it is.

    Convolutions, poolings and what else has a data format get the other, normalisations and concatenations their
    axis moved. What else a layer does, it does as before, between one that puts the channels first and one that
    puts them last again.

    Args:
        model: A Functional or Sequential model, nested to any depth, or anything else.

    Raises:
        InputError: A custom layer has convolutions whose channels come first.

    Example:

    >>> keras.utils.set_random_seed(0)
    >>> layer = layers.Conv2D(2, 3, padding="same", data_format="channels_first")
    >>> model = keras.Sequential([keras.Input((1, None, None)), layer])
    >>> with_channels_last(model).output_shape
    (None, None, None, 2)
    """
    if not has_channels_first(model):
        return model
    mover = _Mover(len(model.inputs[0].shape))
    moved = mover.rewrite(model)
    mover.copy_variables()
    return moved


class _Mover(Rewriter):
    """Copies a graph with the channels of all that has the rank of an image moved to the end."""

    def __init__(self, rank):
        super().__init__()
        self._rank = rank
        # What sees its input as it was.
        self._unmoved = set()

    def rewrite(self, model):
        tensors = [self._input(tensor) for tensor in model.inputs]
        if isinstance(model, keras.Sequential):
            x = tensors[0]
            for layer in model.layers:
                x = self.call(self.copy(layer), x)
            return keras.Model(tensors, x, name=model.name)
        given = keras.tree.pack_sequence_as(model.input, tensors)
        return keras.models.clone_model(model, given, clone_function=self.copy, call_function=self.call)

    def copy_layer(self, layer):
        config = self._moved(layer)
        if config is not None:
            return ready(type(layer).from_config(config))
        self._check(layer)
        copy = clone_layer(layer)
        if not isinstance(layer, ANYWHERE):
            self._unmoved.add(id(copy))
        return copy

    def call(self, copy, *args, **kwargs):
        if id(copy) not in self._unmoved or self._is_pixelwise(copy, args, kwargs):
            return copy(*args, **kwargs)
        last = self._rank - 1
        to_first, to_last = (last, *range(1, last)), (*range(2, last + 1), 1)
        moved: Any = self._permuted((args, kwargs), to_first)
        args, kwargs = moved
        return self._permuted(copy(*args, **kwargs), to_last)

    def copy_variables(self):
        for layer, copy in self.pairs:
            if isinstance(layer, layers.PReLU):
                copy.alpha.assign(np.moveaxis(as_array(layer.alpha), 0, -1))
            elif isinstance(layer, layers.Layer):
                copy_variables_of(layer, copy)

    def _permuted(self, tensors, order):
        def permute(tensor):
            return layers.Permute(order)(tensor) if len(getattr(tensor, "shape", ())) == self._rank else tensor

        return keras.tree.map_structure(permute, tensors)

    def _is_pixelwise(self, copy, args, kwargs):
        """Whether an operation computes each number from those at the same place, and from numbers without one."""
        if isinstance(copy, layers.Layer) or type(copy).__name__ not in PIXELWISE:
            return False
        return all(len(getattr(part, "shape", ())) in (0, self._rank) for part in keras.tree.flatten((args, kwargs)))

    def _input(self, tensor):
        shape = tensor.shape
        moved = (shape[0], *shape[2:], shape[1]) if len(shape) == self._rank else shape
        return keras.Input(batch_shape=moved, dtype=tensor.dtype, name=tensor.name)

    def _moved(self, layer):
        """Make the configuration of a layer of Keras with its channels last; None if it is not known how."""
        seen = [len(tensor.shape) for tensor in keras.tree.flatten(layer.input)]
        if not type(layer).__module__.startswith(("keras.", "gaintuning_tf.")) or self._rank not in seen:
            return None
        activation = getattr(layer, "activation", None)
        if isinstance(activation, layers.Layer) and not isinstance(activation, ANYWHERE):
            return None
        config = layer.get_config() if isinstance(layer, layers.Layer) else {}
        if config.get("data_format") == FIRST:
            return {**config, "data_format": LAST}
        if isinstance(layer, ALONG_AXIS):
            return {**config, "axis": self._axis(config["axis"])}
        if isinstance(layer, layers.PReLU):
            return {**config, "shared_axes": sorted(map(self._axis, config["shared_axes"] or ())) or None}
        return None

    def _axis(self, axis):
        axis = axis % self._rank
        return axis if axis == 0 else (axis - 2) % (self._rank - 1) + 1

    def _check(self, layer):
        """Refuse convolutions that are called where nobody sees."""
        inside = [found for found in with_self(layer) if getattr(found, "data_format", None) == FIRST]
        if inside:
            raise InputError(
                f"expected a network with its channels last, in {layer.name!r}, a {type(layer).__name__}, "
                f"{inside[0].name!r} has them first; build the network with data_format='{LAST}' and load its weights"
            )
