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
from gaintuning_tf.networks.drunet import MirrorToMultiple, drunet

__all__ = [
    "BiasFreeBatchNormalization",
    "CropLike",
    "MirrorToMultiple",
    "PadToMultiple",
    "Rotate90",
    "blind_spot",
    "dncnn",
    "drunet",
    "unet",
]
