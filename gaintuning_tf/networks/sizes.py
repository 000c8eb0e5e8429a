"""Image sizes that a network accepts, and padding to the next of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from gaintuning_tf.errors import InputError

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)


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
    if len(returned) != len(given) or returned[-1] != given[-1]:
        raise InputError(
            f"expected a denoiser whose output has its input's shape, {model.name!r} makes {returned} of {given}"
        )


def size_multiple(model: keras.Model) -> int:
    """Find the smallest number whose multiples `model` accepts as sides of an image.

    1 for a network that keeps the resolution or pads by itself; 2^k for one that
    halves it k times and needs the halves to fit when it doubles it again. A model
    of fixed size has 1: its size is checked by `check_size`.

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
    received = []
    for multiple in MULTIPLES:
        # Several numbers of blocks: one alone might happen to fit.
        shapes = [_with_size(shape, blocks * multiple) for blocks in (4, 5, 7)]
        received = [(given, _output_shape(model, given)) for given in shapes]
        if all(returned is not None and returned[1:] == given[1:] for given, returned in received):
            return multiple
    given, returned = received[0]
    outcome = "is refused" if returned is None else f"becomes {returned}"
    raise InputError(f"{_wrong_size(model)} {given} {outcome}")


def check_size(model: keras.Model, shape: tf.TensorShape | Sequence[int]) -> None:
    """Refuse an image that a model of fixed size cannot take.

    Raises:
        InputError: A side that the model fixes differs from the image's.
    """
    fixed = model.inputs[0].shape[1:]
    if len(shape) - 1 != len(fixed) or any(f not in (None, side) for f, side in zip(fixed, shape[1:], strict=True)):
        raise InputError(f"{model.name!r} expects images of shape {fixed}, received {tuple(shape[1:])}")


def pad_symmetric(images: tf.Tensor, multiple: int) -> tf.Tensor:
    """Mirror images (N, ..., C) at the end of each spatial axis up to the next multiple.

    Unlike `tf.pad`, it can add more than the image has.

    Example:

    >>> pad_symmetric(tf.reshape([1.0, 2.0], (1, 2, 1)), 8)[0, :, 0].numpy().tolist()
    [1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 1.0]
    """
    for axis in range(1, len(images.shape) - 1) if multiple > 1 else ():
        images = mirror(images, axis, 0, tf.math.floormod(-tf.shape(images)[axis], multiple))
    return images


def at_any_size(model: keras.Model, multiple: int | None = None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Run a network on images of any size: mirrored to what it takes, in inference mode, and cropped.

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

    def denoise(images):
        padded = pad_symmetric(tf.cast(images, model.inputs[0].dtype), multiple)
        # A network of mixed precision answers in its compute dtype.
        return tf.cast(crop_like(model(padded, training=False), images), images.dtype)

    return denoise


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


def _output_shape(model, shape):
    try:
        return tuple(model.compute_output_shape(shape))
    except ValueError:  # a concatenation or sum of two sizes: what is being searched for
        return None


def _wrong_size(model):
    return f"expected a denoiser whose output has the size of its input; with {model.name!r},"
