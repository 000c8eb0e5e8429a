"""NumPy's .npy files, in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.array_file import ArrayFile, reserve
from gaintuning_tf.images.container import Source, Target, parsing


def open_source(path: str | Path) -> Source:
    """Open a .npy file. Pickled objects are refused.

    Raises:
        InputError: It holds no array of numbers.
    """
    shape, stored, fortran, offset = _header(path)
    array = ArrayFile(path, shape[::-1] if fortran else shape, stored, offset)
    read = (lambda index: array.read(index[::-1]).T) if fortran else array.read
    return Source(shape, array.dtype, None, {}, read, array.close)


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start a .npy file of that shape."""
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(file, header)
        start, size = file.tell(), int(np.prod(shape, dtype=object)) * dtype.itemsize
        reserve(file, start, size)
    return resume_target(path, shape, dtype)


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a file that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    found, stored, fortran, offset = _header(path)
    if (found, stored, fortran) != (tuple(shape), dtype, False):
        raise InputError(f"{path} was begun for {found} of {stored}, not {tuple(shape)} of {dtype}: delete it")
    array = ArrayFile(path, shape, dtype, offset, writable=True)
    return Target(array.write, array.read, array.flush, array.flush, array.close)


def _header(path):
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with parsing(path), open(path, "rb") as file:
        shape, fortran, dtype = readers[np.lib.format.read_magic(file)](file)
        offset = file.tell()
    if dtype.kind not in "iufbc":
        raise InputError(f"expected {path} to hold numbers, it holds {'objects' if dtype.hasobject else dtype}")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise InputError(f"cannot read {path} as an image: its header says the shape {shape}")
    return shape, dtype, fortran, offset
