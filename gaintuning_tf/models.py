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


@keras.saving.register_keras_serializable(PACKAGE)
class BiasFreeBatchNormalization(layers.Layer):
    """Batch normalisation without mean and shift: `y = gamma * x / (sqrt(variance) + epsilon)`.

    It keeps a network homogeneous: no constant is added anywhere. In training the
    variance is the batch's, about its mean; in inference a moving average of it.
    Note that epsilon is added to the standard deviation, not to the variance.

    Reference: S. Mohan, Z. Kadkhodaie, E. P. Simoncelli, C. Fernandez-Granda,
    "Robust and interpretable blind image denoising via bias-free convolutional
    neural networks", ICLR 2020.

    Args:
        momentum: Of the moving average.
        epsilon: Added to the standard deviation.

    Example:

    >>> import numpy as np
    >>> layer = BiasFreeBatchNormalization(epsilon=0.0)
    >>> layer(np.full((1, 2, 2, 3), 5.0, "float32"))[0, 0, 0].numpy().tolist()
    [5.0, 5.0, 5.0]
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones")
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=channels, initializer="ones", trainable=False, autocast=False
        )

    def call(self, inputs, training=False):
        variance = self.moving_variance
        if training and self.trainable:
            variance = ops.var(ops.cast(inputs, variance.dtype), axis=list(range(len(inputs.shape) - 1)))
            self.moving_variance.assign(self.momentum * self.moving_variance + (1 - self.momentum) * variance)
        return inputs * (self.gamma / ops.cast(ops.sqrt(variance) + self.epsilon, self.compute_dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def dncnn(
    image_channels: int = 1,
    *,
    bias_free: bool = False,
    depth: int = 20,
    width: int = 64,
    normalised: bool = True,
    name: str | None = None,
) -> keras.Model:
    """DnCNN, which predicts the noise: the image less the output of a plain stack of 3x3 convolutions.

    Convolution and ReLU; `depth - 2` times convolution, batch norm and ReLU;
    convolution. With `bias_free`, no layer adds a constant, see `unet`.

    Reference: K. Zhang, W. Zuo, Y. Chen, D. Meng, L. Zhang, "Beyond a Gaussian
    denoiser: residual learning of deep CNN for image denoising", IEEE TIP 2017.

    Args:
        image_channels: Channels of the image, 1 for grey.
        bias_free: Leave biases out, and the mean and shift of batch norm.
        depth: Number of convolutions, at least 2.
        width: Channels between them.
        normalised: Whether there is batch norm.
        name: Name of the model.

    Returns:
        A Functional model, (N, H, W, image_channels) to the same shape.

    Example:

    >>> dncnn(depth=17).count_params()
    558977
    """
    if depth < 2:
        raise ValueError(f"dncnn expects a depth of at least 2, received {depth}")

    def convolve(x, filters, number):
        options = {"padding": "same", "use_bias": not bias_free, "kernel_initializer": "he_normal"}
        return layers.Conv2D(filters, 3, name=f"conv{number}", **options)(x)

    norm = BiasFreeBatchNormalization if bias_free else lambda **names: layers.BatchNormalization(epsilon=1e-5, **names)
    noisy = keras.Input((None, None, image_channels), name="noisy")
    x = layers.ReLU(name="relu1")(convolve(noisy, width, 1))
    for number in range(2, depth):
        x = convolve(x, width, number)
        x = norm(name=f"norm{number}")(x) if normalised else x
        x = layers.ReLU(name=f"relu{number}")(x)
    noise = convolve(x, image_channels, depth)
    return keras.Model(noisy, layers.Subtract(name="denoised")([noisy, noise]), name=name or "dncnn")


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
