"""Pixels turned as the Orientation tag of TIFF (274) says that they are shown."""

from __future__ import annotations

from typing import Any

import numpy as np


def orientation_of(page: Any) -> int:
    """Read the orientation of a page of tifffile: 1, as stored, to 8; a number that means nothing is 1."""
    tag = page.tags.get("Orientation")
    value = tag.value if tag is not None else 1
    return int(value) if value in range(1, 9) else 1


def swaps(orientation: int) -> bool:
    """Tell whether the rows that are stored are the columns that are shown.

    Example:

    >>> swaps(3), swaps(6)
    (False, True)
    """
    return orientation >= 5


def turned(array: np.ndarray, y: int, x: int, orientation: int) -> np.ndarray:
    """Turn an array as it is shown.

    Args:
        array: As it is stored.
        y: Which axis is down.
        x: Which axis is to the right.
        orientation: Of TIFF, 1 to 8, by where the first row and the first column are shown.

    Returns:
        A view of it.

    Example:

    >>> turned(np.array([[1, 2], [3, 4]]), 0, 1, 6)  # the first row is at the right
    array([[3, 1],
           [4, 2]])
    """
    if swaps(orientation):
        array = np.swapaxes(array, y, x)
    if orientation in (3, 4, 7, 8):
        array = np.flip(array, y)
    return np.flip(array, x) if orientation in (2, 3, 6, 7) else array
