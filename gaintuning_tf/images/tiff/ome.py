"""Sizes of pixels, channels and planes in the XML of OME-TIFF, as tifffile writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

_SIZES = ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ", "TimeIncrement")
_CHANNEL = (
    "Name", "AcquisitionMode", "Color", "ContrastMethod", "EmissionWavelength", "EmissionWavelengthUnit",
    "ExcitationWavelength", "ExcitationWavelengthUnit", "Fluor", "IlluminationType", "NDFilter", "PinholeSize",
    "PinholeSizeUnit", "PockelCellSetting",
)  # fmt: skip
_PLANE = ("DeltaT", "ExposureTime", "PositionX", "PositionY", "PositionZ")
# What else OME describes and is not written again.
_MORE = ("Instrument", "ROI", "Experimenter", "StructuredAnnotations", "Plate", "Screen", "Experiment", "Dataset")
# OME has no 64-bit integers and no half floats.
DTYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")


def read_ome(xml: str, number: int) -> dict:
    """Read what OME says of one of its images.

    Args:
        xml: The whole description.
        number: Which image.

    Returns:
        As tifffile's writer takes it, but for two: "planes", with the C, Z and T of each for
        a key, and "not_kept", names of what else there is.
    """
    root = ElementTree.fromstring(xml)
    images = [node for node in root if _name(node) == "Image"]
    if not images:
        return {}
    image = images[number] if number < len(images) else images[0]
    pixels = next((node for node in image if _name(node) == "Pixels"), None)
    kept: dict[str, Any] = {"Name": image.attrib["Name"]} if "Name" in image.attrib else {}
    for node in image:
        if _name(node) in ("Description", "AcquisitionDate") and node.text:
            kept[_name(node)] = node.text
    if pixels is not None:
        kept |= _of_pixels(pixels)
    kept["not_kept"] = sorted({_name(node) for node in root} & set(_MORE))
    return kept


def _of_pixels(pixels):
    kept: dict[str, Any] = {name: float(pixels.attrib[name]) for name in _SIZES if name in pixels.attrib}
    kept |= {f"{name}Unit": pixels.attrib[f"{name}Unit"] for name in kept if f"{name}Unit" in pixels.attrib}
    if "SignificantBits" in pixels.attrib:
        kept["SignificantBits"] = pixels.attrib["SignificantBits"]
    channels = [_attributes(node, _CHANNEL) for node in pixels if _name(node) == "Channel"]
    if any(channels):
        kept["Channel"] = channels
    units = [f"{name}Unit" for name in _PLANE]
    planes = {_place(node): _attributes(node, (*_PLANE, *units)) for node in pixels if _name(node) == "Plane"}
    if any(planes.values()):
        kept["planes"] = planes
    return kept


def write_ome(kept: dict, shape: Sequence[int], letters: str, *, same_dtype: bool) -> dict:
    """Choose what an OME-TIFF of a shape can say again.

    Args:
        kept: Of `read_ome`.
        shape: Of the output.
        letters: A letter per axis of it, S for samples of a pixel.
        same_dtype: Whether its dtype is that of the input.

    Returns:
        As tifffile's writer takes it.
    """
    left = {"planes", "not_kept"} | (set() if same_dtype else {"SignificantBits"})
    told = {key: value for key, value in kept.items() if key not in left}
    sizes = {letter: size for letter, size in zip(letters, shape, strict=True) if letter in "TZC"}
    if len(told.get("Channel", ())) != sizes.get("C", 1):
        told.pop("Channel", None)
    planes = kept.get("planes", {})
    places = [dict(zip(sizes, place, strict=True)) for place in np.ndindex(*sizes.values())]
    ordered = [planes.get(tuple(place.get(letter, 0) for letter in "CZT"), {}) for place in places]
    return told | ({"Plane": ordered} if any(ordered) else {})


def missing_files(path: str | Path, xml: str) -> list[str]:
    """List the files that an OME series is spread over and that are not beside this one."""
    nodes = ElementTree.fromstring(xml).iter()
    names = {node.attrib["FileName"] for node in nodes if _name(node) == "UUID" and node.attrib.get("FileName")}
    return sorted(name for name in names if not (Path(path).parent / name).is_file())


def _name(node):
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _attributes(node, names):
    return {name: node.attrib[name] for name in names if name in node.attrib}


def _place(plane):
    return tuple(int(plane.attrib.get(f"The{letter}", 0)) for letter in "CZT")
