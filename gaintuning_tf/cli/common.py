"""What the commands have in common: kinds of arguments, and options that several have."""

from __future__ import annotations

import argparse
import math

from gaintuning_tf.losses.names import LOSSES, PLAIN_LOSS


def positive(text: str) -> float:
    """A positive finite number."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a positive number, received {text}")
    return value


def count(text: str) -> int:
    """A whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, received {text}")
    return value


def at_least_one(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, received {text}")
    return value


PLAIN_HELP = "the paper's plain method: Adam, no prior, no contrast, and by default the loss monte-carlo-sure"
PRIOR_HELP = "width of the prior on the gains [0.08, in further rounds 0.5]"


def loss_of(options) -> str:
    """The name of the loss that the options `--loss` and `--plain` of a command line ask for.

    Example:

    >>> import argparse
    >>> loss_of(argparse.Namespace(loss=None, plain=True))
    'monte-carlo-sure'
    """
    return options.loss or (PLAIN_LOSS if options.plain else next(iter(LOSSES)))


def log_of(options, frames: int = 1):
    """The TensorBoard log that was asked for, or None."""
    if not options.tensorboard:
        return None
    from gaintuning_tf.reports.tensorboard import TensorBoardLog

    return TensorBoardLog(options.tensorboard, frames=frames)
