"""Leica's LIF and LOF files, plane by plane, through liffile; needs the extra `vendors`."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import numpy as np

from gaintuning_tf.images.container import Source, parsing
from gaintuning_tf.images.series import choose_series
from gaintuning_tf.images.vendors.planes import ome_metadata, plane_source
from gaintuning_tf.support.extras import required

# It reports what is wrong with a file on stderr as well; here it is one line, the error's.
logging.getLogger("liffile").addHandler(logging.NullHandler())


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open an image of a LIF file.

    Args:
        path: The file.
        series: The number of the image; the first if absent, with a warning.

    Raises:
        InputError: It is no such file, or its channels have different dtypes.
    """
    liffile = required("liffile", "a LIF file", "vendors")
    with contextlib.ExitStack() as opened:
        with parsing(path):
            file = opened.enter_context(liffile.LifFile(str(path)))
            images = list(file.images)
            image = images[choose_series(path, [one.name for one in images], series)]
            frames = image.frames
            sizes = dict(zip((*frames.dims, *frames.frame_dims), (*frames.shape, *frames.frame_shape), strict=True))
            dtype, inner, metadata = np.dtype(image.dtype), len(frames.frame_dims), _metadata(image)

        def plane(at):
            return frames[at] if at else frames[0]

        return plane_source(path, sizes, inner, dtype, metadata, plane, opened.pop_all(), os.path.getsize(path))


def _metadata(image):
    """Find the steps along the axes, which are in metres and seconds."""
    steps = {}
    for axis, factor, unit in (("X", 1e6, "µm"), ("Y", 1e6, "µm"), ("Z", 1e6, "µm"), ("T", 1.0, "s")):
        places = image.coords.get(axis, ())
        if len(places) > 1:
            steps[axis] = (round(abs(float(places[1]) - float(places[0])) * factor, 9), unit)
    return ome_metadata(steps)
