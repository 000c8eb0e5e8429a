"""Networks that take the level of the noise, in all ways in which networks do."""

import keras
from keras import layers

SHAPES = {"number": (), "column": (1,), "map": (None, None, 1), "maps": (None, None, 3)}


def ffdnet(kind, channels=1):
    """A blend of the image and its blurred copy, by the level; a second input, or a further channel."""
    keras.utils.set_random_seed(1)
    further = kind == "channel"
    noisy = keras.Input((None, None, channels + further), name="noisy")
    image, level = (noisy[..., :channels], noisy[..., channels:]) if further else (noisy, None)
    if level is None:
        level = keras.Input(SHAPES[kind], name="noise_map")
    inputs = noisy if further else [noisy, level]
    known = level[..., :1] if kind in ("channel", "map", "maps") else layers.Reshape((1, 1, 1))(level)
    known = known * keras.ops.ones_like(image[..., :1])
    small = keras.initializers.RandomNormal(stddev=0.02)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(layers.Concatenate()([image, known]))
    x = layers.Conv2D(channels, 3, padding="same", kernel_initializer=small, name="last")(x)
    blurred = layers.AveragePooling2D(5, 1, "same")(image)
    share = layers.Minimum()([keras.ops.ones_like(known), 5 * known])
    return keras.Model(inputs, image + share * (blurred - image) + 0.1 * x, name=f"level_as_{kind}")
