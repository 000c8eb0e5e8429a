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

__all__ = ["BiasFreeBatchNormalization", "CropLike", "PadToMultiple", "Rotate90", "blind_spot", "dncnn", "unet"]
