"""What a graph computes from constants alone."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.gains.graphs import graph_constants
from gaintuning_tf.gains.graphs.graph_constants import with_constants
from gaintuning_tf.gains.graphs.graph_nodes import find_convolutions, prepared

KERNEL = np.random.default_rng(0).normal(0, 1, (1, 1, 3, 3)).astype("float32")


def graph_of(function):
    with tf.Graph().as_default() as graph:
        tf.identity(function(tf.compat.v1.placeholder(tf.float32, [None, None, None, 1], name="x")), name="y")
    return prepared(graph.as_graph_def(), "x", "y")


def run(graph, image):
    def feed(x):
        return tf.graph_util.import_graph_def(graph, {"x:0": x}, ["y:0"], name="")[0]

    return tf.function(feed, autograph=False)(image)


def transposed(times):
    def network(x):
        kernel = tf.transpose(tf.constant(KERNEL), [2, 3, 1, 0])
        for _ in range(times):
            x = tf.nn.conv2d(x, kernel, 1, "SAME")
        return x

    return network


def test_a_kernel_that_two_convolutions_share_stays_one():
    before = graph_of(transposed(2))
    assert [found.kernel for found in find_convolutions(before)] == [None, None]
    after = with_constants(before)
    one, other = (found.kernel for found in find_convolutions(after))
    assert one == other is not None
    image = np.random.default_rng(1).random((1, 5, 6, 1)).astype("float32")
    # With a kernel that is known beforehand, oneDNN may take another order of sums.
    np.testing.assert_allclose(run(after, image), run(before, image), atol=1e-6)


def test_kernels_and_biases_that_are_constants_stay_as_they_are():
    def network(x):
        kernel = tf.identity(tf.constant(KERNEL.transpose(2, 3, 1, 0)))
        y = tf.nn.conv2d(x, kernel, 1, "SAME") + tf.reshape(tf.constant([0.5]), [1, 1, 1, 1])
        # As batch normalisation does: computed from constants, and no bias of a convolution.
        return y * tf.constant([2.0]) + (tf.constant([1.0]) - tf.constant([3.0]) * tf.constant([4.0]))

    graph = graph_of(network)
    assert with_constants(graph) == graph


def test_what_would_grow_far_beyond_its_constants_stays_computed(monkeypatch):
    monkeypatch.setattr(graph_constants, "LARGEST", 8)
    graph = graph_of(lambda x: tf.nn.conv2d(x, tf.fill([5, 5, 1, 1], 0.04), 1, "SAME"))
    assert with_constants(graph) == graph
    monkeypatch.setattr(graph_constants, "LARGEST", 25)
    assert find_convolutions(with_constants(graph))[0].kernel is not None


def test_random_kernels_are_drawn_in_each_run():
    graph = graph_of(lambda x: tf.nn.conv2d(x, tf.random.normal([3, 3, 1, 1]), 1, "SAME"))
    assert with_constants(graph) == graph


@pytest.mark.parametrize("op", ["+", "bias_add"])
def test_a_bias_that_is_computed_is_found(op):
    def network(x):
        y = tf.nn.conv2d(x, tf.constant(KERNEL.transpose(2, 3, 1, 0)), 1, "SAME")
        bias = tf.constant([0.25]) * 2.0
        return y + bias if op == "+" else tf.nn.bias_add(y, bias)

    (found,) = find_convolutions(with_constants(graph_of(network)))
    assert found.bias is not None
