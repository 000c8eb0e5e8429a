"""The steps of a tuning, compiled, and the variables that they change."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError, of_network
from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.tuning import selection
from gaintuning_tf.tuning.round_inputs import RoundInputs, StepLimits
from gaintuning_tf.tuning.selection import BestSoFar
from gaintuning_tf.tuning.steps import Steps
from gaintuning_tf.tuning.windows import Windows


class Functions(NamedTuple):
    """What a run of rounds calls, each compiled: see `Steps` and `Objective`. One is a step in bfloat16."""

    prepare: Callable
    whiten: Callable
    step: Callable
    rounded_step: Callable
    held_out: Callable
    widen: Callable
    optimism: Callable


class CompiledSteps:
    """Steps, the values that they are at, and the state of the optimizer: variables, which callbacks may look at.

    Args:
        steps: The steps.
        jit_compile: Whether XLA compiles a step.

    Attributes:
        steps: The steps.
        done: The number of steps since the last `reset`: none sees the random numbers of another.
    """

    def __init__(self, steps: Steps, *, jit_compile: bool = False):
        self.steps = steps
        self.done = 0
        self._network = steps.objective.network
        self._jit_compile = jit_compile
        self._compiled: dict[NoiseTensors, Functions] = {}
        network = self._network.network
        self._image = tf.TensorSpec([None, *network.shape], network.dtype)
        self._denoise: dict[NoiseTensors | None, Callable] = {}

    @property
    def model(self) -> keras.Model:
        """The model whose variables are tuned."""
        return self._network.network.model

    def denoise(self, noisy: tf.Tensor, noise: NoiseTensors | None = None) -> tf.Tensor:
        """Denoise images (N, ..., C) with the values of the variables.

        Args:
            noisy: The images.
            noise: What is known of their noise, for a network that takes the level.

        Raises:
            InputError: It takes the level, and nothing is known.
        """
        with of_network(self.model.name, tf.errors.OpError):
            return self._denoised(noisy, noise)

    def _denoised(self, noisy, noise):
        if not self._network.network.takes_level:
            return self._denoiser(None)(noisy)
        if noise is None or not noise.known:
            raise InputError(
                f"expected the noise level, which {self.model.name!r} takes: tell it by sigma, or tune on the image"
            )
        known = noise._replace(weights=(), doubt=())
        return self._denoiser(known.specs(self._image))(noisy, known)

    def _denoiser(self, kind):
        if kind not in self._denoise:
            given = [self._image] if kind is None else [self._image, kind]
            options = {"autograph": False, "jit_compile": self._jit_compile}
            self._denoise[kind] = tf.function(self._network.denoise, given, **options)
        return self._denoise[kind]

    def values(self) -> list[tf.Tensor]:
        """Read the values of the variables, see `TunableNetwork`."""
        return [tf.convert_to_tensor(variable.value) for variable in self._network.variables]

    def set_values(self, values: Sequence) -> None:
        """Set the variables."""
        for variable, value in zip(self._network.variables, values, strict=True):
            variable.assign(value)

    def set_learning_rate(self, number: int, steps: int) -> None:
        """Set the learning rate for step `number` of `steps`: unless the caller chose it, it falls."""
        if self.steps.anneals:
            self.steps.optimizer.learning_rate = float(selection.annealed(self.steps.first_rate, number, steps))

    def reset(self) -> None:
        """Set values and state to those before the first step."""
        values, state = self.steps.initial()
        self.set_values(values)
        for variable, value in zip(self.steps.optimizer.variables, state, strict=True):
            variable.assign(value)
        self.done = 0

    def nothing_seen(self) -> BestSoFar:
        """Make the selection at the start of a round."""
        return selection.nothing_seen(self.values(), self._network.groups)

    def functions(self, noise: NoiseTensors) -> Functions:
        """Give the functions for what is known of the noise, compiled once for each kind."""
        kind = noise.specs(self._image)
        if kind not in self._compiled:
            self._compiled[kind] = self._functions(kind)
        return self._compiled[kind]

    def _functions(self, noise):
        spec: Any = tf.TensorSpec  # in the tuples, specs are in the place of tensors
        image: Any = self._image
        number = spec([], tf.int64)
        windows = Windows(spec([len(image.shape) - 2], tf.int32), spec([], tf.int32))
        curvature = spec([self._network.groups, None, None], tf.float32)
        reference = spec([*image.shape[:-1], None], image.dtype)
        width = spec([], tf.float64)
        inputs = RoundInputs(image, noise, reference, curvature, windows, StepLimits(width, width))
        values = [spec(v.shape, tf.as_dtype(v.dtype)) for v in self._network.variables]
        best = tf.nest.map_structure(tf.TensorSpec.from_tensor, self.nothing_seen())
        step = {"autograph": False, "jit_compile": self._jit_compile}
        seed, held_out = spec([2], tf.int64), self.steps.objective.held_out
        rounded = functools.partial(self._assigning_step, rounded=True)
        return Functions(
            prepare=tf.function(self.steps.prepare, [values, image, noise, number, windows], autograph=False),
            whiten=tf.function(self.steps.whiten, [values, inputs, number], autograph=False),
            step=tf.function(self._assigning_step, [best, inputs, seed], **step),
            rounded_step=tf.function(rounded, [best, inputs, seed], **step),
            held_out=tf.function(held_out, [values, inputs, number], autograph=False),
            widen=tf.function(self.steps.widen, [values, inputs, number], autograph=False),
            optimism=tf.function(self.steps.optimism, [inputs, number], autograph=False),
        )

    def _assigning_step(self, best, inputs, seed, *, rounded=False):
        state = [tf.convert_to_tensor(variable.value) for variable in self.steps.optimizer.variables]
        best, values, state, risk = self.steps.one_step(best, self.values(), state, inputs, seed, rounded=rounded)
        self.set_values(values)
        for variable, value in zip(self.steps.optimizer.variables, state, strict=True):
            variable.assign(value)
        return best, risk


def equal(values: Sequence, others: Sequence) -> bool:
    """Whether two lists of values are the same number by number."""
    return all(np.array_equal(one, other) for one, other in zip(values, others, strict=True))
