"""Per-sample derivatives by the gains: a network with gains of its own for each of many crops."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from gaintuning_tf.gains.contrast import at_contrast
from gaintuning_tf.gains.surgery import gain_layers, insert_gains, strip_gains
from gaintuning_tf.tuning import gauss_newton


class Twin:
    """The network again, with gains of its own for each crop, so that one pass back gives the derivative of each.

    Its weights are taken from the other at every pass: they need not be up to date.

    Args:
        model: The denoiser, with gains or without.
        gained: That with gains, whose weights count.
    """

    def __init__(self, model: keras.Model, gained: keras.Model):
        self._images = gain_layers(gained)[0].images
        self.model = insert_gains(strip_gains(model), images=gauss_newton.CROPS * (self._images or 1))
        self._gains = gain_layers(self.model)
        self._mapping = list(zip(_weights(self.model), _weights(gained), strict=True))

    def derivative(self, run: Callable, gains, crops: tf.Tensor, cotangents: tf.Tensor) -> tf.Tensor:
        """`J^T v` of each crop by itself, (crops, gains), J the derivative of the denoised crop by the gains.

        Args:
            run: Model and images to the denoised images.
            gains: As in `Core`, the contrast last.
            crops: (N, H, W, C); item i has the gains of image i modulo the number of those with gains of their own.
            cotangents: v, of the same shape.
        """
        *tuned, contrast = gains
        rounds = crops.shape[0] // (self._images or 1)
        tiled = [tf.tile(gain if self._images else gain[None], [rounds, 1]) for gain in tuned]
        with tf.GradientTape() as tape:
            tape.watch(tiled)
            scope = [*((own, tf.convert_to_tensor(other.value)) for own, other in self._mapping)]
            scope += [(layer.gain, gain) for layer, gain in zip(self._gains, tiled, strict=True)]
            with keras.StatelessScope(scope):
                denoised = at_contrast(lambda image: run(self.model, image), crops, tf.tile(contrast, [rounds]))
            total = tf.reduce_sum(cotangents * denoised)
        found = tape.gradient(total, tiled, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.cast(tf.concat(found, -1), tf.float32)


def _weights(model):
    """The variables that are no gains, in the order of the layers."""
    gains = {id(gain.gain) for gain in gain_layers(model)}
    return [variable for variable in model.variables if id(variable) not in gains]
