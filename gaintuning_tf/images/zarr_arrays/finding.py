"""Which array of a Zarr folder is the image: of OME-Zarr, of bioformats2raw's several images, of a path inside."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.series import choose_series

# The format of bioformats2raw that has several images, numbered from 0.
_LAYOUT = "bioformats2raw.layout"


@dataclasses.dataclass(frozen=True)
class Found:
    """The image of a folder.

    Attributes:
        array: A `zarr.Array`.
        group: That it belongs to, a `zarr.Group`; None if it stands alone.
        multiscale: What OME says of it; None if nothing.
        dataset: What `multiscale` says of this array alone, a level of it.
    """

    array: Any
    group: Any = None
    multiscale: dict | None = None
    dataset: dict | None = None


def ome_of(group: Any) -> dict:
    """Find what OME says in a group: since version 0.5 in a dictionary of its own."""
    found = group.attrs.get("ome")
    return found if isinstance(found, dict) else dict(group.attrs)


def find_image(path: Path, zarr: Any, series: int | None = None) -> Found:
    """Find the image in a folder.

    Args:
        path: The folder, of an array or a group, which may lie within another.
        zarr: The library.
        series: The number of the image, if there are several.

    Raises:
        InputError: There is none, or several of which the path has to be given.
    """
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        choose_series(path, [path.name], series)
        return _level_of_parent(path, zarr, node)
    ome = ome_of(node)
    multiscales = ome.get("multiscales")
    if multiscales:
        names = [str(one.get("name", "")) for one in multiscales]
        return _level0(node, multiscales[choose_series(path, names, series)])
    _refuse_plates(path, node, ome)
    if _LAYOUT in ome or _LAYOUT in node.attrs:
        images = _images_of_layout(path)
        chosen = path / images[choose_series(path, images, series)]
        if path.resolve() not in chosen.resolve().parents:
            raise InputError(f"{path} is damaged: it names {chosen} as an image of its own")
        return find_image(chosen, zarr)
    return _only_array(path, node, series)


def _level0(group, multiscale):
    dataset = multiscale["datasets"][0]
    return Found(group[dataset["path"]], group, multiscale, dataset)


def _level_of_parent(path, zarr, array):
    """Find what a group around an array, within a Zarr, says of it."""
    place = path.resolve()
    zarrs = [parent for parent in place.parents if parent.suffix.lower() == ".zarr"]
    for parent in place.parents if zarrs else ():
        if not any((parent / mark).is_file() for mark in (".zgroup", "zarr.json")):
            break
        group = zarr.open_group(parent, mode="r")
        for multiscale in ome_of(group).get("multiscales", ()):
            for dataset in multiscale["datasets"]:
                if (parent / dataset["path"]).resolve() == place:
                    return Found(array, group, multiscale, dataset)
    return Found(array)


def _refuse_plates(path, node, ome):
    """Refuse what has the images of many places: a plate of wells, a well of fields."""
    for kind, parts, word in (("plate", "wells", "wells"), ("well", "images", "fields")):
        if isinstance(ome.get(kind), dict):
            found = [str(one["path"]) for one in ome[kind].get(parts, ())]
            inner = f"{found[0]}{'/0' if kind == 'plate' else ''}" if found else "A/1/0"
            raise InputError(
                f"{path} is a {kind} of {len(found)} {word}: give the path of a field, such as {path}/{inner}"
            )


def _images_of_layout(path):
    """List the images of a folder of bioformats2raw's: those that its OME folder names, else those numbered from 0."""
    for name, key in ((".zattrs", None), ("zarr.json", "attributes")):
        file = path / "OME" / name
        if file.is_file():
            said = json.loads(file.read_text())
            said = said.get(key, {}) if key else said
            listed = said.get("ome", said).get("series")
            if listed:
                return [str(one) for one in listed]
    count = 0
    while (path / str(count)).is_dir():
        count += 1
    return [str(number) for number in range(count)]


def _only_array(path, node, series):
    arrays, groups = dict(node.arrays()), sorted(name for name, _ in node.groups())
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)[:5]) or "none"
        others = f" and groups: {', '.join(groups[:5])}" if groups else ""
        inner = (sorted(arrays) + groups)[:1]
        raise InputError(
            f"expected an OME-Zarr group, or one array, in {path}, found arrays: {names}{others}; give one's path"
            + (f", such as {path}/{inner[0]}" if inner else "")
        )
    choose_series(path, list(arrays), series)
    return Found(next(iter(arrays.values())), node)
