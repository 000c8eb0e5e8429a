"""A UNet of volumes."""

from __future__ import annotations

import keras
from keras import layers

from gaintuning_tf.networks.architectures import CropLike, exact_dtype
from gaintuning_tf.networks.residual_unet import TAIL, MirrorToMultiple


def unet3d(
    image_channels: int = 1,
    *,
    bias_free: bool = False,
    width: int = 16,
    scales: int = 3,
    name: str | None = None,
) -> keras.Model:
    """Make a small UNet of volumes, which predicts the noise: the volume less what the convolutions say.

    At each scale two 3x3x3 convolutions, and a 2x2x2 convolution of stride 2 to the next, of twice the width; two at
    the last; and back up, a 2x2x2 transposed convolution of stride 2, the concatenation with what came from that
    scale, and two again; and a last 3x3x3 convolution. All but the up and down and the last are followed by a ReLU.
    Sides that are no multiple of the total stride are mirrored to one.

    Reference: O. Cicek, A. Abdulkadir, S. S. Lienkamp, T. Brox, O. Ronneberger, "3D U-Net: learning dense volumetric
    segmentation from sparse annotation", MICCAI 2016; without biases as in S. Mohan, Z. Kadkhodaie, E. P. Simoncelli,
    C. Fernandez-Granda, "Robust and interpretable blind image denoising via bias-free convolutional neural networks",
    ICLR 2020.

    Args:
        image_channels: Channels of the volume, 1 for grey.
        bias_free: Leave the biases out, so that the network is homogeneous of degree one.
        width: Channels at full resolution.
        scales: Resolutions, at least 1.
        name: Name of the model.

    Returns:
        A Functional model, (N, D, H, W, image_channels) to the same shape.

    Raises:
        ValueError: `scales` is less than 1.

    Example:

    >>> unet3d(bias_free=True, width=8, scales=2)(keras.ops.ones((1, 5, 6, 7, 1))).shape
    TensorShape([1, 5, 6, 7, 1])
    """
    if scales < 1:
        raise ValueError(f"unet3d expects at least one scale, received {scales}")
    options = {"use_bias": not bias_free, "kernel_initializer": "he_normal"}

    def twice(x, filters, name, first_dtype=None):
        for letter, dtype in (("a", first_dtype), ("b", None)):
            x = layers.Conv3D(filters, 3, padding="same", name=f"{name}{letter}", dtype=dtype, **options)(x)
            x = layers.ReLU(name=f"{name}{letter}_relu")(x)
        return x

    noisy = keras.Input((None, None, None, image_channels), name="noisy")
    x = MirrorToMultiple(2 ** (scales - 1), dtype=exact_dtype(), name="mirror")(noisy)
    saved = []
    for scale in range(scales):
        # The eight bits of mixed precision would round the noise itself.
        x = twice(x, width << scale, f"down{scale + 1}", None if scale else exact_dtype())
        if scale < scales - 1:
            saved.append(x)
            x = layers.Conv3D(2 * width << scale, 2, strides=2, name=f"half{scale + 1}", **options)(x)
    for scale in range(scales - 2, -1, -1):
        x = layers.Conv3DTranspose(width << scale, 2, strides=2, name=f"double{scale + 1}", **options)(x)
        x = twice(layers.Concatenate(name=f"skip{scale + 1}")([x, saved[scale]]), width << scale, f"up{scale + 1}")
    # Begun near returning its input, as a DRUNet is: half as many steps train it.
    start = keras.initializers.VarianceScaling(TAIL**2, "fan_in", "untruncated_normal")
    last = {"padding": "same", "use_bias": not bias_free, "kernel_initializer": start, "dtype": exact_dtype()}
    x = layers.Conv3D(image_channels, 3, name="noise", **last)(x)
    x = CropLike(dtype=exact_dtype(), name="crop")([x, noisy])
    denoised = layers.Subtract(dtype=exact_dtype(), name="denoised")([noisy, x])
    return keras.Model(noisy, denoised, name=name or ("unet3d_bf" if bias_free else "unet3d"))
