"""Which of the networks that ship is for an image: by its colours, its noise and its size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.errors import InputError
from gaintuning_tf.images.array_layout import order_of
from gaintuning_tf.images.bad_pixels import PixelRules, find_bad_pixels
from gaintuning_tf.images.stack_files import Stack
from gaintuning_tf.networks.pretrained import CHOSEN, DEFAULT, LARGER
from gaintuning_tf.noise.automatic import SMALLEST, examine_noise
from gaintuning_tf.noise.correlation import is_between_channels
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonNoise

# Above it, waiting 2.7 times as long for every pass is taken to matter more than 0.4 dB:
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

    A DRUNet for Gaussian and for correlated noise, in colour where the image has it; for white noise that depends on
    the signal, and for large images, the small UNet, which adapts further: see docs/measured/real-noise.md.

    Args:
        wanted: One of `CHOSEN`.
        noise: That of the image; None if it is not known.
        colour: Whether the image has red, green and blue.
        pixels: Of all frames together.

    Raises:
        InputError: There is no such name.

    Example:

    >>> choose_network("auto", GaussianNoise(0.1), colour=True, pixels=65536)
    NetworkChoice(name='drunet-color', why='a colour picture with white Gaussian noise')
    """
    if wanted not in CHOSEN:
        raise InputError(f"expected a network in {', '.join(CHOSEN)}, received {wanted!r}")
    if wanted == "fast":
        return NetworkChoice(DEFAULT, "the fastest for any image")
    kind = "unknown noise" if noise is None else _words(noise)
    if noise is None or (noise.correlation is None and not isinstance(noise, GaussianNoise)):
        return NetworkChoice(DEFAULT, f"for {kind} it adapts furthest")
    if wanted == "auto" and pixels > LARGE:
        return NetworkChoice(DEFAULT, _large_words(pixels))
    return NetworkChoice(LARGER[colour], f"a {'colour' if colour else 'grey'} picture with {kind}")


def _large_words(pixels):
    return f"for {pixels / 1e6:.0f} megapixels; best, in place of auto, takes the larger one"


def _words(noise):
    level = "Gaussian" if isinstance(noise, GaussianNoise) else "signal-dependent"
    level = "counting" if isinstance(noise, PoissonNoise) else level
    if is_between_channels(noise.correlation):
        return f"{level} noise that is alike in the channels"
    return f"{'white' if noise.correlation is None else 'correlated'} {level} noise"


def network_for(
    image: np.ndarray,
    recipe: Recipe,
    *,
    wanted: str = "auto",
    axes: str | None = None,
    rules: PixelRules = PixelRules(),  # noqa: B008 - frozen
) -> NetworkChoice:
    """Choose the network for an image, see `choose_network`: by its first frame.

    Args:
        image: Noisy; as for `gaintune`, or with a mask of its own.
        recipe: How it is going to be tuned.
        wanted: One of `CHOSEN`.
        axes: A letter per axis.
        rules: What does not count.

    Raises:
        InputError: The image cannot be used.

    Example:

    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((80, 80))
    >>> network_for(noisy, Recipe()).name
    'drunet-grey'
    """
    order = order_of(np.asarray(image), 1, axes=axes)
    colour = is_colour_picture(order.axes, image.shape)
    order = order_of(np.asarray(image), 3 if colour else 1, axes=axes)
    noise = recipe.example
    if noise is None and wanted != "fast":
        noise = _noise_of(order.frame(image[order.index(0)]), rules)
    return choose_network(wanted, noise, colour=colour, pixels=image.size // (3 if colour else 1))


def is_colour_picture(axes: str, shape: Sequence[int]) -> bool:
    """Tell a picture in red, green and blue from channels that have nothing to do with each other.

    Example:

    >>> is_colour_picture("YXC", (480, 640, 3)), is_colour_picture("CYX", (3, 480, 640))
    (True, False)
    """
    return axes == "YXC" and shape[-1] == 3


def _noise_of(frame, rules):
    """Find the kind of noise of a frame; None where it cannot be seen."""
    frame = frame if frame.ndim == 3 else frame[..., None]
    order = order_of(np.asarray(frame), frame.shape[-1], axes="YXC")
    bad = find_bad_pixels(frame, order, rules)
    if min(frame.shape[:2]) < SMALLEST:
        return GaussianNoise(1.0)  # there is too little to see more
    try:
        return examine_noise(bad.filled, bad.mask).noise
    except InputError:
        return None  # whoever tunes it says so


def network_for_stack(
    stack: Stack,
    recipe: Recipe,
    *,
    wanted: str = "auto",
    rules: PixelRules = PixelRules(),  # noqa: B008 - frozen
) -> NetworkChoice:
    """Choose the network for an open stack, see `choose_network`: by its first frame."""
    colour = is_colour_picture(stack.axes, stack.shape)
    frame = stack.seen_by(None, 3 if colour else 1).masked(0)
    choice = network_for(frame, recipe, wanted=wanted, axes="YXC" if colour else "YX", rules=rules)
    pixels = math.prod(stack.shape) // (3 if colour else 1)
    large = wanted == "auto" and pixels > LARGE and choice.name != DEFAULT
    return NetworkChoice(DEFAULT, _large_words(pixels)) if large else choice
