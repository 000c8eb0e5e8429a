"""A picture as an image file that is open to be read, or to be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, Target
from gaintuning_tf.images.pictures import png
from gaintuning_tf.images.pictures.reading import SUFFIXES, read_picture
from gaintuning_tf.images.pictures.writing import encoded, needs_codec, picture_holds


def open_source(path: str | Path) -> Source:
    """Read a picture, or the frames of an animation.

    Raises:
        InputError: It cannot be read.
    """
    picture = read_picture(path)
    pixels = picture.pixels
    axes = ("TYXC" if pixels.ndim == 4 else "TYX") if picture.frames else None
    return Source(pixels.shape, pixels.dtype, axes, picture.metadata, pixels.__getitem__, lambda: None)


def create_target(
    path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict[str, Any]
) -> Target:
    """Start a picture.

    Returns:
        The file, of that shape, every value zero.

    Raises:
        InputError: The format has no such dtype or shape, or what writes it is not installed.
    """
    suffix = suffix_of_picture(path)
    if not (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))) or not picture_holds(suffix, shape, dtype):
        raise InputError(
            f"a {suffix} file holds one image of uint8{' or uint16' if suffix == '.png' else ''}, not {shape} of "
            f"{dtype}: choose an output such as .tif"
        )
    if needs_codec(suffix, shape, dtype, metadata):
        png.codec()
    Path(path).touch()
    return _Partial(path, np.zeros(shape, dtype), metadata).target()


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a picture that `create_target` started, and with what it says besides its pixels.

    Raises:
        InputError: It is of another shape or dtype, or was never written.
    """
    picture = read_picture(path)
    image = picture.pixels.reshape(shape) if picture.pixels.size == np.prod(shape) else picture.pixels
    if image.shape != tuple(shape) or image.dtype != dtype:
        raise InputError(
            f"{path} was begun for {image.shape} of {image.dtype}, not {tuple(shape)} of {dtype}: delete it"
        )
    return _Partial(path, np.array(image), picture.metadata).target()


def suffix_of_picture(path: str | Path) -> str:
    """Find the format of a file: the last suffix of a picture in its name, for a partial file has another behind it.

    Raises:
        InputError: Its name has none.

    Example:

    >>> suffix_of_picture(".a.JPG.PNG.partial")
    '.png'
    """
    found = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"expected a file with one of the suffixes {', '.join(SUFFIXES)}, received {path}")
    return found[-1]


class _Partial:
    """A picture that is being written: as long as it is, its pixels are in memory."""

    def __init__(self, path, image, metadata):
        self._path, self._image, self._metadata = path, image, metadata
        self._flush()

    def target(self):
        return Target(self._image.__setitem__, self._image.__getitem__, self._flush, self._flush, lambda: None)

    def _flush(self):
        data = encoded(self._image, suffix_of_picture(self._path), self._metadata)
        with open(self._path, "r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
