"""The error of guessing pixels from those around them."""

from __future__ import annotations

import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, takes_noise_tensors
from gaintuning_tf.losses.divergence import Denoise
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.colouring import convolved
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.tensors import AnyNoise, mean, noise_tensors

FILLS = ("mean", "neighbour")
# Pixels are hidden whose correlation with a masked one is larger than this: what is left
# lets at most a hundredth of its variance be guessed from one pixel.
CORRELATED = 0.1
# Masked pixels lie at least so many times the reach of the correlation apart, and two: an
# image of which 2 r + 1 pixels are hidden has r + 1 between these that are not.
_VISIBLE = 3


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

    Where the noise is known to be correlated, its neighbours would give a pixel away: with each pixel of J
    all those are replaced whose noise has a correlation of more than 0.1 with its own (Broaddus, Krull,
    Weigert, Schmidt, Myers, "Removing structured noise with self-supervised blind-spot networks", ISBI
    2020), by a mean of what is left around, whatever `fill` is. The error is counted on J alone, whose
    pixels lie further apart where the spacing is too small for that.

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

    def check_noise(self, noise: AnyNoise | None) -> None:
        """Refuse correlated noise without masks: such a network sees pixels that know the masked one.

        Raises:
            InputError: It is correlated.
        """
        if not self.masked and not noise_tensors(noise).is_white:
            raise InputError("BlindSpotLoss without masks expects white noise, received correlated noise: mask pixels")

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
        known = noise_tensors(noise, noisy.dtype)
        self.check_noise(known)
        if not self.masked:
            return known.mean(tf.square(denoise(noisy) - noisy))
        mask_seed, fill_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        if known.is_white:
            mask = grid_mask(tf.shape(noisy)[1:-1], self.spacing, mask_seed)
            hidden = tf.where(mask, self._filling(noisy, fill_seed), noisy)
        else:
            mask, hidden = self._without_correlated(noisy, known.correlation, mask_seed)
        error = tf.where(mask, tf.square(denoise(hidden) - noisy), tf.zeros_like(noisy))
        masked = tf.cast(mask, noisy.dtype)
        if known.is_weighted:
            return tf.math.divide_no_nan(known.total(error), known.total(masked * tf.ones_like(noisy)))
        return mean(error) / tf.reduce_mean(masked)

    def _without_correlated(self, noisy, correlation, seed):
        """Choose a mask, and hide all that is correlated with its pixels."""
        around = _correlated_lags(correlation)
        spacing = tf.maximum(self.spacing, _VISIBLE * _reach(around) + 2)
        mask = grid_mask(tf.shape(noisy)[1:-1], spacing, seed)
        hidden = _spread(mask, around)
        return mask, tf.where(hidden, _surroundings(noisy, hidden, spacing), noisy)

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


def _correlated_lags(correlation):
    """Find at which lags noise is correlated by more than `CORRELATED`, (N, K, K), booleans."""
    large = tf.abs(correlation) > CORRELATED
    return large if len(correlation.shape) == 3 else tf.reduce_any(large, [3, 4])


def _reach(around):
    """Find the largest lag along an axis, ()."""
    rows, columns = (tf.abs(tf.range(side) - side // 2) for side in tf.unstack(tf.shape(around)[1:]))
    return tf.reduce_max(tf.where(around, tf.maximum(rows[:, None], columns), 0))


def _spread(mask, around):
    """Find the pixels at these lags from those of a mask (1, H, W, 1): booleans, (N, H, W, 1); of volumes by planes."""
    rows, columns = tf.unstack(tf.shape(around)[1:] // 2)
    padded = tf.pad(tf.cast(mask, tf.float32), _margins(mask, rows, columns))
    return convolved(padded, tf.cast(around, tf.float32)) > 0.5


def _surroundings(images, hidden, radius):
    """Average the pixels around each that are not hidden, by a Gaussian that falls to a hundredth at the radius."""
    lags = tf.cast(tf.range(-radius, radius + 1), tf.float32) * 3 / tf.cast(radius, tf.float32)
    line = tf.exp(-tf.square(lags) / 2)
    kernel = (line[:, None] * line)[None]
    shown = tf.cast(~hidden, images.dtype) * tf.ones_like(images)
    margins = _margins(images, radius, radius)
    weighted, weights = (convolved(tf.pad(part, margins), kernel) for part in (shown * images, shown))
    return weighted / weights


def _margins(images, rows, columns):
    """Pad the planes of images or volumes by so much on each side."""
    return [[0, 0]] * (len(images.shape) - 3) + [[rows, rows], [columns, columns], [0, 0]]


def grid_mask(size: tf.Tensor, spacing: int | tf.Tensor, seed: Seed) -> tf.Tensor:
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
