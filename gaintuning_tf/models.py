"""Architectures of denoising networks, without weights.

Every network takes noisy images of shape (N, H, W, C), float32 in [0, 1], with
any N, H and W, and returns the denoised images in the same shape.
"""

from __future__ import annotations

import keras
from keras import layers, ops

PACKAGE = "gaintuning_tf"


@keras.saving.register_keras_serializable(PACKAGE)
class PadToMultiple(layers.Layer):
    """Zero-pad the bottom and the right until height and width divide evenly.

    A network that halves the resolution and doubles it again needs sides that
    are multiples of its total stride. `CropLike` undoes the padding.

    Args:
        multiple: The number, at least 1, that both sides become a multiple of.

    Example:

    >>> import numpy as np
    >>> PadToMultiple(2)(np.ones((1, 5, 4, 1), "float32")).shape
    TensorShape([1, 6, 4, 1])
    """

    def __init__(self, multiple: int = 2, **kwargs):
        super().__init__(**kwargs)
        if int(multiple) != multiple or multiple < 1:
            raise ValueError(f"PadToMultiple expects a whole number of at least 1, received {multiple!r}")
        self.multiple = int(multiple)

    def call(self, inputs):
        height, width = ops.shape(inputs)[1:3]
        return ops.pad(inputs, [[0, 0], [0, -height % self.multiple], [0, -width % self.multiple], [0, 0]])

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, self._padded(height), self._padded(width), channels)

    def _padded(self, side):
        return None if side is None else side + -side % self.multiple

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(PACKAGE)
class CropLike(layers.Layer):
    """Crop the first input at the bottom and the right to the second's height and width.

    Example:

    >>> import numpy as np
    >>> CropLike()([np.ones((1, 6, 4, 1), "float32"), np.ones((1, 5, 4, 1), "float32")]).shape
    TensorShape([1, 5, 4, 1])
    """

    def call(self, inputs):
        image, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return image[:, :height, :width, :]

    def compute_output_shape(self, input_shape):
        image, reference = input_shape
        return (image[0], reference[1], reference[2], image[3])


def unet(image_channels: int = 1, *, bias_free: bool = False, width: int = 32, name: str | None = None) -> keras.Model:
    """The UNet of Mohan et al. that predicts the clean image, with or without biases.

    Nine convolutions, one downsampling by 2: 5x5; 3x3; 3x3 with stride 2; 3x3;
    3x3 dilated by 2; 3x3 dilated by 4; a 4x4 transposed convolution back to full
    size; concatenation with the second layer's output; 3x3; and 5x5, which never
    has a bias. All but the last are followed by a ReLU. Odd sides are padded with
    one row or column of zeros and cropped again.

    Reference: S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda,
    "Robust and interpretable blind image denoising via bias-free convolutional
    neural networks", ICLR 2020.

    Args:
        image_channels: Channels of the image, 1 for grey.
        bias_free: Leave the biases out, so that the network is homogeneous of degree
            one: `f(a * x) == a * f(x)` for a >= 0, which lets it follow the noise
            level beyond those it was trained on.
        width: Channels at full resolution; twice as many at half resolution.
        name: Name of the model.

    Returns:
        A Functional model, (N, H, W, image_channels) to the same shape.

    Example:

    >>> model = unet(bias_free=True)
    >>> model.count_params()
    233024
    """
    options = {"padding": "same", "use_bias": not bias_free, "kernel_initializer": "he_normal"}

    def convolve(x, filters, size, number, **extra):
        x = layers.Conv2D(filters, size, name=f"conv{number}", **{**options, **extra})(x)
        return layers.ReLU(name=f"relu{number}")(x)

    noisy = keras.Input((None, None, image_channels), name="noisy")
    x = PadToMultiple(2, name="pad")(noisy)
    saved = convolve(convolve(x, width, 5, 1), width, 3, 2)
    # Padding of one on every side, as PyTorch does; "same" would pad the end alone.
    x = layers.ZeroPadding2D(1, name="pad3")(saved)
    x = convolve(x, 2 * width, 3, 3, strides=2, padding="valid")
    x = convolve(x, 2 * width, 3, 4)
    x = convolve(x, 2 * width, 3, 5, dilation_rate=2)
    x = convolve(x, 2 * width, 3, 6, dilation_rate=4)
    x = layers.Conv2DTranspose(2 * width, 4, strides=2, name="conv7", **options)(x)
    x = layers.ReLU(name="relu7")(x)
    x = layers.Concatenate(name="skip")([x, saved])
    x = convolve(x, width, 3, 8)
    x = layers.Conv2D(image_channels, 5, padding="same", use_bias=False, name="conv9")(x)
    return keras.Model(noisy, CropLike(name="denoised")([x, noisy]), name=name or ("unet_bf" if bias_free else "unet"))
