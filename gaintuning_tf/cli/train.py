"""`gaintuning-tf train`: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks import pretrained
from gaintuning_tf.reports.tensorboard import check_tensorboard
from gaintuning_tf.support import atomic_files
from gaintuning_tf.support.interruption import Interrupted
from gaintuning_tf.training import batches, config as training_config, image_sources
from gaintuning_tf.training.config import TrainingConfig, find_config

_FIELDS: dict[str, Any] = {field.name: field for field in dataclasses.fields(TrainingConfig)}
# Option, type, choices, and help; the default is that of the configuration.
_SETTINGS = {
    "architecture": (str, training_config.ARCHITECTURES, "network"),
    "channels": (int, (1, 3), "1 for grey, 3 for colour"),
    "objective": (str, batches.OBJECTIVES, "supervised needs clean images; the others learn from noisy ones alone"),
    "noise": (
        str,
        batches.NOISES,
        "what is drawn on the images; camera: white, correlated and signal-dependent; none if they are noisy already",
    ),
    "white": (float, None, "share of the crops that get white Gaussian noise, of --noise camera"),
    "sigma_weighting": (float, None, "crops with more noise weigh less, by this power of its standard deviation"),
    "batches": (str, training_config.MAKERS, "where batches are made: by NumPy, or by JAX on the accelerator"),
    "crop": (int, None, "side of the training crops, pixels"),
    "crop_depth": (int, None, "depth of the training crops of volumes [as --crop]"),
    "batch": (int, None, "crops per step"),
    "steps": (int, None, "steps of the whole run"),
    "optimizer": (str, training_config.OPTIMIZERS, "how the weights move"),
    "learning_rate": (float, None, "peak learning rate"),
    "warmup": (int, None, "steps of linear increase up to it"),
    "precision": (str, training_config.PRECISIONS, "of the arithmetic; weights stay float32"),
    "checkpoint_every": (int, None, "steps between checkpoints"),
    "seed": (int, None, "same seed, same weights"),
}


def add(commands: argparse._SubParsersAction, start_tensorflow: Callable[..., None]) -> None:
    """Add the command to the program's; `start_tensorflow` is called once the arguments have been checked."""
    command = commands.add_parser(
        "train",
        help="train a denoiser on images of your own",
        description="Train a denoiser on crops of images, with drawn noise, from noisy and clean pairs, or from noisy "
        "images alone.",
        epilog="Stopped or killed, the same command with --resume continues from the last checkpoint, to the same "
        "weights as without the interruption.",
    )
    option = command.add_argument
    option(
        "data",
        metavar="DATA",
        help="a folder of images, tfds:NAME (or tfds:NAME/CONFIG:SPLIT#FEATURE), or synthetic:KIND[:COUNT]",
    )
    option("-o", "--output", required=True, metavar="OUT.keras", help="the trained network")
    option(
        "--clean", metavar="DATA", help="clean images that belong to noisy DATA, in the same order; sets --noise none"
    )
    option(
        "--config",
        metavar="NAME|FILE",
        help="settings: those of a network that ships, such as unet-bf-natural, or a JSON file; options go first",
    )
    option("--run", dest="run_folder", metavar="DIR", help="folder for checkpoints and the log [OUT.run]")
    option("--resume", action="store_true", help="continue the run in that folder, if there is one, with its settings")
    option("--start", metavar="NAME|PATH", help="network of the same architecture whose weights to start from")
    option("--tensorboard", metavar="DIR", help="write logs for TensorBoard; needs the extra [train]")
    option("--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its data sets")
    option("--quiet", action="store_true", help="no progress")
    for name, (kind, choices, text) in _SETTINGS.items():
        flag, default = f"--{name.replace('_', '-')}", _FIELDS[name].default
        text = text if default is None else f"{text} [{default}]"
        option(flag, type=kind, choices=choices, metavar=None if choices else "N", help=text)
    for name, text in (("sigma", "of Gaussian noise, on the 0-255 scale"), ("dose", "of Poisson noise, counts at 1")):
        low, high = _FIELDS[name].default
        text = f"lowest and highest {text} [{low:g} {high:g}]"
        option(f"--{name}", type=float, nargs=2, metavar=("LOW", "HIGH"), help=text)
    option("--scales", type=float, nargs="+", metavar="X", help="learn from the images at these sizes, 1 and below [1]")
    command.set_defaults(run=lambda options: run(options, start_tensorflow))


def run(options: argparse.Namespace, start_tensorflow: Callable[..., None]) -> None:
    """Check everything, then train."""
    output, folder, config = _checked(options)
    # Under another backend of Keras, a machine for training needs no TensorFlow.
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        start_tensorflow()
    import keras

    from gaintuning_tf.training.image_sources import load_images
    from gaintuning_tf.training.run import train

    if options.tensorboard:
        check_tensorboard()
    sources = {"channels": config.channels, "data_dir": options.data_dir, "dimensions": config.dimensions}
    images = load_images(options.data, **sources)
    targets = load_images(options.clean, **sources) if options.clean else None
    start = pretrained.load_denoiser(options.start) if options.start else None
    began = time.perf_counter()
    try:
        model = train(
            config,
            images,
            folder,
            targets=targets,
            start=start,
            tensorboard=options.tensorboard,
            callbacks=[] if options.quiet else [_progress(keras, config)],
            verbose=0,
        )
    except KeyboardInterrupt:
        kept = (folder / training_config.CHECKPOINT).exists()
        done = f"the checkpoint in {folder} is kept; --resume continues" if kept else "no checkpoint had been written"
        raise Interrupted(done) from None
    with atomic_files.replacing(output) as temporary:
        model.save(temporary)
    seconds = time.perf_counter() - began
    print(f"{output}: {model.name}, {model.count_params():,} weights, {seconds:.0f} s in this process", file=sys.stderr)


def _checked(options):
    """Check the options before anything slow is imported, and return output, folder of the run and configuration."""
    output = Path(options.output)
    if output.suffix != ".keras":
        raise InputError(f"expected an output file with the suffix .keras, received {output}")
    atomic_files.check_writable(output)
    for source in filter(None, (options.data, options.clean)):
        image_sources.check_source(source)
    if options.start:
        pretrained.find_denoiser(options.start)
    overrides = {name: getattr(options, name) for name in (*_SETTINGS, "sigma", "dose", "scales")}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    if options.clean:
        overrides = {"noise": "none", **overrides}
    if options.objective == "blind-spot":
        overrides = {"architecture": "blind-spot", **overrides}
    folder = Path(options.run_folder or output.with_suffix(".run"))
    file = find_config(options.config) if options.config else _of_run(folder, options.resume)
    if file is None and options.steps:
        overrides = {"warmup": min(_FIELDS["warmup"].default, options.steps // 10), **overrides}
    config = TrainingConfig.read(file, **overrides) if file else TrainingConfig(**overrides)
    for source in filter(None, (options.data, options.clean) if config.dimensions == 3 else ()):
        image_sources.check_volumes(source)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder for the run, {folder} is a file")
    if not options.resume and (folder / training_config.CHECKPOINT).exists():
        raise InputError(f"{folder} holds a run already: --resume continues it, --run DIR starts another")
    return output, folder, config


def _of_run(folder, resume):
    """Find the settings of the run that is to be continued; None if there is none."""
    file = folder / training_config.RUN
    return file if resume and file.exists() and (folder / training_config.CHECKPOINT).exists() else None


def _progress(keras, config):
    """Make a bar over the steps of the whole run, with the loss."""
    from tqdm import tqdm

    class Progress(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            done = int(self.model.optimizer.iterations)
            self.bar = tqdm(total=config.steps, initial=done, unit="step", desc="training", disable=None)

        def on_train_batch_end(self, batch, logs=None):
            done = int(self.model.optimizer.iterations)
            self.bar.set_postfix(loss=f"{float((logs or {}).get('loss', float('nan'))):.3g}", refresh=False)
            self.bar.update(done - self.bar.n)

        def on_train_end(self, logs=None):
            self.bar.close()

    return Progress()
