"""A network as a pure function of what is tuned in it."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import gain_layers, insert_gains
from gaintuning_tf.networks.network import Network
from gaintuning_tf.tuning.tunable_network import TunableNetwork, with_tunable_gains

IMAGES = np.random.default_rng(0).random((2, 9, 11, 1)).astype("float32")


def values_of(network, seed=1):
    rng = np.random.default_rng(seed)
    return [tf.constant(rng.normal(1, 0.1, v.shape), tf.float32) for v in network.variables]


def test_values_are_arguments_and_no_variable_changes(tiny):
    network = with_tunable_gains(Network(tiny))
    *gains, contrast = values_of(network)
    found = network.apply([*gains, contrast], IMAGES)
    assert all(np.all(v.numpy() == 1) for v in network.variables)
    by_hand = insert_gains(tiny)
    for layer, value in zip(gain_layers(by_hand), gains, strict=True):
        layer.gain.assign(value)
    s = float(contrast[0])
    np.testing.assert_allclose(found, 0.5 + (by_hand(0.5 + s * (IMAGES - 0.5)) - 0.5) / s, atol=1e-5)


def test_the_variables_are_the_arguments_by_default(tiny):
    network = with_tunable_gains(Network(tiny))
    for variable, value in zip(network.variables, values_of(network), strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(network.denoise(tf.constant(IMAGES)), network.apply(values_of(network), IMAGES))


@pytest.mark.parametrize("images", [None, 2])
def test_flat_and_split_undo_each_other_and_numbers_go_to_groups(tiny, images):
    network = with_tunable_gains(Network(insert_gains(tiny, images=images)))
    *gains, _ = values_of(network)
    flat = network.flat(gains)
    assert flat.shape == (network.groups, 5) == (images or 1, 5)
    for value, again in zip(gains, network.split(flat), strict=True):
        np.testing.assert_array_equal(value, again)
    found = network.by_group(tf.constant([1.0, 3.0]))
    assert found.dtype == tf.float64
    assert found.numpy().tolist() == ([1, 3] if images else [2])


def test_weights_may_be_what_is_tuned_and_start_where_they_are(tiny):
    weights = tiny.get_layer("last").trainable_variables
    network = TunableNetwork(Network(tiny), weights, initial=[np.asarray(w) for w in weights])
    np.testing.assert_array_equal(network.initial[0], weights[0])
    np.testing.assert_allclose(
        network.apply([tf.constant(v, tf.float32) for v in network.initial], IMAGES), tiny(IMAGES), atol=1e-6
    )
    nothing = [tf.zeros(w.shape) for w in weights]
    np.testing.assert_array_equal(network.apply([*nothing, tf.ones(1)], IMAGES), np.zeros_like(IMAGES))
