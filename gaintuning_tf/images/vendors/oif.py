"""Olympus's OIB and OIF files, plane by plane, through oiffile; needs the extra `vendors`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.series import choose_series
from gaintuning_tf.images.vendors.planes import ome_metadata, plane_source
from gaintuning_tf.support.extras import required

_UNITS = {
    "nm": (1e-3, "µm"),
    "um": (1.0, "µm"),
    "µm": (1.0, "µm"),
    "mm": (1e3, "µm"),
    "ms": (1e-3, "s"),
    "s": (1.0, "s"),
}


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open the image of an OIB file, or of an OIF file and the folder of TIFF files beside it.

    Args:
        path: The file.
        series: The number of the image, where there are several; the largest, which is first, if absent.

    Raises:
        InputError: It is no such file, or lacks planes.
    """
    oiffile = required("oiffile", "an OIB or OIF file", "vendors")
    with contextlib.ExitStack() as opened:
        with parsing(path):
            file = opened.enter_context(oiffile.OifFile(str(path)))
            names = [f"{len(one)} planes {one.axes}" for one in file.series]
            chosen = file.series[choose_series(path, names, series)]
            names = dict(zip((tuple(index) for index in chosen.indices), chosen, strict=True))
            sizes = dict(zip(chosen.axes, chosen.shape, strict=True))
            if len(names) != np.prod(chosen.shape, dtype=object):
                raise InputError(f"{path} is damaged: it needs planes of {chosen.shape}, it has {len(names)}")
            first = file.asarray(next(iter(names.values())))
            sizes |= dict(zip("YX", first.shape, strict=True))
            stored = _stored(path, file)
            metadata = ome_metadata(_steps(file.mainfile))

        def plane(at):
            return file.asarray(names[at])

        return plane_source(path, sizes, 2, first.dtype, metadata, plane, opened.pop_all(), stored)


def _stored(path, file):
    """Sum the bytes of the file and, of an OIF file, those beside it."""
    if file.is_oib:
        return os.path.getsize(path)
    folder = Path(path).parent
    return sum(os.path.getsize(folder / name) for name in file.glob() if (folder / name).is_file())


def _steps(settings):
    """Read the steps along the axes: of X and Y with the picture, of Z and T with the axis."""
    found = {}
    picture = settings.get("Reference Image Parameter", {})
    for letter, name in (("X", "Width"), ("Y", "Height")):
        found[letter] = (picture.get(f"{name}ConvertValue"), picture.get(f"{name}Unit"))
    for number in range(8):
        axis = settings.get(f"Axis {number} Parameters Common", {})
        if axis.get("AxisCode") in ("Z", "T"):
            found[axis["AxisCode"]] = (axis.get("Interval"), axis.get("PixUnit") or axis.get("UnitName"))
    steps = {}
    for letter, (value, unit) in found.items():
        factor, name = _UNITS.get(str(unit), (None, ""))
        if factor is not None and isinstance(value, (int, float)):
            steps[letter] = (round(abs(value) * factor, 9), name)
    return steps
