"""Nikon's ND2 files, frame by frame, through the library nd2; needs the extra `vendors`."""

from __future__ import annotations

import contextlib
import math
import warnings
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, reason_of
from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.series import choose_series
from gaintuning_tf.images.vendors.planes import ome_metadata, plane_source
from gaintuning_tf.support.extras import required

# Axes of what the file has in one piece; P are positions of the stage, of which each is an image.
_FRAME, _POSITION = "CYXS", "P"


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open a position of an ND2 file.

    Args:
        path: The file.
        series: The number of the position; the first if absent, with a warning.

    Raises:
        InputError: It is no ND2 file, or lacks frames.
    """
    nd2 = required("nd2", "an ND2 file", "vendors")
    with contextlib.ExitStack() as opened:
        with parsing(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", GainTuningWarning)
            file = opened.enter_context(nd2.ND2File(str(path)))
            sizes = dict(file.sizes)
            outer = {name: size for name, size in sizes.items() if name not in _FRAME}
            names = [f"position {n}" for n in range(outer.get(_POSITION, 1))]
            chosen = choose_series(path, names, series)
            dtype = np.dtype(file.dtype)
            _check_frames(path, file, outer)

        metadata = _metadata(path, file)

        def plane(at):
            given = iter(at)
            place = [chosen if name == _POSITION else next(given) for name in outer]
            number = int(np.ravel_multi_index(place, tuple(outer.values()))) if place else 0
            return np.asarray(file.read_frame(number)).reshape(last)

        kept = {name: size for name, size in sizes.items() if name != _POSITION}
        # What a frame has comes last, in this order, whatever the order in the list of sizes.
        kept = {name: size for name, size in kept.items() if name in outer} | {
            name: kept[name] for name in _FRAME if name in kept
        }
        last = tuple(size for name, size in kept.items() if name in _FRAME)
        return plane_source(path, kept, len(last), dtype, metadata, plane, opened.pop_all())


def _check_frames(path, file, outer):
    """Refuse a file that lacks frames, for which the library gives zeros."""
    needed, found = math.prod(outer.values()), file.attributes.sequenceCount
    if found is not None and found < needed:
        raise InputError(f"{path} is truncated or damaged: it needs {needed} frames, it has {found}")


def _metadata(path, file):
    """Find sizes of pixels and names of channels; a file that does not say them in order still has its pixels."""
    try:
        channels = getattr(file.metadata, "channels", None) or []
        steps = {}
        if channels:
            volume = channels[0].volume
            known = zip("XYZ", volume.axesCalibration, volume.axesCalibrated, strict=True)
            steps = {name: (float(size), "µm") for name, size, calibrated in known if calibrated}
        for loop in file.experiment:
            if loop.type == "TimeLoop":
                steps["T"] = (loop.parameters.periodMs / 1000, "s")
        return ome_metadata(steps, [channel.channel.name for channel in channels])
    except Exception as error:
        message = f"{path}: sizes of pixels and names of channels are not known: {reason_of(error)}"
        warnings.warn(message, GainTuningWarning, stacklevel=2)
        return {}
