"""What a graph computes from constants alone, computed once: gains fold into arrays, not into what is made of them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from gaintuning_tf.gains.graphs import graph_nodes
from gaintuning_tf.support.tensorflow_messages import GraphDef

# What a graph makes of nothing, such as a plane of zeros, stays computed if it is larger.
LARGEST = 2**20


def with_constants(graph: GraphDef) -> GraphDef:
    """Put constants in the place of kernels and biases that are computed from constants alone, as transposed ones are.

    What hands a constant on stays, for a kernel that two convolutions share is one; and so does what would grow
    far beyond the constants it is made of. All else stays, too, lest the weights of a network be others than those
    that a file of gains was saved for.

    Args:
        graph: In order, without control edges and without state, see `graph_nodes.prepared`.

    Returns:
        A copy.
    """
    sizes = _known(graph)
    values = _values(graph, _computed_edges(graph, sizes))
    small = {edge: v for edge, v in values.items() if v.size <= max(LARGEST, 2 * sizes[_name(edge)])}
    result = GraphDef()
    result.CopyFrom(graph)
    last = result.node[-1].name
    for node in result.node:
        for number, edge in enumerate(node.input):
            if edge in small:
                node.input[number] = _constant_name(edge)
    result.node.extend(graph_nodes.constant(_constant_name(edge), value) for edge, value in small.items())
    return graph_nodes.in_order(result, last)


def _known(graph):
    """Find the nodes that depend on constants alone, and the numbers that are in these."""
    sizes = {}
    for node in graph.node:
        if node.op == "Const":
            sizes[node.name] = int(np.prod([side.size for side in node.attr["value"].tensor.tensor_shape.dim]))
        elif node.input and not _is_random(node) and all(_name(each) in sizes for each in node.input):
            sizes[node.name] = sum(sizes[_name(each)] for each in node.input)
    return sizes


def _is_random(node):
    definition = op_def_registry.get(node.op)
    return definition is None or definition.is_stateful or "Random" in node.op


def _computed_edges(graph, sizes):
    """List the outputs of nodes that are computed from constants and used as kernel or bias of a convolution."""
    nodes, edges = {node.name: node for node in graph.node}, {}
    for node in graph.node:
        if node.op in graph_nodes.CONVOLUTIONS:
            kind = graph_nodes.CONVOLUTIONS[node.op]
            if _name(node.input[kind.image]) not in sizes:
                edges[node.input[kind.kernel]] = graph_nodes.SAME
        elif node.op in graph_nodes.ADDING:
            constant, other = sorted(node.input, key=lambda edge: _name(edge) not in sizes)
            if _is_of_convolution(nodes[_name(other)], nodes):
                edges[constant] = graph_nodes.RESHAPED
    return [
        edge
        for edge, through in edges.items()
        if _name(edge) in sizes and graph_nodes.constant_behind(edge, nodes, through) is None
    ]


def _is_of_convolution(node, nodes):
    while node.op in graph_nodes.TRANSPARENT:
        node = nodes[_name(node.input[0])]
    return node.op in graph_nodes.CONVOLUTIONS


def _values(graph, edges):
    if not edges:
        return {}
    with tf.Graph().as_default() as whole:
        tf.graph_util.import_graph_def(graph, name="")
    with tf.compat.v1.Session(graph=whole) as session:
        tensors = [edge if ":" in edge else f"{edge}:0" for edge in edges]
        return dict(zip(edges, session.run(tensors), strict=True))


def _constant_name(edge):
    return f"{edge.replace(':', '/output_')}/constant"


def _name(edge):
    return edge.partition(":")[0]
