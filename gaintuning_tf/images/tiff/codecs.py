"""Which compression a TIFF file has: what is needed to read it, and whether an output is to have it, too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.support.extras import check_installed

# Compressions that tifffile decodes by itself: none, both deflates, PackBits and LZMA.
_AT_HAND = (1, 8, 32946, 32773, 34925)
# Those that lose nothing whatever their options: LZW, both deflates, PackBits, LZMA, ZSTD.
_LOSSLESS = (5, 8, 32946, 32773, 34925, 50000)
# Those of them that tifffile encodes by itself.
_ENCODED_AT_HAND = (8, 32946, 34925)
# Values before a compression: none, differences of neighbours, differences of bytes of floats.
_NONE, _DIFFERENCES, _FLOATS = 1, 2, 3
# A private tag of a partial file: how it is to be compressed once it is whole.
TO_COMPRESS = 65123


def check_codec(path: str | Path, page: Any) -> None:
    """Refuse a page that cannot be decoded with what is installed.

    Raises:
        InputError: It cannot, with the extra that is needed.
    """
    bits = int(page.bitspersample)
    compression = getattr(page.compression, "name", page.compression)
    if int(page.compression) not in _AT_HAND or int(page.predictor) == _FLOATS:
        check_installed("imagecodecs", f"{path}, compressed by {compression},", "microscopy")
    elif bits not in (1, 2, 4) and bits % 8:
        check_installed("imagecodecs", f"{path}, of {bits} bits per value,", "microscopy")


def compression_of(page: Any) -> tuple[int, int] | None:
    """Find how an output that is like a page is to be compressed.

    Returns:
        The numbers of compression and predictor in TIFF; None where the page is not compressed or the compression may
        lose something.
    """
    mark = page.tags.get(TO_COMPRESS)
    if mark is not None:
        words = str(mark.value).split()
        found = tuple(int(word) for word in words) if all(word.isdecimal() for word in words) else ()
    else:
        found = int(page.compression), int(page.predictor)
    return (found[0], found[1]) if len(found) == 2 and found[0] in _LOSSLESS else None


def fit_compression(wanted: tuple[int, int] | None, dtype: np.dtype) -> tuple[int, int] | None:
    """Choose compression and predictor for a dtype, of what can be encoded here.

    Example:

    >>> fit_compression((8, 2), np.dtype("uint16")), fit_compression((1, 1), np.dtype("uint16"))
    ((8, 2), None)
    """
    more = importlib.util.find_spec("imagecodecs") is not None
    if wanted is None or wanted[0] not in (_LOSSLESS if more else _ENCODED_AT_HAND):
        return None
    if wanted[1] == _NONE or (dtype.kind == "f" and not more):
        return wanted[0], _NONE
    return wanted[0], _FLOATS if dtype.kind == "f" else _DIFFERENCES
