"""Pre-training of a denoiser, resumable at any checkpoint, under any backend of Keras."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks import architectures
from gaintuning_tf.networks.residual_unet import drunet
from gaintuning_tf.networks.stein_risk_model import RiskMinimised
from gaintuning_tf.networks.unet3d import unet3d
from gaintuning_tf.support.atomic_files import replacing
from gaintuning_tf.training.batches import Batches
from gaintuning_tf.training.config import CHECKPOINT, RUN, TrainingConfig
from gaintuning_tf.training.image_sources import at_scales
from gaintuning_tf.training.jax_batches import JaxBatches
from gaintuning_tf.training.muon import ConvMuon

# The statistics of batch norm are measured anew on so many batches, for averaged
# weights need their own: docs/log/2026-11-23-averaged-weights-and-batch-norm.md.
STATISTICS_BATCHES = 50
_ARCHITECTURES = {
    "unet": architectures.unet,
    "dncnn": architectures.dncnn,
    "drunet": drunet,
    "blind-spot": architectures.blind_spot,
    "unet3d": unet3d,
}
_OPTIMIZERS = {"adam": keras.optimizers.Adam, "muon": ConvMuon}


def build(config: TrainingConfig) -> keras.Model:
    """Make a new network of the configuration's architecture, with random weights.

    Raises:
        InputError: The architecture has no such options.

    Example:

    >>> build(TrainingConfig(architecture_options={"width": 8})).output_shape
    (None, None, None, 1)
    """
    try:
        return _ARCHITECTURES[config.architecture](config.channels, **config.architecture_options)
    except TypeError as error:
        raise InputError(f"expected options of {config.architecture} in architecture_options: {error}") from error


def train(
    config: TrainingConfig,
    images: list[np.ndarray],
    run_folder: str | Path,
    *,
    targets: list[np.ndarray] | None = None,
    start: keras.Model | None = None,
    tensorboard: str | Path | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    verbose: int = 2,
) -> keras.Model:
    """Train a denoiser on crops of `images`.

    Progress goes to `run_folder`: `run.json`, the configuration and a checksum of the images; `checkpoint.keras`
    (weights, optimizer state and step, replaced atomically); and `log.csv`. Called again with the same folder, it
    continues from the checkpoint; since the k-th batch depends on k alone, the result is that of an uninterrupted
    run.

    Args:
        config: The run.
        images: Arrays (H, W, channels), or volumes, with sides of at least `config.crop`; see `batches.Batches`.
        run_folder: Where checkpoints go; created if absent.
        targets: Clean images, if `images` are noisy versions of them (`noise="none"`).
        start: A network of the same architecture whose weights to start from; unless given, random ones.
        tensorboard: Folder for TensorBoard's logs; none without.
        callbacks: Further Keras callbacks.
        verbose: Passed to `model.fit`.

    Returns:
        The trained model with averaged weights, in float32, not compiled.

    Raises:
        InputError: The images do not suit, or the run folder holds another run.
    """
    run_folder = Path(run_folder)
    _check_dimensions(config, images)
    batches = _batches(config, images, targets)
    run_folder.mkdir(parents=True, exist_ok=True)
    _remember(config, images, run_folder)
    checkpoint = run_folder / CHECKPOINT
    with _policy(config.precision):
        model: Any = keras.models.load_model(checkpoint) if checkpoint.exists() else _new_model(config, start)
    done = int(model.optimizer.iterations)
    if done < config.steps:
        model.fit(
            _stream(batches, done, config.steps),
            initial_epoch=done // config.checkpoint_every,
            epochs=-(-config.steps // config.checkpoint_every),
            steps_per_epoch=min(config.checkpoint_every, config.steps),
            callbacks=[_Checkpoint(checkpoint), *_logs(run_folder, tensorboard), *callbacks],
            verbose=verbose,
        )
    else:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    trained = build(config)  # not clone_model: it copies the compilation and the precision too
    trained.set_weights(model.get_weights())
    _renew_statistics(trained, batches.between(config.steps, config.steps + STATISTICS_BATCHES))
    return trained


def _check_dimensions(config, images):
    others = [image.shape for image in images if image.ndim != config.dimensions + 1]
    if others:
        kind = "volumes (D, H, W, C)" if config.dimensions == 3 else "images (H, W, C)"
        raise InputError(f"expected {kind} for the architecture {config.architecture}, received the shape {others[0]}")


def _batches(config, images, targets):
    if targets is not None and (config.noise != "none" or config.objective != "supervised"):
        raise InputError(
            "expected the objective supervised and the noise none for pairs of noisy and clean images, on which "
            f"nothing is drawn, received {config.objective!r} and {config.noise!r}; leave them out, or give "
            "clean images alone"
        )
    sigmas = None
    if config.objective == "sure" and config.noise == "none":
        from gaintuning_tf.noise.estimation import estimate_noise

        sigmas = [float(estimate_noise(image).sigma) / _full_scale(image) for image in images]
    elif config.objective == "sure" and config.noise != "gaussian":
        raise InputError(f"the objective sure is for Gaussian noise, received {config.noise!r}")
    if targets is not None and (config.batches == "device" or tuple(config.scales) != (1.0,)):
        raise InputError(
            "expected batches made on the host at the scale 1 for pairs of noisy and clean images, received batches "
            f"{config.batches!r} and scales {list(config.scales)}; shrinking would average the noise away"
        )
    batches = Batches(
        at_scales(images, config.scales, config.crop),
        crop=config.crop,
        batch=config.batch,
        noise=config.drawn_noise(),
        objective=config.objective,
        targets=targets,
        sigmas=sigmas,
        seed=config.seed,
        sigma_weighting=config.sigma_weighting,
        crop_depth=config.crop_depth,
    )
    return JaxBatches(batches) if config.batches == "device" else batches


def _full_scale(image):
    return np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1.0


def _remember(config, images, run_folder):
    """Write what the run depends on into its folder, or compare it with what is there."""
    checksum = 0
    for image in images:
        checksum = zlib.crc32(np.ascontiguousarray(image).data, checksum)
    # As JSON has it: tuples are lists there.
    values = json.loads(json.dumps({**dataclasses.asdict(config), "images": checksum}))
    file = run_folder / RUN
    if not (run_folder / CHECKPOINT).exists():
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n")
        return
    # A run of an earlier version lacks settings that came since, and had what is their default today.
    defaults = json.loads(json.dumps(dataclasses.asdict(TrainingConfig())))
    other = {**defaults, **json.loads(file.read_text())}
    differing = sorted(name for name in {*values, *other} if values.get(name) != other.get(name))
    if differing:
        raise InputError(
            f"{run_folder} holds a run that differs in {', '.join(differing)}; continue it with its own settings and "
            "images, or choose another folder"
        )


@contextlib.contextmanager
def _policy(name):
    """Keras's dtype policy for layers made inside, the one before restored after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _new_model(config, start):
    keras.utils.set_random_seed(config.seed)
    model: Any = build(config)
    if start is not None:
        _take_weights(model, start)
    if config.objective == "sure":
        model = RiskMinimised(model.inputs[0], model.outputs[0], name=model.name)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        config.steps - config.warmup,
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup,
    )
    optimizer = _OPTIMIZERS[config.optimizer](schedule, use_ema=True, ema_momentum=config.ema_momentum)
    every = next(
        n for n in range(min(config.steps_per_execution, config.steps), 0, -1) if config.checkpoint_every % n == 0
    )
    model.compile(optimizer, loss="mse", jit_compile="auto" if _on_jax() else False, steps_per_execution=every)
    return model


def _take_weights(model, start):
    if [weight.shape for weight in model.weights] != [weight.shape for weight in start.weights]:
        raise InputError(
            f"expected a network to start from with the {len(model.weights)} weights of {model.name!r}, received "
            f"{start.name!r} with other ones"
        )
    model.set_weights(start.get_weights())


def _renew_statistics(model, batches):
    """Measure the statistics of batch norm for the averaged weights: those kept while training were other weights'.

    As for averaged weights in P. Izmailov et al., "Averaging weights leads to wider optima and better
    generalization", UAI 2018, section 3.1.
    """
    norms = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_variance")]
    momenta = [norm.momentum for norm in norms]
    for number, batch in enumerate(batches if norms else ()):
        for norm in norms:
            norm.momentum = number / (number + 1)  # the mean of all so far; the first replaces what was there
        model(batch[0], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _on_jax():
    return keras.backend.backend() == "jax"


def _stream(batches, first, last):
    if keras.backend.backend() == "tensorflow" and isinstance(batches, Batches):
        return batches.as_dataset(first, last)
    return batches.between(first, last)


def _logs(run_folder, tensorboard):
    logs: list[keras.callbacks.Callback] = [keras.callbacks.CSVLogger(run_folder / "log.csv", append=True)]
    if tensorboard:
        logs.append(keras.callbacks.TensorBoard(tensorboard, update_freq="epoch", write_graph=False))
    return logs


class _Checkpoint(keras.callbacks.Callback):
    """Replace the checkpoint file at the end of each epoch, atomically."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        temporary = self.path.with_name("." + self.path.name)
        model: Any = self.model
        model.save(temporary)
        with zipfile.ZipFile(temporary) as written:  # on a full disk, keep the last one
            if written.testzip() is not None:
                raise OSError(f"could not write {temporary} whole")
        os.replace(temporary, self.path)
