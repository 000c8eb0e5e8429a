"""What a Zarr array and its group say beside the pixels, and the same for an output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gaintuning_tf.images.zarr_arrays.finding import Found, ome_of

# OME's symbols and, of the same units, the names that OME-Zarr has.
_UNITS = {
    **{"pm": "picometer", "Å": "angstrom", "nm": "nanometer", "µm": "micrometer", "mm": "millimeter"},
    **{"cm": "centimeter", "m": "meter"},
    **{"ns": "nanosecond", "µs": "microsecond", "ms": "millisecond", "s": "second", "min": "minute", "h": "hour"},
}
_SYMBOLS = {name: symbol for symbol, name in _UNITS.items()}
# By an axis' letter, what OME calls its step.
_STEPS = {"X": "PhysicalSizeX", "Y": "PhysicalSizeY", "Z": "PhysicalSizeZ", "T": "TimeIncrement"}
_KINDS = {"T": "time", "C": "channel"}
# What OME says in the attributes of a group, which is written anew, or is not of this image.
_OME = ("multiscales", "omero", "ome", "labels", "plate", "well", "bioformats2raw.layout", "series")
# Of OME-Zarr in Zarr 3, where the input does not say which.
_VERSION = "0.5"
_DIMENSIONS = "_ARRAY_DIMENSIONS"  # xarray's names of axes


def axis_names(found: Found) -> list | None:
    """Find the names of an image's axes: as OME, Zarr or xarray has them; None if nothing says it."""
    multiscale, metadata = found.multiscale, found.array.metadata
    if multiscale and multiscale.get("axes"):
        return [axis["name"] if isinstance(axis, dict) else axis for axis in multiscale["axes"]]
    if multiscale and found.array.ndim == 5:
        return list("tczyx")  # before OME-Zarr 0.3 there was no other arrangement
    names = getattr(metadata, "dimension_names", None) or found.array.attrs.get(_DIMENSIONS)
    return list(names) if isinstance(names, (list, tuple)) else None


def describe(found: Found, letters: str | None) -> dict:
    """Find what an image written from this one keeps.

    Returns:
        As `zarr` what Zarr has of it, and as `ome` sizes of pixels and names of channels as OME has them.
    """
    array, metadata = found.array, found.array.metadata
    own = {
        "format": int(metadata.zarr_format),
        "dtype": str(np.dtype(array.dtype).newbyteorder("=")),
        "chunks": tuple(array.chunks),
        "shards": getattr(array, "shards", None),
        "compressors": array.compressors,
        "filters": array.filters,
        "order": array.order,
        "fill_value": array.fill_value,
        "separator": _separator(metadata),
        "dimension_names": getattr(metadata, "dimension_names", None),
        "attributes": dict(array.attrs),
    }
    if found.group is not None:
        ome = ome_of(found.group)
        own["group_attributes"] = {key: value for key, value in found.group.attrs.items() if key not in _OME}
        if found.multiscale:
            own |= {"multiscale": _one_level(found), "omero": ome.get("omero"), "version": ome.get("version")}
    sizes = _sizes(own.get("multiscale"), own.get("omero"), letters)
    return {"zarr": own} | ({"ome": sizes} if sizes else {})


def _separator(metadata):
    if metadata.zarr_format == 2:
        return {"name": "v2", "separator": metadata.dimension_separator}
    encoding = metadata.chunk_key_encoding
    return {"name": encoding.name, "separator": encoding.separator}


def _one_level(found):
    """Describe an image with one level alone, which is named 0."""
    scale = found.dataset.get("coordinateTransformations")
    dataset = {"path": "0"} | ({"coordinateTransformations": scale} if scale else {})
    # How the smaller levels were made is no longer true of any.
    kept = {key: value for key, value in found.multiscale.items() if key not in ("datasets", "type", "metadata")}
    return {**kept, "datasets": [dataset]}


def _sizes(multiscale, omero, letters):
    """Say in OME's words what is said of the steps along the axes, and of the channels."""
    kept: dict[str, Any] = {}
    if multiscale and letters:
        steps = [1.0] * len(letters)
        for owner in (multiscale, multiscale["datasets"][0]):
            for step in owner.get("coordinateTransformations") or ():
                if step.get("type") == "scale" and len(step.get("scale", ())) == len(letters):
                    steps = [one * _number(more) for one, more in zip(steps, step["scale"], strict=True)]
        for letter, axis, step in zip(letters, multiscale.get("axes", letters), steps, strict=True):
            unit = _SYMBOLS.get(str(axis.get("unit"))) if isinstance(axis, dict) else None
            if letter in _STEPS and unit and math.isfinite(step) and step > 0:
                kept |= {_STEPS[letter]: step, f"{_STEPS[letter]}Unit": unit}
    channels = (omero.get("channels") if isinstance(omero, dict) else None) or []
    names = [one.get("label") for one in channels if isinstance(one, dict)]
    if names and len(names) == len(channels) and all(isinstance(name, str) and name for name in names):
        kept["Channel"] = {"Name": names}
    return kept


def _number(value):
    return float(value) if isinstance(value, (int, float)) else math.nan


def group_attributes(metadata: dict, axes: str, shape: tuple[int, ...], dtype: np.dtype) -> dict | None:
    """Say in the words of OME-Zarr what is known of an image.

    Args:
        metadata: Of a `Source`.
        axes: A letter per axis of the output.
        shape: Its shape.
        dtype: Its dtype.

    Returns:
        The attributes of a group whose array 0 is the image; None where nothing is known that needs one.
    """
    own = metadata.get("zarr", {})
    multiscale = own.get("multiscale")
    if multiscale is None:
        multiscale = _of_sizes(metadata.get("ome", {}), axes)
        if multiscale is None:
            return None
    ome = {"multiscales": [_for_axes(multiscale, axes)]}
    omero = _channels(own.get("omero"), axes, shape, str(dtype) == own.get("dtype"))
    ome |= {"omero": omero} if omero else {}
    rest = own.get("group_attributes", {})
    if own.get("format", 3) == 2:
        return rest | ome
    # Before OME-Zarr 0.5, each part named a version of its own.
    ome = {"multiscales": [_unversioned(ome["multiscales"][0])]} | ({"omero": _unversioned(omero)} if omero else {})
    return rest | {"ome": {"version": own.get("version") or _VERSION, **ome}}


def _unversioned(part):
    return {key: value for key, value in part.items() if key != "version"}


def _of_sizes(sizes, axes):
    """Describe an image of another format, whose steps are known."""
    known = {letter: sizes.get(name) for letter, name in _STEPS.items()}
    if not any(isinstance(known[letter], (int, float)) for letter in "XY"):
        return None
    described, scale = [], []
    for letter in axes:
        step = known.get(letter)
        unit = _UNITS.get(str(sizes.get(f"{_STEPS.get(letter)}Unit", "s" if letter == "T" else "µm")).replace("μ", "µ"))
        described.append(_axis(letter) | ({"unit": unit} if step and unit else {}))
        scale.append(float(step) if step else 1.0)
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {"axes": described, "datasets": [dataset]}


def _axis(letter):
    return {"name": letter.lower(), "type": _KINDS.get(letter, "space")}


def _for_axes(multiscale, axes):
    """Describe the axes that the output has, where it has others than what it came from."""
    named = multiscale.get("axes")
    if not named or len(named) == len(axes):
        return multiscale
    letters = [str(axis["name"] if isinstance(axis, dict) else axis)[:1].upper() for axis in named]
    places = [letters.index(letter) if letter in letters else None for letter in axes]
    chosen = [_axis(letter) if at is None else named[at] for letter, at in zip(axes, places, strict=True)]

    def steps(owner):
        for step in owner.get("coordinateTransformations") or ():
            kind, values = step.get("type"), step.get(step.get("type"))
            if kind in ("scale", "translation") and len(values or ()) == len(letters):
                missing = 1.0 if kind == "scale" else 0.0
                yield {"type": kind, kind: [missing if at is None else values[at] for at in places]}

    kept = {**multiscale, "axes": chosen, "datasets": [{**multiscale["datasets"][0]}]}
    for owner in (kept, kept["datasets"][0]):
        if "coordinateTransformations" in owner:
            owner["coordinateTransformations"] = list(steps(owner))
    return kept


def _channels(omero, axes, shape, same_dtype):
    """Keep colours and names of channels; windows, which are in values of pixels, only of the same dtype."""
    if not isinstance(omero, dict) or not isinstance(omero.get("channels"), list):
        return omero
    channels = omero["channels"]
    if len(channels) != (shape[axes.index("C")] if "C" in axes else 1):
        return None
    if same_dtype:
        return omero
    kept = [{key: value for key, value in one.items() if key != "window"} for one in channels]
    return {**omero, "channels": kept}


def array_attributes(metadata: dict, grouped: bool, dimensions: int) -> dict:
    """Keep what users wrote beside an array, and beside its group where the output has none."""
    own = metadata.get("zarr", {})
    kept = ({} if grouped else own.get("group_attributes", {})) | own.get("attributes", {})
    if len(kept.get(_DIMENSIONS) or ()) != dimensions:
        kept.pop(_DIMENSIONS, None)
    return kept
