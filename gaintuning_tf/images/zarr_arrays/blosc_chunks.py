"""Chunks packed by Blosc, which its decoder trusts though they be damaged: it reads, and fills, as many bytes as their
headers say.

A chunk whose header says another length than it has ended the process; one that fills less than it says
left what happened to be in memory.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import math
import struct
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError

# Of the header: two versions, flags and size of an item; bytes unpacked, in a block, and packed.
_HEADER = struct.Struct("<4B3I")
# Bytes of the largest number there is, complex128.
_ITEM = 16


def guarded(array: Any) -> Any:
    """Give a Zarr array that refuses damaged Blosc chunks, itself if it has none.

    Args:
        array: A `zarr.Array`.

    Example:

    >>> import tempfile, zarr
    >>> made = zarr.create_array(tempfile.mkdtemp(), shape=(4, 4), dtype="u2", zarr_format=2)
    >>> guarded(made) is made  # packed by Zstandard
    True
    """
    import zarr

    metadata = array.metadata
    if metadata.zarr_format == 3:
        changed = _guarded_fields(metadata, ("codecs",), _guarded_codec)
    else:
        most = math.prod(array.chunks) * _ITEM
        changed = _guarded_fields(metadata, ("compressor", "filters"), lambda codec: _guarded_numcodec(codec, most))
    if not changed:
        return array
    return zarr.Array(zarr.AsyncArray(dataclasses.replace(metadata, **changed), array.store_path))


def unpack(chunk: bytes, most: int) -> bytes:
    """Unpack a Blosc chunk.

    Args:
        chunk: What is stored.
        most: More bytes than any valid chunk of the array unpacks to.

    Raises:
        InputError: It is damaged.
    """
    from numcodecs import Blosc

    if len(chunk) < _HEADER.size:
        raise InputError(f"a Blosc chunk is damaged: it has {len(chunk)} bytes, its header alone {_HEADER.size}")
    unpacked, packed = (_HEADER.unpack_from(chunk)[place] for place in (4, 6))
    if packed != len(chunk) or unpacked > most:
        raise InputError(
            f"a Blosc chunk is damaged: its header says {packed} bytes that unpack to {unpacked}, it has {len(chunk)}"
        )
    # Twice, over different bytes: where they shine through, nothing was written.
    found = [np.full(unpacked, below, np.uint8) for below in (0, 255)]
    for out in found:
        if unpacked:
            Blosc().decode(chunk, out)
    if not np.array_equal(found[0], found[1]):
        raise InputError("a Blosc chunk is damaged: it unpacks to less than its header says")
    return found[0].tobytes()


def _guarded_fields(owner, names, guard):
    """Find those fields, codecs or several of them, that have to be replaced, and by what."""
    changed = {}
    for name in names:
        found = getattr(owner, name)
        several = isinstance(found, (tuple, list))
        codecs = found if several else (found,)
        safe = tuple(guard(codec) for codec in codecs)
        if any(one is not other for one, other in zip(safe, codecs, strict=True)):
            changed[name] = safe if several else safe[0]
    return changed


def _guarded_numcodec(codec, most):
    """Guard a codec of Zarr's version 2."""
    from numcodecs import Blosc

    if not isinstance(codec, Blosc):
        return codec

    class Guarded(Blosc):
        def decode(self, buf, out=None):
            data = np.frombuffer(unpack(bytes(buf), most), np.uint8)
            if out is None:
                return data
            np.copyto(np.asarray(out).reshape(-1).view(np.uint8), data)
            return out

    return Guarded(codec.cname, codec.clevel, codec.shuffle, codec.blocksize)


def _guarded_codec(codec):
    """Guard a codec of Zarr's version 3, and what is within it."""
    from zarr.codecs import BloscCodec, ShardingCodec

    if isinstance(codec, ShardingCodec):
        inner = _guarded_fields(codec, ("codecs", "index_codecs"), _guarded_codec)
        return dataclasses.replace(codec, **inner) if inner else codec
    if getattr(codec, "codec_name", None) == "numcodecs.blosc":
        return _guarded_class()(**_OF_NUMCODECS)
    if not isinstance(codec, BloscCodec):
        return codec
    kept = ("typesize", "cname", "clevel", "shuffle", "blocksize")
    return _guarded_class()(**{name: getattr(codec, name) for name in kept})


# What unpacks does not depend on it; arrays of that codec, which is numcodecs' in a file of version 3, are only read.
_OF_NUMCODECS = {"typesize": 1, "shuffle": "noshuffle"}


@functools.cache
def _guarded_class():
    from zarr.codecs import BloscCodec

    class Guarded(BloscCodec):
        def _decode_sync(self, chunk_bytes, chunk_spec):
            data = unpack(chunk_bytes.to_bytes(), math.prod(chunk_spec.shape) * _ITEM)
            return chunk_spec.prototype.buffer.from_bytes(data)

        async def _decode_single(self, chunk_bytes, chunk_spec):
            return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    return Guarded
