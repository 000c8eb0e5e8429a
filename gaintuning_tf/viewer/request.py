"""What is asked for in the dock: which network, which noise, how many steps; checked before anything slow is done."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks.pretrained import CHOSEN, find_denoiser

if TYPE_CHECKING:
    from gaintuning_tf.denoising.recipe import Recipe
    from gaintuning_tf.networks.network import Network

# What can be asked for as noise: a kind that is found in the image, or white noise of a sigma.
KINDS = ("auto", "gaussian", "poisson", "poisson-gaussian")


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for, as `gaintune` takes it.

    Attributes:
        network: `"auto"`, `"best"` or `"fast"`, a name from `list_denoisers`, or a file, folder or zip.
        axes: A letter per axis of the layer's array; None to have them guessed, see `layer_frames.suggested_axes`.
        noise: One of `KINDS`.
        sigma: Standard deviation of white noise in the units of the layer; None to have the noise found.
        steps: Of tuning; None for the default, 0 for the network as it is.
        gains: A file of gains to start from; None for none.
        seed: Of all that is random.

    Example:

    >>> Request("drunet-grey", sigma=25).sigma
    25
    """

    network: str | Path = "auto"
    axes: str | None = None
    noise: str = "auto"
    sigma: float | None = None
    steps: int | None = None
    gains: Path | None = None
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be done; imports no TensorFlow.

        Raises:
            InputError: There is no such network or file, or a number is none that can be used.
        """
        if self.noise not in KINDS:
            raise InputError(f"expected noise to be one of {', '.join(KINDS)}, received {self.noise!r}")
        if self.sigma is not None and not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"expected a sigma above 0, in the units of the layer, received {self.sigma:g}")
        if str(self.network) not in CHOSEN:
            find_denoiser(self.network)
        if self.gains is None:
            return
        if not self.gains.is_file():
            raise InputError(f"no such file: {self.gains}")
        if str(self.network) in CHOSEN:
            raise InputError(f"expected the network that {self.gains.name} was tuned for, received {self.network}")

    def recipe(self) -> Recipe:
        """Make the options that hold for every frame; imports TensorFlow."""
        from gaintuning_tf.denoising.recipe import Recipe

        return Recipe(sigma=self.sigma, noise=self.noise, steps=self.steps, seed=self.seed)

    def load(self, name: str | Path | None = None) -> Network:
        """Load the network, with the gains if there are some; imports TensorFlow.

        Args:
            name: The network that was chosen for the layer, where that was asked for.

        Raises:
            InputError: It cannot be used, or the gains are not its own.
        """
        from gaintuning_tf.gains.gain_files import load_gains
        from gaintuning_tf.networks.network import network_of
        from gaintuning_tf.networks.pretrained import load_denoiser

        wanted = self.network if name is None else name
        if self.gains is None:
            return network_of(wanted)
        # A network of its own, for those that are kept are not to be changed.
        return network_of(load_gains(load_denoiser(wanted), self.gains))
