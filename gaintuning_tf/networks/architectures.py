"""Architectures of denoising networks, without weights.

Every network takes noisy images of shape (N, H, W, C), float32 in [0, 1], with
any N, H and W, and returns the denoised images in the same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from gaintuning_tf.gains.keras_types import Shape, Tensor, ops

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

    def __init__(self, multiple: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        if int(multiple) != multiple or multiple < 1:
            raise ValueError(f"PadToMultiple expects a whole number of at least 1, received {multiple!r}")
        self.multiple = int(multiple)

    def call(self, inputs: Tensor) -> Tensor:
        height, width = ops.shape(inputs)[1:3]
        return ops.pad(inputs, [[0, 0], [0, -height % self.multiple], [0, -width % self.multiple], [0, 0]])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        return (batch, self._padded(height), self._padded(width), channels)

    def _padded(self, side):
        return None if side is None else side + -side % self.multiple

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(PACKAGE)
class CropLike(layers.Layer):
    """Crop the first input at the ends to the second's height and width, or depth, height and width.

    Example:

    >>> import numpy as np
    >>> CropLike()([np.ones((1, 6, 4, 1), "float32"), np.ones((1, 5, 4, 1), "float32")]).shape
    TensorShape([1, 5, 4, 1])
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        image, reference = inputs
        sides = ops.shape(reference)[1:-1]
        return image[(slice(None), *(slice(None, side) for side in sides))]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        image, reference = input_shape
        return (image[0], *reference[1:-1], image[-1])


@keras.saving.register_keras_serializable(PACKAGE)
class Rotate90(layers.Layer):
    """Turn images by quarters, counter-clockwise, as `numpy.rot90` does.

    Args:
        quarters: How many; negative ones turn clockwise.

    Example:

    >>> import numpy as np
    >>> Rotate90(1)(np.array([[1.0, 2.0]], "float32").reshape(1, 1, 2, 1))[0, :, :, 0].numpy().tolist()
    [[2.0], [1.0]]
    """

    def __init__(self, quarters: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.quarters = quarters

    def call(self, inputs: Tensor) -> Tensor:
        quarters = self.quarters % 4
        x = ops.transpose(inputs, (0, 2, 1, 3)) if quarters % 2 else inputs
        # Transposed: one flip more turns it. Not transposed: none or both.
        flips = {0: [], 1: [1], 2: [1, 2], 3: [2]}[quarters]
        return ops.flip(x, axis=flips) if flips else x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        return (batch, width, height, channels) if self.quarters % 2 else tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quarters": self.quarters}


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
        momentum: The momentum of the moving average.
        epsilon: Added to the standard deviation.

    Example:

    >>> import numpy as np
    >>> layer = BiasFreeBatchNormalization(epsilon=0.0)
    >>> layer(np.full((1, 2, 2, 3), 5.0, "float32"))[0, 0, 0].numpy().tolist()
    [5.0, 5.0, 5.0]
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones")
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=channels, initializer="ones", trainable=False, autocast=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        variance = self.moving_variance
        if training and self.trainable:
            variance = ops.var(ops.cast(inputs, variance.dtype), axis=list(range(len(inputs.shape) - 1)))
            self.moving_variance.assign(self.momentum * self.moving_variance + (1 - self.momentum) * variance)
        return inputs * (self.gamma / ops.cast(ops.sqrt(variance) + self.epsilon, self.compute_dtype))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def dncnn(
    image_channels: int = 1,
    *,
    bias_free: bool = False,
    depth: int = 20,
    width: int = 64,
    normalised: bool = True,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """Make a DnCNN, which predicts the noise: the image less the output of a plain stack of 3x3 convolutions.

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
        epsilon: Of batch norm, see `keras.layers.BatchNormalization` and `BiasFreeBatchNormalization`.
        name: Name of the model.

    Returns:
        A Functional model, (N, H, W, image_channels) to the same shape.

    Example:

    >>> dncnn(depth=17).count_params()
    558977
    """
    if depth < 2:
        raise ValueError(f"dncnn expects a depth of at least 2, received {depth}")

    def convolve(x, filters, number, dtype=None):
        options = {"padding": "same", "use_bias": not bias_free, "kernel_initializer": "he_normal", "dtype": dtype}
        return layers.Conv2D(filters, 3, name=f"conv{number}", **options)(x)

    norm = BiasFreeBatchNormalization if bias_free else layers.BatchNormalization
    noisy = keras.Input((None, None, image_channels), name="noisy")
    x = layers.ReLU(name="relu1")(convolve(noisy, width, 1, exact_dtype()))
    for number in range(2, depth):
        x = convolve(x, width, number)
        x = norm(epsilon=epsilon, name=f"norm{number}")(x) if normalised else x
        x = layers.ReLU(name=f"relu{number}")(x)
    noise = convolve(x, image_channels, depth, exact_dtype())
    denoised = layers.Subtract(dtype=exact_dtype(), name="denoised")([noisy, noise])
    return keras.Model(noisy, denoised, name=name or "dncnn")


def unet(
    image_channels: int = 1,
    *,
    bias_free: bool = False,
    width: int = 32,
    dilations: tuple[int, ...] = (2, 4),
    name: str | None = None,
) -> keras.Model:
    """Make the UNet of Mohan et al. that predicts the clean image, with or without biases.

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
        dilations: Those of the 3x3 convolutions at half resolution after the first; more of
            them see further, each pixel of dilation four pixels.
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
    x = PadToMultiple(2, dtype=exact_dtype(), name="pad")(noisy)
    saved = convolve(convolve(x, width, 5, 1, dtype=exact_dtype()), width, 3, 2)
    # Padding of one on every side, as PyTorch does; "same" would pad the end alone.
    x = layers.ZeroPadding2D(1, name="pad3")(saved)
    x = convolve(x, 2 * width, 3, 3, strides=2, padding="valid")
    x = convolve(x, 2 * width, 3, 4)
    for number, dilation in enumerate(dilations, start=5):
        x = convolve(x, 2 * width, 3, number, dilation_rate=dilation)
    number = 4 + len(dilations)
    x = layers.Conv2DTranspose(2 * width, 4, strides=2, name=f"conv{number + 1}", **options)(x)
    x = layers.ReLU(name=f"relu{number + 1}")(x)
    x = layers.Concatenate(name="skip")([x, saved])
    x = convolve(x, width, 3, number + 2)
    last = {"padding": "same", "use_bias": False, "dtype": exact_dtype()}
    x = layers.Conv2D(image_channels, 5, name=f"conv{number + 3}", **last)(x)
    x = CropLike(dtype=exact_dtype(), name="denoised")([x, noisy])
    return keras.Model(noisy, x, name=name or ("unet_bf" if bias_free else "unet"))


def blind_spot(
    image_channels: int = 1, *, bias_free: bool = False, width: int = 48, name: str | None = None
) -> keras.Model:
    """Make a blind-spot network: the output at a pixel does not depend on the input at that pixel.

    A stack of convolutions that see only the rows above, themselves included, shifted down by one row, so that each
    output sees the rows strictly above it; applied to the image turned by 0, 90, 180 and 270 degrees, which
    gives it the rows below and the columns to either side; and 1x1 convolutions that join the four. Together
    they see everything but the pixel itself, up to 15 pixels away. So it can be trained, and tuned, by plain mean
    squared error against the noisy image itself: if the noise of a pixel is independent of that of the others, it
    cannot be learnt.

    Reference: S. Laine, T. Karras, J. Lehtinen, T. Aila, "High-quality self-supervised deep image denoising",
    NeurIPS 2019.

    Args:
        image_channels: Channels of the image, 1 for grey. The network does not see any channel of the pixel.
        bias_free: Leave the biases out.
        width: Channels of the convolutions.
        name: Name of the model.

    Returns:
        A Functional model, (N, H, W, image_channels) to the same shape.

    Example:

    >>> blind_spot(width=8)(keras.ops.ones((1, 9, 6, 1))).shape
    TensorShape([1, 9, 6, 1])
    """
    options = {"use_bias": not bias_free, "kernel_initializer": "he_normal"}
    noisy = keras.Input((None, None, image_channels), name="noisy")
    # The same convolutions for all four directions.
    stack = []
    for number, dilation in enumerate((1, 1, 2, 4, 4, 2, 1), start=1):
        # Two rows above and none below, so that a pixel's output sees no row below it.
        stack.append(layers.ZeroPadding2D(((2 * dilation, 0), (dilation, dilation)), name=f"pad{number}"))
        stack.append(layers.Conv2D(width, 3, dilation_rate=dilation, name=f"conv{number}", **options))
        stack.append(layers.ReLU(name=f"relu{number}"))
    stack += [layers.ZeroPadding2D(((1, 0), (0, 0)), name="shift"), layers.Cropping2D(((0, 1), (0, 0)), name="crop")]
    views = []
    for quarters in range(4):
        x = Rotate90(quarters, name=f"turn{quarters}")(noisy)
        for layer in stack:
            x = layer(x)
        views.append(Rotate90(-quarters, name=f"turn_back{quarters}")(x))
    x = layers.Concatenate(name="join")(views)
    for number, filters in ((8, 2 * width), (9, width)):
        x = layers.ReLU(name=f"relu{number}")(layers.Conv2D(filters, 1, name=f"conv{number}", **options)(x))
    denoised = layers.Conv2D(image_channels, 1, use_bias=not bias_free, dtype=exact_dtype(), name="denoised")(x)
    return keras.Model(noisy, denoised, name=name or ("blind_spot_bf" if bias_free else "blind_spot"))


def exact_dtype() -> str | None:
    """Choose the dtype of what touches the image: the eight bits of mixed precision are too few for it.

    Returns:
        The dtype of the weights under a policy of mixed precision, else None: the policy's.

    Example:

    >>> exact_dtype() is None
    True
    """
    policy = keras.config.dtype_policy()
    return policy.variable_dtype if policy.name.startswith("mixed") else None
