"""A TFDS builder of one"s own images: a short name of `gaintuning_tf.training.image_pairs`."""

from gaintuning_tf.training.image_pairs import ImagePairs, ImagePairsConfig

__all__ = ["ImagePairs", "ImagePairsConfig"]
