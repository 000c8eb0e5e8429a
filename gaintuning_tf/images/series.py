"""Which image of a file that holds several is read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from gaintuning_tf.errors import GainTuningWarning, InputError

# Names of images that are listed before the rest is only counted.
LISTED = 5


def choose_series(path: str | Path, names: Sequence[str], series: int | None) -> int:
    """Find the number of the image to read: the one asked for, else the first, with a warning if there are others.

    Args:
        path: The file.
        names: Of all its images, in order.
        series: The number asked for, from 0; None if none was.

    Raises:
        InputError: There is no image of that number, or none at all.

    Example:

    >>> choose_series("a.lif", ["overview", "detail"], 1)
    1
    """
    if not names:
        raise InputError(f"{path} holds no image")
    if series is None:
        if len(names) > 1:
            warnings.warn(
                f"{path} holds {len(names)} images, the first is read ({_list(names)}): series=N, or --series N, "
                f"chooses another, N of 0 to {len(names) - 1}",
                GainTuningWarning,
                stacklevel=3,
            )
        return 0
    if not 0 <= series < len(names):
        raise InputError(f"expected a series of 0 to {len(names) - 1} of {path}, received {series}: {_list(names)}")
    return series


def _list(names):
    shown = ", ".join(f"{number}: {' '.join(str(name).split())[:40]}" for number, name in enumerate(names[:LISTED]))
    return shown + (f", and {len(names) - LISTED} more" if len(names) > LISTED else "")
