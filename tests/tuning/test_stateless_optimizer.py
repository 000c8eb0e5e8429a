"""Stateless Keras optimizers step exactly as the stateful ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.tuning.stateless_optimizer import stateless

OPTIMIZERS = [
    keras.optimizers.SGD(0.1, momentum=0.9),
    keras.optimizers.RMSprop(0.1),
    keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 5)),
    keras.optimizers.AdamW(0.1, weight_decay=0.1, clipnorm=0.5),
    keras.optimizers.Lion(0.1),
    keras.optimizers.Adagrad(0.1),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_like_the_original(optimizer, jit_compile):
    start = [np.array([1.0, -2.0], "float32"), np.array([[0.5]], "float32")]
    gradient = [np.array([0.3, 0.1], "float32"), np.array([[-2.0]], "float32")]
    variables = [keras.Variable(v) for v in start]
    original = type(optimizer).from_config(optimizer.get_config())
    original.build(variables)

    mirrored = [keras.Variable(v) for v in start]
    pure = stateless(optimizer)
    pure.build(mirrored)
    step = tf.function(lambda s, g, v: pure.stateless_apply(s, g, v), jit_compile=jit_compile, autograph=False)
    state = [tf.convert_to_tensor(v.value) for v in pure.variables]
    values = [tf.constant(v) for v in start]
    for _ in range(4):
        original.apply([tf.constant(g) for g in gradient])
        values, state = step(state, [tf.constant(g) for g in gradient], values)
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_allclose(variable.numpy(), value.numpy(), rtol=1e-5)
    for variable, value in zip(mirrored, start, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_refuses_what_is_no_optimizer():
    with pytest.raises(TypeError, match=r"keras\.optimizers\.Optimizer"):
        stateless("adam")
