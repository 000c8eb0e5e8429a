"""Files that napari does not read itself, as layers that are read plane by plane, with the size of their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.images.array_layout import AXES
from gaintuning_tf.images.container import Source
from gaintuning_tf.support.extras import required

if TYPE_CHECKING:
    from gaintuning_tf.images.formats import Format

# Modules whose files napari does not read: of `formats.FORMATS`.
MODULES = ("mrc", "vendors.rosettasciio", "vendors.czi", "vendors.nd2", "vendors.lif", "vendors.oif")
LayerData = tuple[Any, dict[str, Any], str]


def reader_of(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Give napari what reads a file, or None where it reads the file itself: what the manifest names.

    Args:
        path: Of a file; of several, each becomes a layer.

    Example:

    >>> reader_of("a.mrc") is read_layers, reader_of("a.tif")
    (True, None)
    """
    paths = [path] if isinstance(path, str) else path
    return read_layers if all(_is_ours(one) for one in paths) else None


def _is_ours(path):
    from gaintuning_tf.images import formats

    suffix = formats.suffix_of(path)
    rows: list[Format] = [row for row in formats.FORMATS if suffix in row.suffixes]
    return any(row.module in MODULES for row in rows)


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Open files as layers: nothing but their headers is read.

    Args:
        path: Of one file, or of several.

    Returns:
        Of each file its array, which Dask reads plane by plane, what `add_image` takes, and `"image"`.

    Raises:
        InputError: A file cannot be read, or what reads it is not installed.
    """
    paths = [path] if isinstance(path, str) else path
    return [_layer(Path(one)) for one in paths]


def _layer(path):
    from gaintuning_tf.images import formats

    da = required("dask.array", "a layer that is read plane by plane", "napari")
    source = formats.open_source(path)
    letters = _letters(source.axes or "", len(source.shape))
    planes = _Planes(source, letters)
    chunks = [size if letter in "YX" else 1 for letter, size in zip(letters, source.shape, strict=True)]
    array = da.from_array(planes, chunks=chunks, asarray=False, lock=True, name=f"{path.name}-{id(source)}")
    ordered = [*(n for n, letter in enumerate(letters) if letter not in "YX"), letters.index("Y"), letters.index("X")]
    array = array.transpose(ordered)
    return array, _described(source, "".join(letters[n] for n in ordered), path), "image"


def _letters(said, count):
    """Give a letter for each axis, the last two Y and X where the file does not say."""
    known = len(said) == count and {"Y", "X"} <= set(said) and len(set(said)) == count
    return said if known else "?" * (count - 2) + "YX"


class _Planes:
    """An open file as an array of which Dask asks for one plane after the other."""

    def __init__(self, source: Source, letters: str):
        self.shape, self.dtype, self.ndim = source.shape, source.dtype, len(source.shape)
        self._read, self._letters = source.read, letters

    def __getitem__(self, index):
        whole = [letter in "YX" for letter in self._letters]
        place = tuple(slice(None) if all_ else part.start or 0 for all_, part in zip(whole, index, strict=True))
        plane = np.asarray(self._read(place))
        return plane.reshape([size if all_ else 1 for all_, size in zip(whole, self.shape, strict=True)])


def _described(source, letters, path):
    """Say how the layer is shown: a channel axis becomes layers, and sizes of pixels the scale."""
    ome, metadata = source.metadata.get("ome", {}), {"path": str(path)}
    shown = [letter for letter in letters if letter != "C"]
    look = {"name": path.stem, "metadata": metadata, "scale": [_step(ome, letter)[0] for letter in shown]}
    look |= {"units": [_step(ome, letter)[1] for letter in shown]}
    if set(shown) <= set(AXES):
        look["axis_labels"] = [letter.lower() for letter in shown]
    return look | ({"channel_axis": letters.index("C")} if "C" in letters else {})


def _step(ome, letter):
    """Give the size of a pixel along an axis and its unit, or 1 and `pixel`."""
    names = {"T": "TimeIncrement"}
    name = names.get(letter, f"PhysicalSize{letter}")
    step = ome.get(name)
    known = isinstance(step, (int, float)) and math.isfinite(step) and step > 0
    unit = str(ome.get(f"{name}Unit", "s" if letter == "T" else "µm"))
    return (float(step), _UNITS.get(unit, unit)) if known else (1.0, "pixel")


# Units whose sign is not their name to pint, by which napari knows them.
_UNITS = {"Å": "angstrom", "μm": "µm"}
