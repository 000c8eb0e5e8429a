"""TIFF and BigTIFF files that are written: in one piece, and packed at the end if the input was."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, reason_of
from gaintuning_tf.images.array_file import ArrayFile, reserve
from gaintuning_tf.images.container import Target, parsing
from gaintuning_tf.images.tiff.alpha import BesideAlpha, fit_alpha, scaled_alpha
from gaintuning_tf.images.tiff.codecs import TO_COMPRESS, compression_of, fit_compression
from gaintuning_tf.images.tiff.options import writer_options
from gaintuning_tf.images.tiff.reading import open_source
from gaintuning_tf.support.atomic_files import remove, sync

_UNASSOCIATED = 2
# Of the metadata, what cannot keep a file from being written.
_HARMLESS = ("rgb", "white_is_zero", "compression", "resolution", "dpi", "icc_profile")


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start a TIFF file of that shape: not compressed and in one piece, so that frames are written where they belong.

    A BigTIFF if it passes 4 GB. What was compressed without loss is so again once it is whole.

    Raises:
        InputError: TIFF has no such dtype.
    """
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputError(f"a TIFF file holds integers and floats of up to 64 bits, not {dtype}")
    alpha = fit_alpha(metadata.get("alpha"), shape, axes)
    start = _begin(path, shape, dtype, axes, metadata, alpha is not None)
    target = _Unfinished(path, shape, dtype, start, alpha is not None)
    if alpha is not None:
        target.array.put_alpha(scaled_alpha(alpha, dtype))
    return target.target()


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a file that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    import tifffile

    with parsing(path), tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        found, start = tuple(series.shape), series.dataoffset
        extras = [int(extra) for extra in series.keyframe.extrasamples]
    alpha = extras == [_UNASSOCIATED]
    colours = (*found[:-1], found[-1] - 1) if alpha else found
    longer = [[size for size in sizes if size != 1] for sizes in (colours, shape)]
    if longer[0] != longer[1] or series.dtype != dtype or start is None:
        raise InputError(f"{path} was begun for {found} of {series.dtype}, not {tuple(shape)} of {dtype}: delete it")
    return _Unfinished(path, shape, dtype, start, alpha).target()


def _begin(path, shape, dtype, axes, metadata, alpha):
    """Write all but the pixels, with as much of what the input's programs say as the file is read with."""
    if ".ome." in Path(path).name.lower() and "imagej" not in metadata:
        metadata = {"ome": {}} | metadata  # as its name says
    foreign = {key: value for key, value in metadata.items() if key not in ("tags", "description")}
    for kept in (metadata, foreign):
        try:
            start = _write_header(path, shape, dtype, axes, kept, alpha)
        except (OSError, InputError):
            raise
        except Exception as error:  # whatever tifffile makes of words of a damaged file
            reason = reason_of(error)
        else:
            if not (kept.get("tags") or kept.get("description")) or is_as_written(path, shape, dtype, start, alpha):
                return start
            reason = "they describe another arrangement"
        warnings.warn(f"the input's description and tags are not kept: {reason}", GainTuningWarning, stacklevel=2)
    return _write_header(path, shape, dtype, axes, {key: metadata[key] for key in _HARMLESS if key in metadata}, alpha)


def _write_header(path, shape, dtype, axes, metadata, alpha):
    import tifffile

    written, _, options = writer_options(shape, dtype, axes, metadata, alpha=alpha)
    wanted = fit_compression(metadata.get("compression"), dtype)
    if wanted:
        mark = f"{wanted[0]} {wanted[1]}".encode()
        options["extratags"] = [*options["extratags"], (TO_COMPRESS, 2, len(mark), mark, True)]
    size = math.prod(written) * dtype.itemsize
    with tifffile.TiffWriter(path, **options.pop("kind")) as writer:
        placed = writer.write(None, shape=written, dtype=dtype, returnoffset=True, contiguous=True, **options)
    assert placed is not None, "it was asked for with returnoffset"
    start, _ = placed
    with open(path, "r+b") as file:
        reserve(file, start, size)
    return start


def is_as_written(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, start: int, alpha: bool) -> bool:
    """Tell whether a file that was begun is read as the array that it was begun for."""
    import tifffile

    size = math.prod(shape[:2]) * (math.prod(shape[2:]) + 1) if alpha else math.prod(shape)

    try:
        with tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            found = len(tif.series), math.prod(series.shape), series.dataoffset, series.dtype
            return found == (1, size, start, dtype)
    except Exception:  # whatever tifffile makes of a vendor's tag: it is not as written
        return False


class _Unfinished:
    """A file in one piece, and what becomes of it when all is written."""

    def __init__(self, path, shape, dtype, start, alpha):
        self._path = path
        kind = BesideAlpha if alpha else ArrayFile
        self.array: Any = kind(path, shape, dtype, start, writable=True)

    def target(self):
        array = self.array
        return Target(array.write, array.read, array.flush, self._finish, array.close)

    def _finish(self):
        import tifffile

        self.array.flush()
        with parsing(self._path), tifffile.TiffFile(self._path) as tif:
            page = tif.series[0].keyframe
            wanted = compression_of(page) if TO_COMPRESS in page.tags else None
        if wanted:
            self.array.close()
            _pack(self._path, *wanted)


def _pack(path: str | Path, compression: int, predictor: int) -> None:
    """Compress a whole file, page by page, into another that takes its place."""
    temporary = Path(path).with_name(f"{Path(path).name}.packed")
    try:
        _write_packed(path, temporary, compression, predictor)
        sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        warnings.warn(
            f"the output is not compressed as the input is: {reason_of(error)}", GainTuningWarning, stacklevel=2
        )
    finally:
        remove(temporary)


def _write_packed(path, temporary, compression, predictor):
    import tifffile

    source = open_source(path, series=0)
    with contextlib.closing(source), tifffile.TiffFile(path) as tif:
        start, big = tif.series[0].dataoffset, tif.is_bigtiff
        alpha = "alpha" in source.metadata
        assert source.axes is not None, "a TIFF file says its axes"
        written, letters, options = writer_options(
            source.shape, source.dtype, source.axes, source.metadata, alpha=alpha
        )
        kind = options.pop("kind") | {"bigtiff": big}
        array = ArrayFile(path, written, source.dtype, start)
        with contextlib.closing(array), tifffile.TiffWriter(temporary, **kind) as writer:
            options |= {"compression": compression, "predictor": predictor}
            writer.write(_pages(array, letters), shape=written, dtype=source.dtype, **options)


def _pages(array, letters) -> Iterator[np.ndarray]:
    inner = 3 if letters.endswith("S") else 2
    for place in np.ndindex(*array.shape[: len(letters) - inner]):
        yield array.read((*place, *(slice(None),) * inner))
