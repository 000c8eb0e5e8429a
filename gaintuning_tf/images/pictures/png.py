"""What Pillow leaves out of PNG: 16 bits in colour or with alpha, and chunks that go along."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from gaintuning_tf.support.extras import required

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What says how to show the pixels, and texts; all of it is true of the denoised picture, too
# (PNG, third edition, section 11.3).
KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tEXt", b"zTXt", b"iTXt")
# A text of more than this is none to carry along.
_LONGEST = 2**20


def codec() -> ModuleType:
    """Import what packs PNG of 16 bits in colour, which Pillow reads as 8 bits.

    Raises:
        InputError: It is not installed.
    """
    return required("imagecodecs", "a PNG of 16 bits in colour or with alpha", "microscopy")


def is_deep(path: str | Path) -> bool:
    """Tell by its header whether a PNG has 16 bits in more than one channel.

    Args:
        path: Any file.
    """
    with open(path, "rb") as file:
        head = file.read(26)
    # Behind the signature: length and name of IHDR, width and height, bits and type of colour.
    return len(head) == 26 and head[:8] == SIGNATURE and head[24] == 16 and head[25] in (2, 4, 6)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Go through the chunks of a PNG, up to its end or the first that is cut off.

    Args:
        data: The file.

    Returns:
        Name and content of each.

    Example:

    >>> list(chunks(SIGNATURE + packed(b"gAMA", b"0000")))
    [(b'gAMA', b'0000')]
    """
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def packed(name: bytes, content: bytes) -> bytes:
    """Make a chunk: length, name, content and check sum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(data: bytes, more: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Put chunks behind the first one of a PNG, IHDR.

    Args:
        data: The file.
        more: Name and content of each.
    """
    behind = len(SIGNATURE) + 25
    return data[:behind] + b"".join(packed(*chunk) for chunk in more) + data[behind:]


def kept_chunks(path: str | Path) -> list[tuple[bytes, bytes]]:
    """Find the chunks of a PNG file that a denoised picture keeps."""
    data = Path(path).read_bytes()
    if not data.startswith(SIGNATURE):
        return []
    # Pillow writes the profile, the density and EXIF; XMP is a text, and may say how the picture is turned.
    return [
        (name, content)
        for name, content in chunks(data)
        if name in KEPT and len(content) <= _LONGEST and not content.startswith(b"XML:com.adobe.xmp")
    ]


def described(profile: bytes | None, dpi: Sequence[float] | None, exif: bytes | None) -> list[tuple[bytes, bytes]]:
    """Make the chunks of a profile, dots per inch and EXIF data."""
    made = []
    if profile:
        made.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)))
    if dpi:
        made.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)))
    if exif:
        made.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return made


def read_deep(path: str | Path) -> np.ndarray:
    """Read a PNG of 16 bits in colour or with alpha: (H, W, channels), uint16.

    Raises:
        InputError: What unpacks it is not installed.
    """
    return np.asarray(codec().png_decode(Path(path).read_bytes()))
