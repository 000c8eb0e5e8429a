"""An array of a TIFF file as it is shown, in parts: samples become colours, pixels are turned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gaintuning_tf.images.tiff.orientation import swaps, turned
from gaintuning_tf.images.tiff.photometry import Colours


class Shown:
    """What is shown of a stored array.

    Args:
        read: Reads a part of the stored array, as `Source.read` does.
        axes: Of the stored array, S for the samples of a pixel.
        shape: Of the stored array.
        colours: What the samples mean.
        orientation: Of TIFF.

    Attributes:
        axes: A letter per axis of what is shown; colours are the last.
        shape: Its shape.
    """

    def __init__(self, read: Callable, axes: str, shape: tuple[int, ...], colours: Colours, orientation: int):
        self._read, self._stored, self._colours, self._orientation = read, axes, colours, orientation
        self._channel = "S" if "C" in axes else "C"
        sizes = dict(zip(axes, shape, strict=True))
        if swaps(orientation):
            sizes["Y"], sizes["X"] = sizes["X"], sizes["Y"]
        self.axes = axes.replace("S", "")
        self.shape = tuple(sizes[letter] for letter in self.axes)
        if colours.channels:
            self.axes += self._channel
            self.shape += (colours.channels,)

    def read(self, index: tuple) -> np.ndarray:
        """Read a part; `index` has a number or a full slice for each axis."""
        chosen = dict(zip(self.axes, index, strict=True))
        values, letters = self._part(chosen, self._colours.values)
        letters += self._channel if self._colours.channels else ""
        within = self._within
        return values[tuple(chosen[letter] if letter in within else slice(None) for letter in letters)]

    def alpha(self) -> np.ndarray:
        """Read the opacity of all pixels; only where the colours have one."""
        assert self._colours.alpha is not None, "asked for without alpha"
        return self._part({}, self._colours.alpha)[0]

    @property
    def _within(self):
        """The axes of one image, which is read whole."""
        return "YX" + (self._channel if self._colours.channels else "")

    def _part(self, chosen, convert):
        whole = slice(None)
        index = [whole if letter in "YXS" else chosen.get(letter, whole) for letter in self._stored]
        part = self._read(tuple(index))
        kept = [letter for letter, at in zip(self._stored, index, strict=True) if isinstance(at, slice)]
        if "S" in kept:
            part = np.moveaxis(part, kept.index("S"), -1)
            kept.remove("S")
        part = convert(part)
        return turned(part, kept.index("Y"), kept.index("X"), self._orientation), "".join(kept)
