"""Zarr arrays and OME-Zarr groups, in parts; needs the extra `microscopy`."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Source, Target, parsing
from gaintuning_tf.support.atomic_files import remove, sync, sync_names
from gaintuning_tf.support.extras import required
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


def open_source(path: str | Path) -> Source:
    """Open a Zarr array, or the largest image (level 0) of an OME-Zarr group.

    Raises:
        InputError: It is neither, or would run code of its own.
    """
    zarr = _zarr()
    with parsing(path):
        node = zarr.open(Path(path), mode="r")
        array, multiscale = (node, None) if isinstance(node, zarr.Array) else _level0(path, node)
        axes = [axis["name"] if isinstance(axis, dict) else axis for axis in multiscale["axes"]] if multiscale else None
        if axes is None and array.metadata.zarr_format == 3 and array.metadata.dimension_names:
            axes = list(array.metadata.dimension_names)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        _check(path, array, shape, dtype)
        if axes is not None and len(axes) != len(shape):
            raise InputError(f"{path} is damaged: it names {len(axes)} axes of an array of shape {shape}")
        letters = "".join(str(name or "?")[:1] for name in axes).upper() if axes else None
    metadata = {"zarr_format": int(array.metadata.zarr_format), "multiscale": multiscale}
    if multiscale:
        metadata["omero"] = _ome(node).get("omero")

    def read(index):
        with parsing(path):
            return np.asarray(array[index]).astype(dtype.newbyteorder("="), copy=False)

    return Source(shape, dtype.newbyteorder("="), letters, metadata, read, lambda: None)


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start a Zarr array of one chunk per frame; within an OME-Zarr group where the input was one.

    Raises:
        InputError: Zarr has no such dtype.
    """
    zarr = _zarr()
    Path(path).mkdir(exist_ok=True)
    for inner in Path(path).iterdir():  # what an earlier run left
        remove(inner)
    version = metadata.get("zarr_format", 3)
    whole = "YXC" if axes.endswith("C") else "YX"
    options = {
        "shape": shape,
        "dtype": dtype,
        "chunks": tuple(size if letter in whole else 1 for letter, size in zip(axes, shape, strict=True)),
        "zarr_format": version,
    }
    if version == 3:
        options["dimension_names"] = [letter.lower() for letter in axes]
    multiscale = metadata.get("multiscale")
    if multiscale:
        group = zarr.create_group(Path(path), zarr_format=version)
        ome = {"multiscales": [_one_level(multiscale)]}
        ome |= {"omero": metadata["omero"]} if metadata.get("omero") else {}
        group.attrs.update({"ome": {"version": "0.5", **ome}} if version == 3 else ome)
    zarr.create_array(Path(path), name="0" if multiscale else None, **options)
    return resume_target(path, shape, dtype)


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a folder that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    zarr = _zarr()
    with parsing(path):
        node = zarr.open(Path(path), mode="r+")
        array = node if isinstance(node, zarr.Array) else node["0"]
        found = tuple(array.shape)
    if found != tuple(shape) or array.dtype != dtype:
        raise InputError(f"{path} was begun for {found} of {array.dtype}, not {tuple(shape)} of {dtype}: delete it")
    return _Writer(Path(path), array).target()


class _Writer:
    def __init__(self, path, array):
        self._root, self._array = path / array.path, array
        self._unsafe: set[tuple[int, ...]] = set()  # chunks that may not have reached the disk

    def target(self):
        return Target(self._write, lambda index: np.asarray(self._array[index]), self._flush, self._flush, lambda: None)

    def _write(self, index, value):
        self._array[index] = value
        ranges = [
            [part // size] if isinstance(part, int) else range(-(-length // size))
            for part, size, length in zip(index, self._array.chunks, self._array.shape, strict=True)
        ]
        self._unsafe |= {tuple(r[n] for r, n in zip(ranges, at, strict=True)) for at in np.ndindex(*map(len, ranges))}

    def _flush(self):
        folders = set()
        for chunk in self._unsafe:
            file = self._root / self._array.metadata.encode_chunk_key(chunk)
            if file.exists():  # a chunk of zeros alone is left out
                sync(file)
                folders |= {folder for folder in file.parents if folder.is_relative_to(self._root)}
        for folder in folders:
            sync_names(folder)
        self._unsafe.clear()


def _zarr():
    zarr = required("zarr", "a Zarr file", "microscopy")
    if int(zarr.__version__.partition(".")[0]) < 3:
        raise InputError(f"Zarr files need zarr 3 or newer, which needs Python 3.11; this is {zarr.__version__}")
    return zarr


def _ome(group):
    """Find what OME says in a group: since version 0.5 in a dictionary of its own."""
    return group.attrs.get("ome", group.attrs)


def _level0(path, group):
    """Find the largest image of an OME-Zarr group, and its description; or the one array that a group has."""
    multiscales = _ome(group).get("multiscales")
    if multiscales:
        return group[multiscales[0]["datasets"][0]["path"]], multiscales[0]
    arrays = dict(group.arrays())
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)[:5]) or "none"
        raise InputError(f"expected an OME-Zarr group, or one array, in {path}, found arrays: {names}; give one's path")
    return next(iter(arrays.values())), None


def _one_level(multiscale):
    """Describe an image with its level 0 alone, which is named 0."""
    scale = multiscale["datasets"][0].get("coordinateTransformations")
    dataset = {"path": "0"} | ({"coordinateTransformations": scale} if scale else {})
    # How the smaller levels were made is no longer true of any.
    kept = {key: value for key, value in multiscale.items() if key not in ("datasets", "type", "metadata")}
    return {**kept, "datasets": [dataset]}


def _check(path, array, shape, dtype):
    root = Path(path) / array.path
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
