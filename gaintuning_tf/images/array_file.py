"""An array that lies in one piece in a file, read and written in parts by offset."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from gaintuning_tf.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


# Where a part is scattered through the file, it is read in pieces of up to this many bytes.
BLOCK = 2**23


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

    def __init__(
        self, path: str | Path, shape: Sequence[int], dtype: DTypeLike, offset: int, *, writable: bool = False
    ):
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
        """Read a part of the array; `index` has a number or a full slice for each axis."""
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
        """Have all that was written on disk when this returns."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; more than once does no harm."""
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


def reserve(file: BinaryIO, start: int, size: int) -> None:
    """Let a file have `size` bytes from `start` on, now: a full disk is found before hours of work, not after."""
    file.flush()
    file.truncate(max(start + size, os.fstat(file.fileno()).st_size))
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(file.fileno(), start, size)


def _is_whole(index):
    return all(isinstance(part, slice) for part in index)


def _pieces(shape, index, itemsize, start=0, where=()) -> Iterator[tuple]:
    """Find the contiguous pieces of the file that hold a part.

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
