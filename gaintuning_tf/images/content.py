"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Content:
    """A kind of file that is known by its first bytes.

    Attributes:
        words: What it is called, with its article.
        suffix: One that its files have.
    """

    words: str
    suffix: str


_TIFF, _JPEG_2000 = Content("a TIFF", ".tif"), Content("a JPEG 2000", ".jp2")
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": Content("a PNG", ".png"),
    b"\xff\xd8\xff": Content("a JPEG", ".jpg"),
    b"GIF87a": Content("a GIF", ".gif"),
    b"GIF89a": Content("a GIF", ".gif"),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _TIFF),
    b"\x93NUMPY": Content("a NumPy array", ".npy"),
    b"ZISRAWFILE": Content("a CZI", ".czi"),
    b"\xda\xce\xbe\x0a": Content("an ND2", ".nd2"),
    **dict.fromkeys((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), _JPEG_2000),
    b"\x89HDF\r\n\x1a\n": Content("an HDF5 file", ".h5"),
    b"PK\x03\x04": Content("a zip archive", ".zip"),
    b"\x1f\x8b\x08": Content("a gzip archive", ".gz"),
    b"%PDF-": Content("a PDF", ".pdf"),
    b"SIMPLE  = ": Content("a FITS", ".fits"),
}
_WEBP, _BMP, _HEIF = Content("a WebP", ".webp"), Content("a BMP", ".bmp"), Content("a HEIC or AVIF", ".heic")
# Sizes of the headers behind the first 14 bytes of a BMP.
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def content_of(path: str | Path) -> Content | None:
    """Tell what a file is by its first bytes.

    Args:
        path: Any file.

    Returns:
        What it is; None if it is not known, or no file.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.tif"
    >>> _ = path.write_bytes(b"%PDF-1.7")
    >>> content_of(path).words
    'a PDF'
    """
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        head = file.read(32)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return _HEIF
    # Two letters alone may begin a file of numbers.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return _BMP
    return next((content for start, content in _BEGINNINGS.items() if head.startswith(start)), None)
