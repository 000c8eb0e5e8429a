"""Volumes in overlapping blocks, with the same result as in one piece, in bounded memory.

Blocks are larger than the tiles of images would be, for in three dimensions the margins
about a block soon have more voxels than it: of all ways to cut a volume into blocks that
fit, that with the fewest voxels in all is taken. Blocks start at multiples of the
network's total stride, which is measured, so that one that halves the resolution halves
every block where it would halve the volume.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks.sizes import called

# The block of outputs whose field is measured is as wide as this, and so are the other
# sides of the volume: it meets every phase of a network of such a stride.
PHASES = 16
STRIDES = (1, 2, 4, 8, 16, 32)
# Denoising a block may make so many bytes by the outputs of all its convolutions, of which
# fewer are there at once: less than a step of tuning keeps
# (docs/log/2026-11-26-memory-of-a-volume.md).
MEMORY = 1.2e9
LARGEST_FIELD = 256
# What rounding makes two results differ by, of the largest value: a network that is out of
# phase differs by more than a hundred times that.
_SAME = 1e-5
# The sides are cut in up to so many ways each.
_CUTS = 24


def receptive_field_of_volumes(model: keras.Model) -> int:
    """Measure how many voxels away an input can change an output, as `tiles.receptive_field` does for images.

    Along one axis after the other, in a long thin volume.

    Args:
        model: A denoiser of volumes (N, D, H, W, C) of any size.

    Returns:
        The distance in voxels, along the farthest of the three axes.

    Raises:
        InputError: The network sees more than 256 voxels in each direction.

    Example:

    >>> convolution = keras.layers.Conv3D(1, (3, 5, 7), padding="same")
    >>> model = keras.Sequential([keras.Input((None, None, None, 1)), convolution])
    >>> receptive_field_of_volumes(model)
    3
    """
    return max(_field_along(model, axis) for axis in range(3))


def total_stride(model: keras.Model, receptive_field: int) -> int:
    """Measure by how many voxels a volume may be shifted for the denoised one to shift with it, and not change.

    Args:
        model: A denoiser of volumes (N, D, H, W, C) of any size.
        receptive_field: How far it sees.

    Returns:
        1 for a network that keeps the resolution, 2^k for one that halves it k times.

    Raises:
        InputError: It is more than 32.

    Example:

    >>> inputs = keras.Input((None, None, None, 1))
    >>> halved = keras.layers.AveragePooling3D(2, padding="same")(inputs)
    >>> model = keras.Model(inputs, keras.layers.UpSampling3D(2)(halved))
    >>> total_stride(model, 1)
    2
    """
    for stride in STRIDES:
        if all(_shifts(model, axis, stride, receptive_field) for axis in range(3)):
            return stride
    raise InputError(f"{model.name!r} has a total stride of more than {STRIDES[-1]} voxels; it cannot be tiled")


def denoise_in_blocks(
    denoise: Callable[[np.ndarray], np.ndarray],
    volumes: np.ndarray,
    *,
    receptive_field: int,
    voxels: float,
    alignment: int = 1,
) -> np.ndarray:
    """Denoise volumes block by block.

    Each block is denoised with a margin of at least `receptive_field` voxels of true volume around it, which is cut
    off again, so that the result is that of the whole volume.

    Args:
        denoise: Volumes (N, D, H, W, C) to the same shape.
        volumes: (N, D, H, W, C).
        receptive_field: How far the denoiser sees.
        voxels: A block with its margins has at most so many, if any way to cut the volume has.
        alignment: Blocks with their margins start at multiples of this, see `total_stride`.

    Returns:
        The denoised volumes, (N, D, H, W, C).

    Example:

    >>> noisy = np.random.default_rng(0).random((1, 40, 50, 60, 1))
    >>> done = denoise_in_blocks(lambda y: 2 * y, noisy, receptive_field=3, voxels=48**3)
    >>> bool(np.array_equal(done, 2 * noisy))
    True
    """
    sides = volumes.shape[1:-1]
    margin = -(-receptive_field // alignment) * alignment
    block = block_size(sides, margin, voxels, alignment)
    denoised = np.empty_like(volumes)
    starts = [range(0, side, own) for side, own in zip(sides, block, strict=True)]
    for place in itertools.product(*starts):
        spans = [_span(*each, margin, side) for each, side in zip(zip(place, block, strict=True), sides, strict=True)]
        outer, inner, target = (tuple(parts) for parts in zip(*spans, strict=True))
        denoised[(slice(None), *target)] = denoise(volumes[(slice(None), *outer)])[(slice(None), *inner)]
    return denoised


def block_size(sides: Sequence[int], margin: int, voxels: float, alignment: int = 1) -> tuple[int, ...]:
    """Choose the sides of blocks, without their margins: that with the fewest voxels in all of those that fit.

    Args:
        sides: Those of the volume.
        margin: About each block, as far as the volume goes.
        voxels: A block with its margins has at most so many; where none has, the smallest is taken.
        alignment: What sides are multiples of.

    Returns:
        Multiples of the alignment, or the side of the volume.

    Example:

    >>> block_size((64, 256, 256), 16, 10**7, 16), block_size((64, 256, 256), 16, 10**6, 16)
    ((64, 256, 256), (64, 128, 64))
    """
    cuts = list(itertools.product(*(_cuts(side, alignment) for side in sides)))
    largest = [_with_margins(sides, block, margin) for block in cuts]
    fitting = [block for block, found in zip(cuts, largest, strict=True) if found <= voxels]
    if not fitting:
        return cuts[int(np.argmin(largest))]
    return min(fitting, key=lambda block: math.prod(map(_all_along, sides, block, [margin] * len(sides))))


def voxels_that_fit(bytes_per_pixel: float, copies: int) -> float:
    """Find how many voxels a block may have.

    Args:
        bytes_per_pixel: What a step of tuning keeps, see `memory.bytes_per_pixel`.
        copies: How many passes that counts.

    Example:

    >>> voxels_that_fit(1600.0, 4)
    3000000.0
    """
    return MEMORY * copies / max(bytes_per_pixel, 1.0)


def _cuts(side, alignment):
    """List sides of blocks that a side may be cut into, the whole first."""
    parts = (alignment * -(-side // (alignment * number)) for number in range(1, _CUTS + 1))
    return list(dict.fromkeys(min(part, side) for part in parts))


def _with_margins(sides, block, margin):
    return math.prod(min(own + 2 * margin, side) for own, side in zip(block, sides, strict=True))


def _all_along(side, block, margin):
    """Count the voxels of all blocks along an axis, margins included."""
    return sum(
        outer.stop - outer.start for outer, _, _ in (_span(n, block, margin, side) for n in range(0, side, block))
    )


def _span(start, block, margin, side):
    """Find the slices of a block with its margins, of the block within that, and of the block in the volume."""
    stop, first = min(start + block, side), max(start - margin, 0)
    return slice(first, min(stop + margin, side)), slice(start - first, stop - first), slice(start, stop)


def _field_along(model, axis):
    radius = 32
    while radius <= LARGEST_FIELD:
        found = _field_within(model, axis, radius)
        if found < radius:
            return found
        radius *= 2
    raise InputError(f"{model.name!r} sees the whole of a volume of {2 * LARGEST_FIELD} voxels; it cannot be tiled")


def _field_within(model, axis, radius):
    """Measure the receptive field along an axis if it is less than `radius`, else at least `radius`."""
    noisy = _thin(model, axis, 2 * radius + PHASES)
    begin, size = [0] * 5, list(noisy.shape)
    begin[axis + 1], size[axis + 1] = radius, PHASES
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        block = tf.slice(called(model, noisy), begin, size)
        # Weights of random sign, lest the parts of a sum cancel.
        total = tf.reduce_sum(block * tf.random.stateless_normal(tf.shape(block), (0, 1), alg="philox"))
    seen = np.any(tf.convert_to_tensor(tape.gradient(total, noisy)).numpy() != 0, axis=(0, 4))
    (places,) = np.nonzero(seen.any(axis=tuple(other for other in range(3) if other != axis)))
    return int(max(0, radius - places[0], places[-1] - (radius + PHASES - 1))) if len(places) else 0


def _shifts(model, axis, stride, radius):
    """Whether the denoised volume shifts with the volume along an axis, where no border is in sight."""
    # Within a stride, some voxels see further than those at its ends, for which the field was measured.
    border = radius + STRIDES[-1]
    noisy = _thin(model, axis, 2 * border + STRIDES[-1])
    places = range(stride, noisy.shape[axis + 1])
    whole = called(model, noisy)
    shifted = called(model, tf.gather(noisy, places, axis=axis + 1))
    inner = slice(border, -border)
    one, other = (
        tf.gather(part, at[inner], axis=axis + 1) for part, at in ((whole, places), (shifted, range(len(places))))
    )
    return bool(tf.reduce_max(tf.abs(one - other)) <= _SAME * tf.reduce_max(tf.abs(whole)))


def _thin(model, axis, length):
    """Make a random volume that is long along one axis."""
    sides = [2 * PHASES] * 3
    sides[axis] = length
    shape = [1, *sides, model.inputs[0].shape[-1]]
    return tf.random.stateless_uniform(shape, (0, 0), dtype=model.inputs[0].dtype, alg="philox")
