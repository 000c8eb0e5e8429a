"""What is refused before a pixel of a Zarr array is read."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.support.limits import HARMLESS, check_declared

# Codecs that only compute. Others, such as numcodecs' "pickle", run code that comes with the data.
_CODECS = (
    *(
        "bytes",
        "endian",
        "transpose",
        "sharding_indexed",
        "crc32c",
        "crc32",
        "adler32",
        "fletcher32",
        "jenkins_lookup3",
    ),
    *("blosc", "gzip", "zstd", "zlib", "lz4", "lzma", "bz2", "shuffle"),
    *("delta", "fixedscaleoffset", "quantize", "bitround", "packbits", "astype", "cast_value", "scale_offset"),
)


def check_array(path: str | Path, array: Any) -> None:
    """Refuse an array that would run code, is none of numbers, or cannot be as large as it says.

    Args:
        path: What the user opened.
        array: What zarr found there, in a folder.

    Raises:
        InputError: It is such.
    """
    root = Path(array.store_path.store.root) / array.path
    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    unknown = sorted(_codecs(root) - set(_CODECS))
    if unknown:
        raise InputError(f"{path} is packed with {', '.join(unknown)}, which is not among what is safe to unpack")
    if dtype.kind not in "iufbc":
        raise InputError(f"expected {path} to hold numbers, it holds {dtype}")
    if any(size < 1 for size in shape):
        raise InputError(f"cannot read {path} as an image: its header says the shape {shape}")
    shards = getattr(array, "shards", None) or array.chunks
    if max(math.prod(shape), math.prod(shards)) * dtype.itemsize > HARMLESS:
        stored = sum(os.path.getsize(Path(folder) / name) for folder, _, names in os.walk(root) for name in names)
        check_declared(path, shape, dtype, stored)
        check_declared(path, shards, dtype, stored)


def _codecs(root):
    """Collect the names of all codecs in the metadata of an array."""
    if (root / "zarr.json").is_file():
        return _names(json.loads((root / "zarr.json").read_text())["codecs"])
    metadata = json.loads((root / ".zarray").read_text())
    return _names([metadata.get("compressor"), metadata.get("filters")])


def _names(value):
    """Collect the names of codecs, and of codecs within their configuration."""
    if isinstance(value, list):
        return set().union(*map(_names, value))
    if not isinstance(value, dict):
        return set()
    own = value.get("id", value.get("name"))
    inner = set().union(*map(_names, value.values()))
    return inner | ({str(own).removeprefix("numcodecs.")} if own is not None else set())
