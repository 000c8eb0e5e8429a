"""What the commands have in common: kinds of arguments, and options that several have."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.bad_pixels import HOT_PIXELS, NAN, PixelRules
from gaintuning_tf.images.files import load_image
from gaintuning_tf.losses.names import LOSSES, PLAIN_LOSS
from gaintuning_tf.networks import pretrained
from gaintuning_tf.support.normalization import PREDICTS, as_normalization
from gaintuning_tf.support.phases import phase
from gaintuning_tf.tuning.defaults import PRECISIONS

if TYPE_CHECKING:
    from gaintuning_tf.images.stack_files import Stack
    from gaintuning_tf.networks.network import Network
    from gaintuning_tf.reports.tensorboard import TensorBoardLog


# The noise level that is estimated.
AUTO = "auto"
# Before a noise level on the scale of 8 bits, whatever the image's own.
EIGHT_BITS = "8bit:"


def positive(text: str) -> float:
    """Read a positive finite number."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a positive number, received {text}")
    return value


def count(text: str) -> int:
    """Read a whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, received {text}")
    return value


def at_least_one(text: str) -> int:
    """Read a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, received {text}")
    return value


def sigma_level(text: str) -> float | str:
    """Read the noise level of an argument: a positive number, `AUTO`, or a text such as `8bit:25`.

    Example:

    >>> sigma_level("25"), sigma_level("8bit:25")
    (25.0, '8bit:25')
    """
    if text.startswith(EIGHT_BITS):
        positive(text.removeprefix(EIGHT_BITS))
        return text
    return AUTO if text == AUTO else positive(text)


def sigma_of_255(text: str) -> float | str:
    """Read the noise level of an argument on the scale of 0 to 255, by either of its names.

    Example:

    >>> sigma_of_255("25"), sigma_of_255("8bit:25")
    (25.0, 25.0)
    """
    return sigma_level(text.removeprefix(EIGHT_BITS))


def settle_sigma(options: argparse.Namespace, stack: Stack) -> None:
    """Turn a noise level on the scale of 0 to 255 into the units of an image.

    Args:
        options: Of the command line; `sigma` is replaced.
        stack: What is going to be denoised, open: what the network sees as 1 is its 255.
    """
    if not str(options.sigma).startswith(EIGHT_BITS):
        return
    from gaintuning_tf.denoising.frame_job import frame_job
    from gaintuning_tf.denoising.recipe import Recipe

    level = positive(options.sigma.removeprefix(EIGHT_BITS))
    rules = PixelRules(options.nodata, options.nan, options.hot)
    seen = stack.seen_by(None, 1, load_image(options.mask)) if options.mask else stack
    job = frame_job(seen, Recipe(sigma=1.0, noise=options.noise), 1, data_range=options.data_range, rules=rules)
    options.sigma = level / 255 * job.layout.data_range


def add_method(command: argparse.ArgumentParser) -> None:
    """Add the options `--prior` and `--plain` to a command's, one of them at most, and `--precision`."""
    group = command.add_mutually_exclusive_group()
    text = "width of the prior on the gains [0.08, in further rounds 0.5]"
    group.add_argument("--prior", type=positive, metavar="X", help=text)
    text = "the paper's plain method: Adam, no prior, no contrast, and by default the loss monte-carlo-sure"
    group.add_argument("--plain", action="store_true", help=text)
    text = "what the steps compute in; auto: bfloat16 where the hardware multiplies it and that saves time [auto]"
    command.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help=text)


def recipe_of(options: argparse.Namespace) -> dict:
    """Turn the options of a command line into arguments of `gaintune`.

    Args:
        options: With `sigma`, `noise`, `loss`, `plain`, `prior`, `steps`, `no_tune`, `seed` and `precision`.

    Returns:
        By name what says how to tune: `sigma`, `noise`, `loss`, `steps`, `seed`, `precision`, and `prior` where
        it is not the default.

    Example:

    >>> options = argparse.Namespace(sigma=AUTO, noise="gaussian", loss=None, plain=True, prior=None, steps=5, seed=3)
    >>> options.no_tune, options.precision = False, "auto"
    >>> {name: value for name, value in recipe_of(options).items() if name not in ("sigma", "noise")}
    {'loss': 'monte-carlo-sure', 'steps': 5, 'seed': 3, 'precision': 'auto', 'prior': None}
    """
    recipe = {
        "sigma": None if options.sigma == AUTO else options.sigma,
        "noise": options.noise,
        "loss": loss_of(options),
        "steps": 0 if options.no_tune else options.steps,
        "seed": options.seed,
        "precision": options.precision,
    }
    return recipe | ({"prior": options.prior} if options.plain or options.prior else {})


def add_meaning(command: argparse.ArgumentParser) -> None:
    """Add the options `--normalize` and `--predicts`, what a network's numbers mean, to a command's."""
    add = command.add_argument
    add(
        "--normalize",
        type=_normalization,
        metavar="HOW",
        help="what the network's numbers mean, in and out: a range such as 0..255, or --normalize=-1..1; percentiles, "
        "as CSBDeep, or percentiles:LOW:HIGH; mean-std:MEAN:STD in the image's units, as Noise2Void; standardize, each "
        "image by its own mean and deviation [0..1, or what is kept with the network]",
    )
    add("--predicts", choices=PREDICTS, help="the network returns the image, or the noise [image]")


def _normalization(text):
    try:
        as_normalization(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def meaning_of(options: argparse.Namespace) -> dict:
    """Turn the options of `add_meaning` into arguments of `Network`."""
    return {"normalize": options.normalize, "predicts": options.predicts}


def add_pixels(command: argparse.ArgumentParser) -> None:
    """Add the options for pixels that do not count to a command's."""
    group = command.add_argument_group(
        "pixels that do not count",
        "Constant areas, hot and dead pixels are found, and what was found is said. They and those given are left out "
        "of range, noise and risk.",
    )
    add = group.add_argument
    add(
        "--mask",
        metavar="FILE",
        help="image of the same size, not zero where a pixel does not count; such pixels are passed through",
    )
    add("--nodata", type=float, metavar="X", help="value of pixels that are missing; they are passed through")
    add("--nan", choices=NAN, default=NAN[0], help="NaN and infinite pixels are an error, or missing [%(default)s]")
    add(
        "--hot",
        choices=HOT_PIXELS,
        default=HOT_PIXELS[0],
        help="hot and dead pixels are replaced, or passed through [%(default)s]",
    )


def pixels_of(options: argparse.Namespace) -> dict:
    """Turn the options of `add_pixels` into arguments of `gaintune`.

    Raises:
        InputError: The mask is no file that can be read.
    """
    mask = load_image(options.mask) if options.mask else None
    return {"mask": mask, "nodata": options.nodata, "nan": options.nan, "hot": options.hot}


def loss_of(options: argparse.Namespace) -> str:
    """Find the name of the loss that the options `--loss` and `--plain` of a command line ask for.

    Example:

    >>> loss_of(argparse.Namespace(loss=None, plain=True))
    'monte-carlo-sure'
    """
    return options.loss or (PLAIN_LOSS if options.plain else next(iter(LOSSES)))


def log_of(options: argparse.Namespace, frames: int = 1, dimensions: int = 2) -> TensorBoardLog | None:
    """Open the TensorBoard log that was asked for; None if none was."""
    if not options.tensorboard:
        return None
    from gaintuning_tf.reports.tensorboard import TensorBoardLog

    return TensorBoardLog(options.tensorboard, frames=frames, dimensions=dimensions)


def choose_network(options: argparse.Namespace, stack: Stack) -> None:
    """Put the network that is chosen for a stack, or an image, in the place of a name such as `auto`.

    Args:
        options: Of the command line; `model` is replaced, and `model_why` says why.
        stack: What is going to be denoised, open.
    """
    if options.model not in pretrained.CHOSEN:
        return
    from gaintuning_tf.denoising.network_choice import network_for_stack
    from gaintuning_tf.denoising.recipe import Recipe

    phase("looking at the noise")
    recipe = {name: value for name, value in recipe_of(options).items() if name in ("sigma", "noise", "loss")}
    rules = PixelRules(options.nodata, options.nan, options.hot)
    if options.mask:
        stack = stack.seen_by(None, 1, load_image(options.mask))
    choice = network_for_stack(stack, Recipe(**recipe), wanted=options.model, rules=rules)
    options.model, options.model_why = choice.name, choice.why


def choice_of(options: argparse.Namespace) -> dict:
    """Give why the network was chosen, for the summary; nothing where it was given."""
    return {"model_why": options.model_why} if hasattr(options, "model_why") else {}


def network_of(options: argparse.Namespace) -> Network:
    """Load the network that was asked for, once, with the gains that were, and say what its numbers mean.

    Raises:
        InputError: One of them cannot be used.
    """
    from gaintuning_tf.gains.gain_files import load_gains
    from gaintuning_tf.networks.network import Network

    # Held on to for the images that come, and with each what is compiled of it.
    if options.model not in options.loaded:
        model = options.model
        phase(f"loading {model}")
        if options.load_gains:
            # A network of its own, for those that are kept are not to be changed.
            model = load_gains(pretrained.load_denoiser(model), options.load_gains)
        options.loaded[options.model] = Network(model, **meaning_of(options))
    return options.loaded[options.model]
