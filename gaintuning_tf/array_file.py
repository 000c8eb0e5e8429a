"""An array that lies in one piece in a file, read and written in parts by offset."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np

from gaintuning_tf.errors import InputError

# No image is taken to be more than this many times as large as its file: it is twice
# what deflate reaches on zeros.
EXPANSION = 2000
# A frame of up to this many bytes may be: it does no harm.
HARMLESS = 2**28
# Where a part is scattered through the file, it is read in pieces of up to this many bytes.
BLOCK = 2**23


@dataclasses.dataclass(frozen=True)
class Source:
    """An image file that is open: what it says it holds, and its pixels in parts.

    Attributes:
        shape: Of the whole array.
        dtype: Of the arrays that `read` returns, in native byte order.
        axes: A letter per axis as the file has them, perhaps others than T, Z, C, Y, X; None if it says nothing.
        metadata: What a writer of the same format keeps.
        read: Takes an index, a number or a full slice for each axis, and returns that part of the array.
        close: Closes the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: str | None
    metadata: dict
    read: Callable[[tuple], np.ndarray]
    close: Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Target:
    """An image file that is being written.

    Attributes:
        write: Takes an index as `Source.read` does, and the values of that part.
        read: Returns a part that was written before.
        flush: What was written is on disk when it returns.
        finish: Completes the file once all is written.
        close: Closes it, complete or not.
    """

    write: Callable[[tuple, np.ndarray], None]
    read: Callable[[tuple], np.ndarray]
    flush: Callable[[], None]
    finish: Callable[[], None]
    close: Callable[[], None]


class ArrayFile:
    """An array in C order at an offset of a file. No part of the file is kept in memory.

    Not a memory map: pages that were read or written through one count as the process's own memory.

    Args:
        path: The file.
        shape: Of the array.
        dtype: As it is in the file, byte order included.
        offset: Of its first byte.
        writable: Whether `write` is to work.

    Raises:
        InputError: The file is too short for that array.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "raw"
    >>> size = path.write_bytes(np.arange(12, dtype=">u2").tobytes())
    >>> ArrayFile(path, (2, 3, 2), ">u2", 0).read((1, slice(None), 0))
    array([ 6,  8, 10], dtype=uint16)
    """

    def __init__(self, path, shape, dtype, offset: int, *, writable: bool = False):
        self.path = path
        self.shape = tuple(int(size) for size in shape)
        self._stored = np.dtype(dtype)
        self.dtype = self._stored.newbyteorder("=")
        self._offset = int(offset)
        self._lock = threading.Lock()
        self._file = open(path, "r+b" if writable else "rb", buffering=0)  # noqa: SIM115 - closed by close
        present = os.fstat(self._file.fileno()).st_size
        needed = self._offset + math.prod(self.shape) * self._stored.itemsize
        if present < needed:
            self.close()
            raise InputError(
                f"{path} is truncated or damaged: its header says {self.shape} of {self.dtype}, which needs "
                f"{needed} bytes, the file has {present}"
            )

    def read(self, index: tuple) -> np.ndarray:
        """A part of the array; `index` has a number or a full slice for each axis."""
        kept = [size for size, part in zip(self.shape, index, strict=True) if isinstance(part, slice)]
        result = np.empty(kept, self._stored)
        with self._lock:
            for start, shape, within, where in _pieces(self.shape, index, self._stored.itemsize):
                if _is_whole(within):
                    self._get(start, result[(*where, ...)])
                else:
                    block = np.empty(shape, self._stored)
                    self._get(start, block)
                    result[where] = block[within]
        return result.astype(self.dtype, copy=False)

    def write(self, index: tuple, value: np.ndarray) -> None:
        """Set a part of the array."""
        value = np.ascontiguousarray(value, self._stored)
        with self._lock:
            for start, shape, within, where in _pieces(self.shape, index, self._stored.itemsize):
                block = value[(*where, ...)]
                if not _is_whole(within):
                    block = np.empty(shape, self._stored)
                    self._get(start, block)
                    block[within] = value[where]
                self._put(start, block)

    def flush(self) -> None:
        """All that was written is on disk when this returns."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _get(self, start, block):
        view = memoryview(block.reshape(-1).view(np.uint8))
        self._file.seek(self._offset + start * self._stored.itemsize)
        while view:
            size = self._file.readinto(view)
            if not size:
                raise InputError(f"{self.path} became shorter while it was read")
            view = view[size:]

    def _put(self, start, block):
        view = memoryview(block.reshape(-1).view(np.uint8))
        self._file.seek(self._offset + start * self._stored.itemsize)
        while view:
            view = view[self._file.write(view) :]


def check_declared(path, shape, dtype, stored: int | None = None) -> None:
    """Refuse a header that would have memory reserved for an image that the file cannot hold.

    Args:
        path: The file.
        shape: Of what is decoded at once, such as a page.
        dtype: Its dtype.
        stored: Bytes that the file has; those of `path` if absent.

    Raises:
        InputError: The image would be beyond 256 MiB and 2000 times its file.

    Example:

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     check_declared(file.name, (1000, 1000), "uint8")
    """
    if any(size < 1 for size in shape):
        raise InputError(f"cannot read {path} as an image: its header says the shape {tuple(shape)}")
    stored = os.path.getsize(path) if stored is None else stored
    declared = math.prod(int(size) for size in shape) * np.dtype(dtype).itemsize
    if declared > max(HARMLESS, EXPANSION * stored):
        raise InputError(
            f"cannot read {path} as an image: its header says {tuple(shape)} of {np.dtype(dtype)}, "
            f"{declared} bytes, which a file of {stored} bytes cannot hold"
        )


@contextlib.contextmanager
def parsing(path) -> Iterator[None]:
    """Whatever a library raises in the block for a file that it cannot make sense of is an `InputError`.

    The libraries raise as they come upon nonsense: of a damaged file anything, from a division by zero to a
    lack of memory.

    Raises:
        InputError: The block raised, with the reason.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        text = str(error).strip()
        reason = text.splitlines()[0] if text else type(error).__name__
        raise InputError(f"cannot read {path} as an image: {reason}") from error


def optional(module: str, what: str):
    """A library that only the extra `microscopy` brings.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{what} need {module.partition('.')[0]}: pip install 'gaintuning-tf[microscopy]'") from error


def reserve(file, start: int, size: int) -> None:
    """Let a file have `size` bytes from `start` on, now: a full disk is told before hours of work, not after."""
    file.flush()
    file.truncate(max(start + size, os.fstat(file.fileno()).st_size))
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(file.fileno(), start, size)


def _is_whole(index):
    return all(isinstance(part, slice) for part in index)


def _pieces(shape, index, itemsize, start=0, where=()) -> Iterator[tuple]:
    """The contiguous pieces of the file that hold a part.

    Each as its first item, its shape, the index of what is wanted in it, and where in the part that belongs.
    """
    small = math.prod(shape) * itemsize <= BLOCK and not isinstance(index[0] if index else None, int)
    if _is_whole(index) or small:
        yield start, shape, index, where
        return
    step = math.prod(shape[1:])
    one = isinstance(index[0], int)
    for row in [index[0]] if one else range(shape[0]):
        yield from _pieces(shape[1:], index[1:], itemsize, start + row * step, where if one else (*where, row))
