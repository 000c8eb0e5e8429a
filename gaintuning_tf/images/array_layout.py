"""How an array becomes frames for a network, and back: axes, dtype and range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.bad_pixels import BadPixels, common_extent, find_bad_pixels
from gaintuning_tf.images.frame_order import NUMBERING, FrameOrder

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


AXES = f"{NUMBERING}YX"
# Percentiles of an image that are black and white in pictures to look at.
SHOWN = (0.1, 99.9)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How an array becomes frames for a network, and how they become an array again.

    Attributes:
        axes: A letter per axis of the array: Y and X; C, T and Z if present.
        shape: Shape of the array.
        dtype: Its dtype.
        offset: Value of the array that becomes 0 in the frames.
        data_range: Difference of values that becomes 1.
        channels: Channels per frame.
        dimensions: Spatial axes of a frame: 3 for a network of volumes.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: float
    data_range: float
    channels: int
    dimensions: int = 2

    @property
    def order(self) -> FrameOrder:
        """Where each frame is in the array."""
        return FrameOrder(self.axes, self.shape, self.channels, self.dimensions)

    def frames(self, image: np.ndarray) -> np.ndarray:
        """Make the array float32 frames (F, H, W, channels), of volumes (F, D, H, W, channels), nominally in [0, 1]."""
        array = self.order.frames(image)
        array = array if self.order.frame_axes.endswith("C") else array[..., None]
        return ((array.astype(np.float64) - self.offset) / self.data_range).astype(np.float32)

    def image(self, frames: np.ndarray) -> np.ndarray:
        """Make frames the array again: integers are rounded and clipped to their dtype's range."""
        array = self.order.array(frames.astype(np.float64) * self.data_range + self.offset)
        return np.ascontiguousarray(convert(array, self.dtype))

    def display(self, image: np.ndarray) -> Layout:
        """Take the range that most pixels of an image have, for pictures to look at, where it is a small part of this.

        A few bright pixels, or a faint image in a large range, would make a page black.

        Args:
            image: What is shown, noisy.

        Returns:
            The layout of the range from the 0.1st to the 99.9th percentile; this one if that is half of its range or
            more, so that photographs look as they are.
        """
        values = np.ma.compressed(image) if np.ma.isMaskedArray(image) else np.ravel(image)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, SHOWN) if values.size else (0, 0)
        within = min(high, self.offset + self.data_range) - max(low, self.offset)
        # Noise may go a little beyond the range.
        if high <= low or (within >= self.data_range / 2 and high - low <= 1.5 * self.data_range):
            return self
        return dataclasses.replace(self, offset=float(low), data_range=float(high - low))

    def picture(self, image: np.ndarray) -> np.ndarray:
        """Make one frame to look at, (H, W) or (H, W, 3), uint8: the first of several, the middle plane of a volume."""
        # Without the labels that it may have, and with its mask.
        image = np.ma.asanyarray(image)
        colour = "C" in self.axes and image.shape[self.axes.index("C")] == 3
        order = FrameOrder(self.axes, image.shape, 3 if colour else 1)
        middle = image.shape[self.axes.index("Z")] // 2 if self.dimensions == 3 else 0
        places = zip(self.axes, order.index(0), strict=True)
        array = order.frame(image[tuple(middle if letter == "Z" else place for letter, place in places)])
        scaled = (np.ma.getdata(array).astype(np.float64) - self.offset) / self.data_range
        return np.rint(255 * np.clip(np.nan_to_num(scaled), 0, 1)).astype(np.uint8)


def layout(
    image: np.ndarray,
    model_channels: int,
    *,
    axes: str | None = None,
    data_range: float | None = None,
    bad: BadPixels | None = None,
    from_zero: bool = False,
    dimensions: int = 2,
) -> Layout:
    """Find out how `image` is to be handed to a network of `model_channels` channels.

    Range. Unsigned integers: 0 to the smallest of 2^8-1, 2^10-1, 2^12-1, 2^14-1 and
    2^16-1 that holds the brightest pixel and, for uint8, 255: cameras put 12 bits
    into 16. Floats that lie about [0, 1], noise included (between -2 and 3): [0, 1].
    All else, and unsigned integers of 16 bits or more whose smallest value is further from 0 than
    from the largest: minimum to maximum. Pixels that do not count have no say in it,
    see `bad_pixels.find_bad_pixels`, nor have a few that are far from all others, see
    `BadPixels.extent`.

    Channels. Those of the image, if the network takes as many; if it takes one, each
    channel is a frame of its own.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3), or anything that `axes` describes.
        model_channels: Channels that the network takes.
        axes: A letter per axis: Y and X, and C, T, Z where present.
        data_range: Value that becomes 1; 0 stays 0.
        bad: What `find_bad_pixels` found in it; found here if absent.
        from_zero: Whether unsigned integers are to start at 0 in any case, for they are counts.
        dimensions: Spatial axes that the network takes: with 3, (D, H, W) is one volume.

    Raises:
        InputError: The dtype, shape, axes or range cannot be used, or a pixel that counts is not finite.

    Example:

    >>> layout(np.zeros((5, 4, 3), np.uint8), 1).frames(np.zeros((5, 4, 3), np.uint8)).shape
    (3, 5, 4, 1)
    """
    order = order_of(image, model_channels, axes=axes, dimensions=dimensions)
    if bad is None:
        check_finite(image)
    if data_range is None:
        ends = (0.0, 255.0) if image.dtype == np.uint8 else _extent(bad or find_bad_pixels(image, order), order)
        offset, data_range = nominal_range(image.dtype, *ends, from_zero=from_zero)
    else:
        offset, data_range = 0.0, check_data_range(data_range)
    return Layout(order.axes, image.shape, image.dtype, float(offset), float(data_range), model_channels, dimensions)


def _extent(bad, order):
    """Join the extents of all frames that have pixels that count."""
    parts = (BadPixels(bad.kinds[index], bad.filled[index]) for index in map(order.index, range(order.frame_count)))
    return common_extent(part.extent() for part in parts if part.mask is None or not part.mask.all())


def order_of(image: np.ndarray, model_channels: int, *, axes: str | None = None, dimensions: int = 2) -> FrameOrder:
    """Find which part of an array is a frame for a network, as `layout` does.

    Raises:
        InputError: The dtype, shape or axes cannot be used.

    Example:

    >>> order_of(np.zeros((5, 4, 3), np.uint8), 1).frame_count
    3
    """
    if image.dtype.kind not in "iuf":
        raise InputError(f"expected an image of integers or floats, received dtype {image.dtype}")
    axes = default_axes(image.shape, dimensions) if axes is None else check_axes(axes, image.shape)
    height, width = (image.shape[axes.index(letter)] for letter in "YX")
    if image.size == 0 or height * width < 2:
        raise InputError(f"expected an image of at least 2 pixels, received the shape {image.shape}")
    return FrameOrder(axes, image.shape, model_channels, dimensions)


def check_data_range(data_range: float | None) -> float:
    """Give back a range that can be used; 1 for None, where it is to be found.

    Raises:
        InputError: It is no positive number.
    """
    if data_range is None:
        return 1.0
    if not (math.isfinite(data_range) and data_range > 0):
        raise InputError(f"expected data_range to be a positive number, received {data_range}")
    return float(data_range)


def check_finite(image: np.ndarray, missing: np.ndarray | None = None) -> None:
    """Refuse an image with NaN or infinite pixels, other than missing ones.

    Args:
        image: Any shape, integers or floats.
        missing: True where a pixel is missing.

    Raises:
        InputError: There is one; it says how many, and by which option they are left out.
    """
    if image.dtype.kind != "f":
        return
    bad = ~np.isfinite(np.ma.getdata(image)) & (True if missing is None else ~missing)
    if bad.any():
        raise InputError(
            f"expected finite pixels, received {np.count_nonzero(bad)} that are NaN or infinite; "
            "nan='missing', or --nan missing, leaves them out"
        )


def default_axes(shape: Sequence[int], dimensions: int = 2) -> str:
    """Guess the axes of an image of which only the shape is known.

    Raises:
        InputError: The shape does not say.

    Example:

    >>> default_axes((480, 640, 3)), default_axes((32, 480, 640), dimensions=3)
    ('YXC', 'ZYX')
    """
    if dimensions == 3:
        return _axes_of_volume(shape)
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3 and shape[-1] in (1, 3):
        return "YXC"
    raise InputError(
        f"expected an image of shape (H, W), (H, W, 1) or (H, W, 3), received {shape}; "
        "say what its axes are, such as axes='TYX' or axes='YXC'"
    )


def _axes_of_volume(shape):
    if len(shape) == 3:
        return "ZYX"
    if len(shape) == 4 and shape[-1] in (1, 3):
        return "ZYXC"
    raise InputError(
        f"the network takes volumes of shape (D, H, W) or (D, H, W, 3), received {shape}; say what the axes are, such "
        "as axes='TZYX' or axes='ZCYX'"
    )


def check_axes(axes: str, shape: Sequence[int]) -> str:
    """Give axes back in capitals, once it is sure that they can be those of an image of that shape.

    Raises:
        InputError: They cannot.

    Example:

    >>> check_axes("tyx", (9, 480, 640))
    'TYX'
    """
    axes = str(axes).upper()
    if len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes) <= set(AXES):
        raise InputError(f"expected axes to have Y and X and at most one each of C, T, Z, received {axes!r}")
    if len(axes) != len(shape):
        raise InputError(f"axes {axes!r} names {len(axes)} axes, the image has {len(shape)}: {shape}")
    return axes


def nominal_range(dtype: DTypeLike, lowest: float, highest: float, *, from_zero: bool = False) -> tuple[float, float]:
    """Find the value that becomes 0 for a network, and the difference that becomes 1; see `layout`.

    Args:
        dtype: Of the image.
        lowest: Its smallest value.
        highest: Its largest value.
        from_zero: Whether unsigned integers are to start at 0 in any case.

    Example:

    >>> nominal_range("uint16", 7, 3000), nominal_range("uint16", 32500, 33300)
    ((0.0, 4095.0), (32500, 800))
    """
    dtype = np.dtype(dtype)
    # From 0, a network sees less than half of its range, which costs 0.4 dB and more, see
    # docs/log/2026-11-26-what-to-put-in-place-of-areas-that-do-not-count.md.
    far = dtype != np.uint8 and 0 < highest - lowest < lowest and not from_zero
    if dtype.kind == "u" and highest <= 65535 and not far:
        depths = (8,) if dtype == np.uint8 else (8, 10, 12, 14, 16)
        return 0.0, next(float(2**bits - 1) for bits in depths if highest <= 2**bits - 1)
    if dtype.kind == "f" and lowest >= -2 and highest <= 3:
        return 0.0, 1.0
    return lowest, (highest - lowest) or 1.0


def convert(frame: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Convert values to another dtype: rounded, and clipped to its limits, never wrapped around.

    Args:
        frame: Floats in the units of the image.
        dtype: Integer or float.

    Raises:
        InputError: A value is not finite and the dtype one of integers.

    Example:

    >>> convert(np.array([-3.2, 12.6, 300]), "uint8")
    array([  0,  13, 255], dtype=uint8)
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        # What is infinite stays so.
        return np.where(np.isfinite(frame), np.clip(frame, limits.min, limits.max), frame).astype(dtype)
    if not np.isfinite(frame).all():
        raise InputError(f"expected finite values to write as {dtype}, received NaN or infinite ones")
    limits = np.iinfo(dtype)
    rounded = np.rint(np.asarray(frame, np.float64))
    # The largest 64-bit integers are no doubles: the next one up would wrap around.
    converted = np.clip(rounded, limits.min, np.nextafter(float(limits.max), 0) if dtype.itemsize == 8 else limits.max)
    converted = converted.astype(dtype)
    converted[rounded >= float(limits.max)] = limits.max
    return converted
