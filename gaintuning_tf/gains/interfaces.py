"""Networks of any origin as one image in, one image out: of structures, whole numbers, names that scopes refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from gaintuning_tf.errors import InputError, of_network
from gaintuning_tf.gains.keras_types import as_array, is_whole
from gaintuning_tf.gains.layer_copies import needs_change
from gaintuning_tf.gains.rewriting import Rewriter


def with_plain_ends(model: keras.Model) -> keras.Model:
    """Take the tensors out of the list, tuple or dict in which a model takes or returns one.

    Args:
        model: A Functional or Sequential model; its layers are those of the result.

    Returns:
        A model that returns a tensor if it has one output, and takes one if it has one input; `model` if it does.

    Example:

    >>> inputs = keras.Input((None, None, 1))
    >>> model = keras.Model({"noisy": inputs}, [keras.layers.ReLU()(inputs)])
    >>> with_plain_ends(model).output_shape
    (None, None, None, 1)
    """
    given = _given(model)
    alone = len(model.inputs) == 1 and keras.tree.is_nested(given)
    if len(model.outputs) != 1 or not (alone or keras.tree.is_nested(_returned(model, given))):
        return model
    return keras.Model(model.inputs[0] if alone else given, model.outputs[0], name=model.name)


def runnable(model: keras.Model) -> keras.Model:
    """Copy a model that Keras runs, but not everywhere: at open sizes, in a graph, on numbers between whole ones.

    Returns:
        `model` itself if it needs no change. Otherwise a copy that takes floating point numbers, with names that
        TensorFlow takes for scopes, and with interpolation that takes sides that are known only when it runs.

    Raises:
        InputError: It takes whole numbers, and does with them what other numbers do not allow; or a layer cannot
            be copied.
    """
    layers = [*model._flatten_layers()]
    whole = any(is_whole(tensor.dtype) for tensor in model.inputs)
    if not whole and not any(needs_change(layer) for layer in layers):
        return model
    rewriter = _OfNumbers() if whole else Rewriter()
    copy = rewriter.rewrite(model)
    rewriter.copy_variables()
    return copy


def range_of(dtype: str) -> str | None:
    """Say what images of whole numbers mean to a network, as `normalize` has it; None for other numbers.

    Example:

    >>> range_of("uint8"), range_of("uint16"), range_of("int32"), range_of("float32")
    ('0..255', '0..65535', '0..255', None)
    """
    if not is_whole(dtype):
        return None
    return "0..65535" if dtype == "uint16" else "0..255"


def in_numbers_of_input(model: keras.Model, top: float) -> keras.Model:
    """Let a network of images up to `top` that returns them up to 1 return them up to `top`.

    Args:
        model: A denoiser of one image. Which of both it does, what it makes of a ramp says.
        top: The largest value, more than 2.
    """
    given = model.inputs[0]
    shape = [2, *(16 if side is None else side for side in given.shape[1:-1]), given.shape[-1]]
    ramp = np.linspace(0, top, int(np.prod(shape))).reshape(shape).astype(given.dtype)
    with of_network(model.name):
        found = as_array(model(ramp, training=False)).astype("float64")
    if not np.abs(found).max() <= 2:
        return model
    return keras.Model(given, keras.layers.Rescaling(top, dtype="float32")(model.outputs[0]), name=model.name)


class _OfNumbers(Rewriter):
    """Copies a model with inputs of floating point numbers in the place of whole ones."""

    def rewrite(self, model):
        tensors = [self._input(tensor) for tensor in model.inputs]
        with of_network(model.name):
            if isinstance(model, keras.Sequential):
                return self._stacked(model, tensors)
            given = keras.tree.pack_sequence_as(model.input, tensors)
            return keras.models.clone_model(model, given, clone_function=self.copy, call_function=self.call)

    def _stacked(self, model, tensors: Sequence[Any]):
        x = tensors[0]
        for layer in model.layers:
            x = self.call(self.copy(layer), x)
        return keras.Model(tensors[0], x, name=model.name)

    def _input(self, tensor):
        dtype = "float32" if is_whole(tensor.dtype) else tensor.dtype
        return keras.Input(batch_shape=tensor.shape, dtype=dtype, name=tensor.name)


def _given(model):
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _returned(model, given):
    if not isinstance(model, keras.Sequential):
        return model.output
    return model.compute_output_spec(keras.KerasTensor(given.shape, given.dtype))


def check_same(model: keras.Model, copy: keras.Model, inputs: Any) -> None:
    """Try whether a copy computes what its model does: a custom layer's configuration need not say all of it.

    Args:
        model: The model.
        copy: Its copy, with its variables.
        inputs: What to try it on.

    Raises:
        InputError: It does not.
    """
    with of_network(model.name):
        pairs = [[keras.tree.flatten(one(inputs, training=False)) for one in (model, copy)]]
    for wanted, found in zip(*pairs[0], strict=True):
        wanted, found = (keras.ops.convert_to_numpy(value).astype(np.float64) for value in (wanted, found))
        if not np.allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max(initial=0), equal_nan=True):
            raise InputError(
                f"cannot copy {model.name!r}: made from the configuration of its layers it computes something else, so "
                "that one of them keeps more than its get_config says"
            )
