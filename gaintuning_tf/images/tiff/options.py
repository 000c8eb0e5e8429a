"""What tifffile's writer is asked for, so that an output says what its input said."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images.tiff import ome
from gaintuning_tf.images.tiff.descriptions import fits_imagej, fits_ome, imagej_words, plain_words

_INCH = 2


def writer_options(
    shape: Sequence[int], dtype: np.dtype, axes: str, metadata: dict, *, alpha: bool
) -> tuple[tuple[int, ...], str, dict[str, Any]]:
    """Choose the arguments of tifffile's writer.

    Args:
        shape: Of the array, without opacity.
        dtype: Its dtype.
        axes: A letter per axis.
        metadata: Of the input, of any format; the keys that TIFF knows are taken.
        alpha: Whether opacity is written beside the colours, as a last sample.

    Returns:
        The shape that is written, a letter per axis of it, S for the samples of a pixel, and the arguments; under
        "kind" those of the writer itself.
    """
    samples = axes.endswith("C") or alpha
    letters = axes.removesuffix("C") + "S" if samples else axes
    written = tuple(shape)
    if alpha:
        written = (*shape[: len(letters) - 1], (shape[-1] if axes.endswith("C") else 1) + 1)
    big = math.prod(written) * dtype.itemsize + 1024 * _pages(written, letters) > 2**32 - 2**25
    options = {"kind": {"bigtiff": big}, "metadata": {"axes": letters}, "extratags": list(metadata.get("tags", ()))}
    options |= {"software": "gaintuning_tf"} | _photometry(written, dtype, letters, metadata, alpha)
    options |= _resolution(metadata) | _profile(metadata, options["photometric"])
    _describe(options, written, dtype, letters, metadata, big)
    return written, letters, options


def _pages(shape, letters):
    return math.prod(shape) // (shape[letters.index("Y")] * shape[letters.index("X")])


def _photometry(shape, dtype, letters, metadata, alpha):
    """Say that three samples are RGB, and that an opacity is one."""
    samples = shape[-1] if letters.endswith("S") else 1
    colours = samples - alpha
    photometric = "miniswhite" if metadata.get("white_is_zero") and dtype.kind == "f" else "minisblack"
    if colours == 3 or (metadata.get("rgb") and colours > 3):
        photometric = "rgb"
    options: dict[str, Any] = {"photometric": photometric}
    if samples > 1:
        more = samples - (3 if photometric == "rgb" else 1)
        options["planarconfig"] = "contig"
        if more:
            options["extrasamples"] = ["unassalpha"] if alpha else ["unspecified"] * more
    return options | _table(metadata, dtype, samples)


def _table(metadata, dtype, samples):
    """Keep the colours for the display of values, where the output has as many values as they are for."""
    table = metadata.get("colormap")
    if table is None:
        return {}
    if samples == 1 and dtype.kind == "u" and np.shape(table) == (3, 2 ** (8 * dtype.itemsize)):
        return {"photometric": "palette", "colormap": table}
    if "imagej" not in metadata:
        _say(f"the table of colours for the display is not kept: it is for {np.shape(table)[1]} values, not {dtype}")
    return {}


def _resolution(metadata):
    if "resolution" in metadata:
        x, y, unit = metadata["resolution"]
        return {"resolution": (x, y), "resolutionunit": unit}
    dpi = metadata.get("dpi")
    if dpi is None or not all(math.isfinite(value) and 0 < value < 2**31 for value in dpi):
        return {}
    return {"resolution": (float(dpi[0]), float(dpi[1])), "resolutionunit": _INCH}


def _profile(metadata, photometric):
    """Keep a colour profile that is for such colours; its own name of them is at 16 (ICC.1, section 7.2)."""
    profile = metadata.get("icc_profile")
    if not profile:
        return {}
    space = bytes(profile[16:20])
    if space != (b"RGB " if photometric == "rgb" else b"GRAY"):
        _say(f"the colour profile is not kept: it is for {space.decode('latin-1').strip() or 'nothing'}")
        return {}
    return {"iccprofile": bytes(profile)}


def _describe(options, shape, dtype, letters, metadata, big):
    """Make the output OME's or ImageJ's where the input was and it can be; else say what is plain of their words."""
    same_dtype = metadata.get("tiff_dtype") == str(dtype)
    if metadata.get("tiff_not_kept"):
        _say(f"of the input, {', '.join(metadata['tiff_not_kept'])} are not kept")
    if "ome" in metadata and fits_ome(letters) and dtype in ome.DTYPES:
        options["kind"] |= {"ome": True}
        options["metadata"] |= ome.write_ome(metadata["ome"], shape, letters, same_dtype=same_dtype)
        if metadata["ome"].get("not_kept"):
            _say(f"of the OME description, {', '.join(metadata['ome']['not_kept'])} are not kept")
    elif "imagej" in metadata and not big and fits_imagej(shape, dtype, letters):
        same = same_dtype and not metadata.get("inverted")
        options["kind"] = {"imagej": True}
        options["metadata"] |= imagej_words(metadata, same_values=same)
    else:
        if metadata.get("ome", {}).get("Channel"):
            _say(f"channels' names are not kept: OME has no {dtype} of the axes {letters}")
        description = metadata.get("description")
        options["description"] = None if description is None else str(description).encode()
        options["metadata"] |= plain_words(metadata)
        # By a file name with .ome. alone, tifffile would make it an OME-TIFF, which it cannot be.
        options["kind"] |= {"ome": False}


def _say(words):
    warnings.warn(words, GainTuningWarning, stacklevel=2)
