"""What a network wants, as layers around it: its range, the limits of each image, the level of its noise."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras

from gaintuning_tf.gains.contrast import Contrast
from gaintuning_tf.gains.keras_types import Shape, Tensor, as_array, ops
from gaintuning_tf.gains.layers import PACKAGE
from gaintuning_tf.support.normalization import (
    DEVIATIONS,
    MEAN_STD,
    PERCENTILES,
    STANDARDIZE,
    Normalization,
    Numbers,
)

# Of two inputs of the same shape, that of such a name is the level.
_LEVEL_NAME = re.compile("noise|sigma|level|std|variance")
# A line of the variance is taken at the mean over so many pixels along each axis: the
# noise in it is then a seventh.
SURROUNDINGS = 7


def with_range(model: keras.Model, normalization: Normalization) -> keras.Model:
    """Put a network between the layers that take images in [0, 1] to its numbers, and back.

    Args:
        model: A denoiser; its layers are those of the result.
        normalization: What its numbers mean; if that is what all take, the model itself is returned.

    Example:

    >>> from gaintuning_tf.support.normalization import as_normalization
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Rescaling(1.0, 25.5)])
    >>> ranged = with_range(model, as_normalization("0..255"))
    >>> round(float(ranged(keras.ops.full((1, 1, 1, 1), 0.5))[0, 0, 0, 0]), 6)
    0.6
    """
    if normalization.is_plain:
        return model
    given = model.inputs[0]
    inputs = keras.Input(given.shape[1:], dtype=given.dtype, name="noisy")
    fields, options = _fields(normalization), {"dtype": given.dtype}
    level = given.shape[-1] - 1 if takes_level(model) else 0
    seen = NetworkRange(**fields, level=level, name="network_range", **options)(inputs)
    outputs = model(seen)
    if normalization.predicts == "noise":
        image = Channels(0, level, name="image", **options)(seen) if level else seen
        outputs = keras.layers.Subtract(name="without_noise", **options)([image, outputs])
    outputs = NetworkRange(**fields, inverse=True, name="range_undone", **options)(outputs)
    return keras.Model(inputs, outputs, name=model.name)


def with_normalization(model: keras.Model, normalization: Normalization) -> keras.Model:
    """Put a network between the layers that find each image's limits, and undo them.

    Args:
        model: A denoiser of images of which 0 and 1 are the limits, such as `with_range` makes; its
            layers are those of the result.
        normalization: What says the limits; if these are the image's own 0 and 1, the model itself is returned.
    """
    if normalization.is_fixed:
        return model
    given = model.inputs[0]
    inputs = keras.Input(given.shape[1:], dtype=given.dtype, name="noisy")
    fields = {**_fields(normalization), **_more(normalization)}
    seen, low, span = Normalize(**fields, level=takes_level(model), dtype=given.dtype, name="normalize")(inputs)
    outputs = Denormalize(dtype=given.dtype, name="denormalize")(model(seen), low, span)
    return keras.Model(inputs, outputs, name=model.name)


def take_normalization(model: keras.Model) -> tuple[keras.Model, Normalization]:
    """Take apart what `with_normalization` put together.

    Returns:
        The network, and what its numbers mean: of one that `with_range` or nobody put together, it itself.
    """
    layers = model.layers
    if len(layers) == 4 and isinstance(layers[1], Normalize) and isinstance(layers[3], Denormalize):
        return layers[2], layers[1].normalization
    first = layers[1] if len(layers) > 1 else None
    return model, first.normalization if isinstance(first, NetworkRange) else Normalization()


def without_range(model: keras.Model) -> keras.Model:
    """Give the network that `with_range` was put around; any other model itself."""
    layers = model.layers
    if len(layers) < 4 or not isinstance(layers[1], NetworkRange):
        return model
    return next(layer for layer in layers if isinstance(layer, keras.Model))


def bare(model: keras.Model) -> keras.Model:
    """Give the network that layers of this module or of a contrast were put around; any other model itself."""
    layers = model.layers
    if len(layers) < 2 or not isinstance(layers[1], (Normalize, Contrast, KnownNoise, NetworkRange, Channels)):
        return model
    # A network may take its channels apart itself.
    inner = next((layer for layer in layers if isinstance(layer, keras.Model)), None)
    return model if inner is None else bare(inner)


def takes_level(model: keras.Model) -> bool:
    """Whether the last channel that a model takes is the level of the noise: it returns one channel less."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return False
    given, returned = model.inputs[0].shape[-1], model.outputs[0].shape[-1]
    return given is not None and given == (returned or 0) + 1


def with_level_channel(model: keras.Model) -> keras.Model:
    """Join the two inputs of a network, an image and the level of its noise, to one: the level is its last channel.

    Args:
        model: The level, a standard deviation in the numbers of the network, may be (N,), (N, 1),
            or a map (N, H, W, 1) or (N, H, W, C). Which input it is, the shapes say, or else the names.

    Returns:
        A model of images and, as a last channel, a map of the level; a model of another number of inputs itself.

    Example:

    >>> image, level = keras.Input((None, None, 3)), keras.Input((1,), name="sigma")
    >>> model = keras.Model([image, level], image * keras.ops.reshape(level, (-1, 1, 1, 1)))
    >>> with_level_channel(model).input_shape, with_level_channel(model).output_shape
    ((None, None, None, 4), (None, None, None, 3))
    """
    if len(model.inputs) != 2 or len(model.outputs) != 1:
        return model
    place = level_place([(tensor.name, tuple(tensor.shape)) for tensor in model.inputs])
    image, level = model.inputs[1 - place], model.inputs[place]
    channels, options = image.shape[-1], {"dtype": image.dtype}
    inputs = keras.Input((*image.shape[1:-1], channels + 1), dtype=image.dtype, name="noisy_and_level")
    parts = [Channels(0, channels, name="image", **options)(inputs), LevelAs(tuple(level.shape), **options)(inputs)]
    given = keras.tree.pack_sequence_as(model.input, parts if place else parts[::-1])
    return keras.Model(inputs, model(given), name=model.name)


def level_place(inputs: Sequence[tuple[str, Shape]]) -> int:
    """Find which of two inputs, names and shapes, is the level of the noise: 0 or 1."""
    ranks = [len(shape) for _, shape in inputs]
    if ranks[0] != ranks[1]:
        return int(ranks[1] < ranks[0])
    channels = [shape[-1] or 0 for _, shape in inputs]
    if channels[0] != channels[1]:
        return int(channels[1] < channels[0])
    named = [bool(_LEVEL_NAME.search(name.lower())) for name, _ in inputs]
    return 0 if named[0] and not named[1] else 1


def with_known_noise(model: keras.Model, slope: Tensor, intercept: Tensor) -> keras.Model:
    """Make a model of images alone of one that takes the level of the noise too: that of a line of the variance.

    Args:
        model: As `with_level_channel` makes it.
        slope: Of the variance over the value, (R,): item i of a batch has number i modulo R.
        intercept: Likewise, the variance at zero.
    """
    given = model.inputs[0]
    inputs = keras.Input((*given.shape[1:-1], given.shape[-1] - 1), dtype=given.dtype, name="noisy")
    layer = KnownNoise(len(as_array(slope)), dtype=given.dtype, name="known_noise")
    outputs = model(layer(inputs))
    layer.slope.assign(slope)
    layer.intercept.assign(intercept)
    return keras.Model(inputs, outputs, name=model.name)


def take_known_noise(model: keras.Model) -> tuple[keras.Model, tuple[Any, Any] | None]:
    """Take apart what `with_known_noise` put together; returns the network, and slope and intercept if there are."""
    layers = model.layers
    if len(layers) == 3 and isinstance(layers[1], KnownNoise):
        return layers[2], (as_array(layers[1].slope), as_array(layers[1].intercept))
    return model, None


def level_map(images: Tensor, slope: Tensor | None, intercept: Tensor) -> Tensor:
    """Find the standard deviation of the noise about each pixel, from a line of the variance.

    The line is taken at the mean of a pixel's surroundings, for the pixel itself has the noise in it.

    Args:
        images: (N, ..., C).
        slope: (R,): item i has number i modulo R; None for the same noise everywhere.
        intercept: (R,).

    Returns:
        (N, ..., 1).
    """
    value = ops.mean(images, -1, keepdims=True)
    variance = ops.zeros_like(value) + _for_each(intercept, value)
    if slope is not None:
        surroundings = ops.average_pool(value, SURROUNDINGS, strides=1, padding="same", data_format="channels_last")
        variance = variance + _for_each(slope, value) * surroundings
    return ops.sqrt(ops.maximum(variance, 0))


def _for_each(numbers, images):
    """Repeat numbers (R,) for images (N, ..., C), N a multiple of R, and let them broadcast."""
    numbers = ops.cast(ops.reshape(numbers, (-1,)), images.dtype)
    repeats = ops.shape(images)[0] // ops.shape(numbers)[0]
    return ops.reshape(ops.tile(numbers, (repeats,)), (-1, *[1] * (len(images.shape) - 1)))


class _OfNormalization(keras.layers.Layer):
    """A layer whose configuration is a `Normalization`."""

    def __init__(self, normalization: Normalization, **kwargs: Any):
        super().__init__(**kwargs)
        self.normalization = normalization

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **_fields(self.normalization)}


@keras.saving.register_keras_serializable(PACKAGE)
class NetworkRange(_OfNormalization):
    """Takes [0, 1] to the numbers of a network, or with `inverse` back.

    Args:
        kind, low, high, predicts: See `Normalization`.
        inverse: Whether to undo.
        level: Behind how many channels the last is the level of the noise, which is scaled and not moved; 0 for none.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(
        self,
        kind: str,
        low: Numbers,
        high: Numbers,
        predicts: str = "image",
        inverse: bool = False,
        level: int = 0,
        **kwargs: Any,
    ):
        super().__init__(Normalization(kind, tuple(low), tuple(high), predicts), **kwargs)
        self.inverse = inverse
        self.level = level

    def call(self, inputs: Tensor) -> Tensor:
        ends = self.normalization.ends
        if self.level:
            ends = _with_level(*ends, channels=self.level)
        low, high = (ops.convert_to_tensor(end, inputs.dtype) for end in ends)
        return (inputs - low) / (high - low) if self.inverse else low + (high - low) * inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "inverse": self.inverse, "level": self.level}


@keras.saving.register_keras_serializable(PACKAGE)
class Normalize(_OfNormalization):
    """Takes each image's limits to 0 and 1; returns it, the lower limit and the span, (N,) each.

    The limits are constants of the image: no gradient goes through them. An image without a span, all of one
    value, is moved alone.

    Args:
        kind, low, high, predicts, scale, offset, assumed: See `Normalization`.
        level: Whether the last channel is the level of the noise.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(
        self,
        kind: str,
        low: Numbers,
        high: Numbers,
        predicts: str = "image",
        scale: float = 1.0,
        offset: float = 0.0,
        level: bool = False,
        assumed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(Normalization(kind, tuple(low), tuple(high), predicts, scale, offset, assumed), **kwargs)
        self.level = level

    def call(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = inputs[..., :-1] if self.level else inputs
        low, span = limits_of(self.normalization, image)
        seen = (image - _across(low, image)) / _across(span, image)
        if self.level:
            seen = ops.concatenate([seen, inputs[..., -1:] / _across(span, image)], -1)
        return seen, low, span

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape, Shape]:
        return input_shape, input_shape[:1], input_shape[:1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **_more(self.normalization), "level": self.level}


@keras.saving.register_keras_serializable(PACKAGE)
class Denormalize(keras.layers.Layer):
    """Undoes `Normalize`: of an image, the lower limit and the span."""

    def call(self, inputs: Tensor, low: Tensor, span: Tensor) -> Tensor:
        return inputs * _across(span, inputs) + _across(low, inputs)

    def compute_output_shape(self, inputs_shape: Shape, low_shape: Shape, span_shape: Shape) -> Shape:
        return inputs_shape


@keras.saving.register_keras_serializable(PACKAGE)
class Channels(keras.layers.Layer):
    """Takes the channels from `start` to `stop`.

    Args:
        start: The first.
        stop: The one behind the last.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, start: int, stop: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.start, self.stop = start, stop

    def call(self, inputs: Tensor) -> Tensor:
        return inputs[..., self.start : self.stop]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable(PACKAGE)
class LevelAs(keras.layers.Layer):
    """Takes the last channel, a map of the level of the noise, in the shape that a network wants it in.

    Args:
        shape: That of the input, with the batch: (N,), (N, 1), or a map; of a number, the mean is taken.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, shape: Shape, **kwargs: Any):
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def call(self, inputs: Tensor) -> Tensor:
        level = inputs[..., -1:]
        if len(self.shape) > 2:
            return ops.repeat(level, self.shape[-1] or 1, -1)
        mean = ops.mean(level, range(1, len(inputs.shape)))
        return mean if len(self.shape) == 1 else mean[:, None]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(self.shape) > 2:
            return (*input_shape[:-1], self.shape[-1] or 1)
        return (input_shape[0], *[1] * (len(self.shape) - 1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shape": list(self.shape)}


@keras.saving.register_keras_serializable(PACKAGE)
class KnownNoise(keras.layers.Layer):
    """Adds to images a channel with the level of their noise, which is known.

    Args:
        images: How many images have noise of their own.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, images: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.images = images

    def build(self, input_shape: Shape) -> None:
        options = {"shape": (self.images,), "initializer": "zeros", "trainable": False}
        self.slope, self.intercept = (self.add_weight(name=name, **options) for name in ("slope", "intercept"))

    def call(self, inputs: Tensor) -> Tensor:
        return ops.concatenate([inputs, level_map(inputs, self.slope, self.intercept)], -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], (input_shape[-1] or 0) + 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "images": self.images}


def within_limits(normalization: Normalization, denoise: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Let a denoiser see images (N, ..., C) of which the limits are 0 and 1, as `with_normalization` does."""
    if normalization.is_fixed:
        return denoise

    def denoised(images):
        low, span = (_across(part, images) for part in limits_of(normalization, images))
        return denoise((images - low) / span) * span + low

    return denoised


def fixed_on(normalization: Normalization, image: Tensor) -> Normalization:
    """Make one that has the limits of this image, (1, ..., C), for parts of it."""
    low, span = (float(as_array(part)[0]) for part in limits_of(normalization, ops.convert_to_tensor(image)))
    middle, quarter = (low + span / 2,), (span / (2 * DEVIATIONS),)
    return Normalization(MEAN_STD, middle, quarter, normalization.predicts)


def ends_of(normalization: Normalization, values: Tensor) -> tuple[Any, Any]:
    """Find which values are 0 and 1 in images of which `scale` is 1 and `offset` 0.

    Args:
        normalization: What says them.
        values: Those of each image that count, (N, values).

    Returns:
        Two numbers, or (N,) each for what depends on the image.
    """
    if normalization.kind == PERCENTILES:
        return _percentiles(values, normalization.low[0], normalization.high[0])
    if normalization.kind == STANDARDIZE:
        mean, distance = ops.mean(values, 1), DEVIATIONS * ops.std(values, 1)
        return mean - distance, mean + distance
    low, high = ((end - normalization.offset) / normalization.scale for end in normalization.limits())
    return low, high


def limits_of(normalization: Normalization, images: Tensor) -> tuple[Tensor, Tensor]:
    """Find the value that is 0, and the difference that is 1, in each of some images: constants of the image.

    Args:
        normalization: What says them.
        images: (N, ..., C).

    Returns:
        (N,) each, of the dtype of the images; the difference is 1 where all values are the same.
    """
    values = _flat(images)
    ones = ops.ones_like(values[:, 0])
    low, high = ends_of(normalization, values)
    low, high = (ops.stop_gradient(ops.cast(end, images.dtype) * ones) for end in (low, high))
    return low, ops.where(high > low, high - low, ones)


def _flat(images):
    return ops.reshape(images, (ops.shape(images)[0], -1))


def _with_level(low, high, *, channels):
    """Add to the ends of a range those of a level: it is scaled as the channels are in the mean."""
    low, high = (list(end) * (channels if len(end) == 1 else 1) for end in (low, high))
    return [*low, 0.0], [*high, (sum(high) - sum(low)) / channels]


def _across(per_image, images):
    return ops.reshape(per_image, (-1, *[1] * (len(images.shape) - 1)))


def _fields(normalization):
    names = ("kind", "low", "high", "predicts")
    return {name: getattr(normalization, name) for name in names}


def _more(normalization):
    return {name: getattr(normalization, name) for name in ("scale", "offset", "assumed")}


def _percentiles(values, *percentages):
    """Find percentiles of each image, (N, values) to (N,) each, between neighbours as NumPy does."""
    ordered = ops.sort(values, axis=1)
    last = ops.cast(ops.shape(values)[1] - 1, "float64")
    found = []
    for percentage in percentages:
        position = last * (percentage / 100)
        below = ops.floor(position)
        above, share = ops.minimum(below + 1, last), ops.cast(position - below, values.dtype)
        lower, upper = (ops.take(ordered, ops.cast(index, "int32"), axis=1) for index in (below, above))
        found.append(lower + share * (upper - lower))
    return found[0], found[1]
