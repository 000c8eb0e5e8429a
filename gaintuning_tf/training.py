"""Pre-training of a denoiser on clean images, resumable at any checkpoint."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import keras
import numpy as np

from gaintuning_tf import datasets, models
from gaintuning_tf.errors import InputError

ARCHITECTURES = {"unet": models.unet, "dncnn": models.dncnn}


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What a training run depends on, apart from the images.

    Attributes:
        architecture: Key of `ARCHITECTURES`.
        architecture_options: Keyword arguments of the architecture.
        sigma: Lowest and highest noise level, on the 0-255 scale.
        crop: Side of the training crops, pixels.
        batch: Crops per step.
        steps: Steps of the whole run; the learning rate falls to zero at its end.
        learning_rate: Peak learning rate of Adam.
        warmup: Steps of linear increase up to it.
        ema_momentum: Momentum of the average of the weights that is returned.
        checkpoint_every: Steps between checkpoints.
        seed: Seed of the initial weights and of the crops and noise.
    """

    architecture: str = "unet"
    architecture_options: dict = dataclasses.field(default_factory=dict)
    sigma: tuple[float, float] = (0.0, 55.0)
    crop: int = 64
    batch: int = 8
    steps: int = 40_000
    learning_rate: float = 1e-3
    warmup: int = 500
    ema_momentum: float = 0.999
    checkpoint_every: int = 500
    seed: int = 0

    @classmethod
    def read(cls, path) -> TrainingConfig:
        """Read a JSON file whose keys are the attributes.

        Raises:
            InputError: A key is not an attribute, or the architecture is unknown.
        """
        values = json.loads(Path(path).read_text())
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"{path}: unknown keys {unknown}")
        config = cls(**values)
        if config.architecture not in ARCHITECTURES:
            raise InputError(f"{path}: expected architecture in {sorted(ARCHITECTURES)}, got {config.architecture!r}")
        return config


def train(config: TrainingConfig, images: list[np.ndarray], run_folder, *, verbose: int = 2) -> keras.Model:
    """Train a Gaussian denoiser by mean squared error on noisy crops of `images`.

    Progress goes to `run_folder`: `checkpoint.keras` (weights, optimizer state and
    step, replaced atomically) and `log.csv`. Called again with the same folder, it
    continues from the checkpoint; since the k-th batch depends on k alone, the
    result is that of an uninterrupted run.

    Args:
        config: The run.
        images: uint8 arrays (H, W, C) with sides of at least `config.crop`.
        run_folder: Where checkpoints go; created if absent.
        verbose: Passed to `model.fit`.

    Returns:
        The trained model with averaged weights, not compiled.
    """
    run_folder = Path(run_folder)
    run_folder.mkdir(parents=True, exist_ok=True)
    checkpoint = run_folder / "checkpoint.keras"
    model = keras.models.load_model(checkpoint) if checkpoint.exists() else _new_model(config)
    done = int(model.optimizer.iterations)
    crops = datasets.noisy_crops(
        images,
        crop=config.crop,
        batch=config.batch,
        sigma=config.sigma,
        first_batch=done,
        last_batch=config.steps,
        seed=config.seed,
    )
    if done < config.steps:
        model.fit(
            crops,
            initial_epoch=done // config.checkpoint_every,
            epochs=-(-config.steps // config.checkpoint_every),
            steps_per_epoch=min(config.checkpoint_every, config.steps),
            callbacks=[_Checkpoint(checkpoint), keras.callbacks.CSVLogger(run_folder / "log.csv", append=True)],
            verbose=verbose,
        )
    else:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return _without_optimizer(model, config)


def _architecture(config: TrainingConfig) -> keras.Model:
    return ARCHITECTURES[config.architecture](**config.architecture_options)


def _new_model(config: TrainingConfig) -> keras.Model:
    keras.utils.set_random_seed(config.seed)
    model = _architecture(config)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        config.steps - config.warmup,
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup,
    )
    optimizer = keras.optimizers.Adam(schedule, use_ema=True, ema_momentum=config.ema_momentum)
    # Several steps in one call: on two cores the loop around a step of 0.1 s costs as much again.
    model.compile(optimizer, loss="mse", jit_compile=False, steps_per_execution=min(20, config.checkpoint_every))
    return model


def _without_optimizer(model: keras.Model, config: TrainingConfig) -> keras.Model:
    # Not clone_model: it copies the compilation too.
    bare = _architecture(config)
    bare.set_weights(model.get_weights())
    return bare


class _Checkpoint(keras.callbacks.Callback):
    """Replace the checkpoint file at the end of each epoch, atomically."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        temporary = self.path.with_name("." + self.path.name)
        self.model.save(temporary)
        os.replace(temporary, self.path)
