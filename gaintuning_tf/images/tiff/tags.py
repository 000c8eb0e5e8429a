"""Tags of TIFF that are kept as they are: date, author, camera, what microscopes and maps add."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

# Types of tags by their number, as NumPy has them; rationals are pairs. Not here: offsets of other directories.
_TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4"}
_TYPES |= {12: "f8", 16: "u8", 17: "i8"}
_PAIRS = (5, 10)
# What is larger is no note on an image.
_LARGEST = 2**20
# What says how the pixels lie in the file, which is written anew, or is handled by another module.
_STRUCTURAL = {
    *range(254, 260), *range(262, 267), 270, 273, 274, *range(277, 285), *range(288, 294), 296, 297, 300, 301, 305,
    317, *range(320, 326), *range(326, 329), 330, 332, 334, 336, *range(338, 348), *range(512, 522), *range(529, 533),
    559, 32995, 32996, 32997, 32998, 33421, 33422, 34675, 37724, 50674, 50838, 50839, 65123,
}  # fmt: skip
# Offsets of directories that some write as plain numbers.
_POINTERS = {400: "global parameters", 34665: "EXIF", 34853: "GPS", 40965: "interoperability"}
# Layers of Photoshop: other images.
_LAYERS = 37724
# Where their program's own arrangement of pixels is described: STK, LSM, MD GEL, NDPI, Micro-Manager.
_ARRANGEMENTS = {*range(33628, 33632), 34412, *range(33445, 33453), *range(65420, 65460), 50288, 50289, 50290}
_ARRANGEMENTS |= {50291, 51123}
# Where the pixels are on the map, which holds for pixels that are not turned.
_PLACES = {33550, 33922, 34264}
_XMP = 700


def kept_tags(page: Any, orientation: int) -> list[tuple[int, int, int, Any, bool]]:
    """Read the tags of a page that an output keeps.

    Args:
        page: Of tifffile.
        orientation: By which the pixels are turned, see `orientation`.

    Returns:
        As tifffile's writer takes `extratags`, packed in the byte order of this machine, but
        for rationals, which are pairs of integers.
    """
    left = _STRUCTURAL | set(_POINTERS) | _ARRANGEMENTS | (_PLACES if orientation != 1 else set())
    found = []
    with open_handle(page.parent.filehandle):
        for tag in page.tags:
            number = int(tag.dtype)
            if tag.code not in left and number in _TYPES and 0 < tag.valuebytecount <= _LARGEST:
                found.append(_packed(page, tag, number))
    return found


def dropped_words(page: Any, orientation: int) -> list[str]:
    """Name what a page says, beside how its pixels lie in the file, that an output does not keep."""
    names = [name for code, name in _POINTERS.items() if code in page.tags]
    names += ["layers of Photoshop"] if _LAYERS in page.tags else []
    names += ["places on the map"] if orientation != 1 and any(code in page.tags for code in _PLACES) else []
    known = _STRUCTURAL | set(_POINTERS) | _ARRANGEMENTS
    large = [tag for tag in page.tags if tag.code not in known and tag.valuebytecount > _LARGEST]
    return names + [f"the tag {tag.code} of {tag.valuebytecount} bytes" for tag in large]


def _packed(page, tag, number):
    handle = page.parent.filehandle
    handle.seek(tag.valueoffset)
    data = handle.read(tag.valuebytecount)
    values = np.frombuffer(data, np.dtype(_TYPES[number]).newbyteorder(page.parent.byteorder))
    value = values.astype(values.dtype.newbyteorder("=")).tobytes()
    if number in _PAIRS:
        # tifffile's writer miscounts rationals that are packed.
        return int(tag.code), number, len(values) // 2, tuple(int(part) for part in values), True
    value = _upright(value) if tag.code == _XMP else value
    return int(tag.code), number, len(value) // values.itemsize, value, True


def _upright(xmp):
    """Take the orientation out of an XMP packet, in which it stands a second time: the pixels are turned."""
    xmp = re.sub(rb'(tiff:Orientation\s*=\s*["\'])\d', rb"\g<1>1", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)\d", rb"\g<1>1", xmp)


@contextlib.contextmanager
def open_handle(handle: Any) -> Iterator[None]:
    """Open the file of a page for a while, which is closed where an OME series is spread over several."""
    if not handle.closed:
        yield
        return
    handle.open()
    try:
        yield
    finally:
        handle.close()
