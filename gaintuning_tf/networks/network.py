"""A network and what it wants: asked once, when it is loaded, and nobody asks again."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.gains.channels_last import with_channels_last
from gaintuning_tf.gains.contrast import take_contrast, with_contrast
from gaintuning_tf.gains.graph_models import as_keras_model
from gaintuning_tf.networks import memory, sizes, tiles, volume_tiles
from gaintuning_tf.networks.kept_networks import network_in


class Network:
    """A denoiser (N, ..., C) to the same shape, and what it wants of the images.

    Args:
        model: A Keras model without contrast layers.
        contrast: The contrast that its image is to be seen at, (1,), or one for each
            image that has gains of its own, (images,).

    Attributes:
        model: The model.
        contrast: The contrast.

    Raises:
        InputError: It is not one image in, one of the same shape out.

    Example:

    >>> network = network_of("unet-bf-natural")
    >>> network.channels, network.dimensions, network.multiple, network.contrast.tolist()
    (1, 2, 1, [1.0])
    """

    def __init__(self, model: keras.Model, contrast: np.ndarray | None = None):
        sizes.check_denoiser(model)
        self.model = model
        self.contrast = np.ones(1, np.float32) if contrast is None else contrast

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of an image, (..., C): None for its sides, which may be any."""
        return (*(None for _ in self.fixed_sides), self.channels)

    @property
    def fixed_sides(self) -> tuple[int | None, ...]:
        """The sides that the model fixes: a larger image is cut into tiles, see `sizes.at_any_size`."""
        return sizes.fixed_sides(self.model)

    @property
    def channels(self) -> int:
        """The channels of an image."""
        return int(self.model.inputs[0].shape[-1])

    @property
    def dimensions(self) -> int:
        """The number of its spatial axes."""
        return len(self.shape) - 1

    @property
    def dtype(self) -> tf.DType:
        """The dtype that the network takes."""
        return tf.as_dtype(self.model.inputs[0].dtype)

    @functools.cached_property
    def multiple(self) -> int:
        """The number whose multiples it takes as sides, see `sizes.size_multiple`."""
        return sizes.size_multiple(self.model)

    @functools.cached_property
    def bytes_per_pixel(self) -> float:
        """What a step of tuning keeps for a pixel, see `memory.bytes_per_pixel`."""
        return memory.bytes_per_pixel(self.model, self.multiple)

    @functools.cached_property
    def receptive_field(self) -> int:
        """How far it sees, see `tiles.receptive_field`, and of volumes `volume_tiles.receptive_field_of_volumes`."""
        if self.dimensions == 3:
            return volume_tiles.receptive_field_of_volumes(self.model)
        return tiles.receptive_field(self.model)

    @functools.cached_property
    def stride(self) -> int:
        """What tiles of volumes start at multiples of, see `volume_tiles.total_stride`."""
        return max(self.multiple, volume_tiles.total_stride(self.model, self.receptive_field))

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Denoise images of any size, in inference mode, (N, ..., C): without the contrast."""
        return sizes.at_any_size(self.model, self.multiple)(images)

    def check(self, shape: tf.TensorShape | Sequence[int]) -> None:
        """Refuse images that the network cannot take.

        Raises:
            InputError: They have another number of axes or channels.
        """
        sizes.check_size(self.model, shape)

    def at_contrast(self) -> keras.Model:
        """Put the model between the layers of its contrast, if that is not one."""
        return with_contrast(self.model, self.contrast)


# What is taken for a network: a name, a path, or a model of Keras, tf_keras or TensorFlow.
NetworkLike: TypeAlias = Network | keras.Model | str | os.PathLike[str] | Callable[..., Any]


def network_of(model: NetworkLike) -> Network:
    """Take whatever is given for a network.

    Args:
        model: A name from `list_denoisers`; the path of a `.keras` or `.h5` file or of a
            SavedModel, which is read once as long as it does not change; or a model of
            Keras, tf_keras or TensorFlow. It is never changed.

    Returns:
        The network, its contrast layers taken off, and with its channels last, see `with_channels_last`.

    Raises:
        InputError: It cannot be used.
    """
    if isinstance(model, Network):
        return model
    model = network_in(model) if isinstance(model, (str, os.PathLike)) else model
    model, contrast = take_contrast(as_keras_model(model))
    return Network(with_channels_last(model), contrast)
