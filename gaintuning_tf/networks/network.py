"""A network and what it wants: asked once, when it is loaded, and nobody asks again."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import GainTuningWarning, InputError, of_network
from gaintuning_tf.gains.channels_last import with_channels_last
from gaintuning_tf.gains.contrast import take_contrast, with_contrast
from gaintuning_tf.gains.graphs.graph_models import as_keras_model
from gaintuning_tf.gains.interfaces import in_numbers_of_input, range_of, runnable, with_plain_ends
from gaintuning_tf.gains.normalization_layers import (
    ends_of,
    take_known_noise,
    take_normalization,
    takes_level,
    with_level_channel,
    with_normalization,
    with_range,
    without_range,
)
from gaintuning_tf.networks import memory, sizes, tiles, volume_tiles
from gaintuning_tf.networks.kept_networks import network_in
from gaintuning_tf.noise.models import NoiseModel
from gaintuning_tf.support.normalization import Normalization, as_normalization


class Limits(NamedTuple):
    """Which value of a frame is 0 to a network's `model`, and which difference of values is 1.

    Attributes:
        low: The value.
        span: The difference.

    Example:

    >>> limits = Limits(100.0, 50.0)
    >>> limits.seen(np.array([125.0])).tolist(), limits.image(np.array([0.5])).tolist()
    ([0.5], [125.0])
    """

    low: float = 0.0
    span: float = 1.0

    def seen(self, image: np.ndarray) -> np.ndarray:
        """Give an image as the model takes it; if the limits are 0 and 1, itself."""
        image = np.asarray(image)
        return image if self == Limits() else ((image - np.float64(self.low)) / self.span).astype(image.dtype)

    def image(self, seen: np.ndarray) -> np.ndarray:
        """Undo `seen`."""
        return seen if self == Limits() else (seen * np.float64(self.span) + self.low).astype(seen.dtype)

    def noise(self, noise: NoiseModel) -> NoiseModel:
        """Give the noise of an image as that of what the model takes."""
        return noise if self == Limits() else noise.scaled(1 / self.span, -self.low / self.span)

    def noise_of_image(self, noise: NoiseModel) -> NoiseModel:
        """Undo `noise`."""
        return noise if self == Limits() else noise.scaled(self.span, self.low)


class Network:
    """A denoiser (N, ..., C) to the same shape, and what it wants of the images.

    Made once and given to `gaintune`, `denoise_stack`, `evaluate` or `export_saved_model` in a model's place:

        network = Network(care.keras_model, normalize="percentiles")

    Args:
        model: A name, a path or a model, see `network_of`. A second input of a model, or one channel
            more than it returns, is the level of the noise, a standard deviation in its numbers.
        contrast: The contrast that its image is to be seen at, (1,), or one for each
            image that has gains of its own, (images,); by default what its layers say.
        normalize: What its numbers mean: `"0..1"`, what is taken where nothing is said; `"0..255"`,
            `"-1..1"` or any other range; `"mean-std:MEAN:STD"`, an image less the mean, over the
            standard deviation, both in units of the image (Noise2Void); `"percentiles"` of each
            image, 3 and 99.8 (CSBDeep), or `"percentiles:LOW:HIGH"`; `"standardize"`, each image
            less its own mean, over its own standard deviation. The output is in the same units.
        predicts: Whether it returns the `"image"` or the `"noise"`.

    Attributes:
        model: A Keras model of images of which the network's range is 0 to 1, without contrast layers;
            where it takes the level of the noise, that is the last channel, see `takes_level`.
        contrast: The contrast.
        normalization: What its numbers mean; which values of an image are 0 and 1 to `model`.

    Raises:
        InputError: It is not one image in, one of the same shape out; or what its numbers mean is said
            twice, and not the same.

    Example:

    >>> network = network_of("unet-bf-natural")
    >>> network.channels, network.dimensions, network.multiple, network.contrast.tolist()
    (1, 2, 1, [1.0])
    """

    def __init__(
        self,
        model: NetworkLike,
        contrast: np.ndarray | None = None,
        *,
        normalize: str | Normalization | None = None,
        predicts: str | None = None,
    ):
        bare, own, known, dtype = _taken_apart(model)
        if known.assumed and not (normalize is None and predicts is None):
            # Said otherwise than is usual: what is not said stays.
            normalize = known if normalize is None else normalize
            bare, known = without_range(bare), Normalization()
        if range_of(dtype) and normalize is None and known.is_plain:
            normalize = _range_of_whole(dtype, bare.name)
            top = as_normalization(normalize).high[0]
            bare = bare if predicts == "noise" else in_numbers_of_input(bare, top)
        said = normalize is not None or predicts is not None
        self.normalization = as_normalization(normalize, predicts) if said and known.is_plain else known
        if said and not known.is_plain and as_normalization(normalize, predicts) != known:
            raise InputError(
                f"expected no other normalize than {bare.name!r} brings with it, {known} and the {known.predicts}, "
                f"received {as_normalization(normalize, predicts)} and the {predicts or 'image'}"
            )
        sizes.check_denoiser(bare)
        self.model = bare if known == self.normalization else with_range(bare, self.normalization)
        self.contrast = own if contrast is None else contrast

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

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
        return int(self.model.outputs[0].shape[-1])

    @property
    def takes_level(self) -> bool:
        """Whether `model` takes the level of the noise, a standard deviation, as its last channel."""
        return takes_level(self.model)

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
        """Denoise images of any size, in inference mode, (N, ..., C), without the contrast; behind C their level."""
        with of_network(self.name, tf.errors.OpError):
            return sizes.at_any_size(self.model, self.multiple)(images)

    def limits(
        self, frame: np.ndarray, mask: np.ndarray | None = None, *, scale: float = 1.0, offset: float = 0.0
    ) -> Limits:
        """Find which values of a frame are the ends of the range that the network knows.

        Args:
            frame: All of it, any shape, for they are the same in each part.
            mask: True where a pixel does not count, of its shape.
            scale: Difference of values of the image that is 1 in the frame.
            offset: Value of the image that is 0 in the frame.

        Raises:
            InputError: All that counts has the same value, so that it has no range.
        """
        if self.normalization.is_fixed:
            return Limits()
        values = np.asarray(frame)[... if mask is None else ~mask].reshape(1, -1)
        ends = ends_of(self.normalization.of_frames(scale, offset), values)
        low, high = (float(np.asarray(end).reshape(())) for end in ends)
        if not high > low:
            raise InputError(
                f"expected an image with a range of values to be normalised by {self.normalization}, received one "
                f"that has {low * scale + offset:.6g} at both ends"
            )
        return Limits(low, high - low)

    def check(self, shape: tf.TensorShape | Sequence[int]) -> None:
        """Refuse images that the network cannot take.

        Raises:
            InputError: They have another number of axes or channels.
        """
        sizes.check_size(self.model, shape)

    def at_contrast(self) -> keras.Model:
        """Put the model between the layers of its contrast, if that is not one."""
        return with_contrast(self.model, self.contrast)

    def whole(self) -> keras.Model:
        """Make one Keras model of all: what finds the limits of each image, the contrast, and the model.

        It takes images in [0, 1], or in their own units if its mean and standard deviation are given. Saved and
        loaded again, it is this network.
        """
        return with_normalization(self.at_contrast(), self.normalization)


def _range_of_whole(dtype, name):
    """Take whole numbers for those of a picture, and say so where they may be others."""
    found = range_of(dtype)
    if dtype not in ("uint8", "uint16"):
        message = (
            f"{name!r} takes {dtype}: taken for images of {found}; say what they are by normalize, such as 0..4095"
        )
        warnings.warn(message, GainTuningWarning, stacklevel=4)
    return found


# What is taken for a network: a name, a path, or a model of Keras, tf_keras or TensorFlow.
NetworkLike: TypeAlias = Network | keras.Model | str | os.PathLike[str] | Callable[..., Any]


def network_of(model: NetworkLike) -> Network:
    """Take whatever is given for a network.

    Args:
        model: A name from `list_denoisers`; the path of a `.keras` or `.h5` file or of a
            SavedModel, which is read once as long as it does not change; or a model of
            Keras, tf_keras or TensorFlow. It is never changed.

    Returns:
        The network, the layers of its contrast and of its normalisation taken off, and with its channels last, see
        `with_channels_last`.

    Raises:
        InputError: It cannot be used.
    """
    return model if isinstance(model, Network) else Network(model)


def _taken_apart(model):
    """Find the bare model, its contrast, what its numbers mean, and the dtype that it took."""
    if isinstance(model, Network):
        return model.model, model.contrast, model.normalization, "float32"
    model = network_in(model) if isinstance(model, (str, os.PathLike)) else model
    inner, normalization = take_normalization(as_keras_model(model))
    inner, contrast = take_contrast(inner)
    inner = with_plain_ends(take_known_noise(inner)[0])
    inner = with_level_channel(inner) if len(inner.inputs) == 2 else with_channels_last(inner)
    dtype = str(inner.inputs[0].dtype)
    inner = runnable(inner)
    # Inside a contrast there may be the layers of a range.
    known = take_normalization(inner)[1] if normalization.is_plain else normalization
    return inner, contrast, known, dtype
