"""How much memory a file may ask for."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


# No image is taken to be more than this many times as large as its file: it is twice
# what deflate reaches on zeros.
EXPANSION = 2000
# A frame of up to this many bytes may be: it does no harm.
HARMLESS = 2**28


def check_declared(path: str | Path, shape: Sequence[int], dtype: DTypeLike, stored: int | None = None) -> None:
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
