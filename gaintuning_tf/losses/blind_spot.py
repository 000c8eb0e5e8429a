"""The error of guessing pixels from those around them."""

from __future__ import annotations

import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, takes_noise_tensors
from gaintuning_tf.losses.divergence import Denoise
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.tensors import AnyNoise, mean

FILLS = ("mean", "neighbour")


class BlindSpotLoss(RiskEstimate):
    """The error of guessing pixels from those around them, whose noise is another.

    `mean_J (f(y_J) - y)^2`, where y_J is the noisy image with the pixels of a grid J of random
    phase replaced by their neighbours, and the error is counted on J alone (Batson, Royer,
    "Noise2Self: blind denoising by self-supervision", ICML 2019; Krull, Buchholz, Jug,
    "Noise2Void", CVPR 2019). If the noise is of mean zero and independent from pixel to pixel, its expectation
    is that of `mean_J (f(y_J) - x)^2` plus the noise's variance: the mean squared error of the masked
    denoiser, up to a constant, whatever the noise. That denoiser does not see the pixel, so it
    has more error than f itself, and gains tuned on it are not the best for f.

    A network that cannot see the pixel, such as `architectures.blind_spot`, needs no masks: with
    `masked=False` the loss is `|f(y) - y|^2 / n` (Laine, Karras, Lehtinen, Aila, NeurIPS 2019), in expectation
    the mean squared error plus the noise's variance. For any other network that is
    smallest where nothing is denoised.

    Args:
        masked: Whether to mask pixels.
        spacing: Distance of the masked pixels along each axis: one in `spacing^2` of an image is masked.
        fill: What replaces them: the `"mean"` of the nearest neighbours along the axes, or one
            `"neighbour"` of those at random.

    Raises:
        InputError: An option is not one of these.

    Example:

    >>> noisy = tf.random.stateless_normal((1, 64, 64, 1), (0, 1))  # the clean image is zero
    >>> risk = BlindSpotLoss(spacing=2)(lambda y: y, noisy, seed=(0, 0))  # a quarter of the variance, and the variance
    >>> bool(abs(risk[0] - 1.25) < 5 * 1.25 * (2 / 32**2) ** 0.5)
    True
    """

    needs_noise = False

    def __init__(self, *, masked: bool = True, spacing: int = 4, fill: str = "mean"):
        if int(spacing) != spacing or spacing < 2:
            raise InputError(f"BlindSpotLoss expects spacing to be a whole number of at least 2, received {spacing!r}")
        if fill not in FILLS:
            raise InputError(f"BlindSpotLoss expects fill in {FILLS}, received {fill!r}")
        self.masked = bool(masked)
        self.spacing = int(spacing)
        self.fill = fill

    @takes_noise_tensors
    def __call__(
        self,
        denoise: Denoise,
        noisy: tf.Tensor,
        noise: AnyNoise | None = None,
        *,
        seed: Seed,
        reference: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Estimate the risk of each image, (N,), in its units squared, without the noise: see `RiskEstimate`."""
        if not self.masked:
            return mean(tf.square(denoise(noisy) - noisy))
        mask_seed, fill_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        mask = grid_mask(tf.shape(noisy)[1:-1], self.spacing, mask_seed)
        guess = denoise(tf.where(mask, self._filling(noisy, fill_seed), noisy))
        error = tf.where(mask, tf.square(guess - noisy), tf.zeros_like(noisy))
        return mean(error) / tf.reduce_mean(tf.cast(mask, noisy.dtype))

    def _filling(self, noisy, seed):
        around = _neighbours(noisy)
        if self.fill == "mean":
            return tf.add_n(around) / len(around)
        # One for all channels of a pixel: the noise of one channel may be that of another.
        shape = tf.concat([tf.shape(noisy)[:-1], [1]], 0)
        which = draws.of_shape(
            lambda size: tf.random.stateless_uniform(size, seed, 0, len(around), dtype=tf.int32, alg="philox"), shape
        )
        return tf.add_n([tf.where(which == i, values, tf.zeros_like(values)) for i, values in enumerate(around)])


def grid_mask(size: tf.Tensor, spacing: int, seed: Seed) -> tf.Tensor:
    """Choose every `spacing`-th pixel along each axis, from a random place: booleans, (1, *size, 1).

    Args:
        size: Spatial size of the image, (axes,), integer.
        spacing: At an image with fewer pixels than that along an axis, one of them.
        seed: Two integers.

    Example:

    >>> int(tf.reduce_sum(tf.cast(grid_mask(tf.constant([8, 12]), 4, (0, 0)), tf.int32)))
    6
    """
    axes = size.shape.num_elements()
    steps = tf.minimum(tf.fill([axes], spacing), size)
    phase = tf.math.floormod(draws.random_bits([axes], seed), steps)
    mask = tf.ones([1] * (axes + 2), tf.bool)
    for axis in range(axes):
        line = tf.math.floormod(tf.range(size[axis]) - phase[axis], steps[axis]) == 0
        mask &= tf.reshape(line, [-1 if place == axis + 1 else 1 for place in range(axes + 2)])
    return mask


def _neighbours(images):
    """List the nearest neighbours along each spatial axis, mirrored at the border: two images for each axis."""
    found = []
    for axis in range(1, len(images.shape) - 1):
        padded = tf.pad(images, [[int(place == axis)] * 2 for place in range(len(images.shape))], "REFLECT")
        for start in (0, 2):
            found.append(tf.slice(padded, [start * int(p == axis) for p in range(len(images.shape))], tf.shape(images)))
    return found
