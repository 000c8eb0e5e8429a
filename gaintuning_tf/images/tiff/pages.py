"""Pages of TIFF that are compressed, tiled or scattered, decoded one at a time."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import parsing
from gaintuning_tf.images.tiff.tags import open_handle


class Pages:
    """A series of pages as an array, read in parts.

    Args:
        path: The file, for messages.
        series: Of tifffile.

    Raises:
        InputError: It has another number of pages than its shape needs.
    """

    def __init__(self, path: str | Path, series: Any):
        self._path, self._series, self._shape = path, series, tuple(series.shape)
        inner = next(n for n in range(len(self._shape) + 1) if math.prod(self._shape[n:]) == series.keyframe.size)
        while inner < len(self._shape) - 2 and self._shape[inner] == 1:
            inner += 1
        self._outer = self._shape[:inner]
        self._lock = threading.Lock()
        if math.prod(self._outer) != len(series):
            raise InputError(f"{path} holds {len(series)} pages where its shape {self._shape} needs another number")

    def read(self, index: tuple) -> np.ndarray:
        """Read a part; `index` has a number or a full slice for each axis."""
        outer, inner = index[: len(self._outer)], index[len(self._outer) :]
        ranges = [[part] if isinstance(part, int) else range(n) for part, n in zip(outer, self._outer, strict=True)]
        counts = [len(numbers) for numbers in ranges]
        parts = []
        for chosen in np.ndindex(*counts):
            place = [numbers[n] for numbers, n in zip(ranges, chosen, strict=True)]
            parts.append(self._page(int(np.ravel_multi_index(place, self._outer)) if place else 0)[inner])
        kept = [n for n, part in zip(counts, outer, strict=True) if not isinstance(part, int)]
        return np.stack(parts).reshape(*kept, *parts[0].shape)

    def _page(self, number):
        with self._lock, parsing(self._path):
            page = self._series[number]
            if page is None:
                raise InputError(f"{self._path}: page {number} is missing")
            keyframe = self._series.keyframe
            # Of planes of colour that are damaged, tifffile counts the pieces of one plane.
            smallest = math.ceil(math.prod(keyframe.shaped) / max(1, math.prod(keyframe.chunks)))
            pieces, present = max(math.prod(keyframe.chunked), smallest), len(page.dataoffsets)
            # Those that are missing would be filled with zeros, one by one, be they millions.
            if not keyframe.is_contiguous and pieces > present:
                raise InputError(f"{self._path} is damaged: page {number} needs {pieces} pieces, it has {present}")
            with open_handle(page.parent.filehandle):
                data = page.asarray()
            # A page may have axes of length 1 that the series has not.
            return data.reshape(self._shape[len(self._outer) :])
