"""The per-channel gain that tuning optimises, and the activation split off before it."""

from __future__ import annotations

from typing import Any

import keras

from gaintuning_tf.gains.keras_types import Shape, Tensor, ops

PACKAGE = "gaintuning_tf"


@keras.saving.register_keras_serializable(PACKAGE)
class Gain(keras.layers.Layer):
    """Multiply every channel by one trainable number, one at the start.

    For channel c of the features z, `y[..., c] = gain[c] * z[..., c]`: the only
    parameters that GainTuning optimises (Mohan et al., "Adaptive denoising via
    GainTuning", NeurIPS 2021, eq. 3).

    Args:
        images: `None` for one gain per channel, shared by the whole batch: `gain`
            has shape (C,). A number N for gains of its own for each of N images:
            `gain` has shape (N, C), and the batch size must be a multiple of N;
            item i of the batch is scaled by the gains of image i modulo N.
        data_format: `"channels_last"` or `"channels_first"`, for features of any
            rank: (N, C), (N, T, C), (N, H, W, C), (N, D, H, W, C) or (N, C, ...).
            Default: `keras.config.image_data_format()`.
        **kwargs: Those of `keras.layers.Layer`. Under a mixed precision policy the
            gains stay float32.

    Raises:
        ValueError: `images` or `data_format` is none of these, or, when building,
            the number of channels is unknown.

    Example:

    >>> import numpy as np
    >>> gain = Gain()
    >>> features = np.ones((1, 4, 4, 3), "float32")
    >>> bool(np.array_equal(gain(features), features))
    True
    >>> gain.gain.assign([1.0, 2.0, 0.5])  # doctest: +ELLIPSIS
    <...
    >>> gain(features)[0, 0, 0].numpy().tolist()
    [1.0, 2.0, 0.5]
    """

    def __init__(self, images: int | None = None, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if images is not None and (int(images) != images or images < 1):
            raise ValueError(f"Gain expects images to be None or a whole number of at least 1, received {images!r}")
        data_format = data_format or keras.config.image_data_format()
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"Gain expects data_format 'channels_last' or 'channels_first', received {data_format!r}")
        self.images = None if images is None else int(images)
        self.data_format = data_format
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        axis = 1 if self.data_format == "channels_first" else -1
        channels = input_shape[axis] if len(input_shape) > 1 else None
        if channels is None:
            raise ValueError(
                f"Gain {self.name!r} expects a known number of channels on axis {axis} ({self.data_format}), "
                f"received the shape {tuple(input_shape)}"
            )
        shape = (channels,) if self.images is None else (self.images, channels)
        self.gain = self.add_weight(name="gain", shape=shape, initializer="ones")

    def call(self, inputs: Tensor) -> Tensor:
        rank = len(inputs.shape)
        spatial = (1,) * (rank - 2)
        channels = self.gain.shape[-1]
        last = self.data_format == "channels_last"
        if self.images is None:
            return inputs * ops.reshape(self.gain, (*spatial, channels) if last else (channels, *spatial))
        gains = ops.reshape(self.gain, (self.images, *spatial, channels) if last else (self.images, channels, *spatial))
        shape = ops.shape(inputs)
        # The batch is the N images, repeated: a view, where repeating the gains would copy.
        repeats = ops.reshape(inputs, (-1, self.images, *shape[1:]))
        return ops.reshape(repeats * gains, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "images": self.images, "data_format": self.data_format}


@keras.saving.register_keras_serializable(PACKAGE)
class SplitActivation(keras.layers.Activation):
    """An activation that was fused into a convolution and now follows its gain.

    A class of its own so that `fold_gains` knows to put it back.
    """
