"""What every format gives: a file that is open to be read, or to be written, in parts."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError, reason_of


@dataclasses.dataclass(frozen=True)
class Source:
    """An image file that is open: what it says it holds, and its pixels in parts.

    Attributes:
        shape: Of the whole array.
        dtype: Of the arrays that `read` returns, in native byte order.
        axes: A letter per axis as the file has them, perhaps others than T, Z, C, Y, X; None if it says nothing.
        metadata: What a writer keeps: under names of their own, what only the same format holds; and for all formats
            `icc_profile` (bytes), `dpi` (two floats) and, of a single image, `alpha` ((Y, X), of the image's dtype).
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


def is_transparent(metadata: dict[str, Any]) -> bool:
    """Tell whether an image has an alpha channel that is not opaque everywhere.

    Args:
        metadata: Of its `Source`.

    Example:

    >>> is_transparent({"alpha": np.array([[255, 7]], "uint8")}), is_transparent({})
    (True, False)
    """
    alpha = metadata.get("alpha")
    if alpha is None:
        return False
    most = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    return bool(np.any(alpha != most))


@contextlib.contextmanager
def parsing(path: str | Path) -> Iterator[None]:
    """Turn whatever a library raises in the block, for a file that it cannot make sense of, into an `InputError`.

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
        raise InputError(f"cannot read {path} as an image: {reason_of(error)}") from error
