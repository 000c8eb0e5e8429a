"""Which axis of an array is which, by what others say: scikit-image's `channel_axis`, and the names of xarray."""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError

# The letters that axes have.
AXES = "TZCYX"
# The axes beside that of the channels, by their number: those of scikit-image are all of
# space, and so is a third one here, which is a depth to a network of volumes and a
# stack of images to others.
_BESIDE_CHANNELS = {2: "YX", 3: "ZYX", 4: "TZYX"}


def is_labelled(image: Any) -> bool:
    """Whether an array is a DataArray of xarray, which nobody has without having imported xarray.

    Raises:
        InputError: It is a Dataset, of several.
    """
    xarray = sys.modules.get("xarray")
    if xarray is None:
        return False
    if isinstance(image, xarray.Dataset):
        names = ", ".join(map(str, image))
        raise InputError(f"expected an array, such as one DataArray of the Dataset, received a Dataset of {names}")
    return isinstance(image, xarray.DataArray)


def axes_said(image: Any, axes: str | None = None, channel_axis: int | None = None) -> str | None:
    """Find the axes of an array by whichever says them: `axes`, the names of its dimensions, or `channel_axis`.

    Dimensions that are named y, x, c, t and z, in capitals or not, are axes.

    Args:
        image: An array of NumPy or Dask, or a DataArray of xarray.
        axes: A letter per axis.
        channel_axis: Number of the axis with the channels, from the end if below 0, as scikit-image has it.

    Returns:
        A letter per axis, or None where nobody says.

    Raises:
        InputError: They contradict each other or the array, or only some dimensions have a name of an axis.

    Example:

    >>> axes_said(np.zeros((3, 480, 640)), channel_axis=0), axes_said(np.zeros((480, 640)))
    ('CYX', None)
    """
    labelled = is_labelled(image)
    shape = np.shape(image)
    if axes is None and labelled:
        axes = _axes_of_names(image.dims)
    if channel_axis is None:
        return axes
    place = _place(channel_axis, shape)
    if axes is None:
        beside = _BESIDE_CHANNELS[len(shape) - 1]
        return f"{beside[:place]}C{beside[place:]}"
    if len(axes) == len(shape) and axes[place].upper() == "C":
        return axes
    raise InputError(f"expected channel_axis {channel_axis} to be C of axes {axes!r}, which it is not; give one")


def _place(channel_axis, shape):
    """Count an axis from the front."""
    try:
        place = operator.index(channel_axis)
    except TypeError:
        place = len(shape)
    if isinstance(channel_axis, bool) or not -len(shape) <= place < len(shape):
        raise InputError(
            f"expected channel_axis to be the number of an axis of an image of shape {shape}, received {channel_axis!r}"
        )
    if len(shape) - 1 not in _BESIDE_CHANNELS:
        raise InputError(
            f"expected 2 to 4 axes beside that of the channels, channel_axis {channel_axis}, received the shape {shape}"
        )
    return place % len(shape)


def _axes_of_names(names: Sequence) -> str | None:
    """Find the axes that dimensions are named after; None where none is."""
    letters = [str(name).upper() for name in names]
    known = [letter in AXES and len(letter) == 1 for letter in letters]
    if all(known):
        return "".join(letters)
    if any(known):
        raise InputError(
            f"expected dimensions named y, x, and c, t, z where present, received {', '.join(map(str, names))}: rename "
            "them, or say what they are, such as axes='TYX'"
        )
    return None


def values_of(image: Any, like: Any = None) -> Any:
    """Take the labels off an array.

    Args:
        image: Any array; of a DataArray, its values, which may be Dask's.
        like: A DataArray, in the order of whose dimensions the values are to be, repeated along those that are
            missing; none for their own.

    Raises:
        InputError: There is a dimension that `like` has not, or a coordinate that differs.
    """
    if not is_labelled(image):
        return image
    if like is None or not is_labelled(like):
        return image.data
    try:
        same = sys.modules["xarray"].align(image, like, join="exact", copy=False)[0]
        return same.broadcast_like(like).transpose(*like.dims).data
    except ValueError as error:
        raise InputError(
            f"expected a mask with dimensions and coordinates of the image, {', '.join(map(str, like.dims))}, received "
            f"{', '.join(map(str, image.dims))} of shape {image.shape}"
        ) from error


def with_labels(values: Any, like: Any) -> Any:
    """Give an array the dimensions, coordinates, name and attributes of another of its shape, if that has labels."""
    return like.copy(data=values) if is_labelled(like) else values
