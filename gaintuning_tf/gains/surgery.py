"""Gains into a Keras model and out of it again, always as a new model.

Two ways lead to a gain. Where a convolution, or a dense layer, is a node of a Functional or
Sequential model, the new model has the node, a `Gain`, and, if one was fused into
the convolution, its activation. Where a convolution is called by somebody's own
`call`, inside a custom layer or a subclass of a convolution, there is no such
node: `WithGains` wraps the custom layer and puts the gain in front of the
convolution's activation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, NetworkError
from gaintuning_tf.gains.convolutions import CONVOLUTIONS, DENSE, has_own_call, scale, sublayers, with_self
from gaintuning_tf.gains.custom_layers import WithGains, new_gain
from gaintuning_tf.gains.graphs.graph_models import as_keras_model, graph_of
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.gains.interfaces import check_same
from gaintuning_tf.gains.keras_types import as_array
from gaintuning_tf.gains.layer_copies import clone_layer, is_own, own_kernels
from gaintuning_tf.gains.layers import Gain, SplitActivation
from gaintuning_tf.gains.places import DefaultPlaces, trial_images
from gaintuning_tf.gains.rewriting import Rewriter, copy_variables_of, is_graph


def insert_gains(
    model: keras.Model, where: Callable[[keras.layers.Layer], bool] | None = None, *, images: int | None = None
) -> keras.Model:
    """Copy `model` with a `Gain` after every convolution, and dense layer on channels; `model` is left untouched.

    The gain scales a channel's linear output, bias included, before the activation:
    `activation(gain * (kernel * x + bias))` (Mohan et al., "Adaptive denoising via
    GainTuning", NeurIPS 2021, eq. 3). All gains are one, so the copy computes what
    `model` computes, and they are the copy's only trainable variables. A layer that
    is called twice has one gain.

    Args:
        model: A built Functional or Sequential model, nested to any depth. Custom
            layers may call convolutions of their own; they need a `get_config`. A
            subclassed or a `tf_keras` model is taken as the graph that it computes.
        where: Which of the convolutions, `Dense` and `EinsumDense` layers get a gain, as a predicate. By default
            all, but for kernels that are fixed by design and dense layers that do not see the channels of
            images, see `DefaultPlaces`. In graphs it is called with a `graph_nodes.Convolution`.
        images: Gains of their own for each of this many images of a batch, see `Gain`.

    Returns:
        The new model, or `model` itself if it has gains already.

    Raises:
        InputError: `model` is no Keras model, is not built, or there is no convolution to give a gain to.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(8, 3, activation="relu")])
    >>> gained = insert_gains(model)
    >>> [type(layer).__name__ for layer in gained.layers]
    ['Conv2D', 'Gain', 'SplitActivation']
    >>> [tuple(variable.shape) for variable in gained.trainable_variables]
    [(8,)]
    """
    if is_graph(model) and gain_layers(model):
        _check_built(model)
        return model
    model = as_keras_model(model)
    _check_built(model)
    try:
        gained = _inserted(model, where, images)
    except NetworkError:
        raise
    except InputError:
        # What Keras's layers do not show, their graph does.
        in_graph = None if where or not _own_layers(model) else _in_graph(model, images)
        if in_graph is None:
            raise
        return in_graph
    return gained if where else _with_all(model, gained, images)


def _with_all(model, gained, images):
    """Take the graph of a model where it has convolutions that are no layers, in layers of somebody's own."""
    names = [layer.name for layer in _own_layers(model) if own_kernels(layer)]
    in_graph = _in_graph(model, images) if names else None
    if in_graph is not None and len(gain_layers(in_graph)) > len(gain_layers(gained)):
        return in_graph
    if names and in_graph is None:
        warnings.warn(f"what {names} do with kernels of their own gets no gains", GainTuningWarning, stacklevel=4)
    return gained


def _own_layers(model):
    return [layer for layer in model._flatten_layers() if is_own(layer)]


def _in_graph(model, images):
    """Insert gains into the graph of a model; None if that cannot be done either."""
    try:
        return _inserted(graph_of(model), None, images)
    except InputError:
        return None


def _inserted(model, where, images):
    inserter = _Inserter(where or DefaultPlaces(model), images)
    gained = inserter.rewrite(model)
    gains = gain_layers(gained)
    if not gains:
        found = [layer.name for layer in with_self(model)]
        why = "none of {} sees the channels of images" if where is None else "`where` chose none of {}"
        what = why.format(found) if found else f"{model.name!r} has no convolution"
        raise InputError(f"insert_gains expects at least one convolution to give a gain to: {what}")
    inserter.check(gains)
    inserter.copy_variables()
    _check_own(model, gained, images)
    gain_variables = {id(gain.gain) for gain in gains}
    for variable in gained.variables:
        # Frozen by variable, not by layer: a frozen layer would freeze the gains inside it.
        variable.trainable = id(variable) in gain_variables
    return gained


def _check_own(model, gained, count):
    """Check a copy with layers of somebody's own, which may keep more than their configuration says, by running it."""
    images = trial_images(model, count or 1) if _own_layers(model) else None
    if images is not None:
        check_same(model, gained, images)


def gain_layers(model: keras.Model) -> list[Gain]:
    """List the `Gain` layers of `model`, at any depth, each once, in a fixed order.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(8, 3, name="first")])
    >>> gain_layers(model), [gain.name for gain in gain_layers(insert_gains(model))]
    ([], ['first_gain'])
    """
    return sublayers(model, Gain)


def fold_gains(model: keras.Model) -> keras.Model:
    """Copy `model` without gains: each is multiplied into the kernel and bias before it.

    `gain * (kernel * x + bias) == (gain * kernel) * x + gain * bias`, so the outputs
    are the same up to rounding, and the architecture is the one that `insert_gains`
    was given. `model` is left untouched.

    Args:
        model: A model with gains, such as `insert_gains` returns.

    Returns:
        A new model with no `Gain` left; `model` itself if it has none.

    Raises:
        InputError: `model` is not a Functional or Sequential Keras model, has gains of
            their own per image (one kernel cannot hold them), or a gain does not directly
            follow a convolution, or a custom layer does something to its kernel that a
            factor does not pass.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(8, 3, activation="tanh")])
    >>> gained = insert_gains(model)
    >>> gain_layers(gained)[0].gain.assign(np.linspace(0.5, 1.5, 8))  # doctest: +ELLIPSIS
    <...
    >>> folded = fold_gains(gained)
    >>> [type(layer).__name__ for layer in folded.layers]
    ['Conv2D']
    >>> image = np.ones((1, 5, 5, 1), "float32")
    >>> bool(np.allclose(folded(image), gained(image), rtol=1e-5))
    True
    """
    _check_open(model)
    gains = gain_layers(model)
    if not gains:
        return model
    if any(gain.images not in (None, 1) for gain in gains):
        raise InputError(
            f"fold_gains expects one gain per channel, {model.name!r} has gains of their own for each of "
            f"{gains[0].images} images, which one kernel cannot hold"
        )
    folder = _Folder(model)
    folded = folder.rewrite(model)
    folder.copy_variables()
    folder.fold()
    return folded


def strip_gains(model: keras.Model) -> keras.Model:
    """Copy `model` without gains, its weights as they are; `model` itself if it has none.

    Raises:
        InputError: `model` is not a Functional or Sequential Keras model, or a gain does
            not directly follow a convolution.
    """
    _check_open(model)
    if not gain_layers(model):
        return model
    stripper = _Folder(model)
    stripped = stripper.rewrite(model)
    stripper.copy_variables()
    return stripped


class _Inserter(Rewriter):
    def __init__(self, where, images):
        super().__init__()
        self.where = where
        self.images = images
        self.expected = 0
        self._following = {}
        self._names = set()

    def rewrite(self, model):
        self._names |= {layer.name for layer in model.layers}
        return super().rewrite(model)

    def copy_layer(self, layer):
        if isinstance(layer, GraphNetwork):
            return self._copy_graph(layer)
        copy = clone_layer(layer)
        chosen = [index for index, found in enumerate(with_self(layer)) if self.where(found)]
        self.expected += len(chosen)
        if not chosen:
            return copy
        if not isinstance(layer, (*CONVOLUTIONS, *DENSE)) or (has_own_call(layer) and _applies_activation(layer)):
            return WithGains(copy, chosen, self.images, name=self._unique(layer.name + "_with_gains"))
        self._following[id(copy)] = self._split(copy)
        return copy

    def _copy_graph(self, layer):
        chosen = [index for index, found in enumerate(layer.convolutions) if self.where(found)]
        copy = layer.with_gains(chosen, self.images)
        self.expected += len(copy.gains)
        return copy

    def following(self, copy):
        return self._following.get(id(copy), [])

    def check(self, gains):
        """Check that every chosen convolution has a gain that takes part in the output."""
        idle = [gain.name for gain in gains if not gain.built]
        if idle:
            raise InputError(
                f"insert_gains found no place for {idle}: the custom layer's call() does not use the convolution or "
                "its activation; leave it out with `where`"
            )
        if len(gains) != self.expected:
            raise RuntimeError(f"{self.expected} convolutions were chosen but {len(gains)} gains inserted")

    def _split(self, convolution):
        gain = new_gain(convolution, self.images, self._unique(f"{convolution.name}_gain"))
        activation = convolution.activation
        if activation in (None, keras.activations.linear) or has_own_call(convolution):
            return [gain]
        convolution.activation = keras.activations.linear
        name = self._unique(f"{convolution.name}_activation")
        return [gain, SplitActivation(activation, dtype=convolution.dtype_policy, name=name)]

    def _unique(self, name):
        candidates = (name if number == 0 else f"{name}_{number}" for number in range(len(self._names) + 1))
        unique = next(candidate for candidate in candidates if candidate not in self._names)
        self._names.add(unique)
        return unique


class _Folder(Rewriter):
    def __init__(self, model):
        super().__init__()
        self._gain_of = _gains_by_convolution(model)

    def following(self, copy):
        return None if isinstance(copy, (Gain, SplitActivation)) else []

    def copy_layer(self, layer):
        if isinstance(layer, (Gain, SplitActivation)):
            return layer  # never called: `call` passes its input on
        if isinstance(layer, WithGains):
            return layer.original()
        if isinstance(layer, GraphNetwork):
            return layer.without_gains()
        copy = clone_layer(layer)
        if id(layer) in self._gain_of:
            _, activation = self._gain_of[id(layer)]
            if activation is not None:
                copy.activation = activation.activation
        return copy

    def copy_variables(self):
        self.pairs = [(layer, copy) for layer, copy in self.pairs if layer is not copy]
        for layer, copy in self.pairs:
            # The copies of graphs have their values already.
            if isinstance(layer, keras.layers.Layer) and not isinstance(layer, GraphNetwork):
                copy_variables_of(layer.layer if isinstance(layer, WithGains) else layer, copy)

    def fold(self):
        for layer, copy in self.pairs:
            if isinstance(layer, WithGains):
                inner = with_self(copy)
                for index, gain in zip(layer.chosen, layer.gains, strict=True):
                    scale(inner[index], gain)
                _check_same(layer, copy)
            elif isinstance(layer, GraphNetwork):
                layer.fold_into(copy)
            elif id(layer) in self._gain_of:
                gain, _ = self._gain_of[id(layer)]
                scale(copy, gain)
                if has_own_call(layer):
                    _check_same(lambda x, layer=layer, gain=gain: gain(layer(x)), copy)


def _gains_by_convolution(model):
    """Find (gain, split activation or None) for the id of each convolution that a graph's gain follows."""
    found = {}
    free = {id(gain): gain for gain in gain_layers(model)}
    for wrapper in sublayers(model, (WithGains, GraphNetwork)):
        for gain in wrapper.gains:
            del free[id(gain)]
    for convolution in with_self(model):
        consumers = _consumers(convolution)
        gains = [layer for layer in consumers if isinstance(layer, Gain)]
        if gains and len(consumers) == 1:
            after = _consumers(gains[0])
            split = after[0] if len(after) == 1 and isinstance(after[0], SplitActivation) else None
            found[id(convolution)] = (gains[0], split)
            free.pop(id(gains[0]), None)
    if free:
        names = [gain.name for gain in free.values()]
        raise InputError(
            f"fold_gains expects each gain to be the only thing that follows a convolution, not so: {names}"
        )
    return found


def _consumers(layer):
    unique = {id(node.operation): node.operation for node in layer._outbound_nodes}
    return list(unique.values())


def _check_same(gained, folded):
    """Try what folding did: a custom layer may do anything with its kernel."""
    config = folded.get_build_config()
    shapes = config.get("shapes_dict") or {"inputs": config["input_shape"]}
    # In the order in which they are called with, such as query and value.
    probes = [_probe(shape) for shape in shapes.values()]
    expected, received = (as_array(layer(*probes)) for layer in (gained, folded))
    if not np.allclose(received, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()):
        raise InputError(
            f"fold_gains cannot fold into {folded.name!r}: {type(folded).__name__}.call() does not scale with its "
            "kernel and bias; keep the gains, or leave this layer out of insert_gains with `where`"
        )


def _probe(shape):
    shape = [1, *(16 if side is None else side for side in shape[1:])]
    return np.random.default_rng(0).random(shape, "float32")


def _check_open(model):
    if not is_graph(model):
        raise InputError(
            "expected a Functional or Sequential Keras model, whose layers can be seen, "
            f"received {type(model).__module__}.{type(model).__name__}"
        )
    _check_built(model)


def _check_built(model):
    if not model.built:
        raise InputError(
            f"expected a built model, {model.name!r} has no input shape yet; call it once or give it an Input"
        )


def _applies_activation(convolution):
    seen = []
    spy = clone_layer(convolution)
    spy.activation = lambda linear: seen.append(True) or linear
    shape = [16 if side is None else side for side in convolution.get_build_config()["input_shape"]]
    spy(np.zeros([1, *shape[1:]], "float32"))
    return bool(seen)


def with_gains(base: keras.Model, gains: Sequence[np.ndarray]) -> keras.Model:
    """Copy a network without gains and set these in the copy, (channels,) of each layer or (frames, channels)."""
    model = insert_gains(base, images=len(gains[0]) if np.ndim(gains[0]) == 2 else None)
    for gain, value in zip(gain_layers(model), gains, strict=True):
        gain.gain.assign(value)
    return model


def gain_names(model: keras.Model) -> list[str]:
    """Give a name to each layer of gains, numbered where one is there twice."""
    names = [gain.name for gain in gain_layers(model)]
    return [name if names.count(name) == 1 else f"{name}#{i}" for i, name in enumerate(names)]
