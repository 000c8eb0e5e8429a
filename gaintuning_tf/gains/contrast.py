"""The contrast at which a network sees an image: one number that brings the noise into the trained range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.gains.keras_types import Shape, Tensor, as_array, ops
from gaintuning_tf.gains.layers import PACKAGE

# No contrast changes this grey, the middle of the range that networks are trained on.
# Zero is a little worse
# (docs/log/2026-11-23-the-contrast-at-which-a-network-sees-the-image.md).
CENTRE = 0.5


def at_contrast(denoise: Callable[[tf.Tensor], tf.Tensor], noisy: tf.Tensor, contrast: tf.Tensor) -> tf.Tensor:
    """Denoise at a contrast, `c + (f(c + s (y - c)) - c) / s` with the contrast s and `c = 0.5`.

    At a contrast of sigma_trained / sigma, noise that is stronger than any in training has the strength the network
    knows; a network without biases hardly cares, for `f(s y) = s f(y)`, one with biases does (Mohan et al.,
    "Robust and interpretable blind image denoising via bias-free convolutional neural networks", ICLR 2020).

    Args:
        denoise: Images (N, H, W, C) to images of the same shape.
        noisy: (N, H, W, C).
        contrast: (R,): item i of the batch has the contrast i modulo R. At 1, nothing is changed, bit for bit.

    Example:

    >>> denoised = at_contrast(lambda y: y + 0.1, tf.zeros((1, 1, 1, 1)), tf.constant([0.5]))
    >>> round(float(denoised[0, 0, 0, 0]), 6)
    0.2
    """
    noisy = tf.convert_to_tensor(noisy)
    repeats = tf.shape(noisy)[:1] // contrast.shape.num_elements()
    scale = tf.reshape(tf.tile(tf.cast(contrast, noisy.dtype), repeats), [-1] + [1] * (len(noisy.shape) - 1))
    denoised = denoise(noisy + (scale - 1) * (noisy - CENTRE))
    return denoised + (1 / scale - 1) * (denoised - CENTRE)


@keras.saving.register_keras_serializable(PACKAGE)
class Contrast(keras.layers.Layer):
    """Multiplies the distance of its input from mid-grey: `c + s (x - c)`, or by 1/s with `inverse`.

    Args:
        images: As for `Gain`: None for one contrast, N for one for each of N images.
        inverse: Whether to undo.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, images: int | None = None, inverse: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.images = images
        self.inverse = inverse

    def build(self, input_shape: Shape) -> None:
        self.contrast = self.add_weight(name="contrast", shape=(self.images or 1,), initializer="ones", trainable=False)

    def call(self, inputs: Tensor) -> Tensor:
        factor = 1 / self.contrast if self.inverse else self.contrast
        shape = ops.shape(inputs)
        repeats = ops.reshape(inputs, (-1, self.images or 1, *shape[1:]))
        factor = ops.reshape(ops.cast(factor, inputs.dtype), (self.images or 1, *[1] * (len(inputs.shape) - 1)))
        return ops.reshape(repeats + (factor - 1) * (repeats - CENTRE), shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "images": self.images, "inverse": self.inverse}


def with_contrast(model: keras.Model, contrast: float | Sequence[float] | np.ndarray | Tensor) -> keras.Model:
    """Put `model` between two `Contrast` layers; its layers are those of the model, not copies.

    Args:
        model: A denoiser.
        contrast: A number, or one for each image that has gains of its own, (images,). For one everywhere,
            the model itself is returned.
    """
    values = as_array(contrast).reshape(-1)
    if (values == 1).all():
        return model
    images = len(values) if len(values) > 1 else None
    inputs = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype, name="noisy")
    before, after = Contrast(images, name="contrast"), Contrast(images, inverse=True, name="contrast_undone")
    outputs = after(model(before(inputs)))
    for layer in (before, after):
        layer.contrast.assign(values)
    return keras.Model(inputs, outputs, name=model.name)


def take_contrast(model: keras.Model) -> tuple[keras.Model, np.ndarray]:
    """Take apart what `with_contrast` put together.

    Returns:
        The network, and the contrast, (1,) of one for any other model.
    """
    layers = model.layers
    if len(layers) == 4 and isinstance(layers[1], Contrast) and isinstance(layers[3], Contrast):
        return layers[2], as_array(layers[1].contrast)
    return model, as_array([1.0])
