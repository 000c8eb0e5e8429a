"""The weighted sum of losses."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import Loss, RiskEstimate, as_risk_estimate, takes_noise_tensors
from gaintuning_tf.losses.divergence import Denoise
from gaintuning_tf.noise.draws import Seed
from gaintuning_tf.noise.models import NoiseModel
from gaintuning_tf.noise.tensors import AnyNoise


class WeightedSum(RiskEstimate):
    """The weighted sum of several losses, `sum_k w_k loss_k`, each with random numbers of its own.

    Args:
        losses: A mapping of losses to positive weights, or pairs of them. A loss may be a plain function, see
            `base.as_risk_estimate`.

    Raises:
        InputError: There is no loss, one cannot be called, or a weight is not positive.

    Example:

    >>> from gaintuning_tf.losses import MonteCarloSURE, NoiseResamplingLoss
    >>> from gaintuning_tf import MonteCarloSURE, NoiseResamplingLoss
    >>> loss = WeightedSum({MonteCarloSURE(0.1): 1.0, NoiseResamplingLoss(0.1): 0.5})
    >>> loss(lambda y: 0.5 * y, tf.zeros((2, 16, 16, 1)), seed=(0, 2)).shape.as_list()
    [2]
    """

    def __init__(self, losses: Mapping[Loss, float] | Iterable[tuple[Loss, float]]):
        given: Any = losses.items() if isinstance(losses, Mapping) else losses
        self.terms = [(as_risk_estimate(loss), weight) for loss, weight in given]
        if not self.terms:
            raise InputError("WeightedSum expects at least one loss, received none")
        for _, weight in self.terms:
            if not (isinstance(weight, numbers.Real) and 0 < float(weight) < float("inf")):
                raise InputError(f"WeightedSum expects positive weights, received {weight!r}")

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
        """Estimate the risk of each image, (N,), in squared units of the image: see `RiskEstimate`."""
        seeds = tf.unstack(tf.random.split(seed, len(self.terms), alg="philox"))
        return tf.add_n(
            [
                weight * loss.of(denoise, noisy, noise, seed=key, reference=reference)
                for (loss, weight), key in zip(self.terms, seeds, strict=True)
            ]
        )

    def check_noise(self, noise: AnyNoise | None) -> None:
        """Refuse noise that one of the losses is not for.

        Raises:
            InputError: It is.
        """
        for loss, _ in self.terms:
            loss.check_noise(noise)

    @property
    def criterion(self) -> RiskEstimate:
        """The sum of the criteria of the losses."""
        return WeightedSum([(loss.criterion, weight) for loss, weight in self.terms])

    @property
    def noise(self) -> NoiseModel | None:
        """The noise of the first loss that has its own."""
        return next((loss.noise for loss, _ in self.terms if loss.noise is not None), None)

    @property
    def needs_noise(self) -> bool:
        """Whether one of the losses needs to be given the noise."""
        return any(loss.needs_noise for loss, _ in self.terms)

    @property
    def uses_reference(self) -> bool:
        """Whether `reference` makes a difference to one of the losses."""
        return any(loss.uses_reference for loss, _ in self.terms)

    @property
    def step(self) -> float | None:
        """None if one of the losses leaves the length of its finite difference open, else 0."""
        return None if any(loss.step is None for loss, _ in self.terms) else 0.0

    def at_step(self, step: float) -> RiskEstimate:
        """Give the losses this step where theirs is open; returns the sum of such copies."""
        return WeightedSum([(loss.at_step(step), weight) for loss, weight in self.terms])
