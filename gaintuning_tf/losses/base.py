"""What every loss is, and what it knows of the noise: numbers and models as tensors, and fresh draws."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.losses.divergence import Denoise
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import GaussianNoise, NoiseLevel, NoiseModel
from gaintuning_tf.noise.tensors import AnyNoise, NoiseTensors, noise_tensors

_MARK = "takes_noise_tensors"


def takes_noise_tensors(call: Callable) -> Callable:
    """Mark the `__call__` of a loss: from the tuner it gets the noise as `NoiseTensors`.

    Without the mark it gets a standard deviation (N,), a `NoiseLevel` of tensors, or None.

    Returns:
        The same function.
    """
    setattr(call, _MARK, True)
    return call


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
        noise_factor: Where the risk is the mean squared error of the denoised image, but for chance: the variance of
            the noise that it is at, over that of the image; else None.
        sides: Where the risk is the mean of passes of which each can be found by itself, in less memory: what
            `of_side` takes for each. None where it is found in one.

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
    noise_factor: float | None = None
    sides: tuple[float, ...] | None = None

    @property
    def criterion(self) -> RiskEstimate:
        """The loss that results are compared by: this one, unless another judges better and trains worse."""
        return self

    def __call__(
        self,
        denoise: Denoise,
        noisy: tf.Tensor,
        noise: AnyNoise | None = None,
        *,
        seed: Seed,
        reference: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Estimate the risk of each image, (N,), in squared units of the image.

        Args:
            denoise: Images (N, H, W, C) to images of the same shape.
            noisy: (N, H, W, C).
            noise: Overrides the loss's own: the standard deviation of Gaussian noise, () or (N,); a
                `NoiseModel`; a `NoiseLevel`; or, from the tuner, `NoiseTensors`.
            seed: Two integers.
            reference: (N, H, W, C), a denoised image from elsewhere, such as the network's before tuning.

        Raises:
            InputError: No noise, here or there, for a loss that needs it.
        """
        raise NotImplementedError

    def known_noise(self, noise: AnyNoise | None, noisy: tf.Tensor) -> NoiseTensors:
        """Give the noise of a call as tensors of the dtype of `noisy`, to be broadcast over its images."""
        given = noise_tensors(noise, noisy.dtype)
        if given.known:
            return given
        if self.noise is None:
            name = type(self).__name__
            raise InputError(
                f"{name} expects the noise level: {name}(...) or tune(...) with a sigma or a model such as PoissonNoise"
            )
        # What is not known of the noise does not change which pixels count.
        return noise_tensors(self.noise, noisy.dtype)._replace(weights=given.weights)

    def check_noise(self, noise: AnyNoise | None) -> None:
        """Refuse noise that the loss is not for, as far as that is known before anything is computed.

        Args:
            noise: As for a call.

        Raises:
            InputError: The loss is not for such noise.
        """

    def at_step(self, step: float) -> RiskEstimate:
        """Give the loss this length of the finite difference, if its own is left open.

        Returns:
            A copy, or the loss itself.
        """
        if self.step is not None:
            return self
        chosen = copy.copy(self)
        chosen.step = step
        return chosen

    def of_side(self, side: tf.Tensor) -> RiskEstimate:
        """Give the part of the risk that one pass is for: the mean over `sides` is the risk.

        Args:
            side: One of `sides`, ().
        """
        raise NotImplementedError

    def of(
        self,
        denoise: Denoise,
        noisy: tf.Tensor,
        noise: AnyNoise | None,
        *,
        seed: Seed,
        reference: tf.Tensor | None,
    ) -> tf.Tensor:
        """Call the loss with what it knows: losses of the user's own need not know of references or `NoiseTensors`.

        Returns:
            The risk of each image, (N,).
        """
        options = {"reference": reference} if self.uses_reference else {}
        if isinstance(noise, NoiseTensors) and not hasattr(type(self).__call__, _MARK):
            noise = _plain(noise, self)
        return self(denoise, noisy, noise, seed=seed, **options)


# What is taken for a loss: a risk estimate, or a function of the same arguments.
Loss: TypeAlias = RiskEstimate | Callable[..., tf.Tensor]


class _Function(RiskEstimate):
    """A callable that is no `RiskEstimate`, with those of its attributes that it has."""

    def __init__(self, function: Any):
        self.function = function
        for name in ("noise", "needs_noise", "uses_reference", "step", "noise_factor"):
            setattr(self, name, getattr(function, name, getattr(RiskEstimate, name)))

    @property
    def criterion(self) -> RiskEstimate:
        """That of the callable, or the callable itself."""
        return as_risk_estimate(self.function.criterion) if hasattr(self.function, "criterion") else self

    def check_noise(self, noise: AnyNoise | None) -> None:
        """Ask the callable, if it can be asked."""
        getattr(self.function, "check_noise", super().check_noise)(noise)

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise: AnyNoise | None = None, **options: Any) -> tf.Tensor:
        """Return what the callable returns for the same arguments."""
        return self.function(denoise, noisy, noise, **options)

    def at_step(self, step: float) -> RiskEstimate:
        """Wrap a copy of the callable that has this step, if its own is left open."""
        if self.step is not None:
            return self
        function = copy.copy(self.function)
        function.step = step
        return _Function(function)


def as_risk_estimate(loss: Loss) -> RiskEstimate:
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


def _plain(noise, loss):
    """Give the noise as losses without the mark know it, and say what they do not get to know."""
    missed = ["the correlation of the noise"] * (not noise.is_white) + ["which pixels count"] * noise.is_weighted
    if missed:
        name = getattr(loss, "function", loss)
        message = f"the loss {name!r} does not take {' and '.join(missed)}: it gets none; mark it @takes_noise_tensors"
        warnings.warn(message, GainTuningWarning, stacklevel=3)
    if not noise.known:
        return None
    return tf.sqrt(noise.intercept) if noise.is_gaussian else NoiseLevel(noise.slope, noise.intercept)


def own_noise(noise: float | np.ndarray | NoiseModel | None) -> NoiseModel | None:
    """Make a model of the noise that a loss is made with: a number is a sigma."""
    return noise if noise is None or isinstance(noise, NoiseModel) else GaussianNoise(noise)
