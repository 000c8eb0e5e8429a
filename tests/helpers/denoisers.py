"""Denoisers whose traces are known, for the tests of losses."""

import numpy as np
import tensorflow as tf

SIDE = 24
KERNEL = np.random.default_rng(5).normal(0.1, 0.1, (3, 3, 1, 1)).astype("float32")


def blur(y):
    return tf.nn.conv2d(y, KERNEL, 1, "SAME")


def matrix(side=SIDE):
    """The matrix of `blur`, column by column."""
    units = np.eye(side * side, dtype="float32").reshape(-1, side, side, 1)
    return blur(units).numpy().reshape(side * side, -1).T


def image(seed=0, side=SIDE, n=1):
    return np.random.default_rng(seed).random((n, side, side, 1)).astype("float32")


def curved(y):
    """A denoiser with kinks and curvature: not linear, so that its divergence depends on y."""
    return 0.5 * blur(tf.nn.relu(y - 0.3)) + 0.4 * tf.tanh(y)


def curved64(y):
    kernel = tf.constant(KERNEL, tf.float64)
    return 0.5 * tf.nn.conv2d(tf.nn.relu(y - 0.3), kernel, 1, "SAME") + 0.4 * tf.tanh(y)
