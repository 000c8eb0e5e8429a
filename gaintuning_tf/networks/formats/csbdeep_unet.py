"""The UNets of CSBDeep and Noise2Void as Keras models, from their configuration and their weights.

The networks are those of CARE (Weigert et al., Nature Methods 2018), Noise2Void (Krull et al., CVPR 2019) and N2V2
(Höck et al., ECCV workshops 2022). How many filters a convolution has, and how large they are, is taken from its
weights: it has changed from version to version.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.gains.normalization_layers import Channels
from gaintuning_tf.networks.formats.csbdeep_config import UnetConfig
from gaintuning_tf.support.hdf5_check import check_hdf5

# Names that Keras gives by itself: the kind of a layer, and the how many-th it was in the session.
_BY_KERAS = re.compile(r"(conv|batch_normalization)(?:[23]d)?(?:_v[12])?(?:_(\d+))?")
# The first Keras of which all versions run a network's functions anew whenever it is called:
# that of TensorFlow 2.2.
_EAGER = (2, 3)
# The only net of early versions has no prefix.
_FIRST_NET = "channel_0"


class LayerWeights:
    """The arrays of each layer in a file of weights of Keras 2, to be taken once.

    Args:
        path: The file.

    Attributes:
        path: The file.
        by_static_graph: Whether the Keras that wrote it made a graph once, and never ran Python again.

    Raises:
        InputError: It is no such file.
    """

    def __init__(self, path: Path):
        check_hdf5(path)
        self.path = path
        self.by_static_graph = _keras_version(path) < _EAGER
        self._named: dict[str, list[np.ndarray]] = {}
        numbered: dict[str, list[tuple[int, list[np.ndarray]]]] = {"conv": [], "batch_normalization": []}
        for name, arrays in _layers_in(path):
            match = _BY_KERAS.fullmatch(name)
            if match:
                numbered[match[1]].append((int(match[2] or 0), arrays))
            else:
                self._named[name.removeprefix(_FIRST_NET)] = arrays
        # Their numbers are in the order in which they were made, the file has them level by level.
        self._in_order = {
            kind: [arrays for _, arrays in sorted(found, key=lambda one: one[0])] for kind, found in numbered.items()
        }

    def take(self, name: str) -> list[np.ndarray]:
        """Give the arrays of a layer with a name of its own."""
        arrays = self._named.pop(name.removeprefix(_FIRST_NET), None)
        if not arrays:
            raise InputError(f"expected weights of {name!r} in {self.path}, they are not there")
        return arrays

    def take_next(self, kind: str) -> list[np.ndarray]:
        """Give the arrays of the next layer of a kind, `"conv"` or `"batch_normalization"`, that Keras has named."""
        if not self._in_order[kind]:
            raise InputError(f"expected weights of another {kind} in {self.path}, they are not there")
        return self._in_order[kind].pop(0)

    def check_all_taken(self) -> None:
        """Refuse weights that no layer has taken: they are of another network."""
        left = sum(map(len, self._in_order.values())) + len(self._named)
        if left:
            raise InputError(
                f"expected the weights of the network in its config.json, {self.path} has {left} more layers"
            )


def build_unet(config: UnetConfig, weights: LayerWeights, name: str) -> keras.Model:
    """Build the network with its weights; of a probabilistic one, what returns the mean.

    Args:
        config: What it is.
        weights: They are taken out.
        name: Of the model.

    Raises:
        InputError: The weights are not those of the network.
    """
    try:
        model = _Unets(config, weights).model(name)
    except InputError:
        raise
    except Exception as error:  # of weights of another shape the layers raise anything
        raise InputError(f"cannot use the weights in {weights.path}: {reason_of(error)}") from error
    weights.check_all_taken()
    return model


class _Unets:
    """UNets, built layer after layer in the order in which CSBDeep makes them."""

    def __init__(self, config, weights):
        self.config, self.weights = config, weights
        dimensions = len(config.axes)
        kinds = ("Conv", "MaxPooling", "UpSampling")
        self._conv, self._pool, self._upsample = (getattr(keras.layers, f"{kind}{dimensions}D") for kind in kinds)

    def model(self, name):
        inputs = keras.Input((*[None] * len(self.config.axes), self.config.channels), name="input")
        if self.config.nets == 1:
            return keras.Model(inputs, self._net(inputs, inputs, 0), name=name)
        nets = []
        for number in range(self.config.nets):
            # Its `Lambda` looks up the number when it runs, which is that of the last net by then.
            seen = number if self.weights.by_static_graph else self.config.nets - 1
            channel = Channels(seen, seen + 1, name=f"channel_{number}")(inputs)
            nets.append(self._net(channel, inputs, number))
        return keras.Model(inputs, keras.layers.Concatenate()(nets) if len(nets) > 1 else nets[0], name=name)

    def _net(self, given, inputs, number):
        x = self._unet(given, f"channel_{number}")
        x = self._with_weights(f"final_{number}", self.weights.take_next("conv"), x)
        if self.config.probabilistic:
            self.weights.take_next("conv")  # the scale of each pixel's distribution
        if self.config.residual:
            x = keras.layers.Add(name=f"residual_{number}")([x, inputs])
        return x if self.config.last_activation == "linear" else keras.layers.ReLU(name=f"last_{number}")(x)

    def _unet(self, x, net):
        levels, skipped = range(self.config.depth), []
        for level in levels:
            x = self._convolved(x, [f"{net}down_level_{level}_no_{number}" for number in (0, 1)])
            skipped.append(x)
            x = self._pooled(x, f"{net}max_{level}")
        x = self._convolved(x, [f"{net}middle_{number}" for number in (0, 2)])
        for level in reversed(levels):
            x = self._upsample(2)(x)
            if level or self.config.top_skip:
                x = keras.layers.Concatenate()([x, skipped[level]])
            x = self._convolved(x, [f"{net}up_level_{level}_no_{number}" for number in (0, 2)])
        return x

    def _convolved(self, x, names):
        for name in names:
            x = self._with_weights(name, self.weights.take(name), x)
            if self.config.batch_norm:
                x = self._normalised(x, f"{name}_norm", self.weights.take_next("batch_normalization"))
            x = keras.layers.ReLU(name=f"{name}_relu")(x)
        return x

    def _with_weights(self, name, arrays, x):
        kernel, *bias = arrays
        dimensions = len(self.config.axes)
        kernel = np.transpose(kernel, (*self.config.order, dimensions, dimensions + 1))
        layer = self._conv(kernel.shape[-1], kernel.shape[:-2], padding="same", use_bias=bool(bias), name=name)
        x = layer(x)
        layer.set_weights([kernel, *bias])
        return x

    def _normalised(self, x, name, arrays):
        layer = keras.layers.BatchNormalization(name=name)
        x = layer(x)
        layer.set_weights(arrays)
        return x

    def _pooled(self, x, name):
        if not self.config.blurred:
            return self._pool(2, name=name)(x)
        x = self._pool(2, strides=1, padding="same", name=f"{name}_max")(x)
        (kernel,) = self.weights.take(name)
        blur = keras.layers.DepthwiseConv2D(kernel.shape[:2], strides=2, padding="same", use_bias=False, name=name)
        blur.trainable = False
        x = blur(x)
        blur.set_weights([np.transpose(kernel, (*self.config.order, 2, 3))])
        return x


def _layers_in(path):
    """Read each layer's name and arrays."""
    try:
        with h5py.File(path, "r") as file:
            root = _root(file)
            names = [_text(name) for name in root.attrs["layer_names"]]
            return [(name, arrays) for name in names if (arrays := _arrays(root[name]))]
    except (KeyError, TypeError, AttributeError, OSError, ValueError) as error:
        raise InputError(f"expected weights of layers in {path}, as Keras 2 saves them, found none") from error


def _root(file: Any) -> Any:
    """Find the group of the weights, in a file of weights or of a whole model."""
    return file["model_weights"] if "model_weights" in file else file  # noqa: SIM401


def _keras_version(path):
    """Read by which Keras a file was written; the oldest where it does not say."""
    with h5py.File(path, "r") as file:
        root = _root(file)
        written = _text(root.attrs.get("keras_version", ""))
    return tuple(int(part) for part in re.findall(r"\d+", written)[:2])


def _arrays(group):
    return [np.asarray(group[_text(name)], np.float32) for name in group.attrs["weight_names"]]


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)
