"""A network as a pure function of what is tuned in it: gains, or weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.gains.contrast import at_contrast
from gaintuning_tf.gains.convolutions import CONVOLUTIONS
from gaintuning_tf.gains.layer_copies import is_own
from gaintuning_tf.gains.layers import Gain
from gaintuning_tf.gains.normalization_layers import level_map
from gaintuning_tf.gains.rewriting import Rewriter, leaves
from gaintuning_tf.gains.surgery import gain_layers, insert_gains
from gaintuning_tf.networks.network import Network
from gaintuning_tf.networks.sizes import at_any_size
from gaintuning_tf.noise.tensors import NoiseTensors

Values = Sequence[tf.Tensor]

# Layers that stay float32: those that take means over the image, which eight bits are too
# few for, and those that call what is somebody's own.
_EXACT = (
    Gain,
    keras.layers.Lambda,
    keras.layers.TFSMLayer,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.UnitNormalization,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
)


class TunableNetwork:
    """A network of which some variables are arguments.

    `values` are, throughout, one tensor per tuned variable, and behind them the contrast
    at which the network sees the image, (groups,). A group is a set of values: one for
    all images, or one for each of them.

    Args:
        network: The network, with the variables in it.
        variables: Those that are tuned.
        images: How many images have values of their own; None if all share them.
        initial: The values before the first step; by default ones.

    Attributes:
        network: The network.
        variables: Those that are tuned, and behind them the contrast.
        images: As given.
        initial: As given, and behind them the contrast, one.

    Example:

    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, use_bias=False)])
    >>> _ = model.layers[0].kernel.assign([[[[0.5]]]])
    >>> tunable = with_tunable_gains(Network(model))
    >>> images = tf.ones((1, 2, 2, 1))
    >>> [tunable.apply([tf.fill([1], gain), tf.ones(1)], images)[0, 0, 0, 0].numpy().item() for gain in (1.0, 3.0)]
    [0.5, 1.5]
    """

    def __init__(
        self,
        network: Network,
        variables: Sequence[keras.Variable],
        images: int | None = None,
        initial: Sequence[np.ndarray] | None = None,
    ):
        self.network = network
        self.images = images
        contrast = np.ones(self.groups, np.float32)
        self.variables = [*variables, keras.Variable(contrast, trainable=False, name="contrast")]
        self.initial = [*([np.ones(v.shape) for v in variables] if initial is None else initial), contrast]
        self._traced = tf.function(self._at_values, autograph=False)

    @property
    def groups(self) -> int:
        """The number of sets of values."""
        return self.images or 1

    @property
    def tuned(self) -> list[keras.Variable]:
        """The variables without the contrast."""
        return self.variables[:-1]

    def apply(self, values: Values, noisy: tf.Tensor, noise: NoiseTensors | None = None) -> tf.Tensor:
        """Denoise images (N, ..., C) with these values; see `at` for the noise."""
        noisy = tf.convert_to_tensor(noisy)
        return self.at(values, noisy, noise)(noisy)

    def at(
        self, values: Values, images: tf.Tensor, noise: NoiseTensors | None = None
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        """Give the network with these values, which takes images (N, ..., C) and denoises them.

        Args:
            values: See above.
            images: Those of whose noise is known what is; the network may be given a multiple of them.
            noise: That, for a network that takes the level.
        """
        line = noise.seen_line(images) if self.network.takes_level and noise is not None else None
        *tuned, contrast = values
        run = functools.partial(self._run, tuned)
        return lambda noisy: at_contrast(with_level(run, noisy, contrast, line), noisy, contrast)

    def denoise(self, noisy: tf.Tensor, noise: NoiseTensors | None = None) -> tf.Tensor:
        """Denoise images (N, ..., C) with the values that the variables have; see `at` for the noise."""
        return self.apply([tf.convert_to_tensor(variable.value) for variable in self.variables], noisy, noise)

    def _run(self, tuned, images):
        """Run the network, traced once: tracing its layers takes longer than a step on a small image."""
        sides = [given and side for given, side in zip(self.network.fixed_sides, images.shape[1:], strict=False)]
        spec = tf.TensorSpec([None, *sides, images.shape[-1]], images.dtype)
        given = [tf.TensorSpec(variable.shape, tf.as_dtype(variable.dtype)) for variable in self.tuned]
        found = self._traced.get_concrete_function(given, spec)(tuned, images)
        # With the level of the noise, there is a channel more in than out.
        return tf.ensure_shape(found, [*images.shape[:-1], found.shape[-1]])

    def _at_values(self, tuned, images):
        with keras.StatelessScope(list(zip(self.tuned, tuned, strict=True))):
            return at_any_size(self.network.model, self.network.multiple)(images)

    def by_group(self, per_image: tf.Tensor) -> tf.Tensor:
        """Average the numbers of the images, (N,), that share their values, to one for each group, float64."""
        numbers = tf.cast(per_image, tf.float64)
        return numbers if self.images is not None else tf.reduce_mean(numbers, keepdims=True)

    def flat(self, values: Values) -> tf.Tensor:
        """Put the values of all gains side by side, (groups, gains)."""
        return tf.concat([value if self.images is not None else value[None] for value in values], -1)

    def split(self, flat: tf.Tensor) -> list[tf.Tensor]:
        """Undo `flat`."""
        parts = tf.split(flat, [variable.shape[-1] for variable in self.tuned], axis=-1)
        return parts if self.images is not None else [part[0] for part in parts]


def with_level(
    run: Callable[[tf.Tensor], tf.Tensor], noisy: tf.Tensor, contrast: tf.Tensor, line: tuple[Any, tf.Tensor] | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Give a network that takes it the level of the noise, which falls with the contrast that the image is seen at.

    Args:
        run: The network, of images (N, ..., C), and a last channel for the level.
        noisy: The images before the contrast.
        contrast: (R,), see `at_contrast`.
        line: Of the variance, slope and intercept, see `level_map`; None for a network that takes no level.

    Returns:
        The network, of images (N, ..., C) at the contrast.
    """
    if line is None:
        return run
    level = level_map(noisy, *line) * _of_each(contrast, noisy)
    return lambda seen: run(tf.concat([seen, tf.cast(level, seen.dtype)], -1))


def _of_each(contrast, noisy):
    repeats = tf.shape(noisy)[:1] // tf.shape(contrast)
    return tf.reshape(tf.tile(tf.cast(contrast, noisy.dtype), repeats), [-1] + [1] * (len(noisy.shape) - 1))


def with_tunable_gains(network: Network) -> TunableNetwork:
    """Copy the network with gains, which are what is tuned; those that it has already are kept.

    Raises:
        InputError: It has no convolution.
    """
    model = insert_gains(network.model)
    layers = gain_layers(model)
    return TunableNetwork(Network(model), [layer.gain for layer in layers], layers[0].images)


def in_bfloat16(network: TunableNetwork) -> TunableNetwork | None:
    """Copy a network with gains so that it computes in bfloat16 between its first convolution and its last.

    What touches the image, the gains, whose derivatives are sums over all pixels, and the weights stay float32: then
    the steps lose next to nothing of what tuning gains
    (docs/log/2026-11-28-steps-in-bfloat16-with-exact-gains.md).

    Args:
        network: Of `with_tunable_gains`.

    Returns:
        The copy, whose variables stand in the same order; None for a network that does not compute in
        float32, is known as a graph only, has less than three convolutions, or has something between them that does
        not take bfloat16.
    """
    model = network.network.model
    inner = _between_convolutions(leaves(model)) if network.network.dtype == "float32" else []
    if not any(isinstance(layer, CONVOLUTIONS) for layer in inner):
        return None
    rounding = _Rounding(inner)
    try:
        copy = rounding.rewrite(model)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
        return None  # an operation that takes numbers of one kind only, and now gets two
    rounding.copy_variables()
    return TunableNetwork(Network(copy), [layer.gain for layer in gain_layers(copy)], network.images)


def _between_convolutions(layers):
    """List the layers behind the first convolution and before the last, less those that have to be exact."""
    places = [place for place, layer in enumerate(layers) if isinstance(layer, CONVOLUTIONS)]
    between = layers[places[0] + 1 : places[-1]] if places else []
    return [layer for layer in between if _may_be_rounded(layer)]


def _may_be_rounded(layer):
    return layer.compute_dtype == "float32" and not is_own(layer) and not isinstance(layer, _EXACT)


class _Rounding(Rewriter):
    """Copy a model so that some of its layers compute in bfloat16."""

    def __init__(self, rounded):
        super().__init__()
        self._rounded = {id(layer) for layer in rounded}

    def copy_layer(self, layer):
        copy = super().copy_layer(layer)
        if id(layer) in self._rounded:
            copy.dtype_policy = "mixed_bfloat16"
        return copy
