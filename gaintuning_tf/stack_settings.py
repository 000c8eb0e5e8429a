"""What the result of a run over a stack depends on: for the frames to be done, and for a later run to compare."""

from __future__ import annotations

import hashlib
import inspect
import math

import numpy as np

from gaintuning_tf import __version__
from gaintuning_tf.errors import InputError
from gaintuning_tf.frame_results import FrameJob
from gaintuning_tf.frame_tuning import FrameTuner, Recipe
from gaintuning_tf.gain_files import fingerprint
from gaintuning_tf.images import Layout, nominal_range
from gaintuning_tf.noise import NoiseModel
from gaintuning_tf.stack_files import Stack


def frame_job(stack: Stack, recipe: Recipe, channels: int, *, data_range=None, dtype=None, **options) -> FrameJob:
    """How the frames of a stack are done: in the range that `images.layout` would find for the whole.

    Args:
        stack: Of which every frame is read once, if the range is not known without.
        recipe: How to tune.
        channels: Those that the network takes.
        data_range: As for `gaintune`.
        dtype: Of the output; by default the stack's.
        **options: Of `FrameJob`.

    Raises:
        InputError: Nothing in the stack is finite, or the range or dtype cannot be used.
    """
    dtype = np.dtype(stack.dtype if dtype is None else dtype)
    if dtype.kind not in "iuf":
        raise InputError(f"expected an output of integers or floats, received dtype {dtype}")
    white = float(np.iinfo(stack.dtype).max) if stack.dtype.kind in "iu" else None
    if data_range is not None:
        if not (math.isfinite(data_range) and data_range > 0):
            raise InputError(f"expected data_range to be a positive number, received {data_range}")
        offset, scale = 0.0, float(data_range)
    else:
        extent = (0.0, 255.0) if stack.dtype == np.uint8 else stack.extent()
        if not all(map(math.isfinite, extent)):
            raise InputError(f"expected finite pixels, received none in {stack.path}")
        offset, scale = nominal_range(stack.dtype, *extent)
        # Cameras put 12 bits into 16: there, 4095 is white.
        white = min(white, scale) if stack.dtype.kind == "u" and offset == 0 else white
    layout = Layout(
        stack.frame_axes, stack.frame_shape, dtype, offset, scale, channels if "C" in stack.frame_axes else 1
    )
    return FrameJob(recipe, layout, stack.frame_count, white, **options)


def run_settings(stack: Stack, tuner: FrameTuner, job: FrameJob, data_range, **more) -> dict:
    """The settings of a run, for JSON: all that makes a difference to a frame's result.

    Args:
        stack: The input.
        tuner: The network.
        job: How.
        data_range: As it was asked for.
        **more: Whatever else, for JSON.
    """
    recipe = job.recipe
    start = [value.tolist() for value in tuner.start_rows]
    return {
        "input": stack.identity(),
        "output dtype": str(job.layout.dtype),
        "network": fingerprint(tuner.model),
        "start gains": hashlib.sha256(repr(start).encode()).hexdigest() if start else None,
        "noise": _described(recipe.noise),
        "sigma": None if recipe.sigma is None else np.asarray(recipe.sigma, float).tolist(),
        "loss": _described(recipe.loss),
        "prior": recipe.prior,
        "contrast": recipe.contrast,
        "steps": recipe.steps,
        "data_range": data_range,
        "seed": recipe.seed,
        **more,
        "version": __version__,
    }


def _described(value):
    """A loss or noise by its name, and what it was made with: a sum by its parts, a function by where it is from."""
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
