"""What tuning did to a network at one image: the gains that moved, and its filters and bias before and after."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.contrast import take_contrast, with_contrast
from gaintuning_tf.gains.convolutions import sublayers
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.gains.keras_types import as_array
from gaintuning_tf.gains.normalization_layers import (
    bare,
    fixed_on,
    take_known_noise,
    take_normalization,
    with_known_noise,
    with_normalization,
)
from gaintuning_tf.gains.surgery import gain_layers, insert_gains, strip_gains
from gaintuning_tf.reports.equivalent import EquivalentFilter, NetBias, check_pixel, equivalent_filter, net_bias, sight

if TYPE_CHECKING:
    from gaintuning_tf.denoising.pipeline import GainTuningResult

# Side of the part of a larger image of which `analyse` finds the net bias.
BIAS_WINDOW = 256


@dataclasses.dataclass(frozen=True)
class GainChange:
    """How far the gains of one layer are from one.

    Attributes:
        layer: Name of the `Gain` layer.
        gains: All of them, (channels,), or (images * channels,) if each image has its own.
    """

    layer: str
    gains: np.ndarray

    @property
    def rms(self) -> float:
        """Root mean square of `gain - 1`."""
        return float(np.sqrt(np.mean(np.square(self.gains - 1))))

    def moved(self, by: float) -> float:
        """Share of the channels whose gain is more than `by` away from one."""
        return float(np.mean(np.abs(self.gains - 1) > by))


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What tuning did to one frame, see `analyse`.

    Attributes:
        frame: Which one.
        denoised: The frame after tuning, (H, W, C), in units of the network.
        gains: One entry per layer, in the order in which the image meets them.
        filters: By the name of the pixel, before and after tuning.
        window: Rows and columns of the frame that `before` and `after` cover.
        before: The net bias before tuning.
        after: The net bias after it.
    """

    frame: int
    denoised: np.ndarray
    gains: list[GainChange]
    filters: dict[str, tuple[EquivalentFilter, EquivalentFilter]]
    window: tuple[slice, slice]
    before: NetBias
    after: NetBias


def analyse(
    result: GainTuningResult,
    noisy: np.ndarray,
    *,
    frame: int = 0,
    pixels: Mapping[str, tuple[int, int]] | None = None,
) -> Analysis:
    """Find what tuning did: the gains, equivalent filters at a few pixels, and the net bias, before and after.

    Where a frame is larger than 256x256, the net bias is that of the window of this size
    about the place where tuning changed most.

    Args:
        result: What `gaintune` returned.
        noisy: The image it was given.
        frame: Which frame, where there are several.
        pixels: By any name, row and column of the pixels whose filters to find; `choose_pixels` by default.

    Returns:
        The analysis.

    Raises:
        InputError: `noisy` has another shape than the result or is a volume, or there is no such frame or pixel.

    Example:

    >>> from gaintuning_tf import gaintune
    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((64, 64))
    >>> result = gaintune(noisy, "unet-bf-natural", sigma=0.1, steps=2, contrast=False, progress=False)
    >>> analysis = analyse(result, noisy, pixels={"middle": (32, 32)})
    >>> before, after = analysis.filters["middle"]
    >>> bool(abs(before.sum - 1) < 0.1), analysis.after.negligible, analysis.gains[0].layer
    (True, True, 'conv1_gain')
    """
    layout = result.layout
    if layout.dimensions != 2:
        raise InputError("expected an image, received a volume, whose filters cannot be shown; see gain_changes")
    if tuple(np.shape(noisy)) != tuple(layout.shape):
        raise InputError(f"expected the image that was tuned, of shape {layout.shape}, received {np.shape(noisy)}")
    # The network saw other values where pixels do not count.
    seen = np.asarray(noisy) if result.bad_pixels.mask is None else result.bad_pixels.filled
    image, pretrained, denoised = (layout.frames(np.ma.getdata(a)) for a in (seen, result.pretrained, result.denoised))
    if not 0 <= frame < len(image):
        raise InputError(f"expected a frame from 0 to {len(image) - 1}, received {frame}")
    image, pretrained, denoised = image[frame, None], pretrained[frame], denoised[frame]
    inner, normalization = take_normalization(result.model)
    tuned = frame_model(inner, frame)
    # Parts of the frame are looked at, which are seen as the whole is.
    fixed = normalization if normalization.is_fixed else fixed_on(normalization, image)
    # Before tuning there was no other contrast either.
    models = [with_normalization(model, fixed) for model in (strip_gains(take_contrast(tuned)[0]), tuned)]
    pixels = choose_pixels(pretrained, denoised) if pixels is None else dict(pixels)
    for pixel in pixels.values():
        check_pixel(pixel, image.shape[1:3])
    radius = sight(models[0], image.shape[1:3])
    filters = {}
    for name, pixel in pixels.items():
        first, second = (equivalent_filter(model, image, pixel, radius=radius) for model in models)
        filters[name] = first, second
    window = _window_about(_most_changed(pretrained, denoised), denoised.shape)
    before, after = (net_bias(model, image, window=window, radius=radius) for model in models)
    return Analysis(frame, denoised, gain_changes(result.model), filters, window, before, after)


def gain_changes(model: keras.Model) -> list[GainChange]:
    """Measure how far the gains of each layer moved from one, in the order in which the image meets the layers.

    Args:
        model: A model with gains, such as `GainTuningResult.model`.

    Returns:
        One entry per `Gain` layer.

    Raises:
        InputError: The model has no gains.

    Example:

    >>> model = insert_gains(keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(4, 3, name="first")]))
    >>> gain_layers(model)[0].gain.assign([1.0, 1.02, 0.9, 1.0])  # doctest: +ELLIPSIS
    <...
    >>> (change,) = gain_changes(model)
    >>> change.layer, round(change.rms, 3), change.moved(by=0.01), change.moved(by=0.05)
    ('first_gain', 0.051, 0.5, 0.25)
    """
    model = bare(model)
    gains = gain_layers(model)
    if not gains:
        raise InputError(f"expected a model with gains, {model.name!r} has none; see insert_gains")
    for network in sublayers(model, GraphNetwork):
        places = [index for index, gain in enumerate(gains) if any(gain is own for own in network.gains)]
        for index, gain in zip(places, network.gains_in_order(), strict=True):
            gains[index] = gain
    return [GainChange(gain.name, as_array(gain.gain).ravel()) for gain in gains]


def frame_model(model: keras.Model, frame: int) -> keras.Model:
    """Make the model of one image from one that has gains for each of several.

    Args:
        model: Such as `GainTuningResult.model` is for a stack; left untouched.
        frame: Which image.

    Returns:
        A new model with one gain per channel; `model` itself if it is one.

    Raises:
        InputError: There is no such frame.

    Example:

    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(8, 3)])
    >>> gain_layers(frame_model(insert_gains(model, images=3), 2))[0].gain.shape
    TensorShape([8])
    """
    gains = gain_layers(model)
    if not gains or gains[0].images is None:
        return model
    if not 0 <= frame < gains[0].images:
        raise InputError(f"expected a frame from 0 to {gains[0].images - 1}, received {frame}")
    inner, normalization = take_normalization(model)
    inner, contrast = take_contrast(inner)
    inner, line = take_known_noise(inner)
    single = insert_gains(strip_gains(inner))
    for gain, several in zip(gain_layers(single), gain_layers(inner), strict=True):
        gain.gain.assign(several.gain[frame])
    if line is not None:
        single = with_known_noise(single, *(part[[frame if len(part) > 1 else 0]] for part in line))
    single = with_contrast(single, contrast[frame] if len(contrast) > 1 else contrast)
    return with_normalization(single, normalization)


def choose_pixels(pretrained: np.ndarray, denoised: np.ndarray) -> dict[str, tuple[int, int]]:
    """Choose pixels worth a look: where tuning changed most, on the strongest edge, and in the flattest place.

    Args:
        pretrained: The frame before tuning, (H, W, C).
        denoised: The frame after it.

    Returns:
        Row and column by name; without the first, if tuning changed nothing.

    Example:

    >>> image = np.zeros((64, 64, 1))
    >>> image[:, 40:] = 1
    >>> chosen = choose_pixels(image, image)
    >>> list(chosen), chosen["edge"][1] in (39, 40), chosen["flat"][1] < 36
    (['edge', 'flat'], True, True)
    """
    from skimage.filters import gaussian

    smooth = gaussian(denoised.mean(-1), 1)
    # An axis of one pixel has no slope.
    axes = [axis for axis in (0, 1) if smooth.shape[axis] > 1]
    slope = sum(np.square(np.gradient(smooth, axis=axis)) for axis in axes)
    chosen = {"most changed": _most_changed(pretrained, denoised)} if np.any(pretrained != denoised) else {}
    return {**chosen, "edge": _highest(gaussian(slope, 1)), "flat": _highest(-gaussian(slope, 6))}


def _most_changed(pretrained, denoised):
    from skimage.filters import gaussian

    return _highest(gaussian(np.square(denoised - pretrained).mean(-1), 2))


def _highest(values):
    """Row and column of the highest value, not too near the border, where the network sees its padding."""
    margins = [min(16, side // 8) for side in values.shape]
    inner = values[tuple(slice(m, side - m) for m, side in zip(margins, values.shape, strict=True))]
    found = np.unravel_index(np.argmax(inner), inner.shape)
    row, column = (int(position + margin) for position, margin in zip(found, margins, strict=True))
    return row, column


def _window_about(pixel, shape):
    starts = [max(0, min(p - BIAS_WINDOW // 2, side - BIAS_WINDOW)) for p, side in zip(pixel, shape[:2], strict=True)]
    rows, columns = (slice(s, min(s + BIAS_WINDOW, side)) for s, side in zip(starts, shape[:2], strict=True))
    return rows, columns
