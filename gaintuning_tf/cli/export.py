"""`gaintuning-tf export`: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from gaintuning_tf.cli.common import add_meaning, meaning_of, positive
from gaintuning_tf.errors import InputError
from gaintuning_tf.networks import pretrained
from gaintuning_tf.serving import versions


def add(commands: argparse._SubParsersAction, start_tensorflow: Callable[..., None]) -> None:
    """Add the command to the program's; `start_tensorflow` is called once the arguments have been checked."""
    command = commands.add_parser(
        "export",
        help="write a network as a SavedModel for TensorFlow Serving",
        description="Write a network as a new version of a model that TensorFlow Serving can serve, OUTDIR/VERSION. "
        "Its signature `serving_default` denoises; `gaintune` and, under noise of any kind, `gaintune_noise` adapt the "
        "network to each image first, in the server.",
        epilog="Look at it with:  saved_model_cli show --dir OUTDIR/VERSION --all",
    )
    option = command.add_argument
    option("--model", default=pretrained.DEFAULT, metavar="NAME|PATH", help="network [%(default)s]")
    option("output", metavar="OUTDIR", help="folder of the versions, made if absent: the server's base_path")
    option("--gains", metavar="F", help="fold these gains, of `denoise --save-gains`, into the weights")
    option("--version", type=_version, metavar="N", help="number of the version [the next free one]")
    option("--no-adaptive", action="store_true", help="only `serving_default`, so that the server may batch requests")
    add_meaning(command)
    text = "value of the images that is 1 in what clients send, for --normalize mean-std:MEAN:STD"
    option("--data-range", type=positive, metavar="X", help=text)
    command.set_defaults(run=lambda options: run(options, start_tensorflow))


def run(options: argparse.Namespace, start_tensorflow: Callable[..., None]) -> None:
    """Check everything, then export."""
    versions.check_version(options.output, options.version)
    pretrained.find_denoiser(options.model)
    if options.gains and not Path(options.gains).is_file():
        raise InputError(f"no such file: {options.gains}")
    start_tensorflow()
    from gaintuning_tf.gains.gain_files import load_gains
    from gaintuning_tf.networks.network import Network
    from gaintuning_tf.serving.export import export_saved_model

    model = pretrained.load_denoiser(options.model)
    if options.gains:
        model = load_gains(model, options.gains)
    network = Network(model, **meaning_of(options))
    how = {"adaptive": not options.no_adaptive, "version": options.version, "data_range": options.data_range}
    folder = export_saved_model(network, options.output, **how)
    print(f"{folder}: {model.name}, {model.count_params():,} weights", file=sys.stderr)


def _version(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, received {text}")
    return int(text)
