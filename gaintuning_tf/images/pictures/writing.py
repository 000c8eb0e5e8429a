"""Pixels, and what else there was to say of a picture, in the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.images.pictures import png

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

# At 95 and with the colours of every pixel, JPEG adds less than the noise that is left; WebP loses nothing.
_OPTIONS = {
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".bmp": {"format": "BMP"},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
}
_OPTIONS[".jpeg"] = _OPTIONS[".jpg"]
# What of the metadata of a picture each format holds.
KEPT = {
    ".png": ("alpha", "icc_profile", "dpi", "exif", "chunks"),
    ".jpg": ("icc_profile", "dpi", "exif", "comment"),
    ".webp": ("alpha", "icc_profile", "exif"),
    ".bmp": ("dpi",),
}
KEPT[".jpeg"] = KEPT[".jpg"]


def picture_holds(suffix: str, shape: Sequence[int], dtype: DTypeLike) -> bool:
    """Tell whether a picture of that suffix keeps a dtype.

    Example:

    >>> picture_holds(".png", (5, 4), "uint16"), picture_holds(".jpg", (5, 4), "uint16")
    (True, False)
    """
    dtype = np.dtype(dtype)
    return dtype == np.uint8 or (dtype == np.uint16 and suffix == ".png")


def needs_codec(suffix: str, shape: Sequence[int], dtype: DTypeLike, metadata: dict[str, Any]) -> bool:
    """Tell whether Pillow alone cannot write a picture: a PNG of 16 bits in colour or with alpha.

    Args:
        suffix: Of the file.
        shape: (H, W) or (H, W, channels).
        dtype: Of the pixels.
        metadata: As `reading.Picture` has it.
    """
    deep = suffix == ".png" and np.dtype(dtype) == np.uint16
    return deep and ((len(shape) == 3 and shape[-1] > 1) or "alpha" in metadata)


def encoded(pixels: np.ndarray, suffix: str, metadata: dict[str, Any]) -> bytes:
    """Encode a picture.

    Args:
        pixels: (H, W), (H, W, 1) or (H, W, 3), uint8, for PNG uint16, too.
        suffix: Of the file.
        metadata: As `reading.Picture` has it; what the format does not hold is left out.

    Returns:
        The bytes of the file.

    Raises:
        InputError: What packs it is not installed.
    """
    kept = {name: metadata[name] for name in KEPT[suffix] if metadata.get(name) is not None}
    whole = with_alpha(pixels, kept.pop("alpha", None))
    if suffix != ".png":
        return _by_pillow(whole, suffix, kept)
    deep = needs_codec(suffix, whole.shape, whole.dtype, {})
    data = bytes(png.codec().png_encode(whole)) if deep else _by_pillow(whole, suffix, {})
    described = png.described(kept.get("icc_profile"), kept.get("dpi"), kept.get("exif"))
    return png.with_chunks(data, [*kept.get("chunks", ()), *described])


def _by_pillow(whole, suffix, kept):
    import PIL.Image

    data = io.BytesIO()
    PIL.Image.fromarray(whole).save(data, **_OPTIONS[suffix], **kept)
    return data.getvalue()


def with_alpha(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Put an alpha channel behind the colours, at their number of bits.

    Args:
        pixels: (H, W), (H, W, 1) or (H, W, 3), unsigned integers.
        alpha: (H, W), unsigned integers; None leaves the pixels without.

    Returns:
        (H, W) for grey without alpha, else (H, W, channels).
    """
    pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    if alpha is None or alpha.shape != pixels.shape[:2]:
        return np.ascontiguousarray(pixels)
    most = np.iinfo(pixels.dtype).max
    scaled = np.rint(alpha * (most / np.iinfo(alpha.dtype).max)).astype(pixels.dtype)
    return np.dstack([pixels, scaled])
