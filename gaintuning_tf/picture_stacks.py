"""Pictures, PNG and the like, as stacks of one frame: read and written whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gaintuning_tf.array_file import Source, Target, parsing
from gaintuning_tf.errors import InputError
from gaintuning_tf.images import load_image, picture_holds


def open_source(path) -> Source:
    """Read a picture.

    Raises:
        InputError: It cannot be read.
    """
    image = load_image(path)
    return Source(image.shape, image.dtype, None, {}, image.__getitem__, lambda: None)


def create_target(partial: Path, suffix: str, shape, dtype) -> Target:
    """Start a picture.

    Raises:
        InputError: The format has no such dtype or shape.
    """
    if not (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))) or not picture_holds(suffix, shape, dtype):
        raise InputError(
            f"a {suffix} file holds one image of uint8{' or grey uint16' if suffix == '.png' else ''}, not {shape} of "
            f"{dtype}: choose an output such as .tif"
        )
    return _Picture(partial, suffix, np.zeros(shape, dtype)).target()


def resume_target(partial: Path, suffix: str, shape, dtype) -> Target:
    """Go on with a picture that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype, or was never written.
    """
    import imageio.v3

    with parsing(partial):
        image = np.asarray(imageio.v3.imread(partial, extension=suffix))
    image = image.reshape(shape) if image.size == np.prod(shape) else image
    if image.shape != tuple(shape) or image.dtype != dtype:
        raise InputError(
            f"{partial} was begun for {image.shape} of {image.dtype}, not {tuple(shape)} of {dtype}: delete it"
        )
    return _Picture(partial, suffix, image).target()


class _Picture:
    def __init__(self, partial, suffix, image):
        self._partial, self._suffix, self._image = partial, suffix, image
        self._flush()

    def target(self):
        return Target(self._image.__setitem__, self._image.__getitem__, self._flush, self._flush, lambda: None)

    def _flush(self):
        import imageio.v3

        image = self._image[..., 0] if self._image.shape[2:] == (1,) else self._image
        data = imageio.v3.imwrite("<bytes>", image, extension=self._suffix)
        with open(self._partial, "r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
