"""Keras optimizers as pure functions under TensorFlow."""

from __future__ import annotations

import keras
from keras.src.optimizers.base_optimizer import BaseOptimizer


class _Stateless:
    """What TensorFlow's optimizers override for tf.distribute, as in the other backends.

    Keras refuses `stateless_apply` under TensorFlow because tf.distribute needs real
    variables (keras-team/keras#18497); without tf.distribute nothing speaks against it.
    """

    assign = BaseOptimizer.assign
    assign_add = BaseOptimizer.assign_add
    assign_sub = BaseOptimizer.assign_sub
    stateless_apply = BaseOptimizer.stateless_apply
    _var_key = BaseOptimizer._var_key
    _apply_weight_decay = BaseOptimizer._apply_weight_decay
    _backend_update_step = BaseOptimizer._backend_update_step


def stateless(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Copy any Keras optimizer, unbuilt, so that `stateless_apply` works under TensorFlow.

    Args:
        optimizer: Left untouched; only its configuration is used.

    Raises:
        TypeError: Not a Keras optimizer.

    Example:

    >>> import keras
    >>> variable = keras.Variable([1.0, 2.0])
    >>> optimizer = stateless(keras.optimizers.SGD(0.5))
    >>> optimizer.build([variable])
    >>> state = [v.value for v in optimizer.variables]
    >>> (new,), _ = optimizer.stateless_apply(state, [keras.ops.ones(2)], [variable.value])
    >>> new.numpy().tolist(), variable.numpy().tolist()
    ([0.5, 1.5], [1.0, 2.0])
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(f"expected a keras.optimizers.Optimizer, received {type(optimizer).__name__}")
    kind = type(optimizer)
    return type(f"Stateless{kind.__name__}", (_Stateless, kind), {}).from_config(optimizer.get_config())
