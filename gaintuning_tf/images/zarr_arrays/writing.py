"""An image of a Zarr folder that is being written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.container import Target, parsing
from gaintuning_tf.images.zarr_arrays.blosc_chunks import guarded
from gaintuning_tf.images.zarr_arrays.description import array_attributes, group_attributes
from gaintuning_tf.images.zarr_arrays.library import writes_whole_chunks, zarr_library
from gaintuning_tf.support.atomic_files import remove, sync, sync_names

# A chunk of several frames is read and written again for each of them. Those of more bytes than this hold one.
_SPAN = 2**26
# Codecs that do not keep every value: what is denoised is not rounded once more.
_LOSSY = ("fixedscaleoffset", "quantize", "bitround", "astype", "cast_value", "scale_offset")


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start a Zarr array, within an OME-Zarr group where the input was one, or has sizes of pixels.

    Chunks, shards, compression and attributes are those of the input where it was a Zarr; else a chunk is a frame.

    Raises:
        InputError: Zarr has no such dtype.
    """
    zarr = zarr_library()
    Path(path).mkdir(exist_ok=True)
    for inner in Path(path).iterdir():  # what an earlier run left
        remove(inner)
    own = metadata.get("zarr", {})
    version = own.get("format", 3)
    attributes = group_attributes(metadata, axes, shape, dtype)
    grouped = attributes is not None
    if grouped:
        zarr.create_group(Path(path), zarr_format=version, attributes=attributes)
    options = _pieces(own, shape, dtype, axes) | _packing(own, shape, dtype)
    if version == 3:
        options["dimension_names"] = _dimension_names(own, axes)
    zarr.create_array(
        Path(path),
        name="0" if grouped else None,
        shape=shape,
        dtype=dtype,
        zarr_format=version,
        attributes=array_attributes(metadata, grouped, len(shape)),
        **options,
    )
    return resume_target(path, shape, dtype)


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a folder that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    zarr = zarr_library()
    with parsing(path):
        node = zarr.open(Path(path), mode="r+")
        array = node if isinstance(node, zarr.Array) else node["0"]
        found = tuple(array.shape)
    if found != tuple(shape) or array.dtype != dtype:
        raise InputError(f"{path} was begun for {found} of {array.dtype}, not {tuple(shape)} of {dtype}: delete it")
    return _Writer(Path(path), guarded(array)).target()


class _Writer:
    def __init__(self, path, array):
        self._path, self._root, self._array = path, path / array.path, array
        self._pieces = getattr(array, "shards", None) or array.chunks  # of which each is a file
        self._unsafe: set[tuple[int, ...]] = set()  # pieces that may not have reached the disk

    def target(self):
        return Target(self._write, self._read, self._flush, self._flush, lambda: None)

    def _read(self, index):
        with parsing(self._path):
            return np.asarray(self._array[index])

    def _write(self, index, value):
        self._array[index] = value
        ranges = [
            [part // size] if isinstance(part, int) else range(-(-length // size))
            for part, size, length in zip(index, self._pieces, self._array.shape, strict=True)
        ]
        self._unsafe |= {tuple(r[n] for r, n in zip(ranges, at, strict=True)) for at in np.ndindex(*map(len, ranges))}

    def _flush(self):
        folders = set()
        for piece in self._unsafe:
            file = self._root / self._array.metadata.encode_chunk_key(piece)
            if file.exists():  # a chunk of zeros alone is left out
                sync(file)
                folders |= {folder for folder in file.parents if folder.is_relative_to(self._root)}
        for folder in folders:
            sync_names(folder)
        self._unsafe.clear()


def _pieces(own, shape, dtype, axes):
    """Choose chunks and shards: the input's, as far as writing a frame does not mean writing much more."""
    whole = "YXC" if axes.endswith("C") else "YX"
    inner = [letter in whole for letter in axes]
    chunks, shards = own.get("chunks"), own.get("shards")
    if chunks is None or len(chunks) != len(shape):
        return {"chunks": tuple(size if within else 1 for within, size in zip(inner, shape, strict=True))}
    if shards and _suits(shards, shape, dtype, inner):
        return {"chunks": chunks, "shards": shards}
    if _suits(chunks, shape, dtype, inner):
        return {"chunks": chunks}
    return {"chunks": tuple(size if within else 1 for within, size in zip(inner, chunks, strict=True))}


def _suits(pieces, shape, dtype, inner):
    """Tell whether a frame may be written in such pieces: of one frame each, or together not large."""
    spans = [min(piece, size) for piece, size, within in zip(pieces, shape, inner, strict=True) if not within]
    frame = math.prod(size for size, within in zip(shape, inner, strict=True) if within)
    together = math.prod(spans) * frame * dtype.itemsize
    return math.prod(spans) == 1 or (together <= _SPAN and writes_whole_chunks())


def _packing(own, shape, dtype):
    """Choose how chunks are packed and named: as the input's, as far as its dtype has a say in it."""
    if "chunks" not in own:
        return {}
    same = str(dtype) == own["dtype"]
    fits = same and len(own["chunks"]) == len(shape)
    options = {
        "compressors": [_for_dtype(codec, dtype) for codec in own["compressors"]] or None,
        "filters": [codec for codec in own["filters"] if fits and _name(codec) not in _LOSSY] or None,
        "chunk_key_encoding": own["separator"],
    }
    if same and own["fill_value"] is not None:
        options["fill_value"] = own["fill_value"]
    return options | ({"order": own["order"]} if own["format"] == 2 else {})


def _name(codec):
    """Tell the name of a codec in metadata, of either version."""
    described = codec.to_dict() if hasattr(codec, "to_dict") else codec.get_config()
    return str(described.get("name", described.get("id"))).removeprefix("numcodecs.")


def _for_dtype(codec, dtype):
    """Have Blosc shuffle the bytes of items of this size."""
    from zarr.codecs import BloscCodec

    if not isinstance(codec, BloscCodec) or codec.typesize == dtype.itemsize:
        return codec
    kept = ("cname", "clevel", "shuffle", "blocksize")
    return BloscCodec(typesize=dtype.itemsize, **{name: getattr(codec, name) for name in kept})


def _dimension_names(own, axes):
    """Keep the names of axes where they say the same as the letters."""
    names = own.get("dimension_names")
    if names and [str(name)[:1].upper() for name in names] == list(axes):
        return list(names)
    return [letter.lower() for letter in axes]
