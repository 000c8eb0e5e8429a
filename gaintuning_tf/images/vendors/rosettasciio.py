"""Files of microscope vendors, DM3, DM4, SER and EMD, through RosettaSciIO; needs the extra `microscopy`."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.vendors.planes import ome_metadata
from gaintuning_tf.support.extras import required
from gaintuning_tf.support.hdf5_check import check_hdf5
from gaintuning_tf.support.limits import check_declared

_READERS = {".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".ser": "tia", ".emd": "emd"}
_LETTERS = {"x": "X", "width": "X", "y": "Y", "height": "Y", "z": "Z", "depth": "Z", "t": "T", "time": "T"}
# Units as OME has them, of lengths and of time: others, such as 1/nm of diffraction, say no size of pixels.
_UNITS = {"pm": "pm", "Å": "Å", "A": "Å", "nm": "nm", "µm": "µm", "μm": "µm", "um": "µm", "mm": "mm", "m": "m"}
_UNITS |= {"s": "s", "ms": "ms"}
# It reports what is wrong with a file on stderr as well; here it is one line, the error's.
logging.getLogger("rsciio").addHandler(logging.NullHandler())


def open_source(path: str | Path) -> Source:
    """Open a vendor's file that holds one image or one stack.

    DM3, DM4 and EMD are read in parts; RosettaSciIO reads a SER file whole.

    Raises:
        InputError: It cannot be read, or holds several images, or none.
    """
    with parsing(path):
        if Path(path).suffix.lower() == ".emd":
            check_hdf5(path, whole=False)
        found = _images(path)
        if len(found) != 1:
            titles = ", ".join(str(one["metadata"].get("General", {}).get("title", "?")) for one in found)
            raise InputError(f"expected one image or stack in {path}, found {len(found)}: {titles}"[:300])
        data = found[0]["data"]
        shape, dtype = tuple(int(size) for size in data.shape), np.dtype(data.dtype)
        check_declared(path, shape, dtype)
        letters = _axes(found[0]["axes"], shape)
        metadata = _sizes(found[0]["axes"])

    # The file is open as long as somebody has the array: RosettaSciIO has nothing to close it by.
    held = [data]
    del data

    def read(index):
        with parsing(path):
            part = held[0][index]
            found = np.asarray(part.compute(scheduler="synchronous") if hasattr(part, "compute") else part)
            # What is read in parts has the shape of the header until it is read.
            if found.shape != part.shape:
                raise InputError(f"{path} is damaged: its header says {part.shape}, it holds {found.shape}")
            return found.astype(dtype.newbyteorder("="), copy=False)

    return Source(shape, dtype.newbyteorder("="), letters, metadata, read, held.clear)


def _images(path):
    """Find what is an image to RosettaSciIO, not a spectrum or a table."""
    name = f"rsciio.{_READERS[Path(path).suffix.lower()]}"
    reader = required(name, "a file of a vendor's", "microscopy").file_reader
    found = [one for one in reader(str(path), lazy=True) if len(one["data"].shape) >= 2]
    if "digitalmicrograph" in reader.__module__ and len(found) == 1 and len(found[0]["data"].shape) > 2:
        # Again, in pieces of a frame: by default a piece is 128 MiB, all of which is read for a frame in it.
        shape = found[0]["data"].shape
        # Not packed, so that it has no more pixels than bytes; billions of pieces would take long to list.
        stored = os.path.getsize(path)
        if math.prod(int(size) for size in shape) > stored:
            raise InputError(
                f"cannot read {path} as an image: {shape} pixels, which a file of {stored} bytes cannot hold"
            )
        pieces = (1,) * (len(shape) - 2) + tuple(shape[-2:])
        found = [one for one in reader(str(path), lazy=True, chunks=pieces) if one["data"].shape == shape]
    return [one for one in found if sum(not axis.get("navigate", False) for axis in one["axes"]) >= 2] or found


def _axes(axes, shape):
    """Find a letter for each axis by its name; ? where that says nothing."""
    ordered = sorted(axes, key=lambda axis: axis.get("index_in_array", axes.index(axis)))
    if len(ordered) != len(shape):
        return None
    return "".join(_LETTERS.get(str(axis.get("name")).lower(), "?") for axis in ordered)


def _sizes(axes):
    """Find the size of pixels, and the time between frames, where the file has them in units that are known."""
    named = {_LETTERS.get(str(axis.get("name")).lower(), ""): axis for axis in axes}
    known = {letter: axis for letter, axis in named.items() if letter and axis.get("units") in _UNITS}
    return ome_metadata({letter: (axis["scale"], _UNITS[axis["units"]]) for letter, axis in known.items()})
