"""Derivatives by the gains of each of many crops: by a network with gains of its own for each."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from gaintuning_tf.gains.contrast import at_contrast
from gaintuning_tf.gains.surgery import gain_layers, insert_gains, strip_gains
from gaintuning_tf.networks.sizes import at_any_size
from gaintuning_tf.tuning import gauss_newton
from gaintuning_tf.tuning.tunable_network import TunableNetwork, Values, with_level


class PerCropNetwork:
    """The network again, with gains of its own for each crop, so that one pass back gives the derivative of each.

    Its weights are taken from the other at every pass: they need not be up to date.

    Args:
        network: The network whose gains are tuned.
        plain: It as it was before gains were inserted; by default they are taken out again.
    """

    def __init__(self, network: TunableNetwork, plain: keras.Model | None = None):
        self._images = network.images
        self._crops = gauss_newton.crops_in_a_pass(network.network.fixed_sides) * network.groups
        model = insert_gains(strip_gains(network.network.model if plain is None else plain), images=self._crops)
        self._gains = [layer.gain for layer in gain_layers(model)]
        self._run = at_any_size(model, network.network.multiple)
        self._weights = list(zip(_weights(model), _weights(network.network.model), strict=True))

    def derivative(
        self,
        values: Values,
        line: tuple[Any, tf.Tensor] | None,
        crops: tf.Tensor,
        cotangents: tf.Tensor,
    ) -> tf.Tensor:
        """Compute `J^T v` of each crop by itself, J the derivative of the denoised crop by the gains.

        Args:
            values: See `TunableNetwork`.
            line: Of the variance of the images, for a network that takes the level of the noise, see `level_map`;
                where they share their gains, crops are of any of them, and have the mean.
            crops: (N, ..., C); crop i has the gains of image i modulo the number of those
                with gains of their own.
            cotangents: v, of the same shape.

        Returns:
            (crops, gains), float32.
        """
        *tuned, contrast = values
        repeats = self._crops // (self._images or 1)
        tiled = [tf.tile(gain if self._images else gain[None], [repeats, 1]) for gain in tuned]
        with tf.GradientTape() as tape:
            tape.watch(tiled)
            scope = [(own, tf.convert_to_tensor(other.value)) for own, other in self._weights]
            scope += list(zip(self._gains, tiled, strict=True))
            with keras.StatelessScope(scope):
                contrasts = tf.tile(contrast, [repeats])
                run = with_level(self._run, crops, contrasts, self._shared(line))
                denoised = at_contrast(run, crops, contrasts)
            total = tf.reduce_sum(cotangents * denoised)
        found: Any = tape.gradient(total, tiled, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.cast(tf.concat(found, -1), tf.float32)

    def _shared(self, line):
        if line is None or self._images:
            return line
        slope, intercept = line
        return None if slope is None else tf.reduce_mean(slope, keepdims=True), tf.reduce_mean(intercept, keepdims=True)


def _weights(model):
    """List the variables that are no gains, in the order of the layers."""
    gains = {id(layer.gain) for layer in gain_layers(model)}
    return [variable for variable in model.variables if id(variable) not in gains]
