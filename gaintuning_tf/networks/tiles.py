"""Large images in overlapping tiles, with the same result as in one piece."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks.sizes import called, size_multiple

# Tiles start at multiples of this, so that a network that halves the resolution up to
# six times halves every tile where it would halve the image; see `alignment` for others.
ALIGNMENT = 64
LARGEST_FIELD = 512


def alignment(multiple: int) -> int:
    """Find what the places of tiles are multiples of, for a network whose sides are multiples of this.

    Example:

    >>> alignment(1), alignment(32), alignment(6)
    (64, 64, 192)
    """
    return math.lcm(ALIGNMENT, multiple)


def receptive_field(model: keras.Model) -> int:
    """Measure how many pixels away an input can change an output: the receptive field's half width.

    Measured, not looked up, so that it holds for any network: the gradient of a
    block of outputs with respect to the input is exactly zero outside the receptive
    field. The block is as wide as the alignment of the tiles, to meet every phase of
    a network that changes the resolution.

    Args:
        model: A denoiser of images (N, H, W, C) of any size.

    Returns:
        The distance in pixels, along the farther of the two axes.

    Raises:
        InputError: The network sees more than 512 pixels in each direction, as one
            with global pooling or attention does; or it fixes a side.

    Example:

    >>> receptive_field(keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 7, padding="same")]))
    3
    """
    if any(model.inputs[0].shape[1:-1]):
        raise InputError(f"{model.name!r} fixes a side; images are cut into tiles of its own size")
    unit = radius = alignment(size_multiple(model))
    while radius <= LARGEST_FIELD:
        found = _field_within(model, radius, unit)
        if found < radius:
            return found
        radius *= 2
    raise InputError(f"{model.name!r} sees the whole of an image of {2 * LARGEST_FIELD} pixels; it cannot be tiled")


def denoise_tiled(
    denoise: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    *,
    receptive_field: int,
    tile: int = 1024,
    multiple: int = 1,
) -> np.ndarray:
    """Denoise images piece by piece, in bounded memory.

    Each tile is denoised with a margin of at least `receptive_field` pixels of true image
    around it, which is cut off again, so that the result is that of the whole image.

    Args:
        denoise: Images (N, H, W, C) to the same shape.
        images: (N, H, W, C).
        receptive_field: How far the denoiser sees, see `receptive_field`.
        tile: Side of a tile without its margin, a multiple of 64; or the next that `multiple` divides, too.
        multiple: The number whose multiples the network takes as sides.

    Returns:
        The denoised images, (N, H, W, C).

    Raises:
        InputError: `tile` is not a multiple of 64.

    Example:

    >>> noisy = np.random.default_rng(0).random((1, 150, 130, 1))
    >>> bool(np.array_equal(denoise_tiled(lambda y: 2 * y, noisy, receptive_field=0, tile=64), 2 * noisy))
    True
    """
    if tile < ALIGNMENT or tile % ALIGNMENT:
        raise InputError(f"expected tile to be a multiple of {ALIGNMENT}, received {tile}")
    unit = alignment(multiple)
    margin, tile = (-(-side // unit) * unit for side in (receptive_field, tile))
    height, width = images.shape[1:3]
    denoised = np.empty_like(images)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            rows, inner_rows = _span(top, tile, margin, height)
            columns, inner_columns = _span(left, tile, margin, width)
            piece = denoise(images[:, rows, columns])
            denoised[:, top : top + tile, left : left + tile] = piece[:, inner_rows, inner_columns]
    return denoised


def _span(start, tile, margin, side):
    """Find the slice of a tile with its margins, and the slice of the tile within that."""
    stop = min(start + tile, side)
    first = max(start - margin, 0)
    return slice(first, min(stop + margin, side)), slice(start - first, stop - first)


def _field_within(model, radius, unit):
    """Measure the receptive field if it is less than `radius`, else at least `radius`."""
    side = 2 * radius + unit
    shape = (1, side, side, model.inputs[0].shape[-1])
    noisy = tf.random.stateless_uniform(shape, (0, 0), alg="philox")
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        block = called(model, noisy)[:, radius : radius + unit, radius : radius + unit]
        # Weights of random sign, lest the parts of a sum cancel.
        total = tf.reduce_sum(block * tf.random.stateless_normal(tf.shape(block), (0, 1), alg="philox"))
    seen = np.any(tf.convert_to_tensor(tape.gradient(total, noisy)).numpy() != 0, axis=(0, 3))
    farthest = [0]
    for axis in (0, 1):
        (positions,) = np.nonzero(seen.any(axis=1 - axis))
        if len(positions):
            farthest += [radius - positions[0], positions[-1] - (radius + unit - 1)]
    return int(max(farthest))
