"""Names for what Keras has no types for.

Keras runs on several backends, and a type checker infers from all of them at once what
its functions return.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
import numpy as np

# A tensor of whichever backend Keras runs on, or a symbolic one.
Tensor: TypeAlias = Any
# None stands for a side that may be any.
Shape: TypeAlias = tuple[int | None, ...]
ops: Any = keras.ops


def as_array(variable: Tensor) -> np.ndarray:
    """Convert a tensor or a variable of Keras to NumPy."""
    return ops.convert_to_numpy(variable)


def is_whole(dtype: str) -> bool:
    """Say whether numbers of a dtype are whole.

    Example:

    >>> is_whole("uint8"), is_whole("bfloat16")
    (True, False)
    """
    return keras.backend.is_int_dtype(dtype)
