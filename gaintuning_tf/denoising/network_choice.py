"""Which of the networks that ship is for an image: by its colours, its noise and its size."""

from __future__ import annotations

import dataclasses

import numpy as np

from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.automatic import SMALLEST, examine_noise
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonNoise

# Names that stand for a network, and what they say.
AUTOMATIC = {
    "auto": "the best for the image, of large ones and long stacks the fastest",
    "best": "the best for the image, whatever its size",
    "fast": "the fastest for any image",
}
FAST = "unet-bf-natural"
GREY, COLOUR = "drunet-grey", "drunet-color"
# Above it, the larger networks' four times longer passes are minutes on two cores:
# docs/log/2026-11-26-which-network-for-which-noise.md.
LARGE = 4_000_000


@dataclasses.dataclass(frozen=True)
class NetworkChoice:
    """A network that was chosen for an image.

    Attributes:
        name: What `load_denoiser` takes.
        why: The reason, in words.
    """

    name: str
    why: str


def choose_network(wanted: str, noise: NoiseModel | None, *, colour: bool, pixels: int) -> NetworkChoice:
    """Choose among the networks that ship, by what was measured of them.

    A DRUNet for white Gaussian noise, in colour where the image has it; for all other noise, and for
    large images, the small UNet, which adapts further: see docs/measured/real-noise.md.

    Args:
        wanted: A key of `AUTOMATIC`.
        noise: That of the image; None if it is not known.
        colour: Whether the image has red, green and blue.
        pixels: Of all frames together.

    Raises:
        InputError: There is no such name.

    Example:

    >>> choose_network("auto", GaussianNoise(0.1), colour=True, pixels=65536)
    NetworkChoice(name='drunet-color', why='a colour picture with white Gaussian noise')
    """
    if wanted not in AUTOMATIC:
        raise InputError(f"expected a network in {', '.join(AUTOMATIC)}, received {wanted!r}")
    if wanted == "fast":
        return NetworkChoice(FAST, AUTOMATIC["fast"])
    kind = "unknown" if noise is None else _words(noise)
    if not isinstance(noise, GaussianNoise) or noise.correlation is not None:
        return NetworkChoice(FAST, f"for {kind} noise it adapts furthest")
    if wanted == "auto" and pixels > LARGE:
        return NetworkChoice(FAST, f"{pixels / 1e6:.0f} megapixels; --model best takes the larger one")
    name, picture = (COLOUR, "a colour picture") if colour else (GREY, "a grey picture")
    return NetworkChoice(name, f"{picture} with {kind} noise")


def _words(noise):
    level = "Gaussian" if isinstance(noise, GaussianNoise) else "signal-dependent"
    level = "counting" if isinstance(noise, PoissonNoise) else level
    return f"{'white' if noise.correlation is None else 'correlated'} {level}"


def noise_for_choice(frame: np.ndarray, recipe: Recipe, mask: np.ndarray | None = None) -> NoiseModel:
    """Find the kind of noise that a network is to be chosen for: the one given, or that of a frame.

    Args:
        frame: (H, W, C), in the units of the image.
        recipe: How it is going to be tuned.
        mask: True where a pixel does not count, of the frame's shape.

    Returns:
        A model of the kind; its level is the true one only where it was found.
    """
    if recipe.example is not None:
        return recipe.example
    if min(frame.shape[:2]) < SMALLEST:
        return GaussianNoise(1.0)  # there is too little to see more
    return examine_noise(frame, mask).noise
