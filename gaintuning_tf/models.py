"""Architectures: a short name of `gaintuning_tf.networks.architectures`."""

from gaintuning_tf.networks.architectures import (
    BiasFreeBatchNormalization,
    CropLike,
    PadToMultiple,
    Rotate90,
    blind_spot,
    dncnn,
    unet,
)
from gaintuning_tf.networks.half_resolution import PixelShuffle, PixelUnshuffle, ffdnet
from gaintuning_tf.networks.residual_unet import MirrorToMultiple, drunet
from gaintuning_tf.networks.unet3d import unet3d

__all__ = [
    "BiasFreeBatchNormalization",
    "CropLike",
    "MirrorToMultiple",
    "PadToMultiple",
    "PixelShuffle",
    "PixelUnshuffle",
    "Rotate90",
    "blind_spot",
    "dncnn",
    "drunet",
    "ffdnet",
    "unet",
    "unet3d",
]
