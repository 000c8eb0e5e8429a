"""Pictures, PNG and the like, as stacks of one frame: read and written whole."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.container import Source, Target, parsing
from gaintuning_tf.images.formats import FORMATS
from gaintuning_tf.support.limits import check_declared

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def open_source(path: str | Path) -> Source:
    """Read a picture.

    Raises:
        InputError: It cannot be read.
    """
    image = read_picture(path)
    return Source(image.shape, image.dtype, None, {}, image.__getitem__, lambda: None)


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start a picture.

    Returns:
        The file, of that shape, every value zero.

    Raises:
        InputError: The format has no such dtype or shape.
    """
    suffix = _suffix(path)
    if not (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))) or not picture_holds(suffix, shape, dtype):
        raise InputError(
            f"a {suffix} file holds one image of uint8{' or grey uint16' if suffix == '.png' else ''}, not {shape} of "
            f"{dtype}: choose an output such as .tif"
        )
    Path(path).touch()
    return _Picture(path, np.zeros(shape, dtype)).target()


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a picture that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype, or was never written.
    """
    import imageio.v3

    with parsing(path):
        image = np.asarray(imageio.v3.imread(path, extension=_suffix(path)))
    image = image.reshape(shape) if image.size == np.prod(shape) else image
    if image.shape != tuple(shape) or image.dtype != dtype:
        raise InputError(
            f"{path} was begun for {image.shape} of {image.dtype}, not {tuple(shape)} of {dtype}: delete it"
        )
    return _Picture(path, image).target()


def _suffix(path):
    """Find the format of a file: the last suffix of a picture in its name, for a partial file has another behind it."""
    (row,) = (row for row in FORMATS if row.module == "pictures")
    found = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() in row.suffixes]
    if not found:
        raise InputError(f"expected a file with one of the suffixes {', '.join(row.suffixes)}, received {path}")
    return found[-1]


class _Picture:
    def __init__(self, path, image):
        self._path, self._image = path, image
        self._flush()

    def target(self):
        return Target(self._image.__setitem__, self._image.__getitem__, self._flush, self._flush, lambda: None)

    def _flush(self):
        import imageio.v3

        image = self._image[..., 0] if self._image.shape[2:] == (1,) else self._image
        data = imageio.v3.imwrite("<bytes>", image, extension=_suffix(self._path))
        with open(self._path, "r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())


def read_picture(path: str | Path) -> np.ndarray:
    """Read a picture whole.

    Returns:
        (H, W) or (H, W, 3). An alpha channel is dropped, with a warning if it is not opaque.

    Raises:
        InputError: It cannot be read.
    """
    image = _read(path)
    if image.ndim == 3 and image.shape[-1] in (2, 4):
        if np.any(image[..., -1] != np.iinfo(image.dtype).max):
            warnings.warn(f"{path}: the alpha channel is dropped", GainTuningWarning, stacklevel=2)
        image = image[..., :-1]
        image = image[..., 0] if image.shape[-1] == 1 else image
    return image


def _read(path):
    from skimage.io import imread

    canvas = _webp_canvas(path)
    if canvas:
        # Its decoder has memory for the whole canvas before it finds out that there is nothing to put there.
        check_declared(path, (*canvas, 4), np.uint8)
    with parsing(path):
        return np.asarray(imread(path))


def _webp_canvas(path):
    """Read width and height in the header of a WebP file (RFC 9649, section 2); None for any other file."""
    with open(path, "rb") as file:
        head = file.read(30)
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None

    def number(start, size):
        return int.from_bytes(head[start : start + size], "little")

    bits = 2**14 - 1
    sizes = {
        b"VP8X": (1 + number(24, 3), 1 + number(27, 3)),
        b"VP8 ": (number(26, 2) & bits, number(28, 2) & bits),
        b"VP8L": (1 + (number(21, 4) & bits), 1 + (number(21, 4) >> 14 & bits)),
    }
    return sizes.get(head[12:16])


def picture_holds(suffix: str, shape: Sequence[int], dtype: DTypeLike) -> bool:
    """Tell whether a picture of that suffix keeps a dtype.

    Example:

    >>> picture_holds(".png", (5, 4), "uint16"), picture_holds(".jpg", (5, 4), "uint16")
    (True, False)
    """
    dtype = np.dtype(dtype)
    return dtype == np.uint8 or (dtype == np.uint16 and len(shape) == 2 and suffix == ".png")
