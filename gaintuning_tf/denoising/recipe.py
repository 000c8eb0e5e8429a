"""How frames are tuned: the options that hold for every frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import RiskEstimate, as_risk_estimate
from gaintuning_tf.losses.names import PLAIN_LOSS, loss_named
from gaintuning_tf.noise.models import KINDS, GaussianNoise, NoiseModel, PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.tuning.defaults import PRIOR
from gaintuning_tf.tuning.tuner import check_precision


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How frames are tuned: those arguments of `gaintune` that hold for every frame.

    Attributes:
        sigma, noise, loss, prior, contrast, steps, seed, precision: See `gaintune`.
        doubt: Relative standard deviation of the variance of noise that is given; 0 if it is sure.
        unfit: Why nothing is tuned under noise that is given; empty if there is no reason.

    Raises:
        InputError: The loss is not for such noise, or there is no such precision.
    """

    sigma: float | np.ndarray | None = None
    noise: str | NoiseModel = "auto"
    loss: str | RiskEstimate | Callable[..., Any] = "sure"
    prior: float | None = PRIOR
    contrast: bool | None = None
    steps: int | None = None
    seed: int = 0
    precision: str = "auto"
    doubt: float = 0.0
    unfit: str = ""

    def __post_init__(self):
        check_precision(self.precision)
        if self.example is not None:
            as_risk_estimate(as_loss(self.loss, counts=False)).check_noise(self.example)

    @property
    def example(self) -> NoiseModel | None:
        """Some noise of the kind that is assumed; None if that kind is seen with the image."""
        kind = "gaussian" if self.noise == "auto" and self.sigma is not None else self.kind
        return kind if isinstance(kind, NoiseModel) else _of_kind(kind)

    @property
    def kind(self) -> str | NoiseModel:
        """The noise, or its kind as it is to be estimated: that of the paper's plain loss is Gaussian."""
        return "gaussian" if self.noise == "auto" and self.loss == PLAIN_LOSS else self.noise

    @property
    def of_counts(self) -> bool:
        """Whether the noise is that of counts alone, which start at 0."""
        return isinstance(self.noise, PoissonNoise) or (isinstance(self.noise, str) and self.noise == "poisson")

    def given_noise(self, scale: float, offset: float, frames: int) -> list[NoiseModel] | None:
        """Find the noise of each frame in the units of the network, where it was given.

        Args:
            scale: Difference of values of the image that is 1 to the network.
            offset: Value of the image that is 0 to the network.
            frames: Number of frames.

        Returns:
            A model for each frame; None if the noise is to be estimated.

        Raises:
            InputError: The noise cannot be used, or is that of another number of frames.
        """
        known = self._noise_in_image()
        if known is None:
            return None
        if known.images not in (1, frames):
            raise InputError(f"expected one sigma, or one for each of {frames} frames, received {known.images}")
        return known.scaled(1 / scale, -offset / scale).each(frames)

    def _noise_in_image(self):
        """Find the noise in the units of the image; None if it is to be estimated."""
        if isinstance(self.noise, NoiseModel):
            if self.sigma is not None:
                raise InputError("expected the noise level in `sigma` or in `noise`, received both")
            return self.noise
        if self.noise not in KINDS:
            raise InputError(
                f"expected noise to be one of {', '.join(KINDS)} or a noise model, received {self.noise!r}"
            )
        if self.sigma is None:
            return None
        if self.noise not in ("auto", "gaussian"):
            raise InputError(
                f"expected no sigma with {self.noise} noise: leave it out to have the noise estimated, or in Python "
                "pass a model such as PoissonGaussianNoise(gain, sigma)"
            )
        return GaussianNoise(self.sigma)


def _of_kind(kind):
    """Give some noise of that kind; None if there is none of that name."""
    examples = {
        "gaussian": GaussianNoise(1.0),
        "poisson": PoissonNoise(1.0),
        "poisson-gaussian": PoissonGaussianNoise(1.0, 1.0),
    }
    return examples.get(kind) if isinstance(kind, str) else None


def as_loss(loss: str | RiskEstimate | Callable[..., Any], *, counts: bool) -> RiskEstimate | Callable[..., Any]:
    """Make a loss of what `gaintune` takes for one.

    Args:
        loss: A name, a risk estimate or a function.
        counts: Whether the noise is that of counts alone, which a name may depend on.

    Returns:
        The loss of that name, or `loss` itself.

    Raises:
        InputError: There is no loss of that name.
    """
    return loss if callable(loss) else loss_named(loss, counts=counts)
