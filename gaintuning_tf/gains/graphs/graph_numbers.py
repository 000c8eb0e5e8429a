"""Graphs that take or return whole numbers, on floating point numbers: whole ones have no gradient."""

from __future__ import annotations

import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.graphs import graph_nodes
from gaintuning_tf.support.tensorflow_messages import GraphDef

# What moves numbers and leaves them as they are.
MOVING = ("Identity", "Transpose", "Reshape", "Squeeze", "ExpandDims")


def on_floats(graph: GraphDef, source: str, output: str) -> tuple[GraphDef, str]:
    """Let a graph take its image, and return its result, before they are made whole.

    Args:
        graph: A prepared graph, see `graph_nodes.prepared`.
        source: Name of its placeholder for the image.
        output: Name of its result.

    Returns:
        The graph, and the name of its result: of floating point numbers, neither rounded nor cut to a dtype.

    Raises:
        InputError: The result is whole for another reason than that it has been made so in the end.
    """
    result = GraphDef()
    result.CopyFrom(graph)
    nodes = {node.name: node for node in result.node}
    output = _before_whole(nodes, output)
    given = nodes[source]
    if not tf.as_dtype(given.attr["dtype"].type).is_floating:
        _take_floats(result, given)
    return graph_nodes.in_order(result, output), output


def _before_whole(nodes, output):
    """Leave out what makes the result whole; returns the name of the result."""
    moving, node = [], nodes[output]
    while node.op in MOVING and not _floating(_made(node)):
        moving.append(node)
        node = nodes[_name(node.input[0])]
    made = _made(node)
    if _floating(made):
        return output
    source = nodes[_name(node.input[0])] if node.op == "Cast" else node
    if not _floating(tf.as_dtype(node.attr["SrcT"].type) if node.op == "Cast" else made):
        raise InputError(
            f"expected a network that computes floating point numbers, {node.op} {node.name!r} makes others"
        )
    kind = node.attr["SrcT"]
    while source.op in ("Identity", "Round"):
        source = nodes[_name(source.input[0])]
    if not moving:
        return source.name
    for mover in moving:
        mover.attr["T"].CopyFrom(kind)
    moving[-1].input[0] = source.name
    return output


def _take_floats(graph, given):
    """Make the image floating point, and whole only for what is not a cast to floating point."""
    whole, kind = given.attr["dtype"], graph_nodes.type_attr(tf.float32)
    added = graph_nodes.new_node("Cast", f"{given.name}/whole", [f"{given.name}"], SrcT=kind, DstT=whole)
    for node in graph.node:
        if node.op == "Cast" and _floating(_made(node)) and node.input[0].removesuffix(":0") == given.name:
            node.attr["SrcT"].CopyFrom(kind)
            continue
        for number, name in enumerate(node.input):
            if name.removesuffix(":0") == given.name:
                node.input[number] = added.name
    given.attr["dtype"].CopyFrom(kind)
    graph.node.append(added)


def _made(node):
    """Find the dtype that a node makes, where it says it."""
    for name in ("DstT", "T", "dtype"):
        if name in node.attr:
            return tf.as_dtype(node.attr[name].type)
    return None


def _name(edge):
    return edge.partition(":")[0]


def _floating(dtype):
    return dtype is None or dtype.is_floating
