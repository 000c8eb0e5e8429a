"""Zeiss's CZI files, plane by plane, through Zeiss's own library; needs the extra `vendors`."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.series import choose_series
from gaintuning_tf.images.vendors.czi_process import CziPlanes
from gaintuning_tf.images.vendors.planes import ome_metadata, plane_source
from gaintuning_tf.support.extras import required

# By the names of its pixel types: dtype, and samples of colour, which it has as blue, green, red.
_PIXELS = {
    **{"Gray8": ("uint8", 1), "Gray16": ("uint16", 1), "Gray32Float": ("float32", 1)},
    **{"Bgr24": ("uint8", 3), "Bgr48": ("uint16", 3), "Bgr96Float": ("float32", 3)},
}
# What a plane is named by, besides those that are frames: view, illumination, phase, rotation, block.
_OUTER = "VIHRBTZC"
# Bytes of the shortest entry in the list of its parts.
_ENTRY = 32


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open a scene of a CZI file: tiles are put together, smaller copies left aside.

    Args:
        path: The file.
        series: The number of the scene; the first if absent, with a warning.

    Raises:
        InputError: It is no CZI file, or has channels of different kinds.
    """
    czi = required("pylibCZIrw.czi", "a CZI file", "vendors")
    with contextlib.ExitStack() as opened:
        with parsing(path):
            file = opened.enter_context(czi.open_czi(str(path)))
            ranges = file.total_bounding_box
            _check_planes(path, ranges)
            scenes = dict(sorted(file.scenes_bounding_rectangle.items()))
            places = list(scenes.values()) or [file.total_bounding_rectangle]
            chosen = choose_series(path, [f"scene {name}" for name in scenes] or [Path(path).stem], series)
            scene, place = (list(scenes)[chosen] if scenes else None), places[chosen]
            dtype, samples = _pixels(path, file)
            outer = {name: ranges[name] for name in _OUTER if name in ranges and ranges[name][1] - ranges[name][0] > 1}
            metadata = _metadata(file.raw_metadata)

            planes = CziPlanes(path)
            opened.callback(planes.close)

        def plane(at):
            where = {name: start + n for (name, (start, _)), n in zip(outer.items(), at, strict=True)}
            found = planes.read(roi=list(place), plane=where, scene=scene)
            return found[..., 0] if samples == 1 else found[..., ::-1]

        sizes = {name: stop - start for name, (start, stop) in outer.items()} | {"Y": place.h, "X": place.w}
        sizes |= {"S": samples} if samples > 1 else {}
        inner = 2 + (samples > 1)
        return plane_source(path, sizes, inner, dtype, metadata, plane, opened.pop_all(), os.path.getsize(path))


def _check_planes(path, ranges):
    """Refuse more planes than the file can list: the library goes through all channels, be they billions."""
    planes = math.prod(stop - start for name, (start, stop) in ranges.items() if name in _OUTER)
    listed = os.path.getsize(path) // _ENTRY
    if not 0 < planes <= listed:
        raise InputError(f"cannot read {path} as an image: {planes} planes, of which its file can list {listed}")


def _pixels(path, file):
    kinds = sorted(set(file.pixel_types.values()))
    if len(kinds) != 1 or kinds[0] not in _PIXELS:
        raise InputError(f"expected channels of one kind of pixels in {path}, found {', '.join(map(str, kinds))}")
    name, samples = _PIXELS[kinds[0]]
    return np.dtype(name), samples


def _metadata(xml):
    """Read sizes of pixels, which are in metres, and names of channels."""
    root = ElementTree.fromstring(xml)
    steps = {}
    for axis in root.iterfind("./Metadata/Scaling/Items/Distance"):
        if axis.get("Id") in ("X", "Y", "Z"):
            with contextlib.suppress(ValueError):  # no number: the size is not known
                steps[axis.get("Id")] = (round(float(axis.findtext("Value", "")) * 1e6, 9), "µm")
    channels = root.iterfind("./Metadata/Information/Image/Dimensions/Channels/Channel")
    return ome_metadata(steps, [channel.get("Name") for channel in channels])
