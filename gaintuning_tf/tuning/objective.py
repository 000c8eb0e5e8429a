"""What tuning minimises: a loss of a network, as a function of the tuned values, over windows of the image."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gaintuning_tf.gains.convolutions import sublayers, with_self
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.losses.base import Loss, as_risk_estimate
from gaintuning_tf.losses.divergence import probe_step
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.tuning import selection
from gaintuning_tf.tuning.round_inputs import RiskSlope, RoundInputs
from gaintuning_tf.tuning.tunable_network import TunableNetwork, Values, in_bfloat16
from gaintuning_tf.tuning.windows import (
    Integer,
    Windows,
    spread_window,
    step_seed,
    window_seed,
    windows_of,
    windows_of_volume,
)

# A step may keep so many bytes of the network's activations: those of a UNet for
# 512x512 pixels, of a DnCNN for 256x256. Larger images are tuned on windows as large as
# that allows, for near the borders of small ones the network has no context
# (docs/log/2026-11-25-small-windows-mislead-on-micrographs.md).
MEMORY = 1.75e9
# Of volumes less, for with as much 64x256x256 voxels, tuned for three rounds of steps, took
# 3.3 GB in all (docs/log/2026-11-26-memory-of-a-volume.md).
VOLUME_MEMORY = 1.2e9
# Images with correlated noise are seen with noise added, see `NoiseTensors.shown`. So many
# copies of them, in pairs, make the result, and so many the risk that results are judged by: more
# copies gain little (docs/log/2026-11-27-copies-in-pairs.md).
RESULT_COPIES, JUDGED_COPIES = 8, 2
# The copies of the result draw from this stream of random numbers, and a first result from
# the one before.
RESULT = 1 << 28
FIRST_RESULT = RESULT - 1
# The sides of windows are multiples of this, and of what the network takes, so that those
# that halve the resolution up to six times see them without padding.
SIDE_UNIT = 64
# Those of windows of volumes are multiples of this: networks of volumes halve the
# resolution up to four times, and in three dimensions 64 voxels would be a large step.
VOLUME_UNIT = 16


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
        return inputs._replace(reference=self.denoise(values, inputs.noisy, inputs.noise, 0))

    def denoise(self, values: Values, noisy: tf.Tensor, noise: NoiseTensors, seed: Integer) -> tf.Tensor:
        """Denoise images with these values: where noise is correlated, the mean over noisier copies, see `copy`.

        Args:
            values: See `TunableNetwork`.
            noisy: (N, ..., C).
            noise: What is known of their noise.
            seed: That of the whole tuning, ().
        """
        if not noise.is_whitened:
            return self.network.apply(values, noisy, noise)

        def of_copy(number):
            return self.network.apply(values, self.copy(noisy, noise, seed, number), noise)

        numbers = tf.range(RESULT_COPIES, dtype=tf.int64)
        found = tf.map_fn(of_copy, numbers, fn_output_signature=noisy.dtype, parallel_iterations=1)
        return tf.ensure_shape(tf.reduce_mean(found, 0), noisy.shape)

    def copy(self, noisy: tf.Tensor, noise: NoiseTensors, seed: Integer, number: Integer) -> tf.Tensor:
        """Make copy `number` of images for the network to see, see `NoiseTensors.shown`; if their noise is white, they.

        Args:
            noisy: (N, ..., C).
            noise: What is known of their noise.
            seed: That of the whole tuning, ().
            number: Less than `RESULT_COPIES`.
        """
        with self._alike():
            return noise.shown(tf.identity, noisy, step_seed(seed, RESULT), first=number)(noisy)

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
        return self._risk_by(self.loss, self.network, values, noisy, noise, seed, reference)

    @functools.cached_property
    def rounded(self) -> TunableNetwork | None:
        """The network computing in bfloat16, see `in_bfloat16`; None where there is none, or differences of outputs."""
        return None if self.loss.step else in_bfloat16(self.network)

    def slope(self, values: Values, inputs: RoundInputs, seed: tf.Tensor, *, rounded: bool = False) -> RiskSlope:
        """Compute the risk and its gradient, the means over the windows of a step.

        Args:
            values: See `TunableNetwork`.
            inputs: What is looked at.
            seed: That of the step, two integers.
            rounded: Whether of the network that is `rounded`.
        """
        network = self.rounded if rounded else self.network
        find = functools.partial(self._slope_in, network, values)
        return self._over_windows(find, inputs, seed, self._slope_kind(values))

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
            def find(noisy, noise, reference, own):
                risk = self._risk_by(self._criterion, self.network, values, noisy, noise, own, reference, JUDGED_COPIES)
                return self.network.by_group(_times_share(risk, noisy, noise))

            return self._over_windows(find, inputs, seed, group)

        pixels = self.effective(inputs, tf.reduce_prod(inputs.windows.size) * inputs.windows.count)
        return selection.held_out(of_probe, values, seed, tf.reduce_min(pixels))

    def effective(self, inputs: RoundInputs, pixels: tf.Tensor) -> tf.Tensor:
        """Find how many independent pixels that count these of the images are worth, see `correlation.effective_share`.

        Args:
            inputs: What is looked at.
            pixels: Their number, ().

        Returns:
            (groups,), float64; for independent pixels that all count, `pixels` as they are.
        """
        if inputs.noise.is_plain:
            return pixels
        return self.network.by_group(inputs.noise.effective_share(inputs.noisy)) * tf.cast(pixels, tf.float64)

    def standard_error(self, inputs: RoundInputs) -> tf.Tensor:
        """Estimate the standard error of a held-out risk, (groups,), float64."""
        image = inputs.noisy.shape[1:].num_elements()
        whole = self.network.by_group(inputs.noise.standard_error(inputs.noisy))
        return whole * tf.sqrt(image / tf.cast(inputs.pixels(), tf.float64))

    def noise_variance(self, noisy: tf.Tensor, noise: NoiseTensors, risk: tf.Tensor) -> tf.Tensor:
        """Find the mean variance of the noise, (groups,), float64; if not known, the risk (N,), which contains it."""
        variance = self.network.by_group(_times_share(_variance(noisy, noise, risk), noisy, noise))
        return _per_share(variance, self._share(noisy, noise), noise)

    def windows(self, noisy: tf.Tensor, side: int | None) -> Windows:
        """Choose what a step sees of images.

        Args:
            noisy: (N, ..., C).
            side: As many pixels are seen as a square of this side has, in one piece if
                memory allows; None for the whole image at once. Where the network fixes the size, in
                windows of that size: of a larger one it would see tiles, which share pixels.
        """
        fixed = self.network.network.fixed_sides
        if any(fixed):
            sides = [own or max(filter(None, fixed)) for own in fixed]
            return windows_of(noisy, math.inf if side is None else side**2, sides, whole=0)
        if side is None:
            return windows_of(noisy, math.inf, SIDE_UNIT, whole=math.inf)
        memory = VOLUME_MEMORY if len(noisy.shape) == 5 else MEMORY
        fitting = memory / max((noisy.shape[0] or 1) * self.network.network.bytes_per_pixel, 1)
        multiple = self.network.network.multiple
        if len(noisy.shape) == 5:
            return windows_of_volume(noisy, side**2, math.lcm(VOLUME_UNIT, multiple), fitting)
        unit, side = math.lcm(SIDE_UNIT, multiple), side - side % multiple or side
        fitting_side = max(int(fitting ** (1 / (len(noisy.shape) - 2)) / unit), 1) * unit
        return windows_of(noisy, side**2, min(side, fitting_side), whole=min(side**2, fitting))

    def _alike(self):
        return draws.alike() if self.network.images else contextlib.nullcontext()

    def _risk_by(self, loss, network, values, noisy, noise, seed, reference, copies=1):
        denoise = network.at(values, noisy, noise)
        with self._alike():
            known = noise if noise.known or noise.is_weighted else None
            seen = noise.shown(denoise, noisy, seed, copies)
            return loss.of(seen, noisy, known, seed=seed, reference=reference)

    def _slope_in(self, network, values, noisy, noise, reference, seed):
        """Find the slope in one window: of a loss that is a mean of passes, in the memory of one."""
        if self.loss.sides is None:
            return self._slope_by(self.loss, network, values, noisy, noise, reference, seed)

        def of_side(side):
            return self._slope_by(self.loss.of_side(side), network, values, noisy, noise, reference, seed)

        found = tf.map_fn(
            of_side,
            tf.constant(self.loss.sides, noisy.dtype),
            fn_output_signature=self._slope_kind(values),
            parallel_iterations=1,
        )
        return tf.nest.map_structure(lambda parts: tf.reduce_mean(parts, 0), found)

    def _slope_kind(self, values):
        spec: Any = tf.TensorSpec  # in the tuple, specs are in the place of tensors
        group = spec([self.network.groups], tf.float64)
        return RiskSlope(group, [spec(value.shape, value.dtype) for value in values[:-1]], group)

    def _slope_by(self, loss, network, values, noisy, noise, reference, seed):
        """Find the slope of a loss in one window."""
        tuned, contrast = list(values[:-1]), values[-1]
        with tf.GradientTape() as tape:
            tape.watch(tuned)
            risk = self._risk_by(loss, network, [*tuned, contrast], noisy, noise, seed, reference)
            counted = _times_share(risk, noisy, noise)
            total = tf.reduce_sum(counted)
        gradients: Any = tape.gradient(total, tuned, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        variance = _times_share(_variance(noisy, noise, risk), noisy, noise)
        return RiskSlope(self.network.by_group(counted), gradients, self.network.by_group(variance))

    def _over_windows(self, find: Callable, inputs, seed, kind):
        """Average what is found in each window, one after the other: in the memory of one.

        Where not all pixels count, windows count by their share of those that do: `find` multiplies by that of
        each image, and the mean is divided by the mean share.
        """

        def of_window(number):
            noisy, noise, reference = _window(inputs, seed, number)
            found = find(noisy, noise, reference, window_seed(seed, number))
            return found, self._share(noisy, noise)

        # Without weights there is nothing to divide by.
        share = tf.TensorSpec([self.network.groups], tf.float64) if inputs.noise.is_weighted else ()
        numbers = tf.range(inputs.windows.count)
        found = tf.map_fn(of_window, numbers, fn_output_signature=(kind, share), parallel_iterations=1)
        means, share = tf.nest.map_structure(lambda values: tf.reduce_mean(values, 0), found)
        return tf.nest.map_structure(lambda values: _per_share(values, share, inputs.noise), means)

    def _share(self, noisy, noise):
        """Find which share of the pixels counts, (groups,); an empty tuple if all do."""
        return self.network.by_group(noise.share(noisy)) if noise.is_weighted else ()


def _variance(noisy, noise, risk):
    """Find the mean variance of the noise of each image; if not known, the risk, which contains it."""
    return noise.mean_variance(noisy) if noise.known else tf.abs(risk)


def _times_share(per_image, noisy, noise):
    """Multiply numbers of images by the share of their pixels that counts."""
    return tf.cast(noise.share(noisy), per_image.dtype) * per_image if noise.is_weighted else per_image


def _per_share(values, share, noise):
    """Divide by the share of pixels that counts what was multiplied by it: zero where none does."""
    if not noise.is_weighted:
        return values
    across = [-1] + [1] * (len(values.shape) - 1)
    return tf.math.divide_no_nan(values, tf.cast(tf.reshape(share, across), values.dtype))


def _window(inputs, seed, number):
    """Cut out the same part of the image, of what is known of its noise, and of the reference."""
    noisy, noise = inputs.noisy, inputs.noise
    parts = [noisy, tf.cast(inputs.reference, noisy.dtype)] + [noise.weights] * noise.is_weighted
    # Typed so, for TensorFlow's stubs know no slices with an ellipsis.
    part: Any = spread_window(tf.concat(parts, -1), seed, number, inputs.windows, noise.weights)
    channels, counted = noisy.shape[-1], noise.weights.shape[-1] if noise.is_weighted else 0
    if not counted:
        return part[..., :channels], noise, part[..., channels:]
    return part[..., :channels], noise._replace(weights=part[..., -counted:]), part[..., channels:-counted]


def _visible_step(model):
    """Choose the length of a finite difference that can be seen at the network's precision."""
    dtypes = {layer.compute_dtype for layer in with_self(model)}
    dtypes |= {found.dtype for graph in sublayers(model, GraphNetwork) for found in graph.convolutions}
    return max(probe_step(dtype=dtype) for dtype in dtypes)
