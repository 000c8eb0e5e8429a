"""Which of the images in a TIFF file is the image: no thumbnail, no label, no mask."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from gaintuning_tf.errors import GainTuningWarning, InputError

# Of more series, a line names this many.
_NAMED = 4


def choose_series(path: str | Path, tif: Any, number: int | None) -> int:
    """Choose a series of images.

    Args:
        path: The file, for messages.
        tif: The same, a `tifffile.TiffFile`.
        number: Which, from 0; by default the one of the largest images, of these the one of
            most bits, of these the first. A warning says which others there are.

    Returns:
        Its number.

    Raises:
        InputError: There is no such series.
    """
    count = len(tif.series)
    if number is not None:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
            raise InputError(f"expected series to be a number of 0 to {count - 1} for {path}, received {number}")
        return number
    best = max(range(count), key=lambda n: (*_size(tif.series[n]), -n))
    if count > 1:
        others = [_words(tif.series[n], n) for n in range(count) if n != best]
        listed = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
        warnings.warn(
            f"{path}: of {count} series of images {_words(tif.series[best], best)} is read; "
            f"--series N or series=N chooses another: {listed}",
            GainTuningWarning,
            stacklevel=2,
        )
    return best


def _size(series):
    page = series.keyframe
    return int(page.imagelength) * int(page.imagewidth), int(page.bitspersample)


def _words(series, number):
    """Name a series by its number, from 0, its sizes and its dtype."""
    return f"{number} ({'x'.join(map(str, series.shape))} of {series.dtype})"
