"""The command line. TensorFlow is imported only after the arguments have been checked."""

from __future__ import annotations

import argparse
import sys
import warnings

from gaintuning_tf import __version__
from gaintuning_tf.cli import denoise, evaluate, export, networks, train
from gaintuning_tf.errors import InputError, show_warning
from gaintuning_tf.support.interruption import Interrupted
from gaintuning_tf.support.tensorflow_start import start_tensorflow


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    It is 0, 1 if some of several images could not be denoised, 2 for bad input, 130 for Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            return options.run(options) or 0
    except (InputError, OSError) as error:
        # OSError: a full disk, a folder that has gone.
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop if isinstance(stop, Interrupted) else 'nothing written'}", file=sys.stderr)
        return 130


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
    denoise.add(commands, start_tensorflow)
    evaluate.add(commands, start_tensorflow)
    networks.add_import(commands, start_tensorflow)
    export.add(commands, start_tensorflow)
    train.add(commands, start_tensorflow)
    networks.add_models(commands)
    return parser
