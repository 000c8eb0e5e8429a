"""`gaintuning-tf models` and `gaintuning-tf import-torch`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from gaintuning_tf.cli.parser import closest
from gaintuning_tf.errors import InputError
from gaintuning_tf.networks import pretrained
from gaintuning_tf.support import atomic_files

CHOICE = """auto, the default of denoise, takes drunet-color for colour pictures and drunet-grey for grey ones if their
noise is white and Gaussian, unet-bf-natural for all other noise and above 4 megapixels;
best is the same at any size, fast is unet-bf-natural. unet-tem is for electron micrographs."""


def add_import(commands: argparse._SubParsersAction, start_tensorflow: Callable[..., None]) -> None:
    """Add `import-torch` to the program's; `start_tensorflow` is called once the arguments have been checked."""
    command = commands.add_parser(
        "import-torch",
        help="turn a PyTorch checkpoint into a .keras file",
        description="Read a PyTorch checkpoint of a DnCNN, UNet, FFDNet or DRUNet into a Keras model with the same "
        "outputs.",
    )
    command.add_argument("checkpoint", metavar="CHECKPOINT", help="a .pt or .pth file")
    command.add_argument("output", metavar="OUT.keras", help="the Keras model")
    trust = "read a file that holds more than tensors, which runs code from it: only if you trust its maker"
    command.add_argument("--allow-pickle", action="store_true", help=trust)
    epsilon = "the epsilon of batch norm, which is not in the file: PyTorch's is 1e-5, KAIR's 1e-4"
    command.add_argument("--norm-epsilon", type=float, metavar="E", help=epsilon)
    command.set_defaults(run=lambda options: _import_torch(options, start_tensorflow))


def add_models(commands: argparse._SubParsersAction) -> None:
    """Add `models` to the program's."""
    command = commands.add_parser("models", help="list the networks that come with the package, or show one's card")
    command.add_argument("name", nargs="?", metavar="NAME", help="show the card of this one: data, training, scores")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=print_models)


def print_models(options: argparse.Namespace) -> None:
    """Print what is known of the networks that come with the package, as text or as JSON."""
    known = pretrained.list_denoisers()
    if options.name:
        return _print_card(options, known)
    if options.json:
        rows = [{**vars(info), "path": str(info.path)} for info in known.values()]
        print(json.dumps(rows, indent=2))
        return
    for info in known.values():
        scores = ", ".join(f"{where} {value:.2f} dB" for where, value in info.psnr.items())
        print(info.name)
        print(f"    {info.architecture}; {info.parameters:,} weights, {info.gains} gains, {info.channels} channel(s)")
        print(f"    trained on {info.trained_on}; {info.noise}")
        print(f"    PSNR before tuning: {scores}")
        if info.seconds is not None:
            print(f"    {info.seconds:.1f} s for a megapixel through the network, on two processor cores")
    print(CHOICE)


def _print_card(options, known):
    if options.name not in known:
        hint = closest(options.name, known)
        meant = f"; did you mean {hint}?" if hint else ""
        raise InputError(f"expected a network in {', '.join(known)}, received {options.name!r}{meant}")
    card = known[options.name].path.with_name("card.json" if options.json else "README.md")
    print(card.read_text(encoding="utf-8").rstrip())


def _import_torch(options, start_tensorflow):
    if Path(options.output).suffix != ".keras":
        raise InputError(f"expected an output file with the suffix .keras, received {options.output}")
    atomic_files.check_writable(options.output)
    if not Path(options.checkpoint).is_file():
        raise InputError(f"no such file: {options.checkpoint}")
    start_tensorflow()
    from gaintuning_tf.networks.torch_checkpoints import import_torch

    model = import_torch(options.checkpoint, allow_pickle=options.allow_pickle, norm_epsilon=options.norm_epsilon)
    with atomic_files.replacing(options.output) as temporary:
        model.save(temporary)
    noise_map = ", with the noise level as a second input" if len(model.inputs) == 2 else ""
    print(f"{options.output}: {model.name}, {model.count_params():,} weights{noise_map}", file=sys.stderr)
