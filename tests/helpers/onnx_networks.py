"""Writes small denoisers as ONNX files, node for node as PyTorch exports them: `python onnx_networks.py FOLDER [SIDE]`.

Beside each, `NAME.npz` has an image and what onnxruntime makes of it. It runs where a converter is, with onnx and
onnxruntime, and knows nothing of this package.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 8
# What onnx-tf and every onnxruntime read.
OPSET, IR = 13, 8


class Graph:
    """Collects nodes; each method returns the name of its result."""

    def __init__(self, seed=0):
        self.nodes, self.weights, self.rng = [], [], np.random.default_rng(seed)

    def constant(self, values):
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind.lower()}{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def number(self, value):
        return self.constant(np.float32(value))

    def conv(self, x, given, filters, size=3, stride=1, groups=1):
        scale = 0.8 / (size * np.sqrt(given / groups))
        kernel = self.rng.normal(0, scale, (filters, given // groups, size, size)).astype(np.float32)
        bias = self.rng.normal(0, 0.01, filters).astype(np.float32)
        shape = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [size // 2] * 4, "group": groups}
        return self.node("Conv", x, self.constant(kernel), self.constant(bias), **shape)

    def relu(self, x):
        return self.node("Relu", x)

    def channelwise(self, x, low=0.8, high=1.2):
        """Multiply and add one number for each channel, as at the end of a normalisation."""
        gain, bias = self.rng.uniform(low, high, (CHANNELS, 1, 1)), self.rng.normal(0, 0.02, (CHANNELS, 1, 1))
        scaled = self.node("Mul", x, self.constant(gain.astype(np.float32)))
        return self.node("Add", scaled, self.constant(bias.astype(np.float32)))

    def batch_norm(self, x):
        one = [self.rng.uniform(0.8, 1.2, CHANNELS), self.rng.normal(0, 0.1, CHANNELS)]
        two = [self.rng.normal(0, 0.1, CHANNELS), self.rng.uniform(0.5, 1.5, CHANNELS)]
        return self.node("BatchNormalization", x, *(self.constant(part.astype(np.float32)) for part in one + two))

    def group_norm(self, x, side):
        inner = self.node("Reshape", x, self.constant(np.array([0, 2, -1], np.int64)))
        scale, bias = self.constant(np.ones(2, np.float32)), self.constant(np.zeros(2, np.float32))
        normal = self.node("InstanceNormalization", inner, scale, bias, epsilon=1e-5)
        back = self.constant(np.array([-1, CHANNELS, side, side], np.int64))
        return self.channelwise(self.node("Reshape", normal, back))

    def layer_norm(self, x):
        """Normalise over the channels, as NAFNet's LayerNorm2d."""
        centred = self.node("Sub", x, self.node("ReduceMean", x, axes=[1], keepdims=1))
        squared = self.node("Pow", centred, self.number(2.0))
        variance = self.node("ReduceMean", squared, axes=[1], keepdims=1)
        root = self.node("Sqrt", self.node("Add", variance, self.number(1e-6)))
        return self.channelwise(self.node("Div", centred, root))

    def write(self, path, x, side):
        # Any number of images: a converter writes what is fixed into the graph.
        shape = ["N", 1, side, side]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", x)]
        graph = helper.make_graph(self.nodes, path.stem, ends[:1], ends[1:], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))


def dncnn(graph, side):
    x = graph.relu(graph.conv("image", 1, CHANNELS))
    x = graph.relu(graph.batch_norm(graph.conv(x, CHANNELS, CHANNELS)))
    return graph.node("Sub", "image", graph.conv(x, CHANNELS, 1))


def unet(graph, side):
    """Go down by a stride and up by a pixel shuffle."""
    first = graph.relu(graph.conv("image", 1, CHANNELS))
    deep = graph.relu(graph.conv(first, CHANNELS, CHANNELS, stride=2))
    deep = graph.conv(deep, CHANNELS, 4 * CHANNELS)
    up = graph.node("DepthToSpace", deep, blocksize=2, mode="CRD")
    x = graph.relu(graph.conv(graph.node("Concat", first, up, axis=1), 2 * CHANNELS, CHANNELS))
    return graph.node("Sub", "image", graph.conv(x, CHANNELS, 1))


def group_norm(graph, side):
    x = graph.relu(graph.group_norm(graph.conv("image", 1, CHANNELS), side))
    x = graph.relu(graph.group_norm(graph.conv(x, CHANNELS, CHANNELS), side))
    return graph.node("Sub", "image", graph.conv(x, CHANNELS, 1))


def nafnet(graph, side):
    """One block: layer norm, depthwise convolution, a gate, attention over the channels."""
    start = graph.conv("image", 1, CHANNELS)
    x = graph.conv(graph.layer_norm(start), CHANNELS, 2 * CHANNELS, size=1)
    x = graph.conv(x, 2 * CHANNELS, 2 * CHANNELS, groups=2 * CHANNELS)
    parts = graph.node("Split", x, outputs=2, axis=1)
    x = graph.node("Mul", *parts)
    pooled = graph.node("GlobalAveragePool", x)
    x = graph.node("Mul", x, graph.conv(pooled, CHANNELS, CHANNELS, size=1))
    x = graph.node("Add", start, graph.channelwise(graph.conv(x, CHANNELS, CHANNELS, size=1)))
    return graph.node("Sub", "image", graph.conv(x, CHANNELS, 1))


NETWORKS = {build.__name__: build for build in (dncnn, unet, group_norm, nafnet)}


def main(folder, side=48):
    """Write all of them."""
    for name, build in NETWORKS.items():
        graph, path = Graph(), Path(folder) / f"{name}.onnx"
        graph.write(path, build(graph, side), side)
        image = np.random.default_rng(1).uniform(0, 1, (1, 1, side, side)).astype(np.float32)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (output,) = session.run(None, {"image": image})
        np.savez(path.with_suffix(".npz"), image=np.moveaxis(image, 1, -1), output=np.moveaxis(output, 1, -1))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
