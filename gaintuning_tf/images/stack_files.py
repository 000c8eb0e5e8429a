"""Image files as sequences of frames, read and written one at a time: memory does not grow with their number."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images import formats
from gaintuning_tf.images.array_layout import AXES, check_axes, default_axes
from gaintuning_tf.images.bad_pixels import PixelRules, common_extent, frame_extent, whole_mask
from gaintuning_tf.images.container import Source, Target, parsing
from gaintuning_tf.images.frame_order import FrameOrder
from gaintuning_tf.images.kept import check_output
from gaintuning_tf.support.atomic_files import put, remove, written_to
from gaintuning_tf.support.locks import PartialLock, partial_path

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


def open_stack(
    path: str | Path | Stack,
    *,
    axes: str | None = None,
    model_channels: int = 1,
    mask: ArrayLike | None = None,
    dimensions: int = 2,
    series: int | None = None,
) -> Stack:
    """Open an image file as a sequence of frames.

    Args:
        path: Any image file that can be read; a single image is a stack of one frame. Or a stack that is open, to be
            seen as frames for another network: it stays open, and nothing is read again.
        axes: A letter per axis of the file's array: Y and X; C, T, Z where present. By default what the file
            says; if it says nothing, (H, W), (H, W, 1) and (H, W, 3) are understood.
        model_channels: Channels that the network takes. If 1, every channel is a frame of its own.
        mask: Where pixels do not count, see `bad_pixels.whole_mask`; by default that of a stack that is open.
        dimensions: Spatial axes that the network takes: with 3, frames are volumes.
        series: Which of several images in the file, from 0; by default the largest, and what else there is is said.

    Returns:
        The stack, to be closed by `with`.

    Raises:
        InputError: The file cannot be read, it does not say its axes, the network takes other images, or the mask has
            another shape.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.npy"
    >>> np.save(path, np.arange(60, dtype="uint16").reshape(5, 4, 3))
    >>> with open_stack(path, axes="TYX") as stack:
    ...     stack.frame_count, stack.frame_shape, float(stack.frame(1).max()), stack.extent()
    (5, (4, 3), 23.0, (0.0, 59.0))
    """
    if isinstance(path, Stack):
        return path.seen_by(axes, model_channels, mask, dimensions)
    path = Path(path)
    source = formats.open_source(path, series)
    try:
        return Stack(path, source, axes, model_channels, mask, dimensions, series)
    except BaseException:
        source.close()
        raise


def may_be_volume(path: str | Path, axes: str | None = None, series: int | None = None) -> bool:
    """Tell whether an image file may hold a volume: it says so, or has three axes or more and says nothing of them.

    Args:
        path: Any image file that can be read.
        axes: A letter per axis, if they are known.
        series: Which of several images in the file, as for `open_stack`.

    Raises:
        InputError: The file cannot be read.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.npy"
    >>> np.save(path, np.zeros((5, 40, 30), "uint16"))
    >>> may_be_volume(path), may_be_volume(path, "TYX")
    (True, False)
    """
    formats.check_readable(path)
    if formats.row_to_read(path).module == "pictures":
        return False  # without decoding it
    with contextlib.closing(formats.open_source(Path(path), series)) as source:
        given = axes or source.axes or ""
        if set(given) <= set(AXES) and len(given) == len(source.shape):
            return "Z" in given.upper()
        return len(source.shape) > 3 or (len(source.shape) == 3 and source.shape[-1] not in (1, 3))


class Stack:
    """An image file as a sequence of frames; made by `open_stack`.

    Attributes:
        path: The file.
        axes: A letter per axis of its array, such as `"TYX"`.
        shape: Of the array.
        dtype: Of the array and of each frame, in native byte order.
        order: Where each frame is in the array.
        frame_axes: `"YX"` or `"YXC"`, of volumes with Z in front.
        frame_shape: Of each frame.
        frame_count: How many.
        mask: True where a pixel does not count, of the array's shape; None if there is no mask.
        metadata: What a writer of the same format keeps: sizes of pixels, descriptions.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        axes: str | None,
        model_channels: int,
        mask: ArrayLike | None = None,
        dimensions: int = 2,
        series: int | None = None,
    ):
        if source.dtype.kind not in "iuf":
            raise InputError(f"expected an image of integers or floats, {path} has dtype {source.dtype}")
        self.path, self.shape, self.dtype = path, tuple(source.shape), source.dtype
        self.axes = _axes(path, source, dimensions) if axes is None else check_axes(axes, self.shape)
        sides = [self.shape[self.axes.index(letter)] for letter in "YX"]
        if 0 in self.shape or sides[0] * sides[1] < 2:
            raise InputError(f"expected images of at least 2 pixels, {path} has the shape {self.shape}")
        self.order = FrameOrder(self.axes, self.shape, model_channels, dimensions)
        self.frame_axes, self.frame_shape = self.order.frame_axes, self.order.frame_shape
        self.frame_count = self.order.frame_count
        self.mask = None if mask is None else whole_mask(mask, self.axes, self.shape)
        self.metadata = source.metadata
        self._source, self._series = source, series

    def seen_by(
        self, axes: str | None, model_channels: int, mask: ArrayLike | None = None, dimensions: int = 2
    ) -> Stack:
        """See the open file as frames for another network; closing what is returned closes nothing.

        Args:
            axes: A letter per axis; by default those of this stack.
            model_channels: Channels that the network takes.
            mask: Where pixels do not count; by default where they do not in this stack.
            dimensions: Spatial axes that the network takes.
        """
        shared = dataclasses.replace(self._source, close=lambda: None)
        mask = self.mask if mask is None else mask
        axes = self.axes if axes is None else axes
        return Stack(self.path, shared, axes, model_channels, mask, dimensions, self._series)

    def frame(self, i: int) -> np.ndarray:
        """Read frame `i`, in the axes `frame_axes`; T, then Z, then C (where it is not in the frame) count slowest."""
        part = self._source.read(self.order.index(i))
        return np.ascontiguousarray(self.order.frame(part))

    def array(self) -> np.ndarray:
        """Read the whole array, all its frames at once."""
        with parsing(self.path):
            return self._source.read((slice(None),) * len(self.shape))

    def masked(self, i: int) -> np.ndarray:
        """Read frame `i` as an `np.ma.MaskedArray` if there is a mask, else as `frame` does."""
        frame = self.frame(i)
        if self.mask is None:
            return frame
        return np.ma.array(frame, mask=self.order.frame(self.mask[self.order.index(i)]))

    def with_mask(self, array: np.ndarray) -> np.ndarray:
        """Give the whole array the mask, if there is one, as an `np.ma.MaskedArray`."""
        return array if self.mask is None else np.ma.array(array, mask=self.mask)

    def extent(self, rules: PixelRules = PixelRules()) -> tuple[float, float]:  # noqa: B008 - frozen
        """Find the smallest and largest value of the pixels that count in all frames; NaN if there is none.

        Each frame is read once. Frames of one value have no say, nor have pixels that are
        hot, missing or in a constant area, see `bad_pixels.find_bad_pixels`.

        Args:
            rules: What is known of pixels that do not count.
        """
        return common_extent(extent for i in range(self.frame_count) for extent in self._extent_of(i, rules))

    def _extent_of(self, i, rules):
        return frame_extent(self.masked(i), rules, self.order.own)

    def identity(self) -> dict:
        """Describe the file, for JSON, so that a later run sees whether it is still the same."""
        files = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
        stats = [file.stat() for file in files if file.is_file()]
        return {
            "path": str(self.path.resolve()),
            "size": sum(stat.st_size for stat in stats),
            "mtime_ns": max((stat.st_mtime_ns for stat in stats), default=0),
            "shape": list(self.shape),
            "dtype": str(self.dtype),
            "axes": self.axes,
        } | ({} if self._series is None else {"series": self._series})

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def create_stack(path: str | Path, like: Stack, *, dtype: DTypeLike | None = None, resume: bool = False) -> StackWriter:
    """Start an output of the shape and axes of another stack, to be written frame by frame.

    Frames go into a partial file beside the output, by the name `.NAME.partial`, until `commit`. After an
    interruption it stays, to be gone on with.

    Args:
        path: The output; its suffix says the format.
        like: What it corresponds to. Of its metadata is kept what the format holds; what is not, is said.
        dtype: That of `like` if absent.
        resume: Go on with a partial file of the same shape and dtype; the frames in it are kept.

    Raises:
        InputError: The format is not written or cannot hold such a stack, another process is writing to the same
            output, or there is nothing to resume.

    Example:

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "a.npy", np.zeros((5, 4, 3), "float32"))
    >>> with open_stack(folder / "a.npy", axes="TYX") as stack, create_stack(folder / "b.tif", stack) as writer:
    ...     for i in range(stack.frame_count):
    ...         writer.write(i, stack.frame(i) + i)
    ...     writer.commit()
    >>> with open_stack(folder / "b.tif") as stack:
    ...     stack.axes, stack.extent()
    ('TYX', (0.0, 4.0))
    """
    formats.check_suffix(path)
    written = np.dtype(like.dtype if dtype is None else dtype).newbyteorder("=")
    check_output(path, like.shape, written, like.metadata)
    formats.check_replaceable(written_to(path))
    if like.path.resolve() == partial_path(path).resolve():
        raise InputError(f"expected an input that is not the partial file of the output, received {like.path}")
    lock = PartialLock(partial_path(path), folder=formats.is_folder(path), resume=resume)
    try:
        target = _target(path, lock.path, like, written, resume)
    except BaseException:
        if not resume:
            remove(lock.path)
        lock.release()
        raise
    return StackWriter(written_to(path), lock, target, like, written)


class StackWriter:
    """An output that is being written; made by `create_stack`. Leaving its `with` block closes but never commits.

    Attributes:
        partial: The partial file, or folder, that has what was written.
    """

    def __init__(self, path: Path, lock: PartialLock, target: Target, like: Stack, dtype: np.dtype):
        self.partial = lock.path
        self._path, self._lock, self._target, self._order, self._dtype = path, lock, target, like.order, dtype

    def write(self, i: int, frame: np.ndarray) -> None:
        """Write frame `i`: in any order, any number of times; nothing is converted.

        Raises:
            InputError: It has another shape or dtype than the output's frames.
        """
        if frame.shape != self._order.frame_shape or frame.dtype != self._dtype:
            raise InputError(
                f"expected a frame of shape {self._order.frame_shape} and dtype {self._dtype}, "
                f"received {frame.shape} and {frame.dtype}"
            )
        self._target.write(self._order.index(i), self._order.part(frame))

    def read(self, i: int) -> np.ndarray:
        """Read frame `i` as it was written."""
        return np.ascontiguousarray(self._order.frame(self._target.read(self._order.index(i))))

    def flush(self) -> None:
        """Have all frames written so far on disk when this returns."""
        self._target.flush()

    def commit(self) -> None:
        """Complete the file and rename it over the output, which until then is as it was."""
        self._target.finish()
        self._target.close()
        put(self.partial, self._path)
        self._lock.release()

    def discard(self) -> None:
        """Delete what was written."""
        self._target.close()
        remove(self.partial)
        self._lock.release()

    def close(self) -> None:
        """Leave what was written for a later run to go on with."""
        self._target.close()
        self._lock.release()

    def __enter__(self) -> StackWriter:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _target(path, partial, like, dtype, resume):
    module = formats.module_of(path)
    if resume:
        return module.resume_target(partial, like.shape, dtype)
    return module.create_target(partial, like.shape, dtype, like.axes, like.metadata)


def _axes(path, source, dimensions):
    given = source.axes or ""
    if {"Y", "X"} <= set(given) <= set(AXES) and len(set(given)) == len(given):
        return given
    try:
        return default_axes(source.shape, dimensions)
    except InputError as error:
        says = f" but {given!r}" if given else ""
        raise InputError(
            f"{path} of shape {source.shape} does not say which its axes are{says}; say it, such as --axes TYX"
        ) from error
