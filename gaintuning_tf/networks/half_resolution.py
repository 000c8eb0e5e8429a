"""FFDNet: a plain stack of convolutions at half the resolution that is given the noise level."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from gaintuning_tf.gains.keras_types import Shape, Tensor, ops
from gaintuning_tf.networks.architectures import PACKAGE, CropLike, exact_dtype
from gaintuning_tf.networks.residual_unet import MirrorToMultiple


@keras.saving.register_keras_serializable(PACKAGE)
class PixelUnshuffle(layers.Layer):
    """Turn blocks of pixels into channels: (N, H, W, C) to (N, H / scale, W / scale, C * scale^2).

    Channel `(c * scale + i) * scale + j` has the pixels in row i and column j of the blocks of channel c,
    as in PyTorch; `tf.nn.space_to_depth` has another order. `PixelShuffle` undoes it.

    Args:
        scale: The side of a block, at least 1; height and width are multiples of it.

    Example:

    >>> import numpy as np
    >>> PixelUnshuffle(2)(np.arange(4.0).reshape(1, 2, 2, 1)).numpy().tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """

    def __init__(self, scale: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = _checked(scale)

    def call(self, inputs: Tensor) -> Tensor:
        _, height, width, channels = ops.shape(inputs)
        rows, columns, scale = height // self.scale, width // self.scale, self.scale
        blocks = ops.reshape(inputs, (-1, rows, scale, columns, scale, channels))
        return ops.reshape(ops.transpose(blocks, (0, 1, 3, 5, 2, 4)), (-1, rows, columns, channels * scale**2))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, channels = input_shape
        return (batch, *(side and side // self.scale for side in sides), (channels or 0) * self.scale**2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(PACKAGE)
class PixelShuffle(layers.Layer):
    """Turn channels into blocks of pixels: the inverse of `PixelUnshuffle`.

    Args:
        scale: The side of a block, at least 1; the channels are a multiple of its square.

    Example:

    >>> import numpy as np
    >>> PixelShuffle(2)(np.arange(4.0).reshape(1, 1, 1, 4))[0, :, :, 0].numpy().tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """

    def __init__(self, scale: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = _checked(scale)

    def call(self, inputs: Tensor) -> Tensor:
        _, height, width, channels = ops.shape(inputs)
        scale = self.scale
        blocks = ops.reshape(inputs, (-1, height, width, channels // scale**2, scale, scale))
        pixels = ops.transpose(blocks, (0, 1, 4, 2, 5, 3))
        return ops.reshape(pixels, (-1, height * scale, width * scale, channels // scale**2))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, channels = input_shape
        return (batch, *(side and side * self.scale for side in sides), (channels or 0) // self.scale**2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def ffdnet(
    image_channels: int = 1,
    *,
    depth: int = 15,
    width: int = 64,
    scale: int = 2,
    bias_free: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Make an FFDNet: a stack of 3x3 convolutions of a small copy of the image, beside its noise level.

    Blocks of `scale` times `scale` pixels become channels; the noise level is one channel more. Convolution and
    ReLU; `depth - 2` times convolution and ReLU; convolution; and back from channels to pixels. It returns the
    image, not the noise. Sides that are no multiple of `scale` are mirrored to one. With a scale of 1 it is the
    FDnCNN of the same authors.

    Reference: K. Zhang, W. Zuo, L. Zhang, "FFDNet: Toward a fast and flexible solution for CNN-based image
    denoising", IEEE TIP 2018: grey 15 convolutions of width 64, colour 12 of width 96.

    Args:
        image_channels: Channels of the image, 1 for grey.
        depth: Number of convolutions, at least 2.
        width: Channels between them.
        scale: The side of the blocks, at least 1.
        bias_free: Leave biases out. The network is then homogeneous of degree one in the image and the noise map.
        name: Name of the model.

    Returns:
        A Functional model, from the image (N, H, W, image_channels) and the standard deviation of the noise of each
        pixel (N, H, W, 1), in the units of the image, to the denoised image. The level of a block is the mean.

    Raises:
        ValueError: The depth is less than 2, or the scale less than 1.

    Example:

    >>> ffdnet().count_params()
    485316
    """
    if depth < 2:
        raise ValueError(f"ffdnet expects a depth of at least 2, received {depth}")
    block, exact = _checked(scale) ** 2, exact_dtype()

    def convolve(x, filters, number, dtype=None):
        options = {"padding": "same", "use_bias": not bias_free, "kernel_initializer": "he_normal", "dtype": dtype}
        return layers.Conv2D(filters, 3, name=f"conv{number}", **options)(x)

    noisy = keras.Input((None, None, image_channels), name="noisy")
    noise_map = keras.Input((None, None, 1), name="noise_map")
    image = PixelUnshuffle(scale, dtype=exact, name="unshuffle")(
        MirrorToMultiple(scale, dtype=exact, name="mirror")(noisy)
    )
    level = MirrorToMultiple(scale, dtype=exact, name="mirror_map")(noise_map)
    level = layers.AveragePooling2D(scale, dtype=exact, name="level")(level)
    x = layers.Concatenate(dtype=exact, name="with_noise_map")([image, level])
    x = layers.ReLU(name="relu1")(convolve(x, width, 1, exact))
    for number in range(2, depth):
        x = layers.ReLU(name=f"relu{number}")(convolve(x, width, number))
    x = convolve(x, image_channels * block, depth, exact)
    x = PixelShuffle(scale, dtype=exact, name="shuffle")(x)
    denoised = CropLike(dtype=exact, name="denoised")([x, noisy])
    return keras.Model([noisy, noise_map], denoised, name=name or "ffdnet")


def _checked(scale):
    if int(scale) != scale or scale < 1:
        raise ValueError(f"expected a scale that is a whole number of at least 1, received {scale!r}")
    return int(scale)
