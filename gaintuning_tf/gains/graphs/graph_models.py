"""Any TensorFlow network as a Keras model that gains can go into: SavedModels, tf-keras and subclassed models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from gaintuning_tf.errors import InputError, NetworkError, message_of_network, of_network, reason_of
from gaintuning_tf.gains.convolutions import convolutions, kernel_of
from gaintuning_tf.gains.graphs import graph_constants, graph_nodes, graph_numbers
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.gains.keras_types import is_whole
from gaintuning_tf.gains.layer_copies import at_open_sizes, clone_layer, is_own, scope_name
from gaintuning_tf.gains.normalization_layers import level_place
from gaintuning_tf.gains.rewriting import is_functional, is_graph, leaves

SIGNATURE = "serving_default"
IMAGE_RANKS = (3, 4, 5)


def load_saved_model(directory: str | os.PathLike[str]) -> keras.Model:
    """Load a SavedModel with one image in and one image out, as a Keras model.

    A second input is taken for the level of the noise: it becomes a last channel of the image.

    Whatever wrote it: Keras's `export`, tf-keras, `tf.saved_model.save`, the API of TensorFlow 1, or a
    converter from ONNX. Channels may come first or last, the result has them last.

    Args:
        directory: The SavedModel, or a folder of its versions, of which the highest is taken.

    Returns:
        A Functional model of one layer, `GraphNetwork`; not compiled, nothing trainable.

    Raises:
        InputError: It is no SavedModel, none of its signatures is one image in and one out, or what happens in
            between cannot be followed.
    """
    folder = version_folder(Path(directory))
    try:
        loaded = tf.saved_model.load(str(folder), tags=_tags(folder))
    except InputError:
        raise
    except Exception as error:  # of a damaged file TensorFlow raises anything
        raise InputError(f"cannot load the SavedModel in {folder}: {reason_of(error)}") from error
    # Kept alive while its variables are read.
    function = _signature(loaded.signatures, folder)
    try:
        return _model(function, Path(directory).name)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error


def as_keras_model(model: keras.Model | Callable[..., Any], channels: int | None = None) -> keras.Model:
    """Return `model` itself if Keras can see its layers, or else the graph of what it computes, in a Keras model.

    The second is for `tf_keras` models, which CSBDeep and n2v hold in `.keras_model`, for subclassed Keras models, and
    for those with a layer that cannot be copied: one without a `get_config`, or a `TFSMLayer`.
    They are not changed, and later changes of their weights are not seen.

    Args:
        model: The network.
        channels: Channels of its images; found by default from what it was last called on.

    Raises:
        InputError: It is no model, its input is not known, or its graph cannot be followed.

    Example:

    >>> class Halved(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.convolution = keras.layers.Conv2D(1, 3, padding="same")
    ...     def call(self, x):
    ...         return self.convolution(x) / 2
    >>> model = Halved()
    >>> output = model(tf.zeros([1, 8, 8, 1]))
    >>> as_keras_model(model).output_shape
    (None, None, None, 1)
    """
    why = why_not_seen(model)
    if why is None:
        return model
    try:
        return graph_of(model, channels)
    except NetworkError:
        raise
    except InputError as error:
        if not is_graph(model):
            raise
        raise InputError(f"{why}; nor can the graph of {model.name!r} be followed: {error}") from error


def graph_of(model: keras.Model | Callable[..., Any], channels: int | None = None) -> keras.Model:
    """Make a Keras model of the graph of what a model computes.

    Raises:
        InputError: It is no model, its input is not known, or its graph cannot be followed.
        NetworkError: It cannot be traced.
    """
    if not callable(model) or not (hasattr(model, "weights") and hasattr(model, "get_config")):
        raise InputError(f"expected a Keras model, received {type(model).__module__}.{type(model).__name__}")
    specs, form = _input_specs(model, channels), _form_of_input(model)
    name = getattr(model, "name", type(model).__name__)
    run = tf.function(lambda *given: model(form(given), training=False), autograph=False)
    with of_network(name), at_open_sizes(model):
        function = run.get_concrete_function(*specs)
    return _model(function, name)


def why_not_seen(model: keras.Model | Callable[..., Any]) -> str | None:
    """Say why the layers of a model cannot be seen and copied, so that its graph has to stand for it; None if they can.

    A layer of Keras itself can be copied. One of somebody's own is tried.
    """
    if not is_graph(model):
        return "its layers cannot be seen"
    if any(is_whole(tensor.dtype) for tensor in getattr(model, "outputs", None) or ()):
        return "it returns whole numbers"
    for layer in leaves(model):
        if isinstance(layer, keras.layers.TFSMLayer):
            return f"layer {layer.name!r} is a SavedModel"
        # A function within another layer is written down, and read again it is refused.
        if any(is_own(inner) or isinstance(inner, keras.layers.Lambda) for inner in layer._flatten_layers()):
            try:
                clone_layer(layer)
            except InputError as error:
                return str(error)
    return None


def version_folder(folder: Path) -> Path:
    """Find the folder with the graph of a SavedModel.

    Returns:
        `folder` itself, or the highest of its versions.

    Raises:
        InputError: There is none.
    """
    if _holds_graph(folder):
        return folder
    versions = [inner for inner in folder.iterdir() if inner.name.isdecimal() and _holds_graph(inner)]
    if not versions:
        raise InputError(f"expected a SavedModel in {folder}: saved_model.pb, or a numbered folder with it; found none")
    return max(versions, key=lambda inner: int(inner.name))


def _holds_graph(folder):
    return any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))


def _tags(folder):
    """Find the tags of the graph for serving, where there are several."""
    from tensorflow.python.saved_model import loader_impl

    graphs = [set(graph.meta_info_def.tags) for graph in loader_impl.parse_saved_model(str(folder)).meta_graphs]
    if len(graphs) == 1:
        return None
    serving = [tags for tags in graphs if "serve" in tags]
    if not serving:
        raise InputError(
            f"expected a graph with the tag 'serve' in {folder}, found {[sorted(tags) for tags in graphs]}"
        )
    return sorted(min(serving, key=len))


def _signature(signatures, folder):
    """Find the signature to serve, or the only one that suits."""
    if not signatures:
        raise InputError(f"expected a SavedModel with a signature, {folder} has none")
    if SIGNATURE in signatures:
        return signatures[SIGNATURE]
    suited = [name for name, function in signatures.items() if not _misfit(function)]
    if len(suited) != 1:
        raise InputError(f"expected a signature {SIGNATURE!r} in {folder}, it has {', '.join(sorted(signatures))}")
    return signatures[suited[0]]


def _misfit(function):
    """Say why a function is not one image in and one image out; None if it is."""
    inputs = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
    outputs = tf.nest.flatten(function.structured_outputs)
    if len(inputs) not in (1, 2) or (len(inputs) == 2 and not all(s.dtype.is_floating for s in inputs.values())):
        return f"it takes {len(inputs)} inputs ({', '.join(sorted(inputs))}); export one with the others fixed"
    specs = list(inputs.values())
    spec = specs[0] if len(specs) == 1 else specs[1 - _level_place([(s.name, s.shape) for s in specs])]
    if not (spec.dtype.is_floating or spec.dtype.is_integer):
        return f"it takes {spec.dtype.name}; export the part that works on images of numbers"
    if spec.shape.rank not in IMAGE_RANKS:
        return f"it takes the shape {spec.shape}"
    if len(outputs) != 1:
        return f"it returns {len(outputs)} outputs"
    return None


def _model(function, name):
    misfit = _misfit(function)
    if misfit:
        raise InputError(f"expected a network with one image in, (N, H, W, C), and one image out: {misfit}")
    frozen = _frozen(function)
    given, output = [t for t in frozen.inputs if t.dtype != tf.resource], frozen.outputs[0]
    if output.name != f"{output.op.name}:0":
        raise InputError(f"expected the result to be the first output of its op, it is {output.name}")
    graph, image, output = frozen.graph.as_graph_def(), given[0], output
    if len(given) == 2:
        graph, image, output = _with_level_channel(graph, given, output)
    source, result, shape = image.op.name, output.op.name, image.shape.as_list()
    graph = graph_nodes.prepared(graph, source, result)
    graph = graph_constants.with_constants(graph)
    graph, result = graph_numbers.on_floats(graph, source, result)
    if _channels_first(shape):
        graph, result = graph_nodes.channels_last_interface(graph, source, result, len(shape))
        shape = [shape[0], *shape[2:], shape[1]]
    if shape[-1] is None:
        raise InputError(f"expected a network with a known number of channels, it takes the shape {image.shape}")
    dtype = image.dtype.name if image.dtype.is_floating else "float32"
    layer = GraphNetwork.from_graph(graph, source, result, dtype)
    if not layer.convolutions:
        raise InputError("expected a network with a convolution, found none between the image and the result")
    inputs = keras.Input(shape[1:], dtype=image.dtype.name, name=scope_name(source.rpartition("/")[2]))
    model = keras.Model(inputs, layer(inputs), name=scope_name(name))
    _check_batches(model)
    return model


def _frozen(function):
    """Put constants in the place of a function's variables."""
    try:
        return convert_variables_to_constants_v2(function, lower_control_flow=False)
    except (ValueError, tf.errors.OpError) as error:  # of variables that are assigned to, for one
        definition = function.graph.as_graph_def()
        nodes = [*definition.node, *(node for called in definition.library.function for node in called.node_def)]
        assigning = [f"{node.op} {node.name!r}" for node in nodes if node.op.startswith("Assign")]
        why = f"found {assigning[0]}: export it in inference mode" if assigning else message_of_network(error)
        raise InputError(f"expected a network that computes its result from the image alone, {why}") from error


def _level_place(inputs):
    """Find which of two inputs is the level of the noise."""
    return level_place([(name, tuple(shape.as_list()) if shape.rank is not None else ()) for name, shape in inputs])


def _with_level_channel(graph, given, output):
    """Join two inputs to one with channels last, of which the last is the level of the noise; see `with_level_channel`.

    Returns:
        The graph, its input and its output.
    """
    place = _level_place([(tensor.op.name, tensor.shape) for tensor in given])
    image, level = given[1 - place], given[place]
    shape, first = image.shape.as_list(), _channels_first(image.shape.as_list())
    last = [shape[0], *shape[2:], shape[1]] if first else shape
    if last[-1] is None:
        raise InputError(f"expected a network with a known number of channels, it takes the shape {image.shape}")
    axes = [0, len(shape) - 1, *range(1, len(shape) - 1)]
    with tf.Graph().as_default() as joined, tf.name_scope("gaintuning_level"):
        both = tf.compat.v1.placeholder(image.dtype, [*last[:-1], last[-1] + 1], "noisy_and_level")
        parts = _in_shape(both[..., -1:], level), both[..., :-1]
        if first:
            parts = [tf.transpose(part, axes) if len(part.shape) == len(shape) else part for part in parts]
        mapped = {level.name: tf.cast(parts[0], level.dtype), image.name: parts[1]}
        (found,) = tf.import_graph_def(graph, mapped, [output.name], name="network")
        found = tf.transpose(found, [0, *range(2, len(shape)), 1]) if first else tf.identity(found)
    return joined.as_graph_def(), both, found


def _in_shape(level, wanted):
    """Give a map of the level (N, ..., 1) the shape that a graph wants: a number for all, (N,), (N, 1) or a map."""
    rank = wanted.shape.rank
    if rank == len(level.shape):
        channels = wanted.shape[1 if _channels_first(wanted.shape.as_list()) else -1] or 1
        return tf.repeat(level, channels, -1)
    if rank == 0:
        return tf.reduce_mean(level)
    mean = tf.reduce_mean(level, range(1, len(level.shape)))
    return mean if rank == 1 else mean[:, None]


def _channels_first(shape):
    """Whether an image's shape (N, C, ...) has a number of channels in front and none behind."""
    return shape[1] in (1, 2, 3, 4) and (shape[-1] is None or shape[-1] > 4)


def _check_batches(model):
    """Try two images at a time: a graph that was made for one need not take them."""
    sides = [16 if side is None else side for side in model.inputs[0].shape[1:]]
    try:
        returned = model(tf.zeros([2, *sides], model.inputs[0].dtype)).shape
    except (tf.errors.OpError, ValueError) as error:
        text = str(error).replace("Exception encountered when calling GraphNetwork.call().", "")
        raise InputError(f"expected a network that takes two images at a time: {reason_of(error, text)}") from error
    if returned[0] != 2:
        raise InputError(f"expected a network that takes any number of images, of two it makes {returned[0]}")


def _form_of_input(model):
    """Find how a model is called on its inputs, one after the other."""
    form = model.input if is_functional(model) else _built_shape(model)
    if isinstance(form, dict) or (is_functional(model) and keras.tree.is_nested(form)):
        form = dict.fromkeys(form, 0) if isinstance(form, dict) else form
        return lambda given: keras.tree.pack_sequence_as(form, list(given))
    return lambda given: given[0] if len(given) == 1 else list(given)


def _input_specs(model, channels):
    given = getattr(model, "inputs", None)
    if given:
        if len(given) > 2:
            raise InputError(f"expected a network with one image in, {model.name!r} has {len(given)} inputs")
        return [tf.TensorSpec(tensor.shape, tensor.dtype, scope_name(tensor.name)) for tensor in given]
    shape = getattr(model, "_build_input_shape", None) or _built_shape(model)
    if shape is None and channels is None:
        raise InputError(f"expected a built model, {model.name!r} has no input shape yet; call it once on an image")
    shape = [None] * 3 + [channels] if shape is None else shape
    shapes = [shape[name] for name in sorted(shape)] if isinstance(shape, dict) else [shape]
    return [_spec(shape, model.compute_dtype) for shape in shapes]


def _spec(shape, dtype):
    return tf.TensorSpec([None] * (len(shape) - 1) + [shape[-1]], dtype)


def _built_shape(model):
    """Find what shape a subclassed model was first called on."""
    known = getattr(model, "_build_shapes_dict", None)
    shapes = [shape for shape in known.values() if isinstance(shape, (tuple, list, dict))] if known else []
    return shapes[0] if len(shapes) == 1 else _shape_of_first(model)


def _shape_of_first(model):
    """Find what the first convolution of a model that has been called was made for."""
    found = convolutions(model) if isinstance(model, keras.Model) and model.built else []
    if not (found and found[0].built):
        return None
    kernel = kernel_of(found[0])
    return (*[None] * (len(kernel.shape) - 1), kernel.shape[-2] * getattr(found[0], "groups", 1))
