"""The command line. TensorFlow is imported only after the arguments have been checked."""

# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import traceback
import warnings

from gaintuning_tf import __version__
from gaintuning_tf.cli import denoise, evaluate, export, networks, train
from gaintuning_tf.cli.parser import Parser
from gaintuning_tf.cli.waiting import at_terminal, phases_shown, phases_timed
from gaintuning_tf.errors import InputError, show_warning
from gaintuning_tf.support import atomic_files, interruption, tensorflow_start
from gaintuning_tf.support.interruption import Interrupted
from gaintuning_tf.support.phases import phase

_EPILOG = """Start with:  gaintuning-tf denoise noisy.png -o clean.png --report report.html
A shell completes commands and options after:  eval "$(register-python-argcomplete gaintuning-tf)"  which comes with
the extra [completion]."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    It is 0, 1 if some of several images could not be denoised, 2 for bad input, 130 for Ctrl-C.
    """
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:
        _complete(parser)
    options = parser.parse_args(arguments)
    options.typed = shlex.join([parser.prog, *(sys.argv[1:] if arguments is None else arguments)])
    if options.command is None:
        parser.print_help()
        return 2
    with interruption.second_ends(atomic_files.remove_unfinished, says_so=at_terminal()):
        return _run(options)


def _run(options):
    try:
        with contextlib.ExitStack() as around:
            if options.verbose:
                os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")
            else:
                around.enter_context(warnings.catch_warnings())
                warnings.showwarning = show_warning
            quiet = getattr(options, "quiet", False)
            around.enter_context(phases_shown(quiet=quiet, verbose=options.verbose))
            around.enter_context(phases_timed(wanted=options.profile))
            status = options.run(options) or 0
            sys.stdout.flush()
            return status
    except BrokenPipeError:
        # Who reads has seen enough, as `head` has. What is left is for nobody, at the end of the process neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, OSError) as error:
        # OSError: a full disk, a folder that has gone.
        if options.verbose:
            traceback.print_exc()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop if isinstance(stop, Interrupted) else 'nothing written'}", file=sys.stderr)
        return interruption.STATUS


def start_tensorflow(threads: int | None = None) -> None:
    """Import TensorFlow, say so to whoever waits, and let Ctrl-C end the program meanwhile."""
    if "tensorflow" in sys.modules:
        return tensorflow_start.start_tensorflow(threads)
    phase("importing TensorFlow")
    with interruption.ends_at_once():
        return tensorflow_start.start_tensorflow(threads)


def _complete(parser):
    from gaintuning_tf.support.extras import required

    required("argcomplete", "completion by the shell", "completion").autocomplete(parser)


def _parser():
    parser = Parser(
        prog="gaintuning-tf",
        description="Denoise images with a network that adapts itself to each of them (GainTuning).",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    denoise.add(commands, start_tensorflow)
    evaluate.add(commands, start_tensorflow)
    networks.add_import(commands, start_tensorflow)
    export.add(commands, start_tensorflow)
    train.add(commands, start_tensorflow)
    networks.add_models(commands)
    for command in commands.choices.values():
        text = "say what goes on and when, where errors are from, and what TensorFlow and libraries say"
        command.add_argument("--verbose", action="store_true", help=text)
        command.add_argument("--profile", action="store_true", help="print at the end how long each phase took")
    return parser
