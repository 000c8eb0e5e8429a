"""The linear filter and the bias that a network is at one image.

A network of ReLUs is piecewise affine: at the image y it is `f(y) = A_y y + b_y`, A_y its Jacobian and b_y its net
bias (S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda, "Robust and interpretable blind image denoising
via bias-free convolutional neural networks", ICLR 2020, section 4). A row of A_y holds the weights with which a
denoised pixel sums the noisy ones. For other smooth networks this is the first order about y.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.channels_last import with_channels_last
from gaintuning_tf.gains.convolutions import sublayers
from gaintuning_tf.gains.graphs.graph_models import as_keras_model
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.gains.interfaces import runnable, with_plain_ends
from gaintuning_tf.gains.surgery import gain_layers
from gaintuning_tf.networks import sizes, tiles

# Sides up to this are taken whole: a window about a pixel would hardly be smaller.
SMALL = 2 * tiles.ALIGNMENT
# A net bias below this share of the residual is what rounding leaves.
ROUNDING = 1e-4


@dataclasses.dataclass(frozen=True)
class EquivalentFilter:
    """The weights with which one denoised pixel sums the noisy image about it.

    Attributes:
        pixel: Its row and column.
        channel: Its channel.
        weights: (2 R + 1, 2 R + 1, C), the pixel in the middle, R the distance of the farthest
            weight that is not zero; zero beyond the image.
        bias: What the sum lacks to the denoised pixel: the net bias there, in units of the network.
    """

    pixel: tuple[int, int]
    channel: int
    weights: np.ndarray
    bias: float

    @property
    def radius(self) -> int:
        """R, in pixels."""
        return self.weights.shape[0] // 2

    @property
    def reach(self) -> int:
        """Deprecated: `radius`."""
        warnings.warn("EquivalentFilter.reach is now EquivalentFilter.radius", DeprecationWarning, stacklevel=2)
        return self.radius

    @property
    def sum(self) -> float:
        """Sum of the weights, one for a filter that keeps a constant image of any brightness."""
        return float(self.weights.sum())

    @property
    def own(self) -> float:
        """Weight of the noisy pixel itself: its share of the divergence, `d f_i / d y_i`."""
        return float(self.weights[self.radius, self.radius, self.channel])

    @property
    def energy(self) -> float:
        """Sum of the squared weights: the variance of white noise after the filter, relative to before.

        Its sum over all pixels is the effective dimensionality of Mohan et al. (ICLR 2020, section 5).
        """
        return float(np.square(self.weights).sum())

    @property
    def width(self) -> float:
        """Effective width in pixels: `sqrt(sum(w^2 r^2) / sum(w^2))`, r the distance from the pixel."""
        square = np.square(self.weights).sum(-1)
        offsets = np.arange(-self.radius, self.radius + 1) ** 2
        return float(np.sqrt((square * (offsets[:, None] + offsets)).sum() / max(square.sum(), 1e-30)))


@dataclasses.dataclass(frozen=True)
class NetBias:
    """The part of a denoised image that is not a weighted sum of the noisy one.

    Attributes:
        bias: (N, H, W, C), in units of the network.
        residual: Root mean square of `f(y) - y` over the same pixels: what the network took away.
    """

    bias: np.ndarray
    residual: float

    @property
    def rms(self) -> float:
        """Root mean square of the bias."""
        return _rms(self.bias)

    @property
    def median(self) -> float:
        """Median of the bias's size, which a few wild pixels do not move."""
        return float(np.median(np.abs(self.bias)))

    @property
    def relative(self) -> float:
        """The same relative to the residual's."""
        return self.rms / max(self.residual, 1e-30)

    @property
    def negligible(self) -> bool:
        """Whether it is zero to rounding, as that of a bias-free network is."""
        return self.relative < ROUNDING


def equivalent_filter(
    model: keras.Model,
    noisy: np.ndarray,
    pixel: tuple[int, int],
    *,
    channel: int = 0,
    radius: int | None = None,
    reach: int | None = None,
) -> EquivalentFilter:
    """Find the linear filter that a network is at one pixel of one image: a row of its Jacobian.

    `w_ij = d f_i / d y_j` at the noisy image y (Mohan et al., ICLR 2020, section 4), by one reverse-mode
    derivative of the window about the pixel that the network sees.

    Args:
        model: A denoiser (N, H, W, C) to the same shape, with gains or without.
        noisy: (1, H, W, C), in units of the network.
        pixel: Row and column of i.
        channel: Channel of i.
        radius: How far the network sees at most, see `sight`; measured by default.
        reach: Deprecated: `radius`.

    Returns:
        The filter, cropped to its support.

    Raises:
        InputError: It is not one image, there is no such pixel, or the model has gains for several images.

    Example:

    >>> blur = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> blur.set_weights([np.arange(9.0).reshape(3, 3, 1, 1), np.array([0.5])])
    >>> found = equivalent_filter(blur, np.ones((1, 8, 8, 1)), (4, 5))
    >>> found.weights[..., 0].tolist(), found.bias
    ([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]], 0.5)
    """
    radius = _renamed(radius, reach)
    model, image = _checked(model, noisy)
    if image.shape[0] != 1 or any(gain.images not in (None, 1) for gain in gain_layers(model)):
        raise InputError(
            f"expected one image (1, H, W, C) and gains for one, received the shape {tuple(image.shape)}; "
            "where each image has its own, take frame_model(model, frame)"
        )
    check_pixel(pixel, image.shape[1:3])
    if not 0 <= channel < image.shape[-1]:
        raise InputError(f"expected a channel from 0 to {image.shape[-1] - 1}, received {channel}")
    radius = sight(model, image.shape[1:3]) if radius is None else radius
    unit = _unit(model, image.shape[1:3])
    rows, columns = (_seen(p, p + 1, radius, side, unit) for p, side in zip(pixel, image.shape[1:3], strict=True))
    window = tf.convert_to_tensor(image[:, rows, columns])
    row, column = int(pixel[0]) - rows.start, int(pixel[1]) - columns.start
    with tf.GradientTape() as tape:
        tape.watch(window)
        value = sizes.at_any_size(model)(window)[0, row, column, channel]
    weights: Any = tape.gradient(value, window, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    bias = float(value - tf.reduce_sum(weights * window))
    return EquivalentFilter((int(pixel[0]), int(pixel[1])), channel, _centred(weights[0].numpy(), row, column), bias)


def net_bias(
    model: keras.Model,
    noisy: np.ndarray,
    *,
    window: tuple[slice, slice] | None = None,
    radius: int | None = None,
    reach: int | None = None,
) -> NetBias:
    """Find the net bias of a network at an image, `b_y = f(y) - A_y y` (Mohan et al., ICLR 2020, section 4).

    A_y y is one Jacobian-vector product: no row of A_y is formed. A network without biases is homogeneous, and has
    none. What it is computed of is in memory at once.

    Args:
        model: A denoiser (N, H, W, C) to the same shape, with gains or without.
        noisy: (N, H, W, C), in units of the network.
        window: Rows and columns to compute it of, with the same result as for the whole image.
        radius: How far the network sees at most, see `sight`; measured by default if there is a window.
        reach: Deprecated: `radius`.

    Returns:
        The bias of the image or the window.

    Raises:
        InputError: The model cannot take the image.

    Example:

    >>> blur = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> blur.set_weights([np.full((3, 3, 1, 1), 1 / 9), np.array([0.5])])
    >>> round(net_bias(blur, np.ones((1, 8, 8, 1))).rms, 6)
    0.5
    """
    radius = _renamed(radius, reach)
    model, image = _checked(model, noisy)
    size = image.shape[1:3]
    if window is None:
        window, radius = (slice(0, size[0]), slice(0, size[1])), max(size)
    radius = sight(model, size) if radius is None else radius
    unit = _unit(model, size)
    seen = [_seen(w.start, w.stop, radius, side, unit) for w, side in zip(window, size, strict=True)]
    part = tf.convert_to_tensor(image[:, seen[0], seen[1]])
    denoised, product = _linear_part(model, part)
    rows, columns = (slice(w.start - s.start, w.stop - s.start) for w, s in zip(window, seen, strict=True))
    bias, residual = (a[:, rows, columns].numpy() for a in (denoised - product, denoised - part))
    return NetBias(bias, _rms(residual))


def sight(model: keras.Model, size: tuple[int, int]) -> int:
    """Measure how many pixels away an output can depend on an image of this size, at most.

    The receptive field as `tiles.receptive_field` measures it, and a quarter more; simply the
    longer side of small images, and where it cannot be measured.

    Args:
        model: A denoiser for one image at a time.
        size: Height and width.

    Example:

    >>> blur = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> sight(blur, (40, 50)), sight(blur, (400, 500))
    (50, 2)
    """
    side = max(size)
    if side <= SMALL or any(sizes.fixed_sides(model)):
        return side
    try:
        field = tiles.receptive_field(model)
    except InputError:  # it sees the whole of any image
        return side
    # With room for the few pixels that hide behind units which were off when it was measured.
    return field + field // 4 + 1


def check_pixel(pixel: Sequence[int], size: tuple[int, int]) -> None:
    """Refuse what is not row and column of a pixel of an image.

    Raises:
        InputError: It is not.
    """
    whole = len(pixel) == 2 and all(int(p) == p and 0 <= p < side for p, side in zip(pixel, size, strict=True))
    if not whole:
        raise InputError(f"expected the row and column of a pixel of a {size[0]}x{size[1]} image, received {pixel}")


def _renamed(radius, reach):
    """Return the radius, which callers of earlier versions give as `reach`."""
    if reach is None:
        return radius
    if radius is not None:
        raise TypeError("received radius and reach, which is the old name of radius")
    warnings.warn("the argument reach is now radius", DeprecationWarning, stacklevel=3)
    return reach


def _checked(model, noisy) -> tuple[keras.Model, Any]:
    model = runnable(with_channels_last(with_plain_ends(as_keras_model(model))))
    sizes.check_denoiser(model)
    noisy = np.asarray(noisy)
    sizes.check_size(model, noisy.shape)
    return model, tf.cast(noisy, model.inputs[0].dtype)


def _unit(model, size):
    """Find at which multiples an image can be cut: nowhere, where it is cut into the tiles of a network already."""
    return max(size) if any(sizes.fixed_sides(model)) else tiles.alignment(sizes.size_multiple(model))


def _seen(start, stop, radius, side, unit):
    """Find the slice that outputs from `start` to `stop` see; a network that halves the sides can cut at its ends."""
    return slice(max(start - radius, 0) // unit * unit, min(-(-(stop + radius) // unit) * unit, side))


def _centred(weights, row, column):
    """Cut out the weights with the pixel in the middle, as far as there are any."""
    used = np.argwhere(weights.any(-1)) - (row, column)
    radius = int(np.abs(used).max(initial=0))
    padded = np.pad(weights, ((radius, radius), (radius, radius), (0, 0)))
    return padded[row : row + 2 * radius + 1, column : column + 2 * radius + 1]


def _linear_part(model, image):
    """Compute f(y) and A_y y."""
    denoise = sizes.at_any_size(model)
    if sublayers(model, GraphNetwork):
        return _linear_part_backwards(denoise, image)
    with tf.autodiff.ForwardAccumulator(image, image) as forward:
        denoised = denoise(image)
    return denoised, forward.jvp(denoised, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _linear_part_backwards(denoise, image):
    """Find the same by reverse mode twice: `A^T u` is linear in u, and the gradient of `y . A^T u` by u is A y.

    About three times the work of forward mode. But that fails in imported graphs: TensorFlow 2.21 miscalculates, and
    refuses, the padding of a dilated convolution of a size that needs some.
    """
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(image)
            denoised = denoise(image)
        direction = tf.zeros_like(denoised)
        outer.watch(direction)
        back = inner.gradient(denoised, image, direction, tf.UnconnectedGradients.ZERO)
    return denoised, outer.gradient(back, direction, image, tf.UnconnectedGradients.ZERO)


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
