"""A copy of a model, layer by layer, with a say in what stands for each layer."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
from keras.src.models.functional import Functional

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.convolutions import sublayers
from gaintuning_tf.gains.layer_copies import clone_layer, scope_name, values_of
from gaintuning_tf.gains.layers import Gain

# What a model is made of: a layer, or an operation such as the sum of two tensors.
Node: TypeAlias = keras.layers.Layer | keras.Operation


class Rewriter:
    """Copy a model layer by layer and remember which copy stands for which layer.

    Subclasses say what a layer becomes (`copy_layer`) and what follows it (`following`).

    Attributes:
        pairs: Each layer or operation and its copy, nested models taken apart.
    """

    def __init__(self):
        self._copies: dict[int, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []

    def rewrite(self, model: keras.Model) -> keras.Model:
        """Copy a model; its variables are those of new layers, see `copy_variables`."""
        if isinstance(model, keras.Sequential):
            return self._rewrite_sequential(model)
        if model.compiled:
            # With a loss of one's own it could not be compiled again.
            model = type(model)(model.input, model.output, name=model.name)
        copy = keras.models.clone_model(model, clone_function=self.copy, call_function=self.call)
        copy.name = scope_name(copy.name)
        return copy

    def copy(self, layer: Node) -> Any:
        """Copy a layer, an operation or a nested model, once."""
        # By identity, across nesting: a layer that is shared stays shared.
        if id(layer) not in self._copies:
            graph = is_graph(layer)
            copy = self.rewrite(layer) if graph else self.copy_layer(layer)
            self._copies[id(layer)] = copy
            if not graph:
                self.pairs.append((layer, copy))
        return self._copies[id(layer)]

    def copy_layer(self, layer: Any) -> Any:
        """Make what stands for a layer or an operation."""
        return clone_layer(layer)

    def following(self, copy: Any) -> list[keras.layers.Layer] | None:
        """Give the layers to apply after `copy`; `None` for a layer to leave out."""
        return []

    def call(self, copy: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a copy and what follows it."""
        following = self.following(copy)
        if following is None:
            return args[0]
        outputs = copy(*args, **kwargs)
        for layer in following:
            outputs = layer(outputs)
        return outputs

    def _rewrite_sequential(self, model):
        inputs = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype, name=model.inputs[0].name)
        stack = [inputs]
        for layer in model.layers:
            copy = self.copy(layer)
            following = self.following(copy)
            if following is not None:
                stack += [copy, *following]
        return keras.Sequential(stack, name=scope_name(model.name))

    def copy_variables(self) -> None:
        """Set the variables of all copies to those of what they stand for."""
        for layer, copy in self.pairs:
            if isinstance(layer, keras.layers.Layer):
                copy_variables_of(layer, copy)


def is_graph(layer: Any) -> bool:
    """Whether its layers can be seen: a Functional or Sequential model, without a `call` of its own."""
    if not isinstance(layer, (keras.Sequential, Functional)):
        return False
    return type(layer).call in (keras.Sequential.call, Functional.call)


def is_functional(model: Any) -> bool:
    """Whether it is a Functional model, with a `call` of its own or not."""
    return isinstance(model, Functional) and not isinstance(model, keras.Sequential)


def leaves(model: Any) -> list[keras.layers.Layer]:
    """List the layers of a Functional or Sequential model, nested ones taken apart."""
    found = []
    for layer in model.layers:
        found += leaves(layer) if is_graph(layer) else [layer]
    return found


def copy_variables_of(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """Set the variables of `copy` to those of `layer`; gains that only the copy has are left out."""
    new = [] if sublayers(layer, Gain) else sublayers(copy, Gain)
    gains = {id(gain.gain) for gain in new}
    targets = [variable for variable in copy.variables if id(variable) not in gains]
    sources = values_of(layer)
    if len(sources) != len(targets):
        raise InputError(
            f"layer {layer.name!r} has {len(sources)} variables and its copy {len(targets)}: "
            "call the model once on an image, so that all of it is built"
        )
    for source, target in zip(sources, targets, strict=True):
        target.assign(source)
