"""How large a WebP picture says that it is, before its decoder believes it."""

from __future__ import annotations

from pathlib import Path


def webp_canvas(path: str | Path) -> tuple[int, int] | None:
    """Read width and height in the header of a WebP file (RFC 9649, section 2).

    Args:
        path: Any file.

    Returns:
        Width and height; None for a file that is no WebP.
    """
    with open(path, "rb") as file:
        head = file.read(30)
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None

    def number(start, size):
        return int.from_bytes(head[start : start + size], "little")

    bits = 2**14 - 1
    sizes = {
        b"VP8X": (1 + number(24, 3), 1 + number(27, 3)),
        b"VP8 ": (number(26, 2) & bits, number(28, 2) & bits),
        b"VP8L": (1 + (number(21, 4) & bits), 1 + (number(21, 4) >> 14 & bits)),
    }
    return sizes.get(head[12:16])
