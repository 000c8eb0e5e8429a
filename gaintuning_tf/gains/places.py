"""Where gains go by default: behind what works on the channels of images, and was learnt."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from gaintuning_tf.errors import of_network
from gaintuning_tf.gains.convolutions import DENSE, kernel_of, output_axis, with_self
from gaintuning_tf.gains.graphs.graph_nodes import Convolution
from gaintuning_tf.gains.layer_copies import clone_layer
from gaintuning_tf.gains.rewriting import Rewriter

# Images of one of these sides show what becomes of the batch: the first that the model
# takes, which may divide by 2, 3, 5 or 7 and have windows of attention.
SIDES = (64, 96, 112, 120, 160)


class DefaultPlaces:
    """Which layers of a model get a gain if nobody says otherwise.

    Convolutions do, and dense layers that work on channels: their input has spatial axes, or one of tokens. A dense
    layer that sees a vector for each image, such as a gate of channel attention, gets none; nor does one whose batch
    is not that of the images, as in attention within windows: gains of its own for each image could not be told apart.
    Nor does a kernel that is fixed by design: one that is not trainable, beside others that are, such as a blur.

    Args:
        model: A built Keras model.
    """

    def __init__(self, model: keras.Model):
        found = with_self(model)
        self._learnt = {id(layer) for layer in found if _is_trainable(layer)}
        self._dense = self._of_images(model, found)

    def __call__(self, layer: keras.layers.Layer | Convolution) -> bool:
        """Say whether a layer, or a convolution of a graph, gets a gain."""
        if isinstance(layer, Convolution):
            return not layer.fixed
        # Where nothing is trainable, the network has been frozen.
        if self._learnt and id(layer) not in self._learnt:
            return False
        return not isinstance(layer, DENSE) or id(layer) in self._dense

    def _of_images(self, model, found):
        """Find the dense layers that see the channels of images."""
        dense = [layer for layer in found if isinstance(layer, DENSE)]
        spatial = {id(layer) for layer in dense if layer.built and _sees_channels(layer)}
        # Only what they see in a run shows which of them see whole images.
        return spatial and spatial & _see_whole_images(model)


def is_convolution(layer: keras.layers.Layer | Convolution) -> bool:
    """Say whether a layer had a gain by default before dense layers did: as a convolution, whatever its kernel."""
    return not isinstance(layer, DENSE)


def _is_trainable(layer):
    if not layer.built:
        return layer.trainable
    kernel = kernel_of(layer)
    if getattr(layer, "lora_enabled", False):
        return True  # LoRA freezes the kernel that it is added to
    if kernel.trainable or not layer.trainable:
        return kernel.trainable
    # Set on a variable it is not part of the network, and is lost in copies. Made so it is.
    copy = clone_layer(layer)
    copy.build_from_config(layer.get_build_config())
    return kernel_of(copy).trainable


def _sees_channels(layer):
    sides = layer.get_build_config()["input_shape"][1:-1]
    return output_axis(layer) is not None and any(side != 1 for side in sides)


def _see_whole_images(model):
    """Run a copy on two images; returns the ids of the dense layers that see both of them one behind the other."""
    rewriter, seen = Rewriter(), {}
    copy = rewriter.rewrite(model)
    for original, copied in rewriter.pairs:
        for one, other in zip(with_self(original), with_self(copied), strict=True):
            if isinstance(one, DENSE):
                other.activation = _spy(seen, id(one))
    images = trial_images(model, count=2)
    if images is None:
        return set()
    with of_network(model.name):
        copy(images, training=False)
    return {key for key, batches in seen.items() if batches == {2}}


def trial_images(model: keras.Model, count: int) -> Any:
    """Make images of a size that a model takes, as it is called on them; None if none of a few is taken."""
    side = next((side for side in SIDES if _takes(model, side, count)), None)
    if side is None:
        return None
    draw = np.random.default_rng(0).random
    return keras.tree.map_structure(
        lambda tensor: draw(_shape(tensor, side, count)).astype(tensor.dtype), _inputs(model)
    )


def _spy(seen, key):
    def activation(linear):
        seen.setdefault(key, set()).add(linear.shape[0])
        return linear

    return activation


def _inputs(model):
    """Give the inputs as the model is called on them; a Sequential model may not have been called."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _takes(model, side, count):
    try:
        shapes = keras.tree.map_structure(lambda tensor: _shape(tensor, side, count), _inputs(model))
        model.compute_output_shape(shapes)
    except ValueError:  # two sizes that do not fit: what is being searched for
        return False
    return True


def _shape(tensor, side, count):
    return (count, *(side if given is None else given for given in tensor.shape[1:]))
