"""What is known of the noise as tensors: one object from estimation to the graph that tunes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise import colouring, draws
from gaintuning_tf.noise.correlation import joined_correlations
from gaintuning_tf.noise.models import GaussianNoise, Noise, NoiseLevel, NoiseModel, along_images

# The noise of copies draws from streams of random numbers that begin this far away from
# those of probes, losses and windows.
_COPIES = 1 << 50


class NoiseTensors(NamedTuple):
    """What is known of the noise of a batch: how it enters a compiled graph.

    The variance is a line of the clean value, `v = slope * value + intercept`; noise is white, or
    has a correlation, `y = x + sqrt(v) (k * w)`, see `noise.models`. What is not known, or not there,
    has no tensor, but an empty tuple: so a graph knows while it is built that there is nothing to compute.

    Attributes:
        slope: (), (1,) or (N,), in units of the image; an empty tuple for Gaussian noise.
        intercept: (), (1,) or (N,), in their square; an empty tuple if nothing is known.
        correlation: (1 or N, K, K), or (1 or N, K, K, C, C) from channel to channel, see
            `correlation.checked_correlation`; an empty tuple for white noise.
        weights: (N, ..., 1) or (N, ..., C), one where a pixel counts and zero where not; an
            empty tuple if all do.
        whitening: (1,) or (N,), how much noise is added before a network that knows white noise
            alone sees the images, see `shown`; an empty tuple if none is, as for white noise.
        doubt: (1,) or (N,), the relative standard deviation of the variance as it is known; an
            empty tuple if that is taken for sure.

    Example:

    >>> noise = NoiseTensors(intercept=tf.constant([4.0]))
    >>> noise.known, noise.is_gaussian, noise.mean_variance(tf.zeros((1, 8, 8, 1))).numpy().tolist()
    (True, True, [4.0])
    """

    slope: Any = ()
    intercept: Any = ()
    correlation: Any = ()
    weights: Any = ()
    whitening: Any = ()
    doubt: Any = ()

    @property
    def known(self) -> bool:
        """Whether anything is known of the noise."""
        return not isinstance(self.intercept, tuple)

    @property
    def is_gaussian(self) -> bool:
        """Whether the noise is known not to grow with the signal."""
        return isinstance(self.slope, tuple)

    @property
    def is_white(self) -> bool:
        """Whether pixels are known to be independent."""
        return isinstance(self.correlation, tuple)

    @property
    def is_whitened(self) -> bool:
        """Whether there may be noise that is added before a network sees the images, see `shown`."""
        return not isinstance(self.whitening, tuple)

    @property
    def is_plain(self) -> bool:
        """Whether pixels are known to be independent, all count, and the variance is sure."""
        return self.is_white and not self.is_weighted and isinstance(self.doubt, tuple)

    @property
    def is_weighted(self) -> bool:
        """Whether there may be pixels that do not count."""
        return not isinstance(self.weights, tuple)

    def variance(self, images: tf.Tensor) -> tf.Tensor:
        """Evaluate the line at each pixel of `images`, not cut off at zero: noisy ones do not bias it."""
        intercept = along_images(self.intercept, images) + tf.zeros_like(images)
        return intercept if self.is_gaussian else along_images(self.slope, images) * images + intercept

    def mean_variance(self, images: tf.Tensor) -> tf.Tensor:
        """Average the line over each image, (N,)."""
        return self.mean(self.variance(images))

    def total(self, images: tf.Tensor) -> tf.Tensor:
        """Sum over the pixels and channels of each image that count, (N, ..., C) to (N,)."""
        return total(tf.cast(self.weights, images.dtype) * images) if self.is_weighted else total(images)

    def count(self, images: tf.Tensor) -> tf.Tensor:
        """Count the values of each image that count, (N,) or, if all do, (); one where there is none."""
        if self.is_weighted:
            return tf.maximum(self.total(tf.ones_like(images)), 1)
        return tf.cast(tf.reduce_prod(tf.shape(images)[1:]), images.dtype)

    def mean(self, images: tf.Tensor) -> tf.Tensor:
        """Average over the pixels and channels of each image that count, (N, ..., C) to (N,); zero where none does.

        Example:

        >>> noise = NoiseTensors(weights=tf.constant([[[[1.0], [0.0]]]]))
        >>> noise.mean(tf.constant([[[[3.0], [5.0]]]])).numpy().tolist()
        [3.0]
        """
        return self.total(images) / self.count(images) if self.is_weighted else mean(images)

    def share(self, images: tf.Tensor) -> tf.Tensor:
        """Compute which share of the values of each image counts, (N,), float64."""
        everything = tf.ones_like(images, tf.float64)
        return self.total(everything) / tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float64)

    def effective_share(self, images: tf.Tensor) -> tf.Tensor:
        """Compute how many independent values that count one value is worth, for a mean of squares, (N,), float64.

        See `correlation.effective_share`. A variance that is doubtful by a share u is no better
        known, however large the image: n values are worth `1 / (1/n + u^2/2)`, of which the mean
        square has that standard deviation, too.
        """
        share = self.share(images)
        if not self.is_white:
            share = share * tf.cast(colouring.effective_shares(self.correlation), tf.float64)
        if isinstance(self.doubt, tuple):
            return share
        values = tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float64)
        return 1 / (1 / share + values * tf.square(tf.cast(self.doubt, tf.float64)) / 2)

    def standard_error(self, noisy: tf.Tensor) -> tf.Tensor:
        """Estimate the standard error of the risk of an image about zero, (N,).

        `v sqrt(2 / n)`: that of the mean square of the noise in n values, normal and of
        the mean variance v, to which all risk estimates compare. Of correlated noise, and where
        not all pixels count, n is the number of independent ones that are worth as much.

        Args:
            noisy: (N, ..., C).

        Example:

        >>> noise_tensors(0.5).standard_error(tf.zeros((1, 32, 64, 1))).numpy().tolist()
        [0.0078125]
        """
        variance = self.mean(tf.maximum(self.variance(noisy), 0))
        error = variance * (2 / (noisy.shape.num_elements() / noisy.shape[0])) ** 0.5
        if self.is_plain:
            return error
        return tf.math.divide_no_nan(error, tf.cast(tf.sqrt(self.effective_share(noisy)), error.dtype))

    def direction(self, white: Callable[[Any], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
        """Draw a direction with the correlation of the noise and variance one; zero where pixels do not count.

        Such pixels hold no noise, so that a probe of them would say nothing of it.

        Args:
            white: A shape to independent numbers of variance one, of the dtype of the images.
            images: (N, ..., C).

        Returns:
            Of the shape of the images.
        """
        drawn = white(tf.shape(images)) if self.is_white else colouring.coloured(white, images, self.correlation)
        return tf.cast(self.weights, drawn.dtype) * drawn if self.is_weighted else drawn

    def probe(self, images: tf.Tensor, seed: draws.Seed) -> tf.Tensor:
        """Draw noise of the covariance of that of the images, zero where pixels do not count, (N, ..., C)."""

        def white(shape):
            return draws.of_shape(
                lambda size: tf.random.stateless_normal(size, seed, dtype=images.dtype, alg="philox"), shape
            )

        return tf.sqrt(tf.maximum(self.variance(images), 0)) * self.direction(white, images)

    def draw(self, images: tf.Tensor, seed: draws.Seed) -> tf.Tensor:
        """Draw noise of mean zero, as it would lie on the clean `images`.

        `sigma n + gain (Poisson(m) - m)` with `m = max(images - offset, 0) / gain`, n
        standard normal: an intercept above zero is `sigma^2`, one below `-gain * offset`.
        Gaussian noise needs no Poisson numbers, which XLA cannot draw. Correlated noise is
        `sqrt(max(v, 0)) (k * w)`, w standard normal, without Poisson numbers too.

        Args:
            images: (N, ..., C), clean.
            seed: Two integers.

        Returns:
            (N, ..., C), to be added to `images`.

        Example:

        >>> images = tf.fill((1, 128, 128, 1), 5.0)
        >>> noise = NoiseTensors(tf.constant([2.0]), tf.constant([1.0])).draw(images, (0, 1))
        >>> bool(abs(tf.math.reduce_variance(noise) - 11) < 5 * 11 * (2.2 / 128**2) ** 0.5)
        True
        """
        normal_seed, poisson_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))

        def white(shape):
            return draws.of_shape(
                lambda size: tf.random.stateless_normal(size, normal_seed, dtype=images.dtype, alg="philox"), shape
            )

        if not self.is_white:
            deviation = tf.cast(tf.sqrt(tf.maximum(self.variance(images), 0)), images.dtype)
            return deviation * colouring.coloured(white, images, self.correlation)
        sigma = tf.sqrt(tf.maximum(tf.cast(self.intercept, images.dtype), 0))
        normal = white(tf.shape(images))
        noise = along_images(sigma, images) * normal
        return noise if self.is_gaussian else noise + self._shot_noise(images, poisson_seed)

    def shown(
        self, denoise: Callable, images: tf.Tensor, seed: draws.Seed, copies: int = 1, first: int | tf.Tensor = 0
    ) -> Callable:
        """Let a denoiser see images to which the noise is added that makes theirs white.

        A network trained on white noise takes correlated noise for detail. Where the noise
        has the spectrum S, noise of the spectrum `max(a max(S) - S, 0)`, drawn independently,
        makes it white for a = 1, the level then being the highest of S; for a smaller share a,
        white up to there. The mean over several such copies forgets the noise added: of a pair, the
        second has the noise of the first with its sign turned, so that what a denoiser does to it linearly
        is gone from their mean (antithetic variates: Hammersley and Morton, "A new Monte Carlo technique",
        1956; docs/log/2026-11-27-copies-in-pairs.md). The share a is `whitening`.

        Args:
            denoise: Images (N, ..., C) to images of the same shape.
            images: Those of whose noise this is: their mean level is that of what is added.
            seed: Two integers: the same ones add the same noise.
            copies: How many noisier copies are denoised, and averaged.
            first: The number of the first of them, ().

        Returns:
            A denoiser of the same kind, of images as many as `images` or a multiple of that;
            `denoise` itself if nothing is added.

        Example:

        >>> noise = noise_of_batch(GaussianNoise(1.0, correlation=np.array([[0.5, 1.0, 0.5]])), 1, tf.float32)
        >>> noise = noise._replace(whitening=tf.ones(1))
        >>> seen = noise.shown(lambda y: y, tf.zeros((1, 256, 256, 1)), (0, 1))(tf.zeros((1, 256, 256, 1)))
        >>> round(float(tf.math.reduce_variance(seen)))  # the highest of the spectrum is 2, its mean 1
        1
        """
        if not self.is_whitened:
            return denoise
        # All copies have the filter, which is most of what they take in a graph.
        filters = colouring.complements_of(self.correlation, self.whitening)
        added = [self._added(images, filters, seed, first + number) for number in range(copies)]

        def of_copies(noisy):
            repeats: Any = [tf.shape(noisy)[0] // tf.shape(images)[0]] + [1] * (len(images.shape) - 1)
            return tf.add_n([denoise(noisy + tf.tile(noise, repeats)) for noise in added]) / copies

        return of_copies

    def _added(self, images, filters, seed, number):
        """Draw the noise of copy `number`: that of the one before with its sign turned, if the number is odd."""
        number = tf.cast(number, tf.int64)
        sign = tf.cast(1 - 2 * (number % 2), images.dtype)
        return sign * self._complement(images, filters, _copy_seed(seed, number // 2))

    def _complement(self, images, filters, seed):
        """Draw the noise that makes that of the images white up to a share of its spectrum's highest value."""

        def white(shape):
            return draws.of_shape(
                lambda size: tf.random.stateless_normal(size, seed, dtype=images.dtype, alg="philox"), shape
            )

        level = tf.sqrt(self.mean(tf.maximum(self.variance(images), 0)))
        return along_images(level, images) * colouring.filtered(white, images, filters)

    def seen_line(self, images: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Find the line of the variance as a network sees it: with what `shown` adds to correlated noise.

        Args:
            images: (N, ..., C).

        Returns:
            Slope and intercept, (1,) or (N,); the slope is None of Gaussian noise.
        """
        slope = None if self.is_gaussian else tf.reshape(self.slope, [-1])
        intercept = tf.reshape(self.intercept, [-1])
        if not self.is_whitened:
            return slope, intercept
        filters = colouring.complements_of(self.correlation, self.whitening)
        energy = tf.reduce_sum(tf.square(filters), range(1, len(filters.shape)))
        # From channel to channel, the variance is that of all channels together.
        energy = energy / (1 if len(filters.shape) == 3 else tf.cast(tf.shape(images)[-1], energy.dtype))
        added = tf.cast(energy, images.dtype) * self.mean(tf.maximum(self.variance(images), 0))
        return slope, intercept + added

    def specs(self, image: tf.TensorSpec) -> NoiseTensors:
        """Put a `TensorSpec` in the place of each tensor: any number of images, any radius of a correlation.

        Args:
            image: Of the images.
        """
        weights = [*cast(Any, image.shape)[:-1], *cast(Any, self.weights).shape[-1:]] if self.is_weighted else []
        between = [] if self.is_white else self.correlation.shape[3:]
        shapes = ([None], [None], [None, None, None, *between], weights, [None], [None])
        return NoiseTensors(
            *(p if isinstance(p, tuple) else tf.TensorSpec(s, image.dtype) for p, s in zip(self, shapes, strict=True))
        )

    def _shot_noise(self, images, seed):
        shot = self.slope > 0
        gain = tf.where(shot, self.slope, tf.ones_like(self.slope))
        offset = tf.maximum(-self.intercept, 0) / gain
        shot, gain, offset = (along_images(part, images) for part in (shot, gain, offset))
        # A count in less than 24 bits would be too far from a whole number to be one.
        exact = tf.float64 if images.dtype == tf.float64 else tf.float32
        rate = tf.cast(tf.where(shot, tf.maximum(images - offset, 0) / gain, tf.zeros_like(images)), exact)
        counts = draws.poisson(rate, seed)
        return gain * tf.cast(counts - rate, images.dtype)


# What a loss takes: the noise as `tune` takes it, or already in tensors.
AnyNoise: TypeAlias = Noise | tf.Tensor | NoiseTensors


def noise_tensors(noise: AnyNoise | None, dtype: tf.DType = tf.float32) -> NoiseTensors:
    """Turn any noise into tensors that broadcast over the images of a batch.

    Args:
        noise: None if nothing is known; a standard deviation, () or (N,), number or
            tensor; a `NoiseModel`; a `NoiseLevel`; or such tensors.
        dtype: The dtype of the result.

    Raises:
        InputError: A number is no standard deviation.

    Example:

    >>> noise_tensors(0.5).intercept.numpy().item(), noise_tensors(None).known
    (0.25, False)
    """
    if noise is None or isinstance(noise, NoiseTensors):
        return noise or NoiseTensors()
    if tf.is_tensor(noise):
        return NoiseTensors(intercept=tf.square(tf.cast(cast(Any, noise), dtype)))
    if not isinstance(noise, (NoiseModel, NoiseLevel)):
        noise = GaussianNoise(cast(Any, noise))
    correlation = _correlation_of(noise, noise.images, dtype) if isinstance(noise, NoiseModel) else ()
    if isinstance(noise, GaussianNoise):
        variance = tf.square(tf.cast(noise.sigma, dtype))
        return NoiseTensors(intercept=variance, correlation=correlation, whitening=_none_of(correlation))
    slope, intercept = noise if isinstance(noise, NoiseLevel) else noise.level(noise.images)
    known = tf.get_static_value(slope) if tf.is_tensor(slope) else slope
    grows = known is None or np.any(known)
    return NoiseTensors(
        tf.cast(slope, dtype) if grows else (), tf.cast(intercept, dtype), correlation, whitening=_none_of(correlation)
    )


def _correlation_of(noise, images, dtype):
    """Find the correlations of a model's noise in images, one for all or one each; an empty tuple if it is white."""
    found = joined_correlations(noise.correlations(images))
    if found is None:
        return ()
    return tf.cast(found if found.ndim in (3, 5) else found[None], dtype)


def noise_of_batch(
    noise: NoiseModel | NoiseLevel | None, images: int, dtype: tf.DType, weights: Any = ()
) -> NoiseTensors:
    """Turn the noise of a batch into tensors with a number for each of its images.

    Args:
        noise: The noise of all, or with parameters for each; None if it is not known.
        images: The number of images.
        dtype: The dtype of the result.
        weights: Of the pixels, see `NoiseTensors`.

    Raises:
        InputError: The noise is that of another number of images.
    """
    if noise is None:
        return NoiseTensors(weights=weights)
    correlation = _correlation_of(noise, images, dtype) if isinstance(noise, NoiseModel) else ()
    level = noise.for_images(images) if isinstance(noise, NoiseLevel) else noise.level(images)
    if isinstance(noise, GaussianNoise):
        intercept = tf.square(tf.cast(np.sqrt(level.intercept), dtype))
        return NoiseTensors((), intercept, correlation, weights, _none_of(correlation))
    slope, intercept = (tf.cast(part, dtype) for part in level)
    return NoiseTensors(slope, intercept, correlation, weights, _none_of(correlation))


def _none_of(correlation):
    """Start with no noise added, where the noise is correlated."""
    return () if isinstance(correlation, tuple) else tf.zeros([1], correlation.dtype)


def _copy_seed(seed, number):
    """Make the seed of the noise of a copy of the images: no other stream has it."""
    first, second = tf.unstack(tf.cast(tf.convert_to_tensor(seed), tf.int64))
    return tf.stack([first + _COPIES + number, second])


def weights_of(mask: Any, images: tf.Tensor) -> Any:
    """Turn a mask into weights, see `NoiseTensors`.

    Args:
        mask: True where a pixel does not count, as `numpy.ma` has it: (N, ...), or (N, ..., C); or None.
        images: (N, ..., C).

    Returns:
        (N, ..., 1) or (N, ..., C), of the dtype of the images; an empty tuple if all pixels count.

    Raises:
        InputError: It is no mask, of another shape, or leaves no pixel of an image.

    Example:

    >>> weights_of(np.array([[[True, False]]]), tf.zeros((1, 1, 2, 3))).numpy()[..., 0].tolist()
    [[[0.0, 1.0]]]
    """
    if mask is None:
        return ()
    found, shape = np.asarray(mask), tuple(images.shape)
    if found.dtype != bool or found.shape not in (shape, shape[:-1]):
        raise InputError(
            f"expected mask to be boolean, True where a pixel does not count, of shape {shape[:-1]} or {shape}, "
            f"received {found.dtype} of shape {found.shape}"
        )
    if found.reshape(len(found), -1).all(-1).any():
        raise InputError("expected a mask that leaves pixels of every image, received one that leaves none")
    counted = ~(found if found.shape == shape else found[..., None])
    return () if counted.all() else tf.cast(counted, images.dtype)


def total(images: tf.Tensor) -> tf.Tensor:
    """Sum over the pixels and channels of each image, (N, ..., C) to (N,)."""
    return tf.reduce_sum(images, axis=range(1, len(images.shape)))


def mean(images: tf.Tensor) -> tf.Tensor:
    """Average over the pixels and channels of each image, (N, ..., C) to (N,)."""
    return tf.reduce_mean(images, axis=range(1, len(images.shape)))
