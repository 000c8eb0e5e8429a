"""What of an image file an output does not keep: said before the work begins."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images import formats
from gaintuning_tf.images.container import is_transparent
from gaintuning_tf.images.pictures import picture_holds, png
from gaintuning_tf.images.pictures.writing import KEPT, needs_codec

# What of the metadata is worth a word, and what it is called. The names of a format's own are together.
_WORDS = {
    "alpha": "alpha channel",
    "icc_profile": "colour profile",
    "exif": "EXIF data",
    "comment": "comment",
    "resolution": "size of pixels",
    "dpi": "dots per inch",
    "imagej": "description by ImageJ",
    "ome": "description by OME (sizes of pixels, channels)",
    "description": "description",
    "shaped": "description",
    "tags": "further tags",
    "mrc": "labels and extended header",
    "zarr": "attributes",
}
# What Pillow takes for the density of a JPEG that says none.
_UNSAID = (72.0, 72.0)
_OF_FORMAT = {
    "tiff": {"alpha", "icc_profile", "dpi", "resolution", "imagej", "ome", "description", "shaped", "tags"},
    "mrc": {"mrc", "ome"},
    "zarr_arrays": {"zarr", "ome"},
    "npy": set(),
}


def check_output(path: str | Path, shape: Iterable[int], dtype: np.dtype, metadata: dict[str, Any]) -> None:
    """Say in one warning what an output of that suffix will not keep of an image, and refuse what cannot be written.

    Args:
        path: The output.
        shape: Of the image.
        dtype: Of the image as it is to be written.
        metadata: Of the file that it came from, see `container.Source`.

    Raises:
        InputError: What packs such a file is not installed.
    """
    suffix, shape = formats.suffix_of(path), tuple(shape)
    picture = not formats.holds_volumes(path)
    if picture and needs_codec(suffix, shape, dtype, metadata):
        png.codec()
    lost = not_kept(path, metadata)
    words = [f"a {suffix} file does not keep {_listed(lost)} of the input"] if lost else []
    if picture and not picture_holds(suffix, shape, dtype):
        words.append(f"a {suffix} file holds 8 bits a channel, to which the {np.dtype(dtype)} of the input is scaled")
    if words:
        warnings.warn(f"{path}: {'; '.join(words)}", GainTuningWarning, stacklevel=2)


def not_kept(path: str | Path, metadata: dict[str, Any]) -> list[str]:
    """List what of the metadata an output of that suffix does not keep, in words.

    Example:

    >>> not_kept("a.jpg", {"icc_profile": b"...", "dpi": (300.0, 300.0), "ome": {"PhysicalSizeX": 0.1}})
    ['description by OME (sizes of pixels, channels)']
    """
    row = formats.row_of(path)
    kept = KEPT[formats.suffix_of(path)] if row.module == "pictures" else _OF_FORMAT[row.module]
    found = [words for name, words in _WORDS.items() if _says(metadata, name) and name not in kept]
    return list(dict.fromkeys(found))


def _says(metadata, name):
    value = metadata.get(name)
    if name == "alpha":
        return is_transparent(metadata)
    if name == "resolution":
        return value is not None and "dpi" not in metadata and tuple(value[:2]) != ((1, 1), (1, 1))
    if name == "dpi":
        return value is not None and tuple(value) != _UNSAID
    if name == "mrc":
        return bool(value and (value["labels"] or value["extended_header"]))
    if name == "zarr":
        return bool(value and (value["attributes"] or value.get("group_attributes")))
    return bool(value)


def _listed(words):
    return f"the {words[0]}" if len(words) == 1 else f"the {', '.join(words[:-1])} and {words[-1]}"
