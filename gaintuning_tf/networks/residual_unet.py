"""DRUNet: a UNet of residual blocks, the strongest of the plain convolutional denoisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from gaintuning_tf.gains.keras_types import Shape, Tensor, ops
from gaintuning_tf.networks.architectures import PACKAGE, CropLike, exact_dtype

KERNEL = 3
# A residual block is begun near the identity, and the network near returning its input:
# then no normalisation is needed, not even with Muon's long steps.
BRANCH, TAIL = 0.2, 0.1


@keras.saving.register_keras_serializable(PACKAGE)
class MirrorToMultiple(layers.Layer):
    """Mirror images at the bottom and the right, volumes at all ends, until the sides divide evenly.

    `CropLike` undoes it.

    Mirrored pixels look like the image, where zeros would be an edge that every residual block sees.

    Args:
        multiple: The number, at least 1, that all sides become a multiple of.

    Example:

    >>> import numpy as np
    >>> MirrorToMultiple(4)(np.arange(3.0, dtype="float32").reshape(1, 1, 3, 1))[0, :, :, 0].numpy().tolist()
    [[0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 2.0, 2.0]]
    """

    def __init__(self, multiple: int = 8, **kwargs: Any):
        super().__init__(**kwargs)
        if int(multiple) != multiple or multiple < 1:
            raise ValueError(f"MirrorToMultiple expects a whole number of at least 1, received {multiple!r}")
        self.multiple = int(multiple)

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs
        for axis in range(1, len(inputs.shape) - 1) if self.multiple > 1 else ():
            x = self._mirrored(x, axis)
        return x

    def _mirrored(self, x, axis):
        before = (slice(None),) * axis
        last = x[(*before, slice(-(self.multiple - 1), None))]
        # An image smaller than what is to be added is mirrored again and again.
        more = ops.concatenate([ops.flip(last, axis), last] * (self.multiple // 2), axis)
        return ops.concatenate([x, more[(*before, slice(None, -ops.shape(x)[axis] % self.multiple))]], axis)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else side + -side % self.multiple for side in sides), channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple}


def drunet(
    image_channels: int = 1,
    *,
    widths: Sequence[int] = (32, 64, 128, 256),
    blocks: int = 2,
    noise_map: bool = False,
    residual: bool = True,
    name: str | None = None,
) -> keras.Model:
    """Make a DRUNet: a UNet whose scales are stacks of residual blocks, without any bias.

    A 3x3 convolution; for each width but the last `blocks` residual blocks, `x + b(relu(a(x)))` of two 3x3
    convolutions, and a 2x2 convolution of stride 2; `blocks` at the last; and back up, the sum with what came
    from that scale, a 2x2 transposed convolution of stride 2 and `blocks` again; the sum with the first
    convolution's output, and a 3x3 convolution. Sides that are no multiple of the total stride are mirrored to one.

    Reference: K. Zhang, Y. Li, W. Zuo, L. Zhang, L. Van Gool, R. Timofte, "Plug-and-play image restoration with
    deep denoiser prior", IEEE TPAMI 2021: widths (64, 128, 256, 512), 4 blocks, a noise map, not residual.

    Args:
        image_channels: Channels of the image, 1 for grey.
        widths: Channels at each scale, from the finest.
        blocks: Residual blocks at each scale, on the way down and on the way up.
        noise_map: Take a second input, the standard deviation of the noise of each pixel, (N, H, W, 1), in the
            units of the image. Without it the network is blind, and homogeneous of degree one.
        residual: Return the image less what the convolutions say, and not what they say.
        name: Name of the model.

    Returns:
        A Functional model, (N, H, W, image_channels), or that and the noise map, to the denoised images.

    Raises:
        ValueError: There are fewer than two widths, or no blocks.

    Example:

    >>> drunet(3).count_params()
    4253376
    """
    if len(widths) < 2 or blocks < 1:
        raise ValueError(f"drunet expects two or more widths and a block, received {list(widths)} and {blocks}")
    noisy = keras.Input((None, None, image_channels), name="noisy")
    inputs = [noisy, keras.Input((None, None, 1), name="noise_map")] if noise_map else [noisy]
    x = layers.Concatenate(dtype=exact_dtype(), name="with_noise_map")(inputs) if noise_map else noisy
    x = MirrorToMultiple(2 ** (len(widths) - 1), dtype=exact_dtype(), name="mirror")(x)
    # The eight bits of mixed precision would round the noise itself.
    x = _convolution(widths[0], "head", dtype=exact_dtype())(x)
    saved = [x]
    for scale, width in enumerate(widths[1:], start=1):
        x = _blocks(x, widths[scale - 1], blocks, f"down{scale}")
        x = _convolution(width, f"down{scale}_stride", size=2, strides=2)(x)
        saved.append(x)
    x = _blocks(x, widths[-1], blocks, "body")
    for scale in range(len(widths) - 1, 0, -1):
        x = layers.Add(name=f"up{scale}_skip")([x, saved[scale]])
        x = _transposed(widths[scale - 1], widths[scale], f"up{scale}_stride")(x)
        x = _blocks(x, widths[scale - 1], blocks, f"up{scale}")
    x = layers.Add(name="tail_skip")([x, saved[0]])
    x = _convolution(image_channels, "tail", scale=TAIL, dtype=exact_dtype())(x)
    x = CropLike(dtype=exact_dtype(), name="crop")([x, noisy])
    x = layers.Subtract(dtype=exact_dtype(), name="denoised")([noisy, x]) if residual else x
    return keras.Model(inputs if noise_map else noisy, x, name=name or "drunet")


def _blocks(x, width, count, name):
    for number in range(1, count + 1):
        branch = _convolution(width, f"{name}_{number}a", scale=2**0.5)(x)
        branch = layers.ReLU(name=f"{name}_{number}_relu")(branch)
        branch = _convolution(width, f"{name}_{number}b", scale=BRANCH)(branch)
        x = layers.Add(name=f"{name}_{number}")([x, branch])
    return x


def _convolution(filters, name, *, size=KERNEL, strides=1, scale=1.0, dtype=None):
    start = keras.initializers.VarianceScaling(scale**2, "fan_in", "untruncated_normal")
    options: dict[str, Any] = {"padding": "same", "use_bias": False, "kernel_initializer": start, "dtype": dtype}
    return layers.Conv2D(filters, size, strides=strides, name=name, **options)


def _transposed(filters, given, name):
    # Kernels do not overlap: each output pixel sums over the input's channels alone.
    start: Any = keras.initializers.RandomNormal(stddev=given**-0.5)  # typed for a name alone
    return layers.Conv2DTranspose(filters, 2, strides=2, use_bias=False, kernel_initializer=start, name=name)
