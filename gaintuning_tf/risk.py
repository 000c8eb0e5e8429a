"""What every loss is, and what it knows of the noise: numbers and models as tensors, and fresh draws."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import tensorflow as tf

from gaintuning_tf import draws
from gaintuning_tf.divergence import Denoise, mean
from gaintuning_tf.errors import InputError
from gaintuning_tf.noise import GaussianNoise, NoiseLevel, NoiseModel, along_images


class RiskEstimate:
    """Base of the losses: a number for each image that tuning minimises.

    Called as `loss(denoise, noisy, noise, seed=seed, reference=reference)` with the same numbers,
    it returns the same risks: nothing is kept between calls.

    Attributes:
        noise: The loss's own noise, in the units of the images, or None.
        needs_noise: Whether a call without any noise is refused.
        uses_reference: Whether `reference` makes a difference; without, the tuner does not pass it.
        step: Length of the finite difference, None for one that suits the network's precision; 0 where there is none.
        criterion: What results are compared by, on probes that tuning has not seen.

    Example, a loss of one's own:

    >>> class Fit(RiskEstimate):
    ...     needs_noise = False
    ...
    ...     def __call__(self, denoise, noisy, noise=None, *, seed, reference=None):
    ...         return tf.reduce_mean(tf.square(denoise(noisy) - noisy), axis=(1, 2, 3))
    >>> Fit()(lambda y: 0.5 * y, tf.ones((2, 8, 8, 1)), seed=(0, 0)).numpy().tolist()
    [0.25, 0.25]
    """

    noise: NoiseModel | None = None
    needs_noise = True
    uses_reference = False
    step: float | None = 0.0

    @property
    def criterion(self) -> RiskEstimate:
        """The loss that results are compared by: this one, unless another tells more though it trains worse."""
        return self

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise=None, *, seed, reference=None) -> tf.Tensor:
        """The risk of each image, (N,), in squared units of the image.

        Args:
            denoise: Images (N, H, W, C) to images of the same shape.
            noisy: (N, H, W, C).
            noise: Overrides the loss's own: the standard deviation of Gaussian noise, () or (N,); a
                `NoiseModel`; or a `NoiseLevel` of tensors, (N,) each.
            seed: Two integers.
            reference: (N, H, W, C), a denoised image from elsewhere, such as the network's before tuning.

        Raises:
            InputError: No noise, here or there, for a loss that needs it.
        """
        raise NotImplementedError

    def _level(self, noise, noisy) -> NoiseLevel:
        """The noise of a call as tensors of the dtype of `noisy`, to be broadcast over its images."""
        noise = self.noise if noise is None else noise
        if noise is None:
            name = type(self).__name__
            raise InputError(
                f"{name} expects the noise level: {name}(...) or tune(...) with a sigma or a model such as PoissonNoise"
            )
        return as_level(noise, noisy.dtype)

    def check_noise(self, noise) -> None:
        """Refuse noise that the loss is not for, as far as that is known before anything is computed.

        Args:
            noise: As for a call.

        Raises:
            InputError: The loss is not for such noise.
        """

    def at_step(self, step: float) -> RiskEstimate:
        """The loss with this length of the finite difference, if its own is left open: a copy, or itself."""
        if self.step is not None:
            return self
        chosen = copy.copy(self)
        chosen.step = step
        return chosen

    def of(self, denoise: Denoise, noisy: tf.Tensor, noise, *, seed, reference) -> tf.Tensor:
        """Call the loss with `reference` if it uses one: losses of the user's own need not know of it.

        Returns:
            The risk of each image, (N,).
        """
        options = {"reference": reference} if self.uses_reference else {}
        return self(denoise, noisy, noise, seed=seed, **options)


class _Function(RiskEstimate):
    """A callable that is no `RiskEstimate`, with those of its attributes that it has."""

    def __init__(self, function: Any):
        self.function = function
        for name in ("noise", "needs_noise", "uses_reference", "step"):
            setattr(self, name, getattr(function, name, getattr(RiskEstimate, name)))

    @property
    def criterion(self) -> RiskEstimate:
        """That of the callable, or the callable itself."""
        return as_risk_estimate(self.function.criterion) if hasattr(self.function, "criterion") else self

    def check_noise(self, noise) -> None:
        """Ask the callable, if it can be asked."""
        getattr(self.function, "check_noise", super().check_noise)(noise)

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise=None, **options) -> tf.Tensor:
        """What the callable returns for the same arguments."""
        return self.function(denoise, noisy, noise, **options)

    def at_step(self, step: float) -> RiskEstimate:
        """The same of a copy of the callable, whose step it is."""
        if self.step is not None:
            return self
        function = copy.copy(self.function)
        function.step = step
        return _Function(function)


def as_risk_estimate(loss) -> RiskEstimate:
    """Wrap a plain function, `loss(denoise, noisy, noise, seed=seed)`, so that it can be asked what a loss is asked.

    Args:
        loss: A `RiskEstimate`, which is returned as it is, or any callable.

    Raises:
        InputError: It cannot be called, or is a class in place of an object.

    Example:

    >>> def fit(denoise, noisy, noise=None, *, seed):
    ...     return tf.reduce_mean(tf.square(denoise(noisy) - noisy), axis=(1, 2, 3))
    >>> loss = as_risk_estimate(fit)
    >>> loss.uses_reference, loss.criterion is loss, as_risk_estimate(loss) is loss
    (False, True, True)
    """
    if isinstance(loss, RiskEstimate):
        return loss
    if not callable(loss) or isinstance(loss, type):
        raise InputError(f"expected a loss such as MonteCarloSURE(), received {loss!r}")
    return _Function(loss)


def own_noise(noise) -> NoiseModel | None:
    """The noise that a loss is made with, as a model: a number is a sigma."""
    return noise if noise is None or isinstance(noise, NoiseModel) else GaussianNoise(noise)


def as_level(noise, dtype=tf.float32) -> NoiseLevel:
    """The line of the variance of any noise, as tensors that broadcast over the images of a batch.

    Args:
        noise: A standard deviation, () or (N,), number or tensor; a `NoiseModel`; or a `NoiseLevel`.
        dtype: Of the result.

    Returns:
        Slope and intercept, each (), (1,) or (N,). The slope of Gaussian noise is the number zero,
        which tells a graph that no Poisson numbers need to be drawn.

    Example:

    >>> level = as_level(0.5)
    >>> level.slope, level.intercept.numpy().tolist()
    (0.0, 0.25)
    """
    if tf.is_tensor(noise):
        return NoiseLevel(0.0, tf.square(tf.cast(noise, dtype)))
    if not isinstance(noise, (NoiseModel, NoiseLevel)):
        noise = GaussianNoise(noise)
    if isinstance(noise, GaussianNoise):
        return NoiseLevel(0.0, tf.square(tf.cast(noise.sigma, dtype)))
    level = noise if isinstance(noise, NoiseLevel) else noise.level(noise.images)
    return (
        level if is_gaussian(level) and np.ndim(level.slope) == 0 else NoiseLevel(*(tf.cast(p, dtype) for p in level))
    )


def is_gaussian(level: NoiseLevel) -> bool:
    """Whether the slope is known to be zero, while the graph is built."""
    slope = known_slope(level)
    return slope is not None and not np.any(slope)


def known_slope(level: NoiseLevel):
    """The slope as a number or array; None if it is a tensor whose value the graph does not know while it is built."""
    return tf.get_static_value(level.slope) if tf.is_tensor(level.slope) else level.slope


def draw_noise(level: NoiseLevel, images: tf.Tensor, seed) -> tf.Tensor:
    """Noise of mean zero, as it would lie on the clean `images`.

    `sigma n + gain (Poisson(m) - m)` with `m = max(images - offset, 0) / gain`, n standard normal: an
    intercept above zero is `sigma^2`, one below `-gain * offset`. Where the slope is known to be
    zero no Poisson numbers are drawn; XLA cannot draw them.

    Args:
        level: Slope and intercept, each a number, (1,) or (N,).
        images: (N, ..., C), clean.
        seed: Two integers.

    Returns:
        (N, ..., C), to be added to `images`.

    Example:

    >>> images = tf.fill((1, 128, 128, 1), 5.0)
    >>> noise = draw_noise(as_level(NoiseLevel(tf.constant([2.0]), tf.constant([1.0]))), images, (0, 1))
    >>> bool(abs(tf.math.reduce_variance(noise) - 11) < 5 * 11 * (2.2 / 128**2) ** 0.5)
    True
    """
    normal_seed, poisson_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))
    sigma = tf.sqrt(tf.maximum(tf.cast(level.intercept, images.dtype), 0))
    normal = draws.of_shape(
        lambda size: tf.random.stateless_normal(size, normal_seed, dtype=images.dtype, alg="philox"), tf.shape(images)
    )
    noise = along_images(sigma, images) * normal
    if is_gaussian(level):
        return noise
    shot = level.slope > 0
    gain = tf.where(shot, level.slope, tf.ones_like(level.slope))
    offset = tf.maximum(-level.intercept, 0) / gain
    shot, gain, offset = (along_images(part, images) for part in (shot, gain, offset))
    # A count in less than 24 bits would be too far from a whole number to be one.
    exact = tf.float64 if images.dtype == tf.float64 else tf.float32
    mean = tf.where(shot, tf.maximum(images - offset, 0) / gain, tf.zeros_like(images))
    counts = draws.poisson(tf.cast(mean, exact), poisson_seed)
    return noise + gain * tf.cast(counts - tf.cast(mean, exact), images.dtype)


def standard_error(noise, noisy: tf.Tensor) -> tf.Tensor:
    """How far below zero chance alone takes the risk of an image, one standard deviation, (N,).

    `v sqrt(2 / n)`: that of the mean square of the noise in n values, normal and of the mean variance v, to which
    all risk estimates compare.

    Args:
        noise: As `as_level` takes it.
        noisy: (N, ..., C).

    Example:

    >>> standard_error(0.5, tf.zeros((1, 32, 64, 1))).numpy().tolist()
    [0.0078125]
    """
    variance = mean(tf.maximum(as_level(noise, noisy.dtype).variance(noisy), 0) + tf.zeros_like(noisy))
    return variance * (2 / (noisy.shape.num_elements() / noisy.shape[0])) ** 0.5
