"""TIFF files that are open, of any program: each image as it is shown."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.array_file import ArrayFile
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.tiff.codecs import check_codec
from gaintuning_tf.images.tiff.descriptions import metadata_of
from gaintuning_tf.images.tiff.ome import missing_files
from gaintuning_tf.images.tiff.orientation import orientation_of
from gaintuning_tf.images.tiff.pages import Pages
from gaintuning_tf.images.tiff.photometry import as_stored, colours_of
from gaintuning_tf.images.tiff.series import choose_series
from gaintuning_tf.images.tiff.shown import Shown
from gaintuning_tf.support.limits import check_declared

# tifffile reports what is wrong with a file on stderr as well; here it is one line, the error's.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open an image, or a stack, of a TIFF file.

    Brighter is larger, colours are RGB, and the pixels are turned as they are shown. The opacity of a single image
    is in the metadata.

    Args:
        path: The file.
        series: Which of several series of images, from 0; by default the one of the largest images.

    Raises:
        InputError: It is no TIFF file, cannot hold what its header says, or needs a package that is not installed.
    """
    import tifffile

    with contextlib.ExitStack() as opened:
        with parsing(path):
            tif = opened.enter_context(tifffile.TiffFile(path))
            # Counted first: tifffile finds a chain of pages that runs in a circle while it counts them, not while it
            # goes through them, which would have no end.
            if not len(tif.pages) or not tif.series:
                raise InputError(f"{path} holds no image")
            number = choose_series(path, tif, series)
            chosen = tif.series[number]
            dtype = np.dtype(chosen.dtype).newbyteorder("=")
            check_declared(path, chosen.keyframe.shape, dtype)
            check_codec(path, chosen.keyframe)
            _check_files(path, tif, chosen)
            stored = _in_one_piece(path, tif, chosen) if _is_plain(chosen) else Pages(path, chosen)
            if isinstance(stored, ArrayFile):
                opened.callback(stored.close)
            source = _source(path, tif, number, stored)
        return _closing(source, opened.pop_all())


def _source(path, tif, number, stored):
    """Make the stored array what is shown of it; closing it is another's."""
    series = tif.series[number]
    axes, shape, page = series.axes, tuple(series.shape), series.keyframe
    dtype = np.dtype(series.dtype).newbyteorder("=")
    samples = shape[axes.index("S")] if "S" in axes else 0
    plain = "Y" not in axes or "X" not in axes or len(set(axes)) < len(axes)  # whatever it is, it is not shown
    colours = as_stored(dtype, samples)
    if not plain:
        colours = colours_of(path, page, samples, dtype, imagej=bool(tif.is_imagej))
    orientation = orientation_of(page)
    metadata = metadata_of(tif, number, colours)
    if plain or (colours.unchanged and orientation == 1 and (not samples or axes.endswith("S"))):
        return Source(shape, dtype, _letters(axes), metadata, stored.read, lambda: None)
    shown = Shown(stored.read, axes, shape, colours, orientation)
    if colours.alpha is not None:
        metadata |= _opacity(path, shown)
    return Source(shown.shape, colours.dtype, shown.axes, metadata, shown.read, lambda: None)


def _opacity(path, shown):
    """Read the opacity of a single image; that of a stack is left out, with a word."""
    sides = tuple(shown.shape[shown.axes.index(letter)] for letter in "YX")
    outer = [size for letter, size in zip(shown.axes, shown.shape, strict=True) if letter not in "YXCS"]
    if math.prod(outer) == 1:
        return {"alpha": np.ascontiguousarray(shown.alpha().reshape(sides))}
    warnings.warn(f"{path}: the alpha channel of the stack is dropped", GainTuningWarning, stacklevel=2)
    return {}


def _letters(axes):
    """Name samples of a pixel channels."""
    return axes.replace("S", "C") if "C" not in axes else axes


def _closing(source, opened):
    return Source(source.shape, source.dtype, source.axes, source.metadata, source.read, opened.close)


def _is_plain(series):
    page = series.keyframe
    return series.dataoffset is not None and not series.is_multifile and page.bitspersample == 8 * page.dtype.itemsize


def _in_one_piece(path, tif, series):
    return ArrayFile(path, series.shape, np.dtype(series.dtype).newbyteorder(tif.byteorder), series.dataoffset)


def _check_files(path: str | Path, tif: Any, series: Any) -> None:
    """Refuse an OME series that is spread over several files if one of them is not there."""
    if not tif.is_ome or not tif.ome_metadata or series.kind != "ome":
        return
    missing = missing_files(path, tif.ome_metadata)
    if missing and any(page is None for page in series):
        raise InputError(f"expected all files of the set of {path}, found none at {', '.join(missing[:3])}")
