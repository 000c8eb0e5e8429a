"""Which frames an array of named axes has, in which order: T, then Z, then C count slowest.

A frame is an image or, for a network of three dimensions, a volume.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from gaintuning_tf.errors import InputError

# Axes that number frames, the slowest first; C does so where a frame has one channel.
NUMBERING = "TZC"


@dataclasses.dataclass(frozen=True)
class FrameOrder:
    """The frames of an array, one at a time or all at once.

    Args:
        axes: A letter per axis of the array, of T, Z, C, Y, X.
        shape: Its shape.
        model_channels: Channels that the network takes. If 1, every channel is a frame of its own.
        dimensions: Spatial axes that the network takes: 3 for one of volumes, whose frames have Z, too.

    Raises:
        InputError: The network takes another number of channels than the array has, or volumes where there is no
            depth.

    Example:

    >>> order = FrameOrder("TCYX", (4, 2, 7, 5), 1)
    >>> order.frame_count, order.frame_axes, order.index(3)
    (8, 'YX', (1, 1, slice(None, None, None), slice(None, None, None)))
    >>> order = FrameOrder("TZYX", (4, 2, 7, 5), 1, dimensions=3)
    >>> order.frame_count, order.frame_axes, order.frame_shape
    (4, 'ZYX', (2, 7, 5))
    """

    axes: str
    shape: tuple[int, ...]
    model_channels: int
    dimensions: int = 2

    def __post_init__(self):
        _check_dimensions(self.axes, self.dimensions)
        channels = self.shape[self.axes.index("C")] if "C" in self.axes else 1
        if self.model_channels not in (1, channels):
            raise InputError(f"the network takes images of {self.model_channels} channels, received {channels}")

    @property
    def frame_axes(self) -> str:
        """`"YX"`, or `"YXC"` where a frame has all channels; of volumes with Z in front."""
        depth = "Z" if self.dimensions == 3 else ""
        return f"{depth}YX{'C' if 'C' in self.axes and self.model_channels != 1 else ''}"

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """The shape of each frame."""
        return tuple(self.shape[self.axes.index(letter)] for letter in self.frame_axes)

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        return math.prod(self._counts())

    @property
    def planes(self) -> FrameOrder:
        """The same array as images: the planes of volumes one by one."""
        return dataclasses.replace(self, dimensions=2)

    @property
    def own(self) -> FrameOrder:
        """The order of one frame by itself."""
        return FrameOrder(self.frame_axes, self.frame_shape, self.model_channels, self.dimensions)

    def index(self, i: int) -> tuple:
        """Find where frame `i` is in the array.

        Returns:
            For each axis of the array a number, or a full slice where the axis is the frame's own.

        Raises:
            InputError: There is no such frame.
        """
        if not 0 <= i < self.frame_count:
            raise InputError(f"expected a frame's number of 0 to {self.frame_count - 1}, received {i}")
        numbers = dict(zip(self._others(), (int(n) for n in np.unravel_index(i, self._counts())), strict=True))
        return tuple(numbers.get(letter, slice(None)) for letter in self.axes)

    def number(self, index: Sequence) -> int:
        """Tell which frame is at an index of the array, the inverse of `index`; the frame's own axes do not matter."""
        place = [index[self.axes.index(letter)] for letter in self._others()]
        return int(np.ravel_multi_index(place, self._counts())) if place else 0

    def frames(self, array: np.ndarray) -> np.ndarray:
        """Arrange an array of these axes as all its frames, (frames, H, W) or (frames, H, W, C), volumes likewise."""
        ordered = array.transpose([self.axes.index(letter) for letter in self._ordered()])
        return ordered.reshape(-1, *ordered.shape[-len(self.frame_axes) :])

    def array(self, frames: np.ndarray) -> np.ndarray:
        """Arrange all frames as the array, the inverse of `frames`."""
        ordered = self._ordered()
        sizes = [self.shape[self.axes.index(letter)] for letter in ordered]
        return frames.reshape(sizes).transpose([ordered.index(letter) for letter in self.axes])

    def frame(self, part: np.ndarray) -> np.ndarray:
        """Arrange the part of the array at `index(i)` with its axes in the order of `frame_axes`."""
        return part.transpose([self._kept().index(letter) for letter in self.frame_axes])

    def part(self, frame: np.ndarray) -> np.ndarray:
        """Arrange a frame as that part of the array, the inverse of `frame`."""
        return frame.transpose([self.frame_axes.index(letter) for letter in self._kept()])

    def _kept(self):
        return [letter for letter in self.axes if letter in self.frame_axes]

    def _others(self):
        return [letter for letter in NUMBERING if letter in self.axes and letter not in self.frame_axes]

    def _ordered(self):
        return [*self._others(), *self.frame_axes]

    def _counts(self):
        return tuple(self.shape[self.axes.index(letter)] for letter in self._others())


def _check_dimensions(axes, dimensions):
    """Refuse networks of other than images or volumes, and arrays without depth for those of volumes."""
    if dimensions not in (2, 3):
        raise InputError(f"expected a network of images or volumes, received one of {dimensions} spatial axes")
    if dimensions == 3 and "Z" not in axes:
        raise InputError(
            f"the network takes volumes, received the axes {axes}: say which axis is the depth, such as axes='ZYX' or "
            "--axes ZYX, or take a network of images"
        )
