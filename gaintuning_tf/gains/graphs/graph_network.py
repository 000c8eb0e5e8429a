"""A TensorFlow graph as a Keras layer, its weights and its gains as variables of the layer."""

from __future__ import annotations

import base64
import dataclasses
import graphlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.graphs import graph_nodes
from gaintuning_tf.gains.graphs.graph_nodes import Convolution
from gaintuning_tf.gains.keras_types import Shape, Tensor, as_array
from gaintuning_tf.gains.layers import PACKAGE, Gain
from gaintuning_tf.support.tensorflow_messages import GraphDef


@keras.saving.register_keras_serializable(PACKAGE)
class GraphNetwork(keras.layers.Layer):
    """A network that is known as a TensorFlow graph only, with a gain behind each chosen convolution.

    The graph is imported into a `tf.function` each time the layer is traced: the gradient with respect to the gains
    is that of the graph's own ops. All arrays of the graph are weights of the layer, none of them trainable.

    Args:
        graph: The graph, serialised, compressed and in base64; see `from_graph`.
        source: Name of its placeholder for the image.
        output: Name of the node that is the result.
        constants: Name, shape and dtype of each of its arrays, for which it has placeholders.
        convolutions: Fields of each `Convolution` in it.
        chosen: Positions among these of the ones that have a gain.
        images: See `Gain`.
    """

    def __init__(
        self,
        graph: str,
        source: str,
        output: str,
        constants: Sequence[Sequence[Any]],
        convolutions: Sequence[Mapping[str, Any]],
        chosen: Sequence[int] = (),
        images: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._graph, self.source, self.output_node = graph, source, output
        # Again, though a graph is checked when it is prepared: this one may come from a file of unknown origin.
        graph_nodes.refuse_state(self._definition().node)
        self._constants = [[name, list(shape), dtype] for name, shape, dtype in constants]
        self.convolutions = [_restored(fields) for fields in convolutions]
        self.chosen, self.images = list(chosen), images
        self.constants = {
            name: self.add_weight(name=f"constant_{i}", shape=shape, dtype=dtype, trainable=False, autocast=False)
            for i, (name, shape, dtype) in enumerate(self._constants)
        }
        self.gains, self._groups = [], {}
        for index in self.chosen:
            self._add_gain(self.convolutions[index])
        self._run = self._function()

    @classmethod
    def from_graph(cls, graph: GraphDef, source: str, output: str, dtype: str = "float32") -> GraphNetwork:
        """Make the layer of a prepared graph, see `graph_nodes.prepared`."""
        found = graph_nodes.find_convolutions(graph)
        graph, found = graph_nodes.with_own_biases(graph, found)
        graph, arrays = graph_nodes.take_out_constants(graph)
        found = [dataclasses.replace(c, fixed=_is_blur(arrays.get(c.kernel or ""), c.kernel_axes)) for c in found]
        packed = base64.b64encode(zlib.compress(graph.SerializeToString(deterministic=True))).decode()
        constants = [(key, value.shape, value.dtype.name) for key, value in arrays.items()]
        layer = cls(packed, source, output, constants, [dataclasses.asdict(c) for c in found], dtype=dtype)
        for key, value in arrays.items():
            layer.constants[key].assign(value)
        return layer

    def with_gains(self, chosen: list[int], images: int | None) -> GraphNetwork:
        """Copy the layer, with gains of one behind the chosen convolutions."""
        return self._copy(chosen=chosen, images=images)

    def without_gains(self) -> GraphNetwork:
        """Copy the layer without gains, the weights as they are."""
        return self._copy(chosen=[], images=None)

    def fold_into(self, copy: GraphNetwork) -> None:
        """Multiply each gain into the kernel and the bias before it, in a copy without gains.

        Raises:
            InputError: A kernel is not an array of the graph, or not of its convolutions alone.
        """
        for gain, (kernel, members) in zip(self.gains, self._groups.items(), strict=True):
            convolution = self.convolutions[members[0]]
            if convolution.kernel is None or len(members) != self._uses(kernel):
                raise InputError(
                    f"fold_gains cannot fold into {convolution.name!r}: its kernel is computed, or used elsewhere too; "
                    "keep the gains, or leave it out of insert_gains with `where`"
                )
            factor = as_array(gain.gain).reshape(-1)
            _scale(copy.constants[kernel], factor, convolution.kernel_axes)
            for bias in {self.convolutions[member].bias for member in members} - {None}:
                _scale(copy.constants[bias], factor, None)

    def gains_in_order(self) -> list[Gain]:
        """List the gains in the order in which the image meets them; `gains` has the order of the graph's nodes."""
        before = {
            node.name: [name.lstrip("^").partition(":")[0] for name in node.input] for node in self._definition().node
        }
        rank = {name: number for number, name in enumerate(graphlib.TopologicalSorter(before).static_order())}
        first = [min(rank[self.convolutions[i].output] for i in members) for members in self._groups.values()]
        return [self.gains[index] for index in np.argsort(first, kind="stable")]

    def build(self, input_shape: Shape) -> None:
        pass  # all variables are there from the start: the graph has their shapes

    def call(self, inputs: Tensor) -> Tensor:
        constants = [tf.convert_to_tensor(value.value) for value in self.constants.values()]
        batch = tf.shape(inputs)[0]
        inputs = tf.cast(inputs, self.compute_dtype)  # whole numbers, which Keras leaves as they are
        factors = []
        for index in self.chosen:
            convolution = self.convolutions[index]
            gain = self.gains[list(self._groups).index(_group(convolution))].gain
            factors.append(_factor(tf.convert_to_tensor(gain.value), convolution, batch))
        return self._run(inputs, constants, factors)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        with tf.Graph().as_default():
            image = tf.compat.v1.placeholder(self.compute_dtype, input_shape)
            constants = [tf.compat.v1.placeholder(dtype, shape) for _, shape, dtype in self._constants]
            found = self._without_factors(image, constants).shape
        known = tuple(input_shape)[1:]
        if None in found[1:-1] and None not in known:
            return self._measured_shape(input_shape)
        if found.rank is None:
            return tuple(input_shape)
        return (input_shape[0], *found[1:])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "graph": self._graph,
            "source": self.source,
            "output": self.output_node,
            "constants": self._constants,
            "convolutions": [dataclasses.asdict(convolution) for convolution in self.convolutions],
            "chosen": self.chosen,
            "images": self.images,
        }

    def _add_gain(self, convolution):
        group = _group(convolution)
        if group not in self._groups:
            gain = Gain(self.images, "channels_last", dtype="float32", name=_gain_name(convolution))
            gain.build((None,) * (convolution.rank - 1) + (convolution.channels,))
            self.gains.append(gain)
        self._groups.setdefault(group, []).append(self.convolutions.index(convolution))

    def _uses(self, kernel):
        """Count the convolutions that use the array, and all else that does."""
        graph = self._definition()
        identities, count = {kernel}, 0
        for node in graph.node:  # in order: an identity before what uses it
            if node.op in graph_nodes.SAME and node.input[0].removesuffix(":0") in identities:
                identities.add(node.name)
            else:
                count += sum(name.removesuffix(":0") in identities for name in node.input)
        return count

    def _copy(self, **changes):
        copy = type(self).from_config({**self.get_config(), **changes})
        for name, value in self.constants.items():
            copy.constants[name].assign(value)
        return copy

    def _definition(self):
        graph = GraphDef.FromString(zlib.decompress(base64.b64decode(self._graph)))
        # A graph in a file of an earlier version still keeps all of that.
        return graph_nodes.portable(graph)

    def _function(self):
        graph, renamed = graph_nodes.with_factors(
            self._definition(), [self.convolutions[index] for index in self.chosen]
        )
        names = [f"{name}:0" for name, _, _ in self._constants]
        outputs = [self.convolutions[index].output for index in self.chosen]
        result = f"{renamed.get(self.output_node, self.output_node)}:0"

        def run(image, constants, factors):
            feeds = {f"{self.source}:0": image, **dict(zip(names, constants, strict=True))}
            feeds |= {f"{graph_nodes.factor_name(o)}:0": f for o, f in zip(outputs, factors, strict=True)}
            return tf.graph_util.import_graph_def(graph, feeds, [result], name="")[0]

        # A tape does not record ops that are imported: it records the call of the function that they make up.
        return tf.function(run, autograph=False, reduce_retracing=True)

    def _without_factors(self, image, constants):
        feeds = {f"{self.source}:0": image}
        feeds |= {f"{name}:0": value for (name, _, _), value in zip(self._constants, constants, strict=True)}
        return tf.graph_util.import_graph_def(self._definition(), feeds, [f"{self.output_node}:0"], name="")[0]

    def _measured_shape(self, shape):
        try:
            return tuple(self(tf.zeros([side or 1 for side in shape], self.compute_dtype)).shape)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(str(error)) from error


def _gain_name(convolution):
    """Without the calls that were inlined."""
    parts = [part for part in convolution.name.split("/") if "PartitionedCall" not in part]
    return f"{'_'.join(parts)}_gain"


def _group(convolution):
    """Name what shares a gain: convolutions with the same kernel."""
    return convolution.kernel or convolution.name


def _factor(gain, convolution: Convolution, batch):
    """Bring the gain into a shape that multiplies the convolution's output, image by image if there is one for each."""
    sides = [1] * convolution.rank
    sides[convolution.axis] = convolution.channels
    if len(gain.shape) == 1:
        return tf.reshape(gain, sides)
    sides[0] = gain.shape[0]
    return tf.tile(tf.reshape(gain, sides), [batch // gain.shape[0], *[1] * (convolution.rank - 1)])


def _scale(variable, gain, axes):
    value = as_array(variable)
    if axes is None:  # a bias: one number per channel, whatever its shape
        variable.assign(value * gain.reshape(value.shape))
        return
    sides = [side if axis - value.ndim in axes else 1 for axis, side in enumerate(value.shape)]
    variable.assign(value * np.reshape(gain, sides))


def _is_blur(kernel, axes):
    """Whether a depthwise kernel of more than one pixel is the same for each of several channels."""
    if kernel is None or len(axes) < 2 or kernel.shape[-2] < 2 or kernel[..., 0, 0].size < 2:
        return False
    return bool(np.all(kernel == kernel[..., :1, :1]))


def _restored(fields):
    return Convolution(**{**fields, "kernel_axes": tuple(fields["kernel_axes"])})
