"""TensorFlow GraphDefs, edited: where the convolutions are, and gains behind them.

Nothing here knows Keras. A graph is a `GraphDef` without control edges, from one placeholder to one output.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow.python.framework import op_def_registry

from gaintuning_tf.errors import InputError
from gaintuning_tf.support.tensorflow_messages import AttrValue, GraphDef, NodeDef


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Where a convolution's op has what: inputs by position, the kernel's output channels by axis."""

    image: int = 0
    kernel: int = 1
    channels: tuple[int, ...] = (-1,)


CONVOLUTIONS = {
    "Conv2D": _Kind(),
    "Conv3D": _Kind(),
    "DepthwiseConv2dNative": _Kind(channels=(-2, -1)),
    "Conv2DBackpropInput": _Kind(image=2, channels=(-2,)),
    "Conv3DBackpropInputV2": _Kind(image=2, channels=(-2,)),
}
FUSED = {"_FusedConv2D": "Conv2D", "_FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
FUSED_ACTIVATIONS = ("Relu", "Relu6", "Elu", "LeakyRelu", "Tanh", "Sigmoid")
# Ops with a data format, and the input that is the image.
FORMATTED = {
    **{name: kind.image for name, kind in CONVOLUTIONS.items()},
    **dict.fromkeys(("BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), 0),
    **dict.fromkeys(("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "DepthToSpace", "SpaceToDepth"), 0),
}
# The branches of TensorFlow 1; the later ones take functions as attributes.
BRANCHES = ("Switch", "Merge")
NO_CONTROL_FLOW = "expected a network without control flow or calls of functions between the image and the result"
# TensorFlow counts these as without state, and yet they use files, call Python, run other
# programs or end the process.
REACHING_OUT = ("ImmutableConst", "DebugIdentity", "DebugNanCount", "DebugNumericSummary", "PyFuncStateless")
REACHING_OUT += ("XlaCustomCall", "XlaCustomCallV2", "Abort")
# Noise layers draw random numbers, and are switched off in inference.
STATELESS_ENOUGH = ("Placeholder", "RandomStandardNormal", "RandomUniform", "TruncatedNormal")
# What hands a constant on: numbers and order stay.
SAME = ("Identity", "ReadVariableOp", "Cast")
RESHAPED = (*SAME, "Reshape", "Squeeze")
# What a bias may be added behind: they leave channels as they are.
ADDING = ("BiasAdd", "AddV2", "Add")
TRANSPARENT = ("Identity", "BatchToSpaceND", "Squeeze", "Transpose")


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution of a graph and the bias that belongs to it.

    Attributes:
        name: The node's name.
        kernel: Name of the constant that is its kernel; None if the kernel is computed.
        kernel_axes: The kernel's axes of output channels.
        bias: Name of the constant that is added to its output channel by channel; None without.
        output: Name of the node whose output has the bias.
        channels: Output channels.
        axis: Which axis of that output they are.
        rank: Axes of that output.
        dtype: The dtype of that output.
        fixed: Whether the kernel is a blur: the same for each channel, which no training makes.
    """

    name: str
    kernel: str | None
    kernel_axes: tuple[int, ...]
    bias: str | None
    output: str
    channels: int
    axis: int
    rank: int
    dtype: str
    fixed: bool = False


def prepared(graph: GraphDef, source: str, output: str) -> GraphDef:
    """Take the part of `graph` that leads to `output`: in order, fused convolutions taken apart, all channels last.

    Fused convolutions have no gradient, and convolutions with channels first none on the CPU.

    Args:
        graph: A frozen graph, function calls inlined.
        source: Name of the node that is the image.
        output: Name of the node that is the result.

    Raises:
        InputError: The result does not depend on the image, or on the way are ops that keep or fetch something.
    """
    plain = portable(graph)
    for node in plain.node:
        kept = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(kept)
    # What is not needed for the result goes: checks, printing, writing.
    needed = _sorted(plain.node, output)
    if source not in {node.name for node in needed}:
        raise InputError("expected an output that depends on the image, it does not")
    refuse_state(needed)
    nodes = [last for node in needed for alone in _unfused(node) for last in _channels_last(alone)]
    return _graph(graph, _sorted(nodes, output))


def portable(graph: GraphDef) -> GraphDef:
    """Drop what nodes keep of the process that wrote them: gradient functions, and devices.

    The name of a function, which `tf.custom_gradient` leaves at a node, is a number that
    Python gave it there. Where the graph runs again, the function is missing, or another
    one has its number, or it refers to tensors of the first graph. Without the name,
    TensorFlow takes the gradient of the ops themselves, which for silu is the same up to
    rounding. Ops without a gradient, such as `tf.round`, then pass none on.

    A device may be that of another machine of a cluster.

    Returns:
        A copy.
    """
    result = GraphDef()
    result.CopyFrom(graph)
    for node in result.node:
        node.attr.pop("_gradient_op_type", None)
        node.ClearField("device")
    return result


def find_convolutions(graph: GraphDef) -> list[Convolution]:
    """Find the convolutions on the way from image to result, in order; the graph must be `prepared`."""
    nodes = {node.name: node for node in graph.node}
    consumers = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            consumers[_node(name)].append(node)
    shapes = _shapes(graph)
    return [
        _convolution(node, nodes, consumers, shapes)
        for node in graph.node
        # With a constant image it is a computation of weights.
        if node.op in CONVOLUTIONS and constant_behind(node.input[CONVOLUTIONS[node.op].image], nodes) is None
    ]


def take_out_constants(graph: GraphDef) -> tuple[GraphDef, dict[str, np.ndarray]]:
    """Put placeholders in the place of a graph's arrays of floating point numbers.

    Returns:
        The graph, and the arrays by name.
    """
    result, arrays = GraphDef(), {}
    result.CopyFrom(graph)
    for node in result.node:
        if node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_floating:
            continue
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.ndim:
            arrays[node.name] = value
            node.CopyFrom(new_node("Placeholder", node.name, dtype=node.attr["dtype"], shape=_shape_attr(value.shape)))
    return result, arrays


def with_own_biases(graph: GraphDef, found: Sequence[Convolution]) -> tuple[GraphDef, list[Convolution]]:
    """Give convolutions that share a bias, but not their kernel, each a constant of its own."""
    result = GraphDef()
    result.CopyFrom(graph)
    nodes = {node.name: node for node in result.node}
    owner, changed, additions, shapes = {}, [], [], _shapes(graph)
    for convolution in found:
        bias = convolution.bias
        if bias is not None and owner.setdefault(bias, convolution.kernel) != convolution.kernel:
            own, node = f"{convolution.name}/own_bias", nodes[convolution.output]
            old = next(name for name in node.input if constant_behind(name, nodes, RESHAPED) == bias)
            value = tf.make_ndarray(nodes[bias].attr["value"].tensor)
            additions.append(constant(own, value.reshape(shapes[_node(old)])))
            kept = [own if name == old else name for name in node.input]
            del node.input[:]
            node.input.extend(kept)
            convolution = dataclasses.replace(convolution, bias=own)
        changed.append(convolution)
    return _graph(result, [*additions, *result.node]), changed


def with_factors(graph: GraphDef, found: Sequence[Convolution]) -> tuple[GraphDef, dict[str, str]]:
    """Multiply each convolution's output by a placeholder.

    Returns:
        The graph, and the new names by the old ones.
    """
    result = GraphDef()
    result.CopyFrom(graph)
    renamed = {convolution.output: f"{convolution.output}/with_gain" for convolution in found}
    for node in result.node:
        for number, name in enumerate(node.input):
            if name.removesuffix(":0") in renamed:
                node.input[number] = renamed[name.removesuffix(":0")]
    for convolution in found:
        output, kind = convolution.output, type_attr(tf.as_dtype(convolution.dtype))
        # The gains are float32, whatever the network computes in.
        result.node.append(new_node("Placeholder", factor_name(output), dtype=type_attr(tf.float32)))
        cast = {"SrcT": type_attr(tf.float32), "DstT": kind}
        result.node.append(new_node("Cast", f"{output}/gain_cast", [factor_name(output)], **cast))
        result.node.append(new_node("Mul", renamed[output], [output, f"{output}/gain_cast"], T=kind))
    return result, renamed


def factor_name(output: str) -> str:
    """Name the placeholder of the factor behind a node."""
    return f"{output}/gain"


def channels_last_interface(graph: GraphDef, source: str, output: str, rank: int) -> tuple[GraphDef, str]:
    """Transpose the image and the result of a graph from channels first to channels first.

    Returns:
        The graph from channels last to channels last, and the name of its new output.
    """
    result = GraphDef()
    result.CopyFrom(graph)
    for node in result.node:
        for number, name in enumerate(node.input):
            if name.removesuffix(":0") == source:
                node.input[number] = "gaintuning_channels_first"
    placeholder = next(node for node in result.node if node.name == source)
    placeholder.attr.pop("shape", None)
    kind = placeholder.attr["dtype"]
    result.node.extend(_transpose("gaintuning_channels_first", source, _to_first(rank), kind))
    result.node.extend(_transpose("gaintuning_channels_last", output, _to_last(rank), kind))
    return _graph(result, _sorted(result.node, "gaintuning_channels_last")), "gaintuning_channels_last"


def refuse_state(nodes: Iterable[NodeDef]) -> None:
    """Refuse what a function of the image alone does not have, and what a file of unknown origin should not do.

    Raises:
        InputError: Naming the node.
    """
    for node in nodes:
        definition = op_def_registry.get(node.op)
        # What happens within a function is not looked at.
        if definition is None or node.op in BRANCHES or any("func" in attr.type for attr in definition.attr):
            raise InputError(f"{NO_CONTROL_FLOW}, found {node.op} {node.name!r}")
        if node.op in REACHING_OUT or (definition.is_stateful and node.op not in STATELESS_ENOUGH):
            raise InputError(
                f"expected a network that computes its result from the image alone, found {node.op} {node.name!r}"
            )
        if _has_strings(node, definition):
            raise InputError(f"expected a network that works on numbers, found strings at {node.op} {node.name!r}")


def _has_strings(node, definition):
    """Tell whether an op takes or makes strings, by its definition or by what its attributes say."""
    string = tf.string.as_datatype_enum
    fixed = {argument.type for argument in [*definition.input_arg, *definition.output_arg]}
    chosen = {kind for value in node.attr.values() for kind in (value.type, *value.list.type)}
    return string in fixed | chosen


def _convolution(node, nodes, consumers, shapes):
    kind = CONVOLUTIONS[node.op]
    rank, channels = len(shapes[node.name]), shapes[node.name][-1]
    if channels is None:
        raise InputError(f"expected a convolution with a known number of channels, {node.name!r} has not")
    output, bias, axis = _behind(node, rank, channels, nodes, consumers, shapes)
    return Convolution(
        name=node.name.removesuffix("/channels_last"),
        kernel=constant_behind(node.input[kind.kernel], nodes),
        kernel_axes=kind.channels,
        bias=bias,
        output=output,
        channels=channels,
        axis=axis,
        rank=len(shapes[output]),
        dtype=tf.as_dtype(node.attr["T"].type).name,
    )


def _behind(node, rank, channels, nodes, consumers, shapes):
    """Find the node that adds the bias, the bias, and the axis of channels there; else the convolution itself."""
    current, axis = node, rank - 1
    while True:
        after = consumers[current.name]
        if len(after) != 1:
            return node.name, None, rank - 1
        follower = after[0]
        bias = _bias(follower, current, axis, rank, channels, nodes, shapes)
        if bias is not None:
            return follower.name, bias, axis
        if follower.op not in TRANSPARENT:
            return node.name, None, rank - 1
        if follower.op == "Transpose":
            order = _constant_value(follower.input[1], nodes)
            if order is None:
                return node.name, None, rank - 1
            axis = order.tolist().index(axis)
        elif follower.op == "Squeeze":
            if axis != rank - 1:
                return node.name, None, rank - 1
            rank, axis = rank - 1, axis - 1
        current = follower


def _bias(follower, current, axis, rank, channels, nodes, shapes):
    """Find the name of the constant that `follower` adds to the channels of `current`; None if it adds none."""
    if follower.op not in ADDING:
        return None
    others = [name for name in follower.input if _node(name) != current.name]
    constant = constant_behind(others[0], nodes, RESHAPED) if len(others) == 1 else None
    if constant is None:
        return None
    shape = shapes.get(_node(others[0]), ())
    # Broadcast from the last axis on.
    shape = (1,) * (rank - len(shape)) + shape
    return constant if shape == tuple(channels if i == axis else 1 for i in range(rank)) else None


def constant_behind(name: str, nodes: Mapping[str, NodeDef], through: Sequence[str] = SAME) -> str | None:
    """Find the name of the constant behind ops that keep its numbers; None if there is none."""
    node = nodes[_node(name)]
    while node.op in through:
        node = nodes[_node(node.input[0])]
    return node.name if node.op == "Const" else None


def _constant_value(name, nodes):
    constant = constant_behind(name, nodes)
    return None if constant is None else tf.make_ndarray(nodes[constant].attr["value"].tensor)


def _unfused(node):
    """Take a fused convolution apart; any other node is returned as it is."""
    if node.op not in FUSED:
        return [node]
    operations = [name.decode() for name in node.attr["fused_ops"].list.s]
    if operations[:1] != ["BiasAdd"] or len(operations) > 2 or set(operations[1:]) - set(FUSED_ACTIVATIONS):
        raise InputError(
            f"expected a convolution fused with a bias and an activation, {node.name!r} is with {operations}"
        )
    plain = {
        key: node.attr[key]
        for key in ("T", "strides", "padding", "explicit_paddings", "data_format", "dilations")
        if key in node.attr
    }
    kind = {"T": node.attr["T"]}
    biased = {**kind, "data_format": node.attr["data_format"]}
    last = f"{node.name}/bias" if len(operations) > 1 else node.name
    nodes = [
        new_node(FUSED[node.op], f"{node.name}/convolution", node.input[:2], **plain),
        new_node("BiasAdd", last, [f"{node.name}/convolution", node.input[2]], **biased),
    ]
    if len(operations) > 1:
        alpha = {"alpha": node.attr["leakyrelu_alpha"]} if operations[1] == "LeakyRelu" else {}
        nodes.append(new_node(operations[1], node.name, [last], **kind, **alpha))
    return nodes


def _channels_last(node):
    """Replace a node with channels first by one with channels last between transpositions."""
    form = node.attr["data_format"].s.decode() if "data_format" in node.attr else ""
    if node.op not in FORMATTED or not form.startswith("NC") or len(form) not in (4, 5):
        return [node]
    rank, kind = len(form), node.attr["T"]
    inner = NodeDef()
    inner.CopyFrom(node)
    inner.name = f"{node.name}/channels_last"
    inner.attr["data_format"].s = (form[0] + form[2:] + "C").encode()
    for key in ("strides", "dilations", "ksize"):
        if key in inner.attr and len(inner.attr[key].list.i) == rank:
            values = [inner.attr[key].list.i[axis] for axis in _to_last(rank)]
            inner.attr[key].list.i[:] = values
    # Reading an attribute that is not there would make it.
    if "explicit_paddings" in inner.attr and inner.attr["explicit_paddings"].list.i:
        pairs = np.reshape(inner.attr["explicit_paddings"].list.i, (rank, 2))[_to_last(rank)]
        inner.attr["explicit_paddings"].list.i[:] = pairs.ravel().tolist()
    image, before = FORMATTED[node.op], f"{node.name}/to_channels_last"
    added = _transpose(before, node.input[image], _to_last(rank), kind)
    inner.input[image] = before
    if "BackpropInput" in node.op:
        sizes = f"{node.name}/sizes"
        axes = [constant(f"{sizes}/order", np.array(_to_last(rank), np.int32)), constant(f"{sizes}/axis", np.int32(0))]
        attributes = {"Tparams": type_attr(tf.int32), "Tindices": type_attr(tf.int32), "Taxis": type_attr(tf.int32)}
        inputs = [node.input[0], f"{sizes}/order", f"{sizes}/axis"]
        added += [*axes, new_node("GatherV2", sizes, inputs, **attributes)]
        inner.input[0] = sizes
    return [*added, inner, *_transpose(node.name, inner.name, _to_first(rank), kind)]


def _to_last(rank):
    return [0, *range(2, rank), 1]


def _to_first(rank):
    return [0, rank - 1, *range(1, rank - 1)]


def _transpose(name, source, order, kind):
    attributes = {"T": kind, "Tperm": type_attr(tf.int32)}
    return [
        constant(f"{name}/order", np.array(order, np.int32)),
        new_node("Transpose", name, [source, f"{name}/order"], **attributes),
    ]


def constant(name: str, value: ArrayLike) -> NodeDef:
    """Make a node that is a constant."""
    value = np.asarray(value)
    tensor = AttrValue(tensor=tf.make_tensor_proto(value))
    return new_node("Const", name, dtype=type_attr(tf.as_dtype(value.dtype)), value=tensor)


def type_attr(dtype: tf.DType) -> AttrValue:
    """Make the attribute of a node that is a dtype."""
    return AttrValue(type=dtype.as_datatype_enum)


def _shape_attr(shape):
    return AttrValue(shape=tf.TensorShape(shape).as_proto())


def new_node(op: str, name: str, inputs: Sequence[str] = (), **attributes: AttrValue) -> NodeDef:
    """Make a node."""
    node = NodeDef(op=op, name=name, input=list(inputs))
    for key, value in attributes.items():
        node.attr[key].CopyFrom(value)
    return node


def _node(name):
    return name.removeprefix("^").partition(":")[0]


def _graph(like, nodes):
    result = GraphDef(versions=like.versions, library=like.library)
    result.node.extend(nodes)
    return result


def in_order(graph: GraphDef, output: str) -> GraphDef:
    """Copy a graph with the nodes alone that lead to `output`, each behind its inputs."""
    return _graph(graph, _sorted(graph.node, output))


def _sorted(nodes, output):
    """List the nodes that lead to `output`, each behind its inputs."""
    known, done, order, stack = {node.name: node for node in nodes}, set(), [], [output]
    begun = set()
    while stack:
        name = stack[-1]
        waiting = [_node(n) for n in known[name].input if _node(n) not in done]
        if waiting and name not in done:
            begun.add(name)
            # What was begun and is not done is on the way to this node.
            if begun.intersection(waiting):
                raise InputError(f"{NO_CONTROL_FLOW}, found a loop at {known[name].op} {name!r}")
            stack += waiting[::-1]
            continue
        stack.pop()
        if name not in done:
            done.add(name)
            order.append(known[name])
    return order


def _imported(graph):
    with tf.Graph().as_default() as result:
        tf.graph_util.import_graph_def(graph, name="")
    return result


def _shapes(graph):
    """Find the shapes of the first outputs by node; those of unknown rank are left out."""
    shapes = {}
    for operation in _imported(graph).get_operations():
        if operation.outputs and operation.outputs[0].shape.rank is not None:
            shapes[operation.name] = tuple(operation.outputs[0].shape)
    return shapes
