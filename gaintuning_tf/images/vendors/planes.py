"""An image whose library reads it plane by plane, as one that is open to be read in parts."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.support.limits import check_declared

# Steps along the axes, as OME calls them.
_STEPS = {"X": "PhysicalSizeX", "Y": "PhysicalSizeY", "Z": "PhysicalSizeZ", "T": "TimeIncrement"}


def plane_source(
    path: str | Path,
    sizes: Mapping[str, int],
    inner: int,
    dtype: np.dtype,
    metadata: dict,
    plane: Callable[[tuple[int, ...]], np.ndarray],
    opened: contextlib.ExitStack,
    stored: int | None = None,
) -> Source:
    """Make a source of planes.

    Args:
        path: The file.
        sizes: Of each axis, by its letter, in order; samples of colour are S.
        inner: How many of the last axes a plane has.
        dtype: Of the pixels.
        metadata: What a writer keeps.
        plane: Reads the plane at an index of the outer axes.
        opened: What is to be closed with the source.
        stored: Bytes there are, if in other files than `path`.

    Raises:
        InputError: The file cannot hold such an image.
    """
    shape = tuple(int(size) for size in sizes.values())
    outer, last = shape[: len(shape) - inner], shape[len(shape) - inner :]
    check_declared(path, last, dtype, stored)
    check_declared(path, shape, dtype, stored)
    native, lock = np.dtype(dtype).newbyteorder("="), threading.Lock()

    def read_plane(place):
        found = np.asarray(plane(place))
        if found.dtype.newbyteorder("=") != native or found.shape != last:
            raise InputError(
                f"{path} is damaged: its header says planes {last} of {native}, one is {found.shape} of {found.dtype}"
            )
        return found

    def read(index):
        chosen, within = index[: len(outer)], index[len(outer) :]
        ranges = [[part] if isinstance(part, int) else range(n)[part] for part, n in zip(chosen, outer, strict=True)]
        kept = [len(numbers) for numbers, part in zip(ranges, chosen, strict=True) if not isinstance(part, int)]
        with lock, parsing(path):
            places = (
                tuple(numbers[n] for numbers, n in zip(ranges, at, strict=True)) for at in np.ndindex(*map(len, ranges))
            )
            parts = [read_plane(place)[within].astype(native) for place in places]
            return np.stack(parts).reshape(*kept, *parts[0].shape)

    letters = "".join(name if len(name) == 1 else "?" for name in sizes)
    letters = letters if "C" in letters else letters.replace("S", "C")
    return Source(shape, native, letters, metadata, read, opened.close)


def ome_metadata(steps: Mapping[str, tuple[float, str]], channels: list | None = None) -> dict:
    """Say in OME's words what is known of an image.

    Args:
        steps: By the letter of an axis, the step along it and its unit; what is no positive number is left out.
        channels: Names of the channels.

    Example:

    >>> ome_metadata({"X": (0.1, "µm"), "Z": (0.0, "µm")}, ["DAPI"])
    {'ome': {'PhysicalSizeX': 0.1, 'PhysicalSizeXUnit': 'µm', 'Channel': {'Name': ['DAPI']}}}
    """
    kept: dict = {}
    for letter, (step, unit) in steps.items():
        if isinstance(step, (int, float)) and math.isfinite(step) and step > 0:
            kept |= {_STEPS[letter]: float(step), f"{_STEPS[letter]}Unit": unit}
    if channels and all(isinstance(name, str) and name for name in channels):
        kept["Channel"] = {"Name": list(channels)}
    return {"ome": kept} if kept else {}
