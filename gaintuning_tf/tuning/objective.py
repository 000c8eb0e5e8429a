"""What tuning minimises: a loss of a network, as a function of the tuned values, over windows of the image."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gaintuning_tf.gains.convolutions import convolutions, sublayers
from gaintuning_tf.gains.graph_network import GraphNetwork
from gaintuning_tf.losses.base import Loss, as_risk_estimate
from gaintuning_tf.losses.divergence import probe_step
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.tuning import selection
from gaintuning_tf.tuning.round_inputs import RiskSlope, RoundInputs
from gaintuning_tf.tuning.tunable_network import TunableNetwork, Values
from gaintuning_tf.tuning.windows import Integer, Windows, spread_window, window_seed, windows_of

# A step may keep so many bytes of the network's activations: those of a UNet for
# 512x512 pixels, of a DnCNN for 256x256. Larger images are tuned on windows as large as
# that allows, for near the borders of small ones the network has no context
# (docs/log/2026-11-25-small-windows-mislead-on-micrographs.md).
MEMORY = 1.75e9
# The sides of windows are multiples of this, so that networks that halve the resolution
# up to six times see them without padding.
SIDE_UNIT = 64


class Objective:
    """The risk of a network, its slope, and its value on probes that tuning never sees: pure functions.

    Args:
        network: The network.
        loss: A `RiskEstimate`, or a plain function of the same arguments.

    Attributes:
        network: As given.
        loss: The loss, the step of its finite difference such that it is seen at the
            network's precision.
    """

    def __init__(self, network: TunableNetwork, loss: Loss):
        self.network = network
        estimate, step = as_risk_estimate(loss), _visible_step(network.network.model)
        self.loss, self._criterion = estimate.at_step(step), estimate.criterion.at_step(step)

    def with_reference(self, values: Values, inputs: RoundInputs) -> RoundInputs:
        """Add to the inputs the images as these values denoise them, if the loss uses a reference."""
        if not (self.loss.uses_reference or self._criterion.uses_reference):
            return inputs
        return inputs._replace(reference=self.network.apply(values, inputs.noisy))

    def risk(
        self,
        values: Values,
        noisy: tf.Tensor,
        noise: NoiseTensors,
        seed: draws.Seed,
        reference: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Compute the loss of each image at these values.

        Args:
            values: See `TunableNetwork`.
            noisy: (N, ..., C).
            noise: What is known of its noise.
            seed: Two integers.
            reference: As in `RoundInputs`.

        Returns:
            (N,), in squared units of the images.
        """
        return self._risk_by(self.loss, values, noisy, noise, seed, reference)

    def slope(self, values: Values, inputs: RoundInputs, seed: tf.Tensor) -> RiskSlope:
        """Compute the risk and its gradient, the means over the windows of a step.

        Args:
            values: See `TunableNetwork`.
            inputs: What is looked at.
            seed: That of the step, two integers.
        """
        spec: Any = tf.TensorSpec  # in the tuple, specs are in the place of tensors
        group = spec([self.network.groups], tf.float64)
        gradients = [spec(value.shape, value.dtype) for value in values[:-1]]
        find = functools.partial(self._slope_in, values, inputs.noise)
        return self._over_windows(find, inputs, seed, RiskSlope(group, gradients, group))

    def held_out(self, values: Values, inputs: RoundInputs, seed: Integer) -> tf.Tensor:
        """Compute the mean of the loss's criterion on probes that tuning never sees.

        Args:
            values: See `TunableNetwork`.
            inputs: What is looked at.
            seed: That of the whole tuning, ().

        Returns:
            (groups,), float64; infinite where it is not finite.
        """
        group = tf.TensorSpec([self.network.groups], tf.float64)

        def of_probe(values, seed):
            def find(noisy, reference, own):
                risk = self._risk_by(self._criterion, values, noisy, inputs.noise, own, reference)
                return self.network.by_group(risk)

            return self._over_windows(find, inputs, seed, group)

        pixels = tf.reduce_prod(inputs.windows.size) * inputs.windows.count
        return selection.held_out(of_probe, values, seed, pixels)

    def standard_error(self, inputs: RoundInputs) -> tf.Tensor:
        """Estimate the standard error of a held-out risk, (groups,), float64."""
        image = inputs.noisy.shape[1:].num_elements()
        whole = self.network.by_group(inputs.noise.standard_error(inputs.noisy))
        return whole * tf.sqrt(image / tf.cast(inputs.pixels(), tf.float64))

    def noise_variance(self, noisy: tf.Tensor, noise: NoiseTensors, risk: tf.Tensor) -> tf.Tensor:
        """Find the mean variance of the noise, (groups,), float64; if not known, the risk (N,), which contains it."""
        return self.network.by_group(noise.mean_variance(noisy) if noise.known else tf.abs(risk))

    def windows(self, noisy: tf.Tensor, side: int | None) -> Windows:
        """Choose what a step sees of images.

        Args:
            noisy: (N, ..., C).
            side: As many pixels are seen as a square of this side has, in one piece if
                memory allows; None for the whole image at once.
        """
        if side is None:
            return windows_of(noisy, math.inf, SIDE_UNIT, whole=math.inf)
        fitting = MEMORY / max((noisy.shape[0] or 1) * self.network.network.bytes_per_pixel, 1)
        fitting_side = max(int(fitting ** (1 / (len(noisy.shape) - 2)) / SIDE_UNIT), 1) * SIDE_UNIT
        return windows_of(noisy, side**2, min(side, fitting_side), whole=min(side**2, fitting))

    def _risk_by(self, loss, values, noisy, noise, seed, reference):
        alike = draws.alike() if self.network.images else contextlib.nullcontext()
        with self.network.at(values) as denoise, alike:
            return loss.of(denoise, noisy, noise if noise.known else None, seed=seed, reference=reference)

    def _slope_in(self, values, noise, noisy, reference, seed):
        """Find the slope in one window."""
        tuned, contrast = list(values[:-1]), values[-1]
        with tf.GradientTape() as tape:
            tape.watch(tuned)
            risk = self.risk([*tuned, contrast], noisy, noise, seed, reference)
            total = tf.reduce_sum(risk)
        gradients: Any = tape.gradient(total, tuned, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return RiskSlope(self.network.by_group(risk), gradients, self.noise_variance(noisy, noise, risk))

    def _over_windows(self, find: Callable, inputs, seed, kind):
        """Average what is found in each window, one after the other: in the memory of one."""

        def of_window(number):
            return find(*_window(inputs, seed, number), window_seed(seed, number))

        found = tf.map_fn(of_window, tf.range(inputs.windows.count), fn_output_signature=kind, parallel_iterations=1)
        return tf.nest.map_structure(lambda values: tf.reduce_mean(values, 0), found)


def _window(inputs, seed, number):
    """Cut out the same part of the image and of the reference."""
    both = tf.concat([inputs.noisy, tf.cast(inputs.reference, inputs.noisy.dtype)], -1)
    channels = inputs.noisy.shape[-1]
    # Typed so, for TensorFlow's stubs know no slices with an ellipsis.
    part: Any = spread_window(both, seed, number, inputs.windows)
    return part[..., :channels], part[..., channels:]


def _visible_step(model):
    """Choose the length of a finite difference that can be seen at the network's precision."""
    dtypes = {layer.compute_dtype for layer in convolutions(model)}
    dtypes |= {found.dtype for graph in sublayers(model, GraphNetwork) for found in graph.convolutions}
    return max(probe_step(dtype=dtype) for dtype in dtypes)
