"""Gains inside layers that call convolutions or dense layers of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from gaintuning_tf.gains.convolutions import with_self
from gaintuning_tf.gains.keras_types import Shape, Tensor
from gaintuning_tf.gains.layer_copies import ready
from gaintuning_tf.gains.layers import PACKAGE, Gain


@keras.saving.register_keras_serializable(PACKAGE)
class WithGains(keras.layers.Layer):
    """A custom layer whose own convolutions have gains.

    The gain goes into the convolution's `activation`: called on the linear output,
    it scales and then applies the activation that was there.

    Args:
        layer: The custom layer: it contains convolutions, or is one with a `call` of
            its own. It is changed; hand over a copy.
        chosen: Positions, among `with_self(layer)`, of those to give a gain to.
        images: See `Gain`.
    """

    def __init__(self, layer: keras.layers.Layer, chosen: list[int], images: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        # Before the gains go in: what the layer serialises to must be buildable without us.
        self._layer_config: Any = keras.saving.serialize_keras_object(layer)
        self.layer = ready(layer)  # one from a file is not yet
        self.chosen = list(chosen)
        self.images = images
        # As attributes of this layer: those of a built convolution can no longer be added to.
        self.gains = [self._attach(convolution) for convolution in self.convolutions()]

    def convolutions(self) -> list[keras.layers.Layer]:
        """List the convolutions that have a gain, in the order of `gains`."""
        found = with_self(self.layer)
        return [found[index] for index in self.chosen]

    def original(self) -> keras.layers.Layer:
        """Make a new, unbuilt copy of the custom layer without gains."""
        return ready(type(self.layer).from_config(self._layer_config["config"]))

    def _attach(self, convolution):
        activation = convolution.activation
        gain = new_gain(convolution, self.images, f"{convolution.name}_gain")
        convolution.activation = lambda linear: activation(gain(linear))
        return gain

    def build(self, input_shape: Shape) -> None:
        pass  # nothing of its own; tracing `call` for the output shape builds what is inside

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.layer(inputs, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = {"layer": self._layer_config, "chosen": self.chosen, "images": self.images}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WithGains:
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


def new_gain(convolution: keras.layers.Layer, images: int | None, name: str) -> Gain:
    """Make a gain that fits a convolution: its channels' axis and its dtype."""
    data_format = getattr(convolution, "data_format", "channels_last")
    return Gain(images, data_format, dtype=convolution.dtype_policy, name=name)
