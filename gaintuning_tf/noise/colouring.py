"""Correlated noise in a graph: the filter of a correlation, and what it makes of white noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gaintuning_tf.noise.correlation import frequencies, radius_of_filter


def filters_of(correlation: tf.Tensor) -> tf.Tensor:
    """Find the filters that give white noise these correlations, as `correlation.correlation_filter` does.

    Args:
        correlation: (N, K, K), or (N, K, K, C, C) from channel to channel; odd sides.

    Returns:
        (N, M, M) or (N, M, M, C, C), of the same dtype.

    Example:

    >>> k = filters_of(tf.constant([[[0.5, 1.0, 0.5]]]))
    >>> round(float(tf.reduce_sum(k**2)), 4), round(float(tf.reduce_sum(k[..., 1:] * k[..., :-1])), 2)
    (1.0, 0.5)
    """
    grey = len(correlation.shape) == 3
    wide = tf.float64 if correlation.dtype == tf.float64 else tf.float32
    lags = tf.cast(correlation, wide)
    lags = lags[:, None, None] if grey else tf.transpose(lags, [0, 3, 4, 1, 2])
    radii = [_side(lags, axis) // 2 for axis in (-2, -1)]
    found = _cut(_spectral_root(_wrapped(lags, radii), grey), radii, grey)
    energy = tf.reduce_sum(tf.square(found), [1, 2] if grey else [1, 2, 3], keepdims=True)
    # Of channels, each has its own variance at lag zero.
    variance = tf.linalg.diag_part(lags[:, :, :, radii[0], radii[1]])[:, 0 if grey else None, None, None]
    return tf.cast(found * tf.sqrt(variance / energy), correlation.dtype)


def complements_of(correlation: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Find the filters of the noise that makes correlated noise white, up to a share of its strongest frequency.

    The filter's spectrum is `sqrt(max(share * max(S) - S, 0))`, S that of the correlation; for
    colours, of the eigenvalues at each frequency, share of the largest of all.

    Args:
        correlation: (N, K, K), or (N, K, K, C, C) from channel to channel; odd sides.
        shares: (1,) or (N,), of 0, for nothing, to 1, for white noise.

    Returns:
        As `filters_of`, but not divided by the root of the energy: what is added has the variance
        that it must have beside noise of variance one.

    Example:

    >>> k = complements_of(tf.constant([[[0.5, 1.0, 0.5]]]), tf.ones(1))
    >>> round(float(tf.reduce_sum(k**2)), 2), round(float(tf.reduce_sum(k[..., 1:] * k[..., :-1])), 2)
    (1.0, -0.5)
    """
    grey = len(correlation.shape) == 3
    wide = tf.float64 if correlation.dtype == tf.float64 else tf.float32
    lags = tf.cast(correlation, wide)
    lags = lags[:, None, None] if grey else tf.transpose(lags, [0, 3, 4, 1, 2])
    radii = [_side(lags, axis) // 2 for axis in (-2, -1)]
    share = tf.cast(shares, wide)

    def missing(values):
        highest = tf.reduce_max(values, range(1, len(values.shape)), keepdims=True)
        # A correlation that was cut off has negative values in its spectrum, which no noise has.
        ceiling = tf.reshape(share, [-1] + [1] * (len(values.shape) - 1)) * highest
        return tf.maximum(ceiling - tf.maximum(values, 0), 0)

    root = _spectral_root(_wrapped(lags, radii), grey, missing)
    return tf.cast(_cut(root, radii, grey), correlation.dtype)


def nearest_of(correlation: tf.Tensor) -> tf.Tensor:
    """Find the nearest correlations that noise can have, as `correlation.nearest_correlation` does.

    Args:
        correlation: (N, K, K); odd sides.

    Returns:
        Of the same shape and dtype.

    Example:

    >>> nearest_of(tf.constant([[[0.6, 1.0, 0.6]]], tf.float64))[0, 0].numpy().round(2).tolist()
    [0.56, 1.0, 0.56]
    """
    wide = tf.float64 if correlation.dtype == tf.float64 else tf.float32
    lags = tf.cast(correlation, wide)[:, None, None]
    rows, columns = (_side(lags, axis) for axis in (-2, -1))
    radii = [rows // 2, columns // 2]
    # The root of the square of what is not negative is what is not negative.
    projected = _spectral_root(_wrapped(lags, radii), True, lambda values: tf.square(tf.maximum(values, 0)))
    found = tf.roll(projected, radii, [-2, -1])[:, 0, 0, :rows, :columns]
    return tf.cast(found / projected[:, 0, 0, :1, :1], correlation.dtype)


def _cut(root, radii, grey):
    """Cut filters (N, C, C, rows, columns), lag zero first, to their radius, lag zero in the middle."""
    found = tf.roll(root, [radius_of_filter(radius) for radius in radii], [-2, -1])
    rows, columns = (2 * radius_of_filter(radius) + 1 for radius in radii)
    found = found[..., :rows, :columns]
    return found[:, 0, 0] if grey else tf.transpose(found, [0, 3, 4, 1, 2])


def _side(images, axis) -> Any:
    """Give the length of an axis: a number where the graph knows it."""
    return tf.shape(images)[axis] if images.shape[axis] is None else images.shape[axis]


def _wrapped(lags, radii):
    """Put lag zero first on axes as long as the spectrum's."""
    sides = [_frequencies(radius) for radius in radii]
    margins = [[0, side - _side(lags, axis)] for axis, side in zip((-2, -1), sides, strict=True)]
    return tf.roll(tf.pad(lags, [[0, 0]] * 3 + margins), [-radius for radius in radii], [-2, -1])


def _frequencies(radius):
    return frequencies(radius) if isinstance(radius, int) else tf.maximum(frequencies(0), 4 * radius_of_filter(radius))


def _at_least_zero(spectrum):
    return tf.maximum(spectrum, 0)


def _spectral_root(wrapped, grey, of=_at_least_zero):
    """Find the filter whose spectrum is the root of a function of that of these lags, lag zero first.

    Args:
        wrapped: (N, C, C, rows, columns).
        grey: Whether there is one channel.
        of: Real values of the spectrum, or eigenvalues, to what the root is taken of.
    """
    complex_of = tf.complex128 if wrapped.dtype == tf.float64 else tf.complex64
    spectrum = tf.signal.fft2d(tf.cast(wrapped, complex_of))
    if grey:
        root = tf.cast(tf.sqrt(of(tf.math.real(spectrum))), complex_of)
        return tf.math.real(tf.signal.ifft2d(root))
    values, vectors = tf.linalg.eigh(tf.transpose(spectrum, [0, 3, 4, 1, 2]))
    scale = tf.cast(tf.sqrt(of(tf.math.real(values))), complex_of)
    root = tf.matmul(vectors * scale[..., None, :], vectors, adjoint_b=True)
    return tf.math.real(tf.signal.ifft2d(tf.transpose(root, [0, 3, 4, 1, 2])))


def coloured(white: Callable[[Any], tf.Tensor], images: tf.Tensor, correlation: tf.Tensor) -> tf.Tensor:
    """Draw noise of variance one with a correlation, of the shape and dtype of images.

    White noise is drawn wider than the images by the filter, so that it is alike everywhere, the borders
    included.

    Args:
        white: A shape to white noise of it, of the dtype of the images.
        images: (N, H, W, C), or volumes (N, D, H, W, C), whose planes are independent.
        correlation: (1, K, K) or (N, K, K), or (1 or N, K, K, C, C) from channel to channel.

    Returns:
        Of the images' shape.

    Example:

    >>> def normal(shape):
    ...     return tf.random.stateless_normal(shape, (0, 1), alg="philox")
    >>> noise = coloured(normal, tf.zeros((1, 256, 256, 1)), tf.constant([[[0.5, 1.0, 0.5]]]))
    >>> round(float(tf.reduce_mean(noise[:, :, 1:] * noise[:, :, :-1])), 1)
    0.5
    """
    return filtered(white, images, filters_of(correlation))


def filtered(white: Callable[[Any], tf.Tensor], images: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Filter white noise, drawn wider than the images by the filters: see `coloured`.

    Args:
        white: A shape to white noise of it, of the dtype of the images.
        images: (N, H, W, C) or (N, D, H, W, C), whose shape the result has.
        filters: As `filters_of` gives them.
    """
    *outer, rows, columns, channels = tf.unstack(tf.shape(images))
    size = [rows + _side(filters, 1) - 1, columns + _side(filters, 2) - 1]
    found = convolved(white(tf.stack([*outer, *size, channels])), filters)
    return tf.reshape(tf.cast(found, images.dtype), tf.shape(images))


def convolved(images: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Convolve images with a filter, or each with its own, where all of the filter lies on the image.

    By Fourier transforms, which for a filter of 21x21 values on 544x544 pixels took a ninth of
    the time of a convolution.

    Args:
        images: (N, H, W, C), or volumes (N, D, H, W, C), of which every plane is convolved.
        filters: (1 or N, M, M), the same for each channel, or (1 or N, M, M, C, C), from channel to channel.

    Returns:
        (N, H - M + 1, W - M + 1, C), or such volumes.

    Example:

    >>> convolved(tf.ones((2, 5, 5, 1)), tf.fill((1, 3, 3), 2.0))[0, :, :, 0].numpy().round(3).tolist()
    [[18.0, 18.0, 18.0], [18.0, 18.0, 18.0], [18.0, 18.0, 18.0]]
    """
    if len(images.shape) == 5:
        return _plane_by_plane(images, filters)
    wide = tf.float64 if images.dtype == tf.float64 else tf.float32
    size = [_side(images, 1), _side(images, 2)]
    spectrum = tf.signal.rfft2d(tf.transpose(tf.cast(images, wide), [0, 3, 1, 2]), size)
    kernel = tf.cast(filters, wide)
    if len(filters.shape) == 3:
        product = spectrum * tf.signal.rfft2d(kernel, size)[:, None]
    else:
        product = _mixed(spectrum, tf.signal.rfft2d(tf.transpose(kernel, [0, 3, 4, 1, 2]), size))
    found = tf.transpose(tf.signal.irfft2d(product, size), [0, 2, 3, 1])
    return tf.cast(found[:, _side(filters, 1) - 1 :, _side(filters, 2) - 1 :], images.dtype)


def _plane_by_plane(volumes, filters):
    """Convolve the planes of volumes (N, D, H, W, C)."""
    number, depth, rows, columns, channels = tf.unstack(tf.shape(volumes))
    if len(filters.shape) == 3:
        # The same filter for each channel is that for each plane of a channel.
        beside = tf.reshape(tf.transpose(volumes, [0, 2, 3, 1, 4]), [number, rows, columns, depth * channels])
        found = convolved(beside, filters)
        shape = tf.shape(found)
        return tf.transpose(tf.reshape(found, [*tf.unstack(shape)[:3], depth, channels]), [0, 3, 1, 2, 4])
    planes = tf.reshape(volumes, [number * depth, rows, columns, channels])
    each = tf.broadcast_to(filters, tf.concat([[number], tf.shape(filters)[1:]], 0))
    found = convolved(planes, tf.repeat(each, depth, axis=0))
    return tf.reshape(found, tf.concat([[number, depth], tf.shape(found)[1:]], 0))


def _mixed(spectrum, kernel):
    """Add up what each channel gives to each other: (N, C, ...) by (1 or N, C, D, ...) to (N, D, ...)."""
    return tf.reduce_sum(spectrum[:, :, None] * kernel, 1)


def effective_shares(correlation: tf.Tensor) -> tf.Tensor:
    """Compute how many independent pixels a pixel is worth, (N,): see `correlation.effective_share`.

    Args:
        correlation: (N, K, K), or (N, K, K, C, C) from channel to channel.

    Example:

    >>> round(float(effective_shares(tf.constant([[[0.5, 1.0, 0.5]]]))[0]), 4)
    0.6667
    """
    squares = tf.reduce_sum(tf.square(correlation), range(1, len(correlation.shape)))
    channels = tf.shape(correlation)[-1] if len(correlation.shape) == 5 else 1
    return tf.cast(channels, correlation.dtype) / squares
