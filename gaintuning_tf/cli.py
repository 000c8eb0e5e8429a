"""The command line. TensorFlow is imported only after the arguments have been checked."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

from gaintuning_tf import (
    __version__,
    denoise_command,
    evaluate_command,
    export_command,
    files,
    pretrained,
    train_command,
)
from gaintuning_tf.errors import InputError, show_warning
from gaintuning_tf.start import start_tensorflow as _start_tensorflow


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            options.run(options)
    except (InputError, OSError) as error:
        # OSError: a full disk, a folder that has gone.
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing written", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _parser():
    parser = _Parser(
        prog="gaintuning-tf",
        description="Denoise images with a network that adapts itself to each of them (GainTuning).",
        epilog="Start with:  gaintuning-tf denoise noisy.png -o clean.png --report report.html",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    denoise_command.add(commands, _start_tensorflow)
    evaluate_command.add(commands, _start_tensorflow)
    _add_import(commands)
    export_command.add(commands, _start_tensorflow)
    train_command.add(commands, _start_tensorflow)
    listing = commands.add_parser("models", help="list the networks that come with the package")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_models)
    return parser


def _add_import(commands):
    command = commands.add_parser(
        "import-torch",
        help="turn a PyTorch checkpoint into a .keras file",
        description="Read a PyTorch checkpoint of a DnCNN or UNet into a Keras model with the same outputs.",
    )
    command.add_argument("checkpoint", metavar="CHECKPOINT", help="a .pt or .pth file")
    command.add_argument("output", metavar="OUT.keras", help="the Keras model")
    trust = "read a file that holds more than tensors, which runs code from it: only if you trust its maker"
    command.add_argument("--allow-pickle", action="store_true", help=trust)
    command.set_defaults(run=_import_torch)


def _models(options):
    known = pretrained.list_denoisers()
    if options.json:
        rows = [{**vars(info), "path": str(info.path)} for info in known.values()]
        print(json.dumps(rows, indent=2))
        return
    for info in known.values():
        scores = ", ".join(f"{where} {value:.2f} dB" for where, value in info.psnr.items())
        print(f"{info.name}{'  (default)' if info.name == pretrained.DEFAULT else ''}")
        print(f"    {info.architecture}; {info.parameters:,} weights, {info.gains} gains, {info.channels} channel(s)")
        print(f"    trained on {info.trained_on}; {info.noise}")
        print(f"    PSNR before tuning: {scores}")


def _import_torch(options):
    if Path(options.output).suffix != ".keras":
        raise InputError(f"expected an output file with the suffix .keras, received {options.output}")
    files.check_writable(options.output)
    if not Path(options.checkpoint).is_file():
        raise InputError(f"no such file: {options.checkpoint}")
    _start_tensorflow()
    from gaintuning_tf.torch_import import import_torch

    model = import_torch(options.checkpoint, allow_pickle=options.allow_pickle)
    with files.replacing(options.output) as temporary:
        model.save(temporary)
    print(f"{options.output}: {model.name}, {model.count_params():,} weights", file=sys.stderr)
