"""The pixels of a layer frame by frame, never all at once, and how its result is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.array_layout import AXES, check_axes
from gaintuning_tf.images.bad_pixels import PixelRules, common_extent, frame_extent
from gaintuning_tf.images.frame_order import FrameOrder

if TYPE_CHECKING:
    from napari.layers import Image

# What an axis is where the layer does not say, by their number: napari's sliders count from the left.
_BY_NUMBER = {2: "YX", 3: "TYX", 4: "TZYX", 5: "TZCYX"}


class LayerFrames:
    """An array of a layer, NumPy's, Dask's or Zarr's, as frames for a network: see `frame_job.Frames`.

    Args:
        data: The array; only the frame that is asked for is read.
        axes: A letter per axis.
        channels: Those that the network takes.
        dimensions: Spatial axes that the network takes.
        name: What the array is called in a message.

    Attributes:
        reading: Called with the number of each frame before `extent` reads it.

    Raises:
        InputError: The dtype or the axes cannot be used, or the network takes other images.

    Example:

    >>> frames = LayerFrames(np.arange(24.0).reshape(2, 4, 3), "TYX")
    >>> frames.order.frame_count, frames.frame(1).shape, frames.extent()
    (2, (4, 3), (0.0, 23.0))
    """

    def __init__(self, data: Any, axes: str, *, channels: int = 1, dimensions: int = 2, name: str = "the layer"):
        self.dtype, self.shape = np.dtype(data.dtype), tuple(int(size) for size in data.shape)
        if self.dtype.kind not in "iuf":
            raise InputError(f"expected a layer of integers or floats, {name} has dtype {self.dtype}")
        self.axes = check_axes(axes, self.shape)
        self.order = FrameOrder(self.axes, self.shape, channels, dimensions)
        self.path = name
        self.reading: Callable[[int], None] = lambda number: None
        self._data = data

    def frame(self, i: int) -> np.ndarray:
        """Read frame `i`, in the axes `order.frame_axes`."""
        return np.ascontiguousarray(self.order.frame(np.asarray(self._data[self.order.index(i)])))

    # What `network_for_stack` asks of a stack: a layer has no mask.
    masked = frame

    def extent(self, rules: PixelRules = PixelRules()) -> tuple[float, float]:  # noqa: B008 - frozen
        """Find the smallest and largest value of the pixels that count: reads every frame once."""
        return common_extent(each for i in range(self.order.frame_count) for each in self._extent_of(i, rules))

    def _extent_of(self, i, rules):
        self.reading(i)
        return frame_extent(self.frame(i), rules, self.order.own)

    def seen_by(self, axes: str | None, channels: int, *, dimensions: int = 2) -> LayerFrames:
        """See the same array as frames for another network."""
        how = {"channels": channels, "dimensions": dimensions, "name": self.path}
        seen = LayerFrames(self._data, axes or self.axes, **how)
        seen.reading = self.reading
        return seen

    def only(self, index: Sequence[int]) -> LayerFrames:
        """Read the frame that is at a place of the array: an array of as many axes, 1 long where frames are numbered.

        Args:
            index: A number for each axis; those of the frame's own do not matter.
        """
        order = self.order
        within = (letter in order.frame_axes for letter in self.axes)
        part = tuple(slice(None) if whole else slice(at, at + 1) for whole, at in zip(within, index, strict=True))
        how = {"channels": order.model_channels, "dimensions": order.dimensions, "name": self.path}
        return LayerFrames(np.asarray(self._data[part]), self.axes, **how)


def pixels_of(layer: Image) -> tuple[Any, str]:
    """Give the array of a layer, of a pyramid the largest, and what of it is dropped, in words; reads nothing.

    Args:
        layer: An image layer.

    Returns:
        The array without an alpha channel, and words, empty if all of it is kept.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb and data.shape[-1] == 4:
        return data[..., :3], "the alpha channel is dropped"
    return data, ""


def suggested_axes(shape: Sequence[int], *, rgb: bool = False, labels: Sequence[str] = ()) -> str:
    """Guess the axes of a layer, from its labels where those say it.

    Args:
        shape: Of its array.
        rgb: Whether the last axis has colours.
        labels: Of its axes, without that of colours.

    Raises:
        InputError: It has fewer than two or more than five axes.

    Example:

    >>> suggested_axes((9, 64, 64)), suggested_axes((64, 64, 3), rgb=True)
    ('TYX', 'YXC')
    >>> suggested_axes((9, 64, 64), labels=["z", "y", "x"])
    'ZYX'
    """
    count = len(shape) - bool(rgb)
    said = "".join(str(label).strip().upper()[:1] for label in labels)
    if len(said) == count and len(set(said)) == count and {"Y", "X"} <= set(said) <= set(AXES):
        axes = said
    elif count in _BY_NUMBER:
        axes = _BY_NUMBER[count].replace("C", "") if rgb else _BY_NUMBER[count]
    else:
        raise InputError(f"expected a layer of two to five axes, received the shape {tuple(shape)}")
    return f"{axes}C" if rgb else axes


def look_of(layer: Image, name: str) -> dict[str, Any]:
    """Collect how a layer is shown, for a layer of the same shape: scale, units, place, colour map, contrast limits.

    Args:
        layer: An image layer.
        name: Of the new one.
    """
    _, look, _ = layer.as_layer_data_tuple()
    return {**look, "name": name, "metadata": {}, "multiscale": False, "visible": True}


def place_of(look: dict[str, Any], index: Sequence[int], axes: str, frame_axes: str) -> dict[str, Any]:
    """Move a look to where one frame is: for a layer of as many axes, of which those not in a frame have length 1.

    Args:
        look: What `look_of` gave.
        index: Of the frame.
        axes: Of the layer's array.
        frame_axes: Of the frame.
    """
    scale = np.asarray(look["scale"], float)
    steps = [0 if letter in frame_axes else at for letter, at in zip(axes, index, strict=True)][: len(scale)]
    return {**look, "translate": np.asarray(look["translate"], float) + scale * steps}
