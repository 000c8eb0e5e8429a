"""zarr itself, of a version that will do."""

from __future__ import annotations

from types import ModuleType

from gaintuning_tf.errors import InputError
from gaintuning_tf.support.extras import required

# Since when a chunk is there as it was or as it is to be, even if the process ends while it is written.
WHOLE_CHUNKS = (3, 1, 6)


def zarr_library() -> ModuleType:
    """Import zarr.

    Raises:
        InputError: It is not installed, or too old.
    """
    zarr = required("zarr", "a Zarr file", "microscopy")
    if int(zarr.__version__.partition(".")[0]) < 3:
        raise InputError(f"Zarr files need zarr 3 or newer, which needs Python 3.11; this is {zarr.__version__}")
    return zarr


def writes_whole_chunks() -> bool:
    """Tell whether part of a chunk may be written without a risk to the rest of it."""
    parts = zarr_library().__version__.split(".")[:3]
    return tuple(int(part) if part.isdigit() else 0 for part in parts) >= WHOLE_CHUNKS
