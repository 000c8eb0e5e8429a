"""The losses that can be asked for by name: one list for the command line and for who needs the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaintuning_tf.errors import InputError

if TYPE_CHECKING:
    from gaintuning_tf.losses.base import RiskEstimate

# Name, and the class in `gaintuning_tf.losses` that is made without arguments.
LOSSES = {
    "sure": "CoupledBootstrap",
    "count-splitting": "CountSplitting",
    "monte-carlo-sure": "MonteCarloSURE",
    "blind-spot": "BlindSpotLoss",
    "noise-resampling": "NoiseResamplingLoss",
    "unsure": "UNSURE",
}
# For which kinds of noise those are that are not for all: what the classes themselves refuse, once they are imported.
# What kind "auto" is, is seen with the image.
_KINDS = {
    "count-splitting": ("auto", "poisson", "poisson-gaussian"),
    "monte-carlo-sure": ("auto", "gaussian"),
}
# The paper's own method, as an option of the command line.
PLAIN_LOSS = "monte-carlo-sure"


def check_noise_kind(name: str, noise: str) -> None:
    """Refuse a loss that is not for such noise, by their names alone.

    Args:
        name: One of `LOSSES`.
        noise: One of `models.KINDS`.

    Raises:
        InputError: It is not.

    Example:

    >>> check_noise_kind("count-splitting", "poisson")
    """
    kinds = _KINDS.get(name, (noise,))
    if noise not in kinds:
        raise InputError(
            f"expected {', '.join(kinds[:-1])} or {kinds[-1]} noise with the loss {name}, received {noise}: "
            f"choose such noise, or another loss, such as {next(iter(LOSSES))}"
        )


def loss_named(name: str, *, counts: bool = False) -> RiskEstimate:
    """Make a new loss object.

    Args:
        name: One of `LOSSES`.
        counts: Whether the noise is that of counts alone: then `"sure"` is `CountSplitting`.

    Raises:
        InputError: There is none of that name.

    Example:

    >>> type(loss_named("sure")).__name__
    'CoupledBootstrap'
    """
    if name not in LOSSES:
        raise InputError(f"expected loss in {', '.join(LOSSES)}, received {name!r}")
    from gaintuning_tf import losses

    return getattr(losses, LOSSES["count-splitting" if counts and name == "sure" else name])()


def estimates_error(name: str) -> bool:
    """Tell whether the risk of the loss is an estimate of the squared error, and so its root one of the RMS error.

    Args:
        name: A name of `LOSSES`.

    Example:

    >>> estimates_error("sure"), estimates_error("noise-resampling")
    (True, False)
    """
    return loss_named(name).criterion.noise_factor is not None
