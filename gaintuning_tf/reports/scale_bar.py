"""How large a pixel is, where an image file says so, and the bar that shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Units of length that files write, in metres.
_METRES = {"pm": 1e-12, "å": 1e-10, "angstrom": 1e-10, "nm": 1e-9, "µm": 1e-6, "um": 1e-6, "mm": 1e-3, "cm": 1e-2}
_METRES |= {"nanometer": 1e-9, "micron": 1e-6, "microns": 1e-6, "micrometer": 1e-6, "m": 1.0, "inch": 0.0254}
# The unit of a TIFF file's resolution.
_TIFF = {2: "inch", 3: "cm"}
# A resolution of TIFF that makes pixels smaller than this is no printer's: dots per inch say
# how large a picture is on paper, not how large what it shows is.
_PRINTED = 10e-6
# Bars are about this share of the picture's width.
_SHARE = 0.2
_SHOWN = {"mm": 1e-3, "µm": 1e-6, "nm": 1e-9}


def pixel_metres(metadata: Mapping[str, Any]) -> float | None:
    """Find the width of a pixel in metres; None where the file does not say it.

    Args:
        metadata: Of the file, see `images.container.Source`: what OME or ImageJ say, or the resolution of TIFF.

    Example:

    >>> pixel_metres({"ome": {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}})
    2.5e-07
    >>> pixel_metres({"resolution": ((300, 1), (300, 1), 2)}) is None
    True
    """
    ome = metadata.get("ome", {})
    if isinstance(ome.get("PhysicalSizeX"), (int, float)):
        return _length(float(ome["PhysicalSizeX"]), ome.get("PhysicalSizeXUnit", "µm"))
    (pixels, lengths), _, unit = metadata.get("resolution", ((0, 1), (0, 1), 1))
    if not pixels:
        return None
    imagej = metadata.get("imagej", {})
    if "unit" in imagej:
        return _length(lengths / pixels, imagej["unit"])
    found = _length(lengths / pixels, _TIFF.get(unit, ""))
    return found if found and found < _PRINTED else None


def _length(size, unit):
    """Convert a length to metres; None of one that is no length."""
    unit = str(unit).strip().replace("\\u00B5", "µ").replace("μ", "µ").lower()
    metres = size * _METRES.get(unit, 0)
    return metres if math.isfinite(metres) and metres > 0 else None


def bar(metres: float, width: int) -> tuple[float, str]:
    """Choose a bar for a picture: of 1, 2 or 5 times a power of ten.

    Args:
        metres: The width of a pixel.
        width: That of the picture, in pixels.

    Returns:
        Its length in pixels, and in words.

    Example:

    >>> bar(0.25e-6, 512)
    (80.0, '20 µm')
    """
    aim = _SHARE * width * metres
    power = 10.0 ** math.floor(math.log10(aim))
    length = power * next(one for one in (5, 2, 1) if one * power <= 1.0001 * aim)
    return round(length / metres, 3), words(length)


def words(metres: float) -> str:
    """Write a length in the unit that suits it.

    Example:

    >>> words(2.5e-07), words(0.002)
    ('250 nm', '2 mm')
    """
    name = next((name for name, unit in _SHOWN.items() if metres >= 0.999 * unit), "nm")
    return f"{metres / _SHOWN[name]:.3g} {name}"
