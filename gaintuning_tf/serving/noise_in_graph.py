"""The noise estimate of `gaintuning_tf.noise.models` as a graph, for models that are served."""

from __future__ import annotations

import math

import tensorflow as tf

from gaintuning_tf.networks.sizes import mirror

# The finest details of Daubechies' wavelet of two vanishing moments ("Orthonormal bases of compactly supported
# wavelets", Comm. Pure Appl. Math. 1988, table 1), in the order of a convolution's kernel.
_ROOT = math.sqrt(3)
_DETAILS = [part / (4 * math.sqrt(2)) for part in (-1 - _ROOT, 3 + _ROOT, _ROOT - 3, 1 - _ROOT)]
# Half of the samples of a standard normal distribution are within this distance of zero.
_QUARTILE = 0.6744897501960817


def estimate_sigma(image: tf.Tensor) -> tf.Tensor:
    """Estimate the standard deviation of the noise of one image, the number that `estimate_noise` gives.

    `sigma = median |d| / 0.6745` over the diagonal wavelet coefficients d of the finest
    scale that are not zero (Donoho and Johnstone, "Ideal spatial adaptation by wavelet
    shrinkage", Biometrika 1994, section 4.2), the mean over the channels.

    Args:
        image: (H, W, C), a volume (D, H, W, C) of which the planes are looked at, or (T, C); any float dtype.

    Returns:
        Sigma in the units of the image, (), float64; 0 where `estimate_noise` finds no noise.

    Example:

    >>> noisy = 0.5 + 0.1 * tf.random.stateless_normal((64, 64, 1), (0, 1))
    >>> bool(abs(estimate_sigma(noisy) - 0.1) < 0.01)
    True
    """
    image = tf.cast(image, tf.float64)
    details = image
    for axis in range(max(len(image.shape) - 3, 0), len(image.shape) - 1):
        details = _details(details, axis)
    channels = tf.unstack(tf.reshape(details, (-1, image.shape[-1])), axis=-1)
    sigma = tf.add_n([_median_of_nonzero(tf.abs(channel)) for channel in channels]) / len(channels) / _QUARTILE
    spread = tf.reduce_max(image) - tf.reduce_min(image)
    # What rounding in the wavelet transform leaves is no noise.
    return tf.where((spread > 0) & (sigma > 1e-6 * spread), sigma, 0)


def _details(values, axis):
    """Wavelet coefficients along an axis, every second place, the signal mirrored at its ends."""
    length = len(_DETAILS)
    count = (tf.shape(values)[axis] + length - 1) // 2
    padded = mirror(values, axis, length - 1, length - 1)
    places = 2 * tf.range(count) + length
    return tf.add_n([weight * tf.gather(padded, places - j, axis=axis) for j, weight in enumerate(_DETAILS)])


def _median_of_nonzero(values):
    zeros = tf.reduce_sum(tf.cast(values == 0, tf.int32))
    others = tf.size(values) - zeros
    # The zeros come first; between the two middle ones of the rest lies the median, which is zero if there are none.
    middle = tf.sort(values)[zeros + (others - 1) // 2 : zeros + others // 2 + 1]
    return tf.where(others > 0, tf.reduce_mean(middle), 0)
