"""TIFF and BigTIFF, in parts: plain, of ImageJ, of OME."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.array_file import ArrayFile, reserve
from gaintuning_tf.images.container import Source, Target, parsing
from gaintuning_tf.support.limits import check_declared

# What ImageJ's description says of the arrangement, which is written anew.
_ARRANGEMENT = ("ImageJ", "images", "channels", "slices", "frames", "hyperstack", "axes", "shape", "order")
_IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
_SIZES = ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ", "TimeIncrement")
# tifffile reports what is wrong with a file on stderr as well; here it is one line, the error's.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_source(path: str | Path) -> Source:
    """Open the first series of images of a TIFF file.

    Raises:
        InputError: It is no TIFF file, or cannot hold what its header says.
    """
    import tifffile

    with contextlib.ExitStack() as opened:
        with parsing(path):
            tif = opened.enter_context(tifffile.TiffFile(path))
            # Counted first: tifffile finds a chain of pages that runs in a circle while it counts them, not while it
            # goes through them, which would have no end.
            if not len(tif.pages) or not tif.series:
                raise InputError(f"{path} holds no image")
            series = tif.series[0]
            shape, dtype = tuple(series.shape), np.dtype(series.dtype).newbyteorder("=")
            check_declared(path, series.keyframe.shape, dtype)
            if len(tif.series) > 1:
                warnings.warn(
                    f"{path}: the first of {len(tif.series)} series of images is read", GainTuningWarning, stacklevel=2
                )
            source = _in_one_piece(path, tif, series) if _is_plain(series) else _Pages(path, series)
            metadata = _metadata(tif, series)
            axes = _axes(series)
        closing = opened.pop_all()
    if isinstance(source, ArrayFile):
        closing.callback(source.close)
    return Source(shape, dtype, axes, metadata, source.read, closing.close)


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start a TIFF file of that shape: not compressed and in one piece, so that frames are written where they belong.

    A BigTIFF if it passes 4 GB.

    Raises:
        InputError: TIFF has no such dtype.
    """
    import tifffile

    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputError(f"a TIFF file holds integers and floats of up to 64 bits, not {dtype}")
    size = math.prod(shape) * dtype.itemsize
    pages = math.prod(shape) // (shape[axes.index("Y")] * shape[axes.index("X")])
    big = size + 1024 * pages > 2**32 - 2**25
    options = _options(shape, dtype, axes, metadata, big)
    with tifffile.TiffWriter(path, bigtiff=big, **options.pop("kind")) as writer:
        placed = writer.write(None, shape=shape, dtype=dtype, returnoffset=True, contiguous=True, **options)
    assert placed is not None, "it was asked for with returnoffset"
    start, _ = placed
    with open(path, "r+b") as file:
        reserve(file, start, size)
    return _target(path, shape, dtype, start)


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a file that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    import tifffile

    with parsing(path), tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        found, start = tuple(series.shape), series.dataoffset
    longer = [[size for size in sizes if size != 1] for sizes in (found, shape)]
    if longer[0] != longer[1] or series.dtype != dtype or start is None:
        raise InputError(f"{path} was begun for {found} of {series.dtype}, not {tuple(shape)} of {dtype}: delete it")
    return _target(path, shape, dtype, start)


def _target(path, shape, dtype, start):
    array = ArrayFile(path, shape, dtype, start, writable=True)
    return Target(array.write, array.read, array.flush, array.flush, array.close)


def _is_plain(series):
    page = series.keyframe
    return series.dataoffset is not None and not series.is_multifile and page.bitspersample == 8 * page.dtype.itemsize


def _in_one_piece(path, tif, series):
    return ArrayFile(path, series.shape, np.dtype(series.dtype).newbyteorder(tif.byteorder), series.dataoffset)


class _Pages:
    """Pages that are compressed, tiled or scattered, decoded one at a time."""

    def __init__(self, path, series):
        self._path, self._series, self._shape = path, series, tuple(series.shape)
        inner = next(n for n in range(len(self._shape) + 1) if math.prod(self._shape[n:]) == series.keyframe.size)
        while inner < len(self._shape) - 2 and self._shape[inner] == 1:
            inner += 1
        self._outer = self._shape[:inner]
        self._lock = threading.Lock()
        if math.prod(self._outer) != len(series):
            raise InputError(f"{path} holds {len(series)} pages where its shape {self._shape} needs another number")

    def read(self, index):
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
            pieces, present = math.prod(keyframe.chunked), len(page.dataoffsets)
            # Those that are missing would be filled with zeros, one by one, be they millions.
            if not keyframe.is_contiguous and pieces > present:
                raise InputError(f"{self._path} is damaged: page {number} needs {pieces} pieces, it has {present}")
            with _open(page.parent.filehandle):
                data = page.asarray()
            # A page may have axes of length 1 that the series has not.
            return data.reshape(self._shape[len(self._outer) :])


@contextlib.contextmanager
def _open(handle) -> Iterator[None]:
    """Open the file of a page, which is closed where an OME series is spread over several."""
    if not handle.closed:
        yield
        return
    handle.open()
    try:
        yield
    finally:
        handle.close()


def _axes(series):
    # Samples of a pixel are channels.
    return series.axes.replace("S", "C") if "C" not in series.axes else series.axes


def _metadata(tif, series):
    """Find what a TIFF written from this one keeps."""
    page = series.keyframe
    kept = {}
    tags = page.tags
    if "XResolution" in tags and "YResolution" in tags:
        unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 1
        kept["resolution"] = (tuple(tags["XResolution"].value), tuple(tags["YResolution"].value), int(unit))
    if tif.is_ome and tif.ome_metadata:
        kept["ome"] = _ome_sizes(tif.ome_metadata)
    elif tif.is_imagej and tif.imagej_metadata:
        kept["imagej"] = {key: value for key, value in tif.imagej_metadata.items() if key not in _ARRANGEMENT}
    elif page.description and not page.is_shaped:
        kept["description"] = page.description
    elif tif.is_shaped and tif.shaped_metadata:
        own = tif.shaped_metadata[0]
        kept["shaped"] = {key: value for key, value in own.items() if key not in _ARRANGEMENT}
    return kept


def _ome_sizes(xml):
    """Read sizes of pixels and names of channels of the first image, as tifffile writes them."""
    from xml.etree import ElementTree

    pixels = next((node for node in ElementTree.fromstring(xml).iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return {}
    kept: dict[str, Any] = {name: float(pixels.attrib[name]) for name in _SIZES if name in pixels.attrib}
    kept |= {f"{name}Unit": pixels.attrib[f"{name}Unit"] for name in kept if f"{name}Unit" in pixels.attrib}
    names = [node.attrib.get("Name") for node in pixels if node.tag.endswith("}Channel")]
    if names and all(names):
        kept["Channel"] = {"Name": names}
    return kept


def _options(shape, dtype, axes, metadata, big):
    """Choose the arguments of tifffile's writer."""
    samples = axes.endswith("C")
    colour = samples and shape[-1] == 3
    letters = axes[:-1] + "S" if samples else axes
    options = {"photometric": "rgb" if colour else "minisblack", "kind": {}, "metadata": {"axes": letters}}
    if samples and shape[-1] > 1:
        options["planarconfig"] = "contig"
    if "resolution" in metadata:
        x, y, unit = metadata["resolution"]
        options |= {"resolution": (x, y), "resolutionunit": unit}
    regular = letters in _orders()
    if "ome" in metadata and regular:
        channels = shape[axes.index("C")] if "C" in axes and not samples else 1
        own = dict(metadata["ome"])
        if len(own.get("Channel", {}).get("Name", ())) != channels:
            own.pop("Channel", None)
        options["kind"] = {"ome": True}
        options["metadata"] |= own
    elif (
        "imagej" in metadata and regular and not big and dtype in _IMAGEJ_DTYPES and _fits_imagej(shape, dtype, letters)
    ):
        options["kind"] = {"imagej": True}
        options["metadata"] |= metadata["imagej"]
    else:
        options["description"] = metadata.get("description")
        options["metadata"] |= metadata.get("shaped", {}) | _pixel_facts(metadata)
    return options


def _pixel_facts(metadata):
    """Keep spacing and unit of ImageJ, or sizes of OME, where the file cannot be one of theirs."""
    facts = {key: metadata.get("imagej", {}).get(key) for key in ("spacing", "unit", "finterval")}
    facts |= metadata.get("ome", {})
    return {key: value for key, value in facts.items() if isinstance(value, (int, float, str))}


def _orders():
    """List the arrangements that ImageJ and OME have: T, Z, C in this order, then Y, X and samples."""
    return {t + z + c + "YX" + s for t in ("", "T") for z in ("", "Z") for c in ("", "C") for s in ("", "S")}


def _fits_imagej(shape, dtype, letters):
    return not letters.endswith("S") or (shape[-1] == 3 and dtype == "uint8")
