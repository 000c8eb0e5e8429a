"""Training data: clean images from a folder, as reproducible streams of noisy crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images import READABLE


def image_files(folder: str | Path) -> list[Path]:
    """The image files directly inside `folder`, sorted by name.

    Raises:
        InputError: `folder` is no folder or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"expected a folder of images, found none at {folder}")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in READABLE)
    if not files:
        raise InputError(f"expected image files ({', '.join(READABLE)}) in {folder}, found none")
    return files


def noisy_crops(
    images: Sequence[np.ndarray],
    *,
    crop: int,
    batch: int,
    sigma: tuple[float, float],
    first_batch: int,
    last_batch: int,
    seed: int,
):
    """A `tf.data.Dataset` of (noisy, clean) batches for training a Gaussian denoiser.

    The k-th batch depends on `seed` and k alone, so a training that is resumed at
    batch k sees what an uninterrupted one would have seen. Each crop is taken
    uniformly over the images, then over positions, turned by one of the eight
    symmetries of the square, and gets white Gaussian noise whose standard
    deviation is drawn for this crop uniformly from `sigma`.

    Args:
        images: uint8 arrays of shape (H, W, C), sides at least `crop`.
        crop: Side of the square crops, pixels.
        batch: Crops per batch.
        sigma: Lowest and highest noise level, on the 0-255 scale.
        first_batch: Number of the first batch to yield.
        last_batch: Number of the batch to stop before.
        seed: Seed of all random choices.

    Returns:
        A dataset of pairs of float32 tensors (batch, crop, crop, C), in [0, 1] but
        for the noise.

    Raises:
        InputError: An image is smaller than the crop.
    """
    import tensorflow as tf

    channels = images[0].shape[2]
    shapes = np.array([image.shape[:2] for image in images])
    if shapes.min() < crop:
        raise InputError(f"expected images of at least {crop}x{crop} pixels, received one of {shapes.min(0).tolist()}")
    sizes = shapes.prod(1) * channels
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    pixels, shapes, starts, sizes = (
        tf.constant(np.concatenate([image.ravel() for image in images])),
        tf.constant(shapes, tf.int64),
        tf.constant(starts, tf.int64),
        tf.constant(sizes, tf.int64),
    )

    def draw(number):
        seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), number]), 6)
        which = tf.random.stateless_uniform([], seeds[0], 0, len(images), tf.int64)
        height, width = shapes[which, 0], shapes[which, 1]
        top = tf.random.stateless_uniform([], seeds[1], 0, height - crop + 1, tf.int64)
        left = tf.random.stateless_uniform([], seeds[2], 0, width - crop + 1, tf.int64)
        image = tf.reshape(tf.slice(pixels, [starts[which]], [sizes[which]]), [height, width, channels])
        clean = tf.cast(image[top : top + crop, left : left + crop], tf.float32) / 255
        clean = tf.ensure_shape(clean, [crop, crop, channels])
        clean = _symmetry(clean, tf.random.stateless_uniform([], seeds[3], 0, 8, tf.int32))
        level = tf.random.stateless_uniform([], seeds[4], *sigma) / 255
        return clean + level * tf.random.stateless_normal(clean.shape, seeds[5]), clean

    numbers = tf.data.Dataset.range(first_batch * batch, last_batch * batch)
    return numbers.map(draw, num_parallel_calls=2).batch(batch, drop_remainder=True).prefetch(8)


def _symmetry(image, which):
    """One of the eight symmetries of the square, applied to a square (S, S, C) image."""
    import tensorflow as tf

    image = tf.cond(which >= 4, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(which % 4 >= 2, lambda: tf.reverse(image, [0]), lambda: image)
    return tf.cond(which % 2 == 1, lambda: tf.reverse(image, [1]), lambda: image)
