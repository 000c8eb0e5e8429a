"""How frames are tuned: the options that hold for every frame."""

from __future__ import annotations

import dataclasses

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.losses.base import as_risk_estimate
from gaintuning_tf.losses.names import loss_named
from gaintuning_tf.noise.models import KINDS, GaussianNoise, NoiseModel, PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.tuning.defaults import PRIOR


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How frames are tuned: those arguments of `gaintune` that hold for every frame.

    Attributes:
        sigma, noise, loss, prior, contrast, steps, seed: See `gaintune`.

    Raises:
        InputError: The loss is not for such noise.
    """

    sigma: float | np.ndarray | None = None
    noise: str | NoiseModel = "gaussian"
    loss: object = "sure"
    prior: float | None = PRIOR
    contrast: bool | None = None
    steps: int | None = None
    seed: int = 0

    def __post_init__(self):
        known = self.noise if isinstance(self.noise, NoiseModel) else _of_kind(self.noise)
        if known is not None:
            as_risk_estimate(_loss(self.loss, counts=False)).check_noise(known)


def _given_noise(recipe, scale, offset, frames):
    """The noise of each frame in the units of the network, where it was given; else None."""
    if isinstance(recipe.noise, NoiseModel):
        if recipe.sigma is not None:
            raise InputError("expected the noise level in `sigma` or in `noise`, received both")
        known = recipe.noise
    elif recipe.noise not in KINDS:
        raise InputError(f"expected noise to be one of {', '.join(KINDS)} or a noise model, received {recipe.noise!r}")
    elif recipe.sigma is None:
        return None
    elif recipe.noise != "gaussian":
        raise InputError(
            f"expected no sigma with {recipe.noise} noise: leave it out to have the noise estimated, or in Python "
            "pass a model such as PoissonGaussianNoise(gain, sigma)"
        )
    else:
        known = GaussianNoise(recipe.sigma)
    if known.images not in (1, frames):
        raise InputError(f"expected one sigma, or one for each of {frames} frames, received {known.images}")
    return known.scaled(1 / scale, -offset / scale).each(frames)


def _of_kind(kind):
    """Some noise of that kind; None if there is none of that name."""
    examples = {
        "gaussian": GaussianNoise(1.0),
        "poisson": PoissonNoise(1.0),
        "poisson-gaussian": PoissonGaussianNoise(1.0, 1.0),
    }
    return examples.get(kind) if isinstance(kind, str) else None


def _loss(loss, counts):
    return loss if callable(loss) else loss_named(loss, counts=counts)
