"""What a TIFF file says of itself: resolution, profile, ImageJ's and OME's words; and how an output says it again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaintuning_tf.images.tiff.codecs import compression_of
from gaintuning_tf.images.tiff.ome import read_ome
from gaintuning_tf.images.tiff.orientation import orientation_of, swaps
from gaintuning_tf.images.tiff.photometry import Colours
from gaintuning_tf.images.tiff.tags import dropped_words, kept_tags

# What ImageJ's description says of the arrangement, which is written anew.
_ARRANGEMENT = ("ImageJ", "images", "channels", "slices", "frames", "hyperstack", "axes", "shape", "order")
# What it says of the values, which holds for values of the same dtype.
_OF_VALUES = ("min", "max", "Ranges")
_IMAGEJ_DTYPES = ("uint8", "uint16", "int16", "float32")
# What ImageJ keeps in a tag of its own, where all letters can be.
_BINARY = ("Info", "Labels", "Properties")
# Dots per inch for each unit of the resolution that is a length: inch and centimetre.
_PER_INCH = {2: 1.0, 3: 2.54}


def metadata_of(tif: Any, number: int, colours: Colours) -> dict:
    """Find what a TIFF file that is written from this one keeps, and what other formats can.

    Args:
        tif: A `tifffile.TiffFile`.
        number: Which series of images is read.
        colours: What its samples mean.
    """
    series = tif.series[number]
    page = series.keyframe
    orientation = orientation_of(page)
    kept = dict(colours.kept)
    kept |= _resolution(page, orientation, own=not (tif.is_imagej or tif.is_ome))
    kept |= _texts(tif, number, page)
    kept["tags"] = kept_tags(page, orientation)
    dropped = dropped_words(page, orientation)
    if dropped:
        kept["tiff_not_kept"] = dropped
    kept["tiff_dtype"] = str(np.dtype(series.dtype).newbyteorder("="))
    profile = page.tags.get("InterColorProfile")
    if profile is not None and not colours.replaces_profile:
        kept["icc_profile"] = bytes(profile.value)
    compression = compression_of(page)
    if compression is not None:
        kept["compression"] = compression
    return kept


def _resolution(page, orientation, own):
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return {}
    unit = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1
    unit = unit if unit in (1, *_PER_INCH) else 1
    both = [tuple(int(part) for part in tags[name].value) for name in ("XResolution", "YResolution")]
    if any(len(ratio) != 2 or min(ratio) <= 0 for ratio in both):
        return {}  # a division by zero for whoever reads it
    x, y = reversed(both) if swaps(orientation) else both
    kept: dict[str, Any] = {"resolution": (x, y, unit)}
    if own and unit in _PER_INCH:
        kept["dpi"] = tuple(_PER_INCH[unit] * numerator / denominator for numerator, denominator in (x, y))
    return kept


def _texts(tif, number, page):
    if tif.is_ome and tif.ome_metadata:
        return {"ome": _turned(read_ome(tif.ome_metadata, number), orientation_of(page))}
    if tif.is_imagej and tif.imagej_metadata:
        return {"imagej": {key: value for key, value in tif.imagej_metadata.items() if key not in _ARRANGEMENT}}
    kept: dict[str, Any] = {}
    if page.description and not page.description.startswith('{"shape"'):
        kept["description"] = page.description
    if tif.is_shaped and tif.shaped_metadata:
        own = tif.shaped_metadata[min(number, len(tif.shaped_metadata) - 1)]
        kept["shaped"] = {key: value for key, value in own.items() if key not in _ARRANGEMENT}
    return kept


def _turned(ome, orientation):
    """Exchange the sizes of pixels in X and Y where rows become columns."""
    if not swaps(orientation):
        return ome
    names = {f"PhysicalSize{a}{unit}": f"PhysicalSize{b}{unit}" for a, b in ("XY", "YX") for unit in ("", "Unit")}
    return {names.get(key, key): value for key, value in ome.items()}


def fits_ome(letters: str) -> bool:
    """Tell whether OME has an arrangement: T, Z and C in any order, then Y, X and samples."""
    outer, found, samples = letters.partition("YX")
    return bool(found) and samples in ("", "S") and set(outer) <= set("TZC") and len(set(outer)) == len(outer)


def fits_imagej(shape: Sequence[int], dtype: np.dtype, letters: str) -> bool:
    """Tell whether ImageJ has an arrangement: T, Z and C in this order, then Y and X; and samples of 8-bit RGB."""
    orders = {t + z + c + "YX" + s for t in ("", "T") for z in ("", "Z") for c in ("", "C") for s in ("", "S")}
    colour = not letters.endswith("S") or (shape[-1] == 3 and dtype == "uint8")
    return letters in orders and colour and dtype in _IMAGEJ_DTYPES


def imagej_words(metadata: dict, *, same_values: bool) -> dict:
    """Choose what ImageJ is told again.

    Args:
        metadata: Of the input.
        same_values: Whether the output has the input's dtype, and its values were not turned over.
    """
    left = () if same_values else _OF_VALUES
    told = {
        key: value if key in _BINARY else _ascii(value) for key, value in metadata["imagej"].items() if key not in left
    }
    table = metadata.get("colormap")
    if table is not None and np.shape(table) == (3, 256) and "LUTs" not in told:
        told["LUTs"] = [(np.asarray(table) >> 8).astype(np.uint8)]
    return told


def plain_words(metadata: dict) -> dict:
    """Keep what is plain of ImageJ's and OME's words where the file cannot be one of theirs."""
    facts = {key: metadata.get("imagej", {}).get(key) for key in ("spacing", "unit", "finterval")}
    facts |= metadata.get("ome", {})
    facts = {key: value for key, value in facts.items() if isinstance(value, (int, float, str))}
    return metadata.get("shaped", {}) | {
        key: value for key, value in facts.items() if not isinstance(value, float) or math.isfinite(value)
    }


def _ascii(value):
    """Write other letters than ASCII's as ImageJ does in its description."""
    if not isinstance(value, str):
        return value
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in value)
