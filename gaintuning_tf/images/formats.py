"""Which module reads and writes an image file, by its suffix."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, parsing

# Of one frame, read and written whole: by `files`.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# The rest is read in parts; each of these modules has open_source and, if it writes, create_target and resume_target.
_MODULES = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".btf": "tiff",
    ".tf8": "tiff",
    ".npy": "npy",
    ".mrc": "mrc",
    ".mrcs": "mrc",
    ".zarr": "zarr_arrays",
    ".dm3": "vendor_files",
    ".dm4": "vendor_files",
    ".ser": "vendor_files",
    ".emd": "vendor_files",
}
# Suffixes of images that are folders.
FOLDERS = (".zarr",)
# Axes of an array, those of length 1 included, that are worth an error message which lists them.
MOST_AXES = 8
_READ_ONLY = (".dm3", ".dm4", ".ser", ".emd")
READABLE = (*PICTURES, *_MODULES)
WRITABLE = tuple(suffix for suffix in READABLE if suffix not in _READ_ONLY)


def suffix_of(path) -> str:
    """The suffix of a file, in lower case.

    Example:

    >>> suffix_of("a.ome.TIF")
    '.tif'
    """
    return Path(path).suffix.lower()


def check_readable(path) -> None:
    """Refuse a file that is not there, or whose suffix names no format that can be read.

    Raises:
        InputError: It does, with the suffixes that can be.
    """
    path, suffix = Path(path), suffix_of(path)
    if not (path.is_dir() if suffix in FOLDERS else path.is_file()):
        kind = "a folder" if suffix in FOLDERS else "an image file"
        raise InputError(f"no such file: {path}" if not path.exists() else f"expected {kind}, {path} is none")
    if suffix not in READABLE:
        raise InputError(f"expected an image file ({', '.join(READABLE)}), received {path}")


def check_suffix(path) -> None:
    """Refuse an output file whose suffix names no format that can be written.

    Raises:
        InputError: It does not.
    """
    if suffix_of(path) not in WRITABLE:
        only = f", which is read but not written ({suffix_of(path)})" if suffix_of(path) in _READ_ONLY else ""
        raise InputError(
            f"expected an output file with one of the suffixes {', '.join(WRITABLE)}, received {path}{only}"
        )


def check_replaceable(path: Path) -> None:
    """Refuse an output that is there and is no image of that kind: a folder that holds other things.

    Raises:
        InputError: It is.
    """
    marks = (".zgroup", ".zarray", "zarr.json")
    if suffix_of(path) not in FOLDERS or not path.exists():
        if path.is_dir():
            raise InputError(f"expected a file name for the output, {path} is a folder")
        return
    if not path.is_dir() or (any(path.iterdir()) and not any((path / mark).exists() for mark in marks)):
        raise InputError(f"expected an output that is new or a Zarr folder, {path} is something else")


def open_source(path) -> Source:
    """Open an image file that is no picture, to be read in parts.

    Raises:
        InputError: It cannot be read, or what reads it is not installed.
    """
    check_readable(path)
    with parsing(path):
        source = module_of(path).open_source(Path(path))
    if len(source.shape) > MOST_AXES:
        source.close()
        raise InputError(f"expected an image of up to {MOST_AXES} axes, {path} has {len(source.shape)}")
    return source


def module_of(path):
    """The module for the format of `path`."""
    return importlib.import_module(f"gaintuning_tf.images.{_MODULES[suffix_of(path)]}")


def load_array(path) -> np.ndarray:
    """The whole array of an image file that is no picture.

    Raises:
        InputError: It cannot be read.
    """
    source = open_source(path)
    with contextlib.closing(source), parsing(path):
        return source.read((slice(None),) * len(source.shape))


def save_array(path, array: np.ndarray, axes: str, metadata: dict) -> None:
    """Write a whole array as an image file that is no picture.

    Raises:
        InputError: The format cannot hold it.
    """
    target = module_of(path).create_target(path, array.shape, array.dtype.newbyteorder("="), axes, metadata)
    with contextlib.closing(target):
        target.write((slice(None),) * array.ndim, array)
        target.finish()
