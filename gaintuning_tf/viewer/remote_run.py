"""A run in the process that has TensorFlow, as napari's threads see it: its progress, its image, its stop."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.images.array_file import reserve
from gaintuning_tf.viewer.layer_frames import LayerFrames, place_of
from gaintuning_tf.viewer.process import TuningProcess
from gaintuning_tf.viewer.request import Request
from gaintuning_tf.viewer.run import Progress

# Results of more bytes are kept in a file, which the system may leave on disk.
IN_MEMORY = 2**30


class RemoteRun:
    """A `Run` elsewhere: iterating, in a thread, reads the frames for it and takes what it has done.

    Args:
        process: Where it is done.
        request, data, axes, at, name: As for `Run`.

    Attributes:
        progress: How far it is.
        image: The result, NaN where nothing is done yet, which napari draws as nothing; None before the first frame is
            done.
        done: How many frames are.
        summary: What was done, a line for each thing.

    Raises:
        InputError: The request or the array cannot be used.
    """

    def __init__(
        self,
        process: TuningProcess,
        request: Request,
        data: Any,
        axes: str,
        *,
        at: Sequence[int] | None = None,
        name: str = "the layer",
    ):
        request.check()
        self._frames = LayerFrames(data, axes, name=name)
        self._process, self._data, self._at = process, data, at
        self._job = (request, self._frames.shape, self._frames.dtype, self._frames.axes, at, name)
        self._frame_axes, self._stop = "", False
        self.progress = Progress("starting")
        self.image: np.ndarray | None = None
        self.done = 0
        self.summary: list[str] = []

    @property
    def is_preview(self) -> bool:
        """Whether one frame is wanted, of however many."""
        return self._at is not None

    def stop(self) -> None:
        """End the run after the step that it is in."""
        self._stop = True
        if self._process.alive:
            self._process.send("stop")

    def __iter__(self) -> Iterator[int]:
        """Do the work; gives the number of frames that are done after each.

        Raises:
            InputError: It cannot be done.
        """
        self.progress = Progress("importing TensorFlow" if not self._process.alive else "starting")
        self._process.send("run", *self._job)
        if self._stop:
            self._process.send("stop")
        over = False
        try:
            while not over:
                kind, *content = self._process.receive()
                over = kind in ("end", "refused")
                self._answer(kind, *content)
                if kind == "frame":
                    yield self.done
        finally:
            # Nobody listens to the rest of a run that was given up: the next one is not to hear it.
            if not over:
                self._process.close()

    def _answer(self, kind, *content):
        """Do what a message asks for, or take what it brings."""
        if kind == "refused":
            raise InputError(*content)
        if kind == "read":
            self._process.send("part", self._part(*content))
        elif kind == "frame":
            self._keep(*content)
        elif kind == "progress":
            (self.progress,) = content
        else:
            (self.summary,) = content

    def _part(self, index):
        """Read a part of the layer; a text says why it cannot be."""
        try:
            return np.asarray(self._data[index])
        except Exception as error:  # a lazy layer raises what its file or its maker does
            return f"cannot read {self._frames.path}: {reason_of(error)}"

    def _keep(self, frame_axes, shape, index, part):
        if self.image is None:
            self._frame_axes = frame_axes
            self.image = _empty(shape, part.dtype)
        self.image[index] = part
        self.done += 1

    def placed(self, look: dict[str, Any]) -> dict[str, Any]:
        """Move a layer's look to where the result is: that of one frame lies where that frame does."""
        return look if self._at is None else place_of(look, self._at, self._frames.axes, self._frame_axes)

    def save_gains(self, path: str | Path) -> list[str]:
        """Have the gains written, see `Run.save_gains`; returns what is to be said of it.

        Raises:
            InputError: There are none, or the file cannot be written.
        """
        self._process.send("save", str(path))
        kind, content = self._process.receive()
        if kind == "refused":
            raise InputError(content)
        return content


def _empty(shape, dtype):
    """Make room for a result: in memory, or in a file without a name, which is gone when nobody has the array."""
    size = math.prod(shape) * dtype.itemsize
    if size <= IN_MEMORY:
        return np.full(shape, np.nan, dtype)
    with tempfile.TemporaryFile() as file:
        reserve(file, 0, size)
        array = np.memmap(file, dtype, "r+", shape=shape)
    array[:] = np.nan
    return array
