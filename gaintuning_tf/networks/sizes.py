"""Image sizes that a network accepts, and padding to the next of them, or tiles of the one that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from gaintuning_tf.errors import InputError, NetworkError, of_network

# Powers of two come first: if one of them will do, the least that does is a power of two.
# The others are of networks that divide by 3, or have windows of 5, 6, 7 or 12 pixels.
POWERS = (1, 2, 4, 8, 16, 32, 64, 128)
OTHERS = (3, 5, 6, 7, 9, 10, 12, 14, 15, 18, 20, 24, 28, 30, 36, 40, 42, 48, 56, 60, 72, 80, 84, 96, 112, 120)
MULTIPLES = (*POWERS, *OTHERS)
# Neighbouring tiles of a network of fixed size share this part of their side. A UNet of
# 64x64 loses 0.02 dB with an eighth, none with a quarter (camera, sigma 25), which takes
# 1.8 times the pixels.
SHARED = 1 / 4


def check_denoiser(model: keras.Model) -> None:
    """Refuse a model that is not one image in, one image of the same shape out.

    Raises:
        InputError: It has several inputs or outputs, its number of channels is
            unknown or changes, or its output has another size than its input.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(
            f"expected a denoiser with one image in and one image out, {model.name!r} has {len(model.inputs)} inputs "
            f"and {len(model.outputs)} outputs"
        )
    given, returned = model.inputs[0].shape, model.outputs[0].shape
    if len(given) < 3 or given[-1] is None:
        raise InputError(f"expected a denoiser of images (N, H, W, C), {model.name!r} takes the shape {given}")
    # A last channel more is the level of the noise.
    if len(returned) != len(given) or returned[-1] not in (given[-1], given[-1] - 1) or not returned[-1]:
        raise InputError(
            f"expected a denoiser whose output has its input's shape, {model.name!r} makes {returned} of {given}"
        )


def size_multiple(model: keras.Model) -> int:
    """Find the smallest number whose multiples `model` accepts as sides of an image.

    1 for a network that keeps the resolution or pads by itself; 2^k for one that
    halves it k times and needs the halves to fit when it doubles it again; 3, 6 or 12
    for one that divides by 3 or has windows of so many pixels. Sides that the model
    fixes have no say, see `fixed_sides`; one of fixed size has 1.

    Raises:
        InputError: No multiple up to 128 gives an output of the input's size.

    Example:

    >>> inputs = keras.Input((None, None, 1))
    >>> half = keras.layers.Conv2D(1, 3, strides=2, padding="same")(inputs)
    >>> full = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(half)
    >>> size_multiple(keras.Model(inputs, full))
    2
    """
    shape = model.inputs[0].shape
    if None not in shape[1:-1]:
        if model.outputs[0].shape[1:-1] != shape[1:-1]:
            raise InputError(f"{_wrong_size(model)} {shape} becomes {model.outputs[0].shape}")
        return 1
    for multiple in MULTIPLES:
        # Several numbers of blocks: one alone might happen to fit.
        if all(_keeps(model, _with_size(shape, blocks * multiple)) for blocks in (4, 5, 7)):
            return multiple
    given = _with_size(shape, 4)
    returned = _output_shape(model, given)
    outcome = "is refused" if returned is None else f"becomes {returned}"
    raise InputError(f"{_wrong_size(model)} {given} {outcome}")


def called(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Call a network in inference mode.

    Raises:
        NetworkError: Whatever it raises, in one line.
    """
    with of_network(model.name):
        return model(images, training=False)


def fixed_sides(model: keras.Model) -> tuple[int | None, ...]:
    """List the sides that the model fixes, one for each spatial axis: None for one that may be any.

    Example:

    >>> inputs = keras.Input((64, None, 1))
    >>> fixed_sides(keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs)))
    (64, None)
    """
    return tuple(model.inputs[0].shape[1:-1])


def check_size(model: keras.Model, shape: tf.TensorShape | Sequence[int]) -> None:
    """Refuse images of another number of axes or channels than the model takes; sides may be any, see `at_any_size`.

    Raises:
        InputError: They have.
    """
    expected = (*(None for _ in fixed_sides(model)), model.outputs[0].shape[-1])
    if len(shape) - 1 != len(expected) or shape[-1] != expected[-1]:
        raise InputError(f"{model.name!r} expects images of shape {expected}, received {tuple(shape[1:])}")


def pad_symmetric(images: tf.Tensor, multiple: int, axes: Sequence[int] | None = None) -> tf.Tensor:
    """Mirror images (N, ..., C) at the end of each spatial axis, or of `axes`, up to the next multiple.

    Unlike `tf.pad`, it can add more than the image has.

    Example:

    >>> pad_symmetric(tf.reshape([1.0, 2.0], (1, 2, 1)), 8)[0, :, 0].numpy().tolist()
    [1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 1.0]
    """
    axes = range(1, len(images.shape) - 1) if axes is None else axes
    for axis in axes if multiple > 1 else ():
        images = mirror(images, axis, 0, tf.math.floormod(-tf.shape(images)[axis], multiple))
    return images


def at_any_size(model: keras.Model, multiple: int | None = None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Run a network on images of any size: mirrored to what it takes, in inference mode, and cropped.

    Along an axis whose side the network fixes, an image is cut into tiles of that side, which share a quarter
    with their neighbours, and put together by weights that fall to zero towards the edges of a tile; one that is
    smaller is mirrored to it. An image of just that size is one tile.

    Args:
        model: A denoiser of images (N, ..., C).
        multiple: The number whose multiples it takes as sides; `size_multiple` of it by default.

    Returns:
        Images to the denoised images, of the same shape and dtype.

    Example:

    >>> halves = keras.Sequential([keras.Input((None, None, 1)), keras.layers.AveragePooling2D(2),
    ...                            keras.layers.UpSampling2D()])
    >>> at_any_size(halves)(tf.ones((1, 5, 7, 1))).shape.as_list()
    [1, 5, 7, 1]
    """
    multiple = size_multiple(model) if multiple is None else multiple
    sides = dict(enumerate(fixed_sides(model), start=1))
    free = [axis for axis, side in sides.items() if side is None]

    def run(images):
        padded = pad_symmetric(tf.cast(images, model.inputs[0].dtype), multiple, free)
        # A network of mixed precision answers in its compute dtype.
        return tf.cast(crop_like(called(model, padded), images), images.dtype)

    for axis, side in sides.items():
        run = run if side is None else _in_tiles(run, axis, side)
    return run


def _in_tiles(run, axis, side):
    """Run what takes one side along an axis on images of any."""

    def denoise(images):
        if images.shape[axis] == side:
            return run(images)
        padded = mirror(images, axis, 0, tf.maximum(side - tf.shape(images)[axis], 0))
        starts = _tile_starts(tf.shape(padded)[axis], side)

        def of_tile(start):
            return run(tf.gather(padded, start + tf.range(side), axis=axis))

        # One after the other, in the memory of one.
        tiles = tf.map_fn(of_tile, starts, fn_output_signature=images.dtype, parallel_iterations=1)
        return tf.ensure_shape(crop_like(_blended(tiles, axis, starts, side), images), images.shape)

    return denoise


def _tile_starts(length, side):
    """Find where the tiles of a side begin: evenly, the first at one end, the last at the other."""
    shared = int(side * SHARED)
    count = tf.maximum(-((shared - length) // (side - shared)), 1)
    return tf.range(count) * (length - side) // tf.maximum(count - 1, 1)


def _blended(tiles, axis, starts, side):
    """Put together tiles (tiles, N, ..., C) along an axis of the images (N, ..., C)."""
    places = tf.reshape(starts[:, None] + tf.range(side), [-1])
    window = tf.sin(math.pi * (tf.range(side, dtype=tiles.dtype) + 0.5) / side) ** 2
    weights = tf.tile(window, tf.shape(starts))
    length = starts[-1] + side
    shares = weights / tf.gather(tf.math.unsorted_segment_sum(weights, places, length), places)
    # The axis to the front, beside that of the tiles.
    others = [other for other in range(1, len(tiles.shape)) if other != axis + 1]
    pixels = tf.transpose(tiles, [0, axis + 1, *others])
    pixels = tf.reshape(pixels, tf.concat([[-1], tf.shape(pixels)[2:]], 0))
    pixels *= tf.reshape(shares, [-1] + [1] * len(others))
    together = tf.math.unsorted_segment_sum(pixels, places, length)
    return tf.transpose(together, [*range(1, axis + 1), 0, *range(axis + 1, len(others) + 1)])


def mirror(images: tf.Tensor, axis: int, before: int | tf.Tensor, after: int | tf.Tensor) -> tf.Tensor:
    """Continue images by `before` and `after` mirrored pixels along an axis, as often as needed.

    Example:

    >>> mirror(tf.constant([1.0, 2.0]), 0, 3, 1).numpy().tolist()
    [2.0, 2.0, 1.0, 1.0, 2.0, 2.0]
    """
    side = tf.shape(images)[axis]
    position = tf.math.floormod(tf.range(-before, side + after), 2 * side)
    return tf.gather(images, tf.minimum(position, 2 * side - 1 - position), axis=axis)


def crop_like(images: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Crop `images` (N, ..., C) at the ends to the spatial size of `reference`."""
    size = tf.shape(reference)[1:-1]
    return tf.slice(
        images,
        tf.zeros([len(images.shape)], tf.int32),
        tf.concat([tf.shape(images)[:1], size, tf.shape(images)[-1:]], 0),
    )


def _with_size(shape, side):
    return (1, *(side if fixed is None else fixed for fixed in shape[1:-1]), shape[-1])


def _keeps(model, given):
    """Whether what the model makes of a shape has the same sides."""
    returned = _output_shape(model, given)
    return returned is not None and returned[1:-1] == given[1:-1]


def _output_shape(model, shape):
    try:
        with of_network(model.name):
            return tuple(model.compute_output_shape(shape))
    except NetworkError as error:
        if isinstance(error.__cause__, ValueError):  # a concatenation or sum of two sizes: what is being searched for
            return None
        raise


def _wrong_size(model):
    return f"expected a denoiser whose output has the size of its input; with {model.name!r},"
