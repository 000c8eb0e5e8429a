"""What the result of a run over a stack depends on: for the frames to be done, and for a later run to compare."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from typing import Any

import numpy as np

from gaintuning_tf import __version__
from gaintuning_tf.denoising.frame_job import FrameJob
from gaintuning_tf.denoising.frame_tuner import FrameTuner
from gaintuning_tf.gains.gain_files import fingerprint
from gaintuning_tf.images.stack_files import Stack
from gaintuning_tf.noise.models import NoiseModel
from gaintuning_tf.support.processor import has_bfloat16


def run_settings(stack: Stack, tuner: FrameTuner, job: FrameJob, data_range: float | None, **more: Any) -> dict:
    """Collect the settings of a run, for JSON: all that makes a difference to a frame's result.

    Args:
        stack: The input.
        tuner: The network.
        job: How.
        data_range: As it was asked for.
        **more: Whatever else, for JSON.
    """
    recipe = job.recipe
    start = [value.tolist() for value in tuner.start_values]
    return {
        "input": stack.identity(),
        "output dtype": str(job.layout.dtype),
        "network": fingerprint(tuner.network.model),
        **_meaning(tuner.network.normalization),
        "start gains": hashlib.sha256(repr(start).encode()).hexdigest() if start else None,
        "noise": _described(recipe.noise),
        "sigma": None if recipe.sigma is None else np.asarray(recipe.sigma, float).tolist(),
        "loss": _described(recipe.loss),
        "prior": recipe.prior,
        "contrast": recipe.contrast,
        "steps": recipe.steps,
        "data_range": data_range,
        "pixels": {**dataclasses.asdict(job.rules), "nodata": repr(job.rules.nodata)},
        "mask": None if stack.mask is None else hashlib.sha256(np.packbits(stack.mask).tobytes()).hexdigest(),
        "seed": recipe.seed,
        **_precision(recipe.precision),
        **more,
        "version": __version__,
    }


def _meaning(normalization):
    """What the network's numbers mean; nothing for the usual, so that runs of earlier versions can be continued."""
    if normalization.is_plain:
        return {}
    return {"normalize": str(normalization), "predicts": normalization.predicts}


def _precision(asked):
    """What steps compute in where it is not float32: what is asked for, or what the machine has."""
    rounds = asked == "bfloat16" or (asked == "auto" and has_bfloat16())
    return {"precision": "bfloat16"} if rounds else {}


def _described(value):
    """Describe a loss or noise by name, and what it was made with: a sum by its parts, a function by its place."""
    if isinstance(value, str):
        return value
    if inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    own = vars(value) if hasattr(value, "__dict__") else {}
    return {"class": type(value).__qualname__, **{name: _plain(part) for name, part in sorted(own.items())}}


def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, NoiseModel) or callable(value):
        return _described(value)
    return np.asarray(value).tolist() if isinstance(value, (np.ndarray, np.generic)) else repr(value)
