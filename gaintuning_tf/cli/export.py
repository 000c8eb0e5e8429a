"""`gaintuning-tf export`: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from gaintuning_tf.cli.common import add_meaning, meaning_of, positive
from gaintuning_tf.errors import InputError
from gaintuning_tf.images.files import load_image
from gaintuning_tf.networks import pretrained
from gaintuning_tf.serving import versions
from gaintuning_tf.support import atomic_files
from gaintuning_tf.support.extras import check_installed

SAVED_MODEL, BIOIMAGEIO = FORMATS = ("saved-model", "bioimageio")
# Options of one format, by what they are called; all are None or False where they are not given.
_ONLY = {
    SAVED_MODEL: ("version", "no_adaptive", "data_range"),
    BIOIMAGEIO: ("example", "author", "license"),
}


def add(commands: argparse._SubParsersAction, start_tensorflow: Callable[..., None]) -> None:
    """Add the command to the program's; `start_tensorflow` is called once the arguments have been checked."""
    command = commands.add_parser(
        "export",
        help="write a network as a SavedModel for TensorFlow Serving, or as a package of bioimage.io",
        description="Write a network as a new version of a model that TensorFlow Serving can serve, OUTDIR/VERSION. "
        "Its signature `serving_default` denoises; `gaintune` and, under noise of any kind, `gaintune_noise` adapt the "
        "network to each image first, in the server. With --format bioimageio, write it as a package of bioimage.io, "
        "OUT.zip.",
        epilog="Look at it with:  saved_model_cli show --dir OUTDIR/VERSION --all, or:  bioimageio test OUT.zip",
    )
    option = command.add_argument
    option("--model", default=pretrained.DEFAULT, metavar="NAME|PATH", help="network [%(default)s]")
    help_of_output = "folder of the versions, made if absent: the server's base_path; or the package, .zip"
    option("output", metavar="OUTPUT", help=help_of_output)
    option("--format", choices=FORMATS, default=SAVED_MODEL, help="what is written [%(default)s]")
    option("--gains", metavar="F", help="fold these gains, of `denoise --save-gains`, into the weights")
    option("--version", type=_version, metavar="N", help="number of the version [the next free one]")
    option("--no-adaptive", action="store_true", help="only `serving_default`, so that the server may batch requests")
    option("--example", metavar="IMAGE", help="noisy image for the test and the cover of a package [one made up]")
    option("--author", action="append", metavar="NAME", help="author of a package; may be repeated")
    option("--license", metavar="ID", help="licence of a package by its identifier of SPDX, such as CC-BY-4.0")
    add_meaning(command)
    text = "value of the images that is 1 in what clients send, for --normalize mean-std:MEAN:STD"
    option("--data-range", type=positive, metavar="X", help=text)
    command.set_defaults(run=lambda options: run(options, start_tensorflow))


def run(options: argparse.Namespace, start_tensorflow: Callable[..., None]) -> None:
    """Check everything, then export."""
    _check(options)
    pretrained.find_denoiser(options.model)
    if options.gains and not Path(options.gains).is_file():
        raise InputError(f"no such file: {options.gains}")
    example = load_image(options.example) if options.example else None
    start_tensorflow()
    from gaintuning_tf.gains.gain_files import load_gains
    from gaintuning_tf.networks.network import Network

    model = pretrained.load_denoiser(options.model)
    if options.gains:
        model = load_gains(model, options.gains)
    network = Network(model, **meaning_of(options))
    written = _write_package(network, options, example) if options.format == BIOIMAGEIO else _write(network, options)
    print(f"{written}: {model.name}, {model.count_params():,} weights", file=sys.stderr)


def _check(options):
    for kind, names in _ONLY.items():
        given = [name for name in names if not any(getattr(options, name) is none for none in (None, False))]
        if given and options.format != kind:
            flag = "--" + given[0].replace("_", "-")
            raise InputError(f"expected {flag} with --format {kind} alone, received --format {options.format}")
    if options.format == SAVED_MODEL:
        versions.check_version(options.output, options.version)
        return
    if Path(options.output).suffix != ".zip":
        raise InputError(f"expected the path of a package of bioimage.io to end in .zip, received {options.output}")
    check_installed("bioimageio", "a package of bioimage.io", "bioimageio")
    atomic_files.check_writable(options.output)


def _write(network, options):
    from gaintuning_tf.serving.export import export_saved_model

    how = {"adaptive": not options.no_adaptive, "version": options.version, "data_range": options.data_range}
    return export_saved_model(network, options.output, **how)


def _write_package(network, options, example):
    from gaintuning_tf.serving.bioimageio_package import About, export_bioimageio

    about = About(authors=options.author or (), license=options.license)
    return export_bioimageio(network, options.output, example=example, about=about)


def _version(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, received {text}")
    return int(text)
