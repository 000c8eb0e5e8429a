"""What the samples of a TIFF file mean: grey or RGB, where brighter is larger, and how opaque a pixel is."""

from __future__ import annotations

import dataclasses
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, reason_of

# Photometric interpretations of TIFF.
_WHITE_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _LABS = 0, 2, 3, 5, 6, (8, 9, 10)
# Extra samples of TIFF: colours that are multiplied by this opacity, and those that are not.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Compressions that hand out RGB whatever they keep, each of them a JPEG.
_JPEGS = (6, 7, 33007, 34892)
_CMYK = 1


@dataclasses.dataclass(frozen=True)
class Colours:
    """How stored samples become values.

    Attributes:
        dtype: Of the values.
        channels: How many; 0 for grey without an axis of its own.
        values: Makes an array with the samples last, or without samples, the values.
        alpha: Makes it the opacity of each pixel; None if there is none.
        kept: What a writer is to know, such as the table of colours for the display.
        replaces_profile: Whether the file's colour profile no longer holds.
    """

    dtype: np.dtype
    channels: int
    values: Callable[[np.ndarray], np.ndarray]
    alpha: Callable[[np.ndarray], np.ndarray] | None = None
    kept: dict = dataclasses.field(default_factory=dict)
    replaces_profile: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether the values are the samples."""
        return self.values is _same


def colours_of(path: str | Path, page: Any, samples: int, dtype: np.dtype, *, imagej: bool) -> Colours:
    """Find what the samples of a page mean.

    Args:
        path: The file, for messages.
        page: Of tifffile.
        samples: Per pixel, 0 if there is no axis of them.
        dtype: Of the samples.
        imagej: Whether ImageJ wrote it, whose tables of colours are for the display.

    Raises:
        InputError: The colours are of a kind that cannot be converted.
    """
    photometric = int(page.photometric)
    if photometric == _PALETTE and not samples:
        return _of_palette(path, page, dtype, imagej)
    if photometric in _LABS:
        raise InputError(f"expected grey, RGB or CMYK, {path} has L*a*b* colours: convert it to RGB first")
    if photometric == _WHITE_IS_ZERO and dtype.kind == "f":
        # There is no largest float to count from: the values stay, and so does what is said of them.
        return Colours(dtype, samples, _same, kept={"white_is_zero": True})
    alpha = _alpha_at(page, samples)
    colours = _converted(path, page, photometric, samples - (alpha is not None), dtype)
    return colours if alpha is None else _beside_alpha(colours, alpha, page, samples)


def as_stored(dtype: np.dtype, samples: int) -> Colours:
    """Take the samples for the values."""
    return Colours(dtype, samples, _same)


def _same(samples):
    return samples


def _converted(path, page, photometric, samples, dtype):
    bits = int(page.bitspersample)
    # Of 2 or 4 bits per value the largest is shown as 8 bits' largest, not nearly black.
    scale = 255 // (2**bits - 1) if dtype == np.uint8 and bits in (2, 4) else 1
    if photometric == _WHITE_IS_ZERO:
        return Colours(dtype, samples, _inverted(dtype, bits, scale), kept={"inverted": True})
    inks = page.tags.get("InkSet")
    if photometric == _SEPARATED and samples == 4 and (inks is None or int(inks.value) == _CMYK):
        return _of_cmyk(path, page, dtype)
    if photometric == _YCBCR and samples == 3 and int(page.compression) not in _JPEGS and dtype == np.uint8:
        return Colours(dtype, 3, _from_ycbcr)
    values = _same if scale == 1 else lambda stored: (scale * stored).astype(np.uint8)
    return Colours(dtype, samples, values, kept={"rgb": True} if photometric in (_RGB, _YCBCR) else {})


def _inverted(dtype, bits, scale):
    largest = 2**bits - 1 if dtype.kind == "u" else -1

    def values(samples):
        turned = np.subtract(np.array(largest, dtype), samples, dtype=dtype)
        return turned if scale == 1 else (scale * turned).astype(dtype)

    return values


def _alpha_at(page, samples):
    """Find which sample is the opacity; None if there is none, or nothing but one."""
    extras = [int(extra) for extra in page.extrasamples]
    places = [samples - len(extras) + n for n, extra in enumerate(extras) if extra in (_ASSOCIATED, _UNASSOCIATED)]
    return places[0] if places and places[0] > 0 else None


def _beside_alpha(colours, place, page, samples):
    associated = _ASSOCIATED in [int(extra) for extra in page.extrasamples]
    others = [n for n in range(samples) if n != place]
    grey = len(others) == 1

    def values(stored):
        found = colours.values(_divided(stored[..., others], stored[..., place]) if associated else stored[..., others])
        return found[..., 0] if grey else found

    return dataclasses.replace(
        colours, channels=0 if grey else colours.channels, values=values, alpha=lambda stored: stored[..., place]
    )


def _divided(colours, alpha):
    """Take the opacity out of colours that were multiplied by it; what is not to be seen is black."""
    largest = np.iinfo(colours.dtype).max if colours.dtype.kind in "iu" else 1
    opacity = alpha[..., None].astype(np.float64) / largest
    clear = opacity > 0
    found = np.divide(colours, opacity, out=np.zeros(colours.shape), where=np.broadcast_to(clear, colours.shape))
    if colours.dtype.kind in "iu":
        found = np.clip(np.rint(found), 0, largest)
    return found.astype(colours.dtype)


def _of_palette(path, page, dtype, imagej):
    """Look values up in the table of colours, if they are no values themselves."""
    table = np.asarray(page.colormap)
    if table.ndim != 2 or table.shape[0] != 3 or dtype.kind != "u" or dtype.itemsize > 2:
        raise InputError(f"cannot read {path} as an image: its table of colours has the shape {table.shape}")
    ramp = bool((np.diff(table.astype(np.int64), axis=1) >= 0).all()) and bool((table[:, 0] < table[:, -1]).any())
    if imagej or (ramp and table.shape[1] == 2 ** (8 * dtype.itemsize)):
        return Colours(dtype, 0, _same, kept={"colormap": table})
    table = _eight_bits(table)
    grey = bool((table == table[:1]).all())
    table = np.ascontiguousarray(table[0] if grey else table.T)

    def values(indices):
        return table[np.minimum(indices, len(table) - 1)]

    return Colours(table.dtype, 0 if grey else 3, values)


def _eight_bits(table):
    """Make a table of colours one of 8 bits, if it has no more; writers fill 16 bits in three ways."""
    if table.max() < 256:
        return table.astype(np.uint8)
    if not (table & 255).any() or (table % 257 == 0).all():
        return (table >> 8).astype(np.uint8)
    return table


def _from_ycbcr(samples):
    """Make Y, Cb and Cr of 8 bits RGB, as JPEG does (ITU-T T.871)."""
    y, cb, cr = np.moveaxis(samples.astype(np.float64), -1, 0)
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    return np.clip(np.rint(np.stack([red, green, blue], -1)), 0, 255).astype(np.uint8)


def _of_cmyk(path, page, dtype):
    """Choose how inks become RGB: by the file's profile, else by their products."""
    largest = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0

    def product(samples):
        inks = 1 - samples.astype(np.float64) / largest
        values = largest * inks[..., :3] * inks[..., 3:4]
        return (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)

    profile = page.tags.get("InterColorProfile")
    convert = words = None
    if profile is not None and dtype == np.uint8:
        try:
            convert, words = cmyk_by_profile(bytes(profile.value)), "by the profile in it"
        except Exception as error:  # whatever littleCMS makes of damaged ones
            words = f"without its profile ({reason_of(error)})"
    elif profile is not None:
        words = "without its profile, which needs 8 bits"
    words = words or "without a profile, for it has none"
    warnings.warn(f"{path}: CMYK colours are converted to RGB, {words}", GainTuningWarning, stacklevel=2)
    return Colours(dtype, 3, convert or product, kept={"rgb": True}, replaces_profile=True)


def cmyk_by_profile(profile: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Give a function that converts CMYK of 8 bits, of any shape (..., width, 4), to sRGB by a profile of ICC."""
    from PIL import Image, ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), "CMYK", "RGB"
    )

    def convert(samples):
        flat = np.ascontiguousarray(samples.reshape(-1, samples.shape[-2], 4))
        planes = flat.reshape(-1, flat.shape[1] * 4)
        image = Image.frombytes("CMYK", (flat.shape[1], len(planes)), planes.tobytes())
        found = ImageCms.applyTransform(image, transform)
        assert found is not None, "only what is converted in place gives None"
        return np.asarray(found).reshape(*samples.shape[:-1], 3)

    return convert
