"""An image of a Zarr folder that is open to be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.zarr_arrays.blosc_chunks import guarded
from gaintuning_tf.images.zarr_arrays.description import axis_names, describe
from gaintuning_tf.images.zarr_arrays.finding import find_image
from gaintuning_tf.images.zarr_arrays.library import zarr_library
from gaintuning_tf.images.zarr_arrays.safety import check_array


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open a Zarr array, or the largest image (level 0) of an OME-Zarr group.

    Args:
        path: The folder, or that of an array or group inside.
        series: The number of the image, where there are several; the first if absent, with a warning.

    Raises:
        InputError: It is neither, would run code of its own, or is a plate of many images.
    """
    zarr = zarr_library()
    with parsing(path):
        found = find_image(Path(path), zarr, series)
        shape, dtype = tuple(found.array.shape), np.dtype(found.array.dtype)
        check_array(path, found.array)
        array = guarded(found.array)
        names = axis_names(found)
        if names is not None and len(names) != len(shape):
            raise InputError(f"{path} is damaged: it names {len(names)} axes of an array of shape {shape}")
        letters = "".join(str(name or "?")[:1] for name in names).upper() if names else None
        metadata = describe(found, letters)

    def read(index):
        with parsing(path):
            return np.asarray(array[index]).astype(dtype.newbyteorder("="), copy=False)

    return Source(shape, dtype.newbyteorder("="), letters, metadata, read, lambda: None)
