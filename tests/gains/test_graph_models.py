"""Networks of any origin as Keras models: the same outputs, gains behind every convolution, exact folding."""

import base64
import json
import shutil
import subprocess
import sys
import zipfile
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from gaintuning_tf import (
    GainTuner,
    InputError,
    MonteCarloSURE,
    fold_gains,
    gain_layers,
    gaintune,
    insert_gains,
    load_denoiser,
    load_gains,
    save_gains,
)
from gaintuning_tf.cli.program import main
from gaintuning_tf.gains.graphs.graph_models import as_keras_model
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.gains.graphs.graph_nodes import prepared
from gaintuning_tf.networks.architectures import blind_spot, dncnn, unet
from helpers.graph_writers import (
    BIASES,
    KERNELS,
    RNG,
    WRITERS,
    image,
    live_tf_keras,
    plain,
    write_keras,
    write_module,
    write_nchw,
    write_tf1,
)


@pytest.mark.parametrize("write", WRITERS)
def test_whatever_wrote_it_the_network_is_the_same_with_and_without_gains(write, tmp_path):
    path = str(tmp_path / "saved")
    write(path)
    model, expected = load_denoiser(path), plain()
    x = image()
    np.testing.assert_allclose(model(x), expected(x), atol=1e-6)
    gained, reference = insert_gains(model), insert_gains(expected)
    np.testing.assert_array_equal(gained(x), model(x))
    ours, theirs = gained.layers[-1].gains, gain_layers(reference)
    assert [gain.gain.shape for gain in ours] == [gain.gain.shape for gain in theirs] == [(4,), (4,), (1,)]
    assert len(gain_layers(gained)) == 3
    assert len(gained.trainable_variables) == 3
    # The bias is scaled along, as in a Keras model: gains mean the same.
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        values = np.random.default_rng(number).uniform(0.5, 1.5, one.gain.shape)
        one.gain.assign(values)
        other.gain.assign(values)
    np.testing.assert_allclose(gained(x), reference(x), atol=1e-5)
    folded = fold_gains(gained)
    assert gain_layers(folded) == []
    assert folded.count_params() == model.count_params()
    np.testing.assert_allclose(folded(x), gained(x), atol=1e-5)
    np.testing.assert_allclose(model(x), expected(x), atol=1e-6)


@pytest.mark.parametrize("write", [write_tf1, write_nchw])
def test_tuning_is_that_of_the_keras_model(write, tmp_path, photograph):
    write(str(tmp_path / "saved"))
    model = load_denoiser(tmp_path / "saved")
    noisy = photograph + 0.1 * np.random.default_rng(0).standard_normal(photograph.shape).astype("float32")
    options = {"sigma": 0.1, "steps": 4, "progress": False}
    before = [weight.numpy() for weight in model.weights]
    ours, theirs = gaintune(noisy, model, **options), gaintune(noisy, plain(), **options)
    np.testing.assert_allclose(ours.denoised, theirs.denoised, atol=1e-4)
    assert np.any(ours.denoised != ours.pretrained)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


@pytest.mark.parametrize("model", [dncnn(depth=3, width=4, bias_free=True), unet(width=4), blind_spot(width=4)])
def test_the_projects_networks_come_back_from_keras_export(model, tmp_path):
    model.export(tmp_path / "saved", verbose=False)
    loaded = load_denoiser(tmp_path / "saved")
    for size in ((1, 13, 18, 1), (3, 8, 9, 1)):
        np.testing.assert_array_equal(loaded(image(size)), model(image(size)))
    # A convolution that is called four times is one kernel and one gain.
    assert len(gain_layers(insert_gains(loaded))) == len(gain_layers(insert_gains(model)))


def test_gradients_are_those_of_finite_differences(tmp_path):
    write_module(str(tmp_path / "saved"))
    gained = insert_gains(load_denoiser(tmp_path / "saved"))
    x = image()

    def value():
        return tf.reduce_sum(tf.square(tf.cast(gained(x), tf.float64)))

    with tf.GradientTape() as tape:
        loss = value()
    gradients = tape.gradient(loss, [gain.gain.value for gain in gain_layers(gained)])
    for gain, gradient in zip(gain_layers(gained), gradients, strict=True):
        start = gain.gain.numpy()
        for channel in range(len(start)):
            step = np.zeros_like(start)
            step[channel] = 1e-2
            gain.gain.assign(start + step)
            above = float(value())
            gain.gain.assign(start - step)
            slope = (above - float(value())) / 2e-2
            gain.gain.assign(start)
            assert float(gradient[channel]) == pytest.approx(slope, rel=1e-2, abs=0.02)


def test_gains_per_image_and_files_of_gains(tmp_path):
    write_module(str(tmp_path / "saved"))
    model = load_denoiser(tmp_path / "saved")
    both = insert_gains(model, images=2)
    for gain in gain_layers(both):
        gain.gain.assign(np.random.default_rng(0).uniform(0.5, 1.5, gain.gain.shape))
    x = image()
    for number in range(2):
        alone = insert_gains(model)
        for one, two in zip(gain_layers(alone), gain_layers(both), strict=True):
            one.gain.assign(two.gain[number])
        np.testing.assert_allclose(both(x)[number], alone(x[number : number + 1])[0], atol=1e-6)
    save_gains(alone, tmp_path / "a.gains.h5")
    again = load_gains(model, tmp_path / "a.gains.h5")
    np.testing.assert_array_equal(again(x), alone(x))
    alone.save(tmp_path / "alone.keras")
    np.testing.assert_array_equal(load_denoiser(tmp_path / "alone.keras")(x), alone(x))


def test_some_convolutions_can_be_left_out(tmp_path):
    write_module(str(tmp_path / "saved"))
    gained = insert_gains(load_denoiser(tmp_path / "saved"), where=lambda found: found.channels == 1)
    assert [gain.gain.shape for gain in gain_layers(gained)] == [(1,)]


def export(tmp_path, function, *specs):
    module = tf.Module()
    module.function = tf.function(function, input_signature=[tf.TensorSpec(*spec) for spec in specs])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.function)
    return tmp_path / "saved"


GREY = ([None, None, None, 1], tf.float32, "x")


def test_other_kinds_of_convolution(tmp_path):
    depthwise = tf.constant(RNG.normal(0, 1, (3, 3, 4, 2)).astype("float32"))
    down = tf.constant(RNG.normal(0, 1, (3, 3, 1, 4)).astype("float32"))
    up = tf.constant(RNG.normal(0, 1, (3, 3, 1, 8)).astype("float32"))

    def network(x):
        y = tf.nn.conv2d(x, down, 2, "SAME")
        y = tf.nn.depthwise_conv2d(y, depthwise, [1, 1, 1, 1], "SAME", dilations=[2, 2])
        y = tf.nn.bias_add(y, tf.range(8.0))
        return tf.nn.conv2d_transpose(y, up, tf.shape(x), 2)

    model = load_denoiser(export(tmp_path, network, GREY))
    x = image((2, 12, 18, 1))
    np.testing.assert_allclose(model(x), network(tf.constant(x)), rtol=1e-5, atol=1e-5)
    gained = insert_gains(model)
    for gain in gain_layers(gained):
        gain.gain.assign(np.random.default_rng(0).uniform(0.5, 1.5, gain.gain.shape))
    assert [gain.gain.shape for gain in gained.layers[-1].gains] == [(4,), (8,), (1,)]
    np.testing.assert_allclose(fold_gains(gained)(x), gained(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["NDHWC", "NCDHW"])
def test_volumes(tmp_path, form):
    kernel = tf.constant(RNG.normal(0, 1, (3, 3, 3, 1, 1)).astype("float32"))

    def network(x):
        y = x if form == "NDHWC" else tf.transpose(x, [0, 4, 1, 2, 3])
        y = tf.nn.conv3d(y, kernel, [1] * 5, "SAME", data_format=form)
        return y if form == "NDHWC" else tf.transpose(y, [0, 2, 3, 4, 1])

    model = load_denoiser(export(tmp_path, network, ([None, None, None, None, 1], tf.float32, "x")))
    x = image((2, 5, 6, 7, 1))
    np.testing.assert_allclose(model(x), tf.nn.conv3d(x, kernel, [1] * 5, "SAME"), rtol=1e-5, atol=1e-5)
    assert len(gain_layers(insert_gains(model))) == 1


@pytest.mark.parametrize("activation", [None, "Relu", "LeakyRelu"])
def test_fused_convolutions_are_taken_apart(activation):
    kernel, bias = KERNELS[0][..., :1], np.array([0.1], np.float32)
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, [None, None, None, 1], name="x")
        tf.constant(kernel, name="kernel")
        tf.constant(bias, name="bias")
    definition = graph.as_graph_def()
    # An op of TensorFlow's own optimizer, without a function in Python.
    fused = definition.node.add(op="_FusedConv2D", name="fused", input=["x", "kernel", "bias"])
    fused.attr["T"].type = tf.float32.as_datatype_enum
    fused.attr["num_args"].i = 1
    fused.attr["strides"].list.i.extend([1, 1, 1, 1])
    fused.attr["padding"].s = b"SAME"
    fused.attr["fused_ops"].list.s.extend([b"BiasAdd", *([activation.encode()] if activation else [])])
    fused.attr["leakyrelu_alpha"].f = 0.3
    layer = GraphNetwork.from_graph(prepared(definition, "x", "fused"), "x", "fused")
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, layer(inputs))
    x = image()
    expected = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
    apply = {None: tf.identity, "Relu": tf.nn.relu, "LeakyRelu": lambda z: tf.nn.leaky_relu(z, 0.3)}[activation]
    np.testing.assert_allclose(model(x), apply(expected), atol=1e-6)
    gained = insert_gains(model)
    gain_layers(gained)[0].gain.assign([2.0])
    np.testing.assert_allclose(gained(x), apply(2 * expected), atol=1e-6)
    np.testing.assert_allclose(fold_gains(gained)(x), gained(x), atol=1e-5)


def test_a_bias_that_convolutions_share_is_scaled_for_each(tmp_path):
    kernels, bias = [tf.constant(kernel) for kernel in KERNELS[:2]], tf.constant(BIASES[0])
    last = tf.constant(KERNELS[2])

    def network(x):
        for kernel in kernels:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
        return tf.nn.conv2d(x, last, 1, "SAME")

    gained = insert_gains(load_denoiser(export(tmp_path, network, GREY)))
    for number, gain in enumerate(gain_layers(gained)):
        gain.gain.assign(np.full(gain.gain.shape, 0.5 + number))
    np.testing.assert_allclose(fold_gains(gained)(image()), gained(image()), rtol=1e-5, atol=1e-5)


def test_a_computed_kernel_has_a_gain_that_cannot_be_folded(tmp_path):
    kernel = tf.constant(KERNELS[0][..., :1])

    def network(x):
        return tf.nn.conv2d(x, tf.nn.l2_normalize(kernel) * (1 + 0 * x[0, 0, 0, 0]), 1, "SAME")

    gained = insert_gains(load_denoiser(export(tmp_path, network, GREY)))
    gain_layers(gained)[0].gain.assign([2.0])
    with pytest.raises(InputError, match="computed"):
        fold_gains(gained)


def test_sizes_that_are_fixed_stay_and_batches_that_are_do_not(tmp_path):
    kernel = tf.constant(KERNELS[0][..., :1])

    def network(x):
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    model = load_denoiser(export(tmp_path, network, ([1, 16, 18, 1], tf.float32, "x")))
    assert model.input_shape == (None, 16, 18, 1)
    assert model(image((3, 16, 18, 1))).shape == (3, 16, 18, 1)
    noisy = image((16, 18)) - 0.5
    assert gaintune(noisy, model, sigma=0.3, steps=2, progress=False).denoised.shape == (16, 18)
    # A larger image is seen in tiles.
    assert gaintune(image((20, 20)), model, sigma=0.3, steps=2, progress=False).denoised.shape == (20, 20)


def test_versions_and_other_files_beside_them(tmp_path):
    write_keras(tmp_path / "served" / "3")
    unet(width=4).export(tmp_path / "served" / "12", verbose=False)
    (tmp_path / "served" / "models.config").write_text("")
    assert len(gain_layers(insert_gains(load_denoiser(tmp_path / "served")))) == 9
    assert len(gain_layers(insert_gains(load_denoiser(tmp_path / "served" / "3")))) == 3


def test_live_tf_keras_models_are_tuned_and_left_alone():
    model = live_tf_keras(pytest.importorskip("tf_keras"))
    before = [value.copy() for value in model.get_weights()]
    x = image()
    np.testing.assert_allclose(as_keras_model(model)(x), plain()(x), atol=1e-6)
    tuner = GainTuner(model, MonteCarloSURE(sigma=0.2))
    tuner.tune(x, steps=2, progress=False)
    assert len(gain_layers(tuner.model)) == 3
    result = gaintune(x[0, ..., 0] - 0.5, model, sigma=0.2, steps=2, progress=False)
    assert result.denoised.shape == (13, 18)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = plain()

    def call(self, x, training=False):
        return x - self.inner(x)


def test_subclassed_models_are_tuned():
    model, x = Subclassed(), image()
    with pytest.raises(InputError, match="call it once"):
        insert_gains(model)
    expected = model(x)
    gained = insert_gains(model)
    np.testing.assert_allclose(gained(x), expected, atol=1e-6)
    assert len(gain_layers(gained)) == 3
    np.testing.assert_allclose(fold_gains(gained)(x), expected, atol=1e-5)
    with pytest.raises(InputError, match=r"expected a Keras model, received builtins\.int"):
        gaintune(x[0, ..., 0], 3)


@tf.custom_gradient
def mish(x):
    """As an activation with a gradient of its own: the same one, computed in another way."""
    tanh, sigmoid = tf.tanh(tf.math.softplus(x)), tf.sigmoid(x)
    return x * tanh, lambda upstream: upstream * (tanh + x * sigmoid * (1 - tanh**2))


def recomputed(x):
    return tf.recompute_grad(tf.tanh)(x)


# Each as a network calls it, and as a Functional model does.
ACTIVATIONS = {
    "silu": (tf.nn.silu, "silu"),
    "gelu": (tf.nn.gelu, "gelu"),
    "a gradient of its own": (mish, "mish"),
    "computed again": (recomputed, "tanh"),
}


def activated(activation, package=keras):
    """`plain` with another activation, of Keras or of tf-keras."""
    layers = package.layers
    inner = [layers.Conv2D(4, 3, padding="same", activation=activation) for _ in range(2)]
    model = package.Sequential([package.Input((None, None, 1)), *inner, layers.Conv2D(1, 3, padding="same")])
    model.set_weights([value for pair in zip(KERNELS, BIASES, strict=True) for value in pair])
    return model


class Calling(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x, training=False):
        return self.inner(x)


def exported_by_keras(activation, folder):
    activated(activation).export(folder / "saved", verbose=False)
    return load_denoiser(folder / "saved")


def live_in_tf_keras(activation, folder):
    return activated(activation, pytest.importorskip("tf_keras"))


def subclassed(activation, folder):
    model = Calling(activated(activation))
    model(image())
    return model


def saved_as_a_file(activation, folder):
    exported_by_keras(activation, folder).save(folder / "m.keras")
    return load_denoiser(folder / "m.keras")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("source", [exported_by_keras, live_in_tf_keras, subclassed, saved_as_a_file])
def test_the_gradient_is_that_of_the_ops_whatever_gradient_they_were_given(source, activation, tmp_path):
    theirs, ours = ACTIVATIONS[activation]
    model, expected, x = source(theirs, tmp_path), insert_gains(activated(ours)), image()
    gained = insert_gains(model)
    np.testing.assert_array_equal(gained(x), as_keras_model(model)(x))
    np.testing.assert_allclose(gained(x), expected(x), atol=1e-6)
    for found, wanted in zip(gradients_of_gains(gained, x), gradients_of_gains(expected, x), strict=True):
        assert np.abs(wanted).max() > 0.1
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def gradients_of_gains(model, x):
    """From the first convolution to the last."""
    graph = model.layers[-1]
    gains = graph.gains if isinstance(graph, GraphNetwork) else gain_layers(model)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.square(model(x)))
    return tape.gradient(value, [gain.gain.value for gain in gains])


@pytest.mark.parametrize("source", [exported_by_keras, live_in_tf_keras, subclassed])
def test_networks_with_silu_are_tuned_as_the_functional_model_is(source, tmp_path, photograph):
    noisy = photograph + 0.1 * np.random.default_rng(0).standard_normal(photograph.shape).astype("float32")
    options = {"sigma": 0.1, "steps": 4, "progress": False}
    found = gaintune(noisy, source(tf.nn.silu, tmp_path), **options)
    assert np.any(found.denoised != found.pretrained)
    np.testing.assert_allclose(found.denoised, gaintune(noisy, activated("silu"), **options).denoised, atol=1e-4)


def test_a_gradient_function_that_an_older_file_names_is_not_called(tmp_path):
    """Names of such functions are numbers of a process: in another one they may be somebody else's."""
    layer = exported_by_keras(tf.nn.silu, tmp_path).layers[-1]
    config = layer.get_config()
    graph = graph_pb2.GraphDef.FromString(zlib.decompress(base64.b64decode(config["graph"])))
    assert not any("_gradient_op_type" in node.attr for node in graph.node)
    tf.RegisterGradient("CustomGradient-of-somebody")(lambda op, *upstream: [0 * each for each in upstream])
    for node in graph.node:
        if node.op == "IdentityN":
            node.attr["_gradient_op_type"].s = b"CustomGradient-of-somebody"
    older = GraphNetwork.from_config({**config, "graph": base64.b64encode(zlib.compress(graph.SerializeToString()))})
    for name, value in layer.constants.items():
        older.constants[name].assign(value)
    inputs, x = keras.Input((None, None, 1)), image()
    found = gradients_of_gains(insert_gains(keras.Model(inputs, older(inputs))), x)
    for one, other in zip(found, gradients_of_gains(insert_gains(activated("silu")), x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def strings(x):
    return tf.cast(tf.strings.length(x), tf.float32)


def sum_of_two(x, y):
    return tf.nn.conv2d(x, tf.constant(KERNELS[0][..., :1]), 1, "SAME") * y


def sum_of_three(x, y, z):
    return sum_of_two(x, y) + z


def branches(x):
    kernel = tf.constant(KERNELS[0][..., :1])
    return tf.cond(tf.reduce_mean(x) > 0.5, lambda: tf.nn.conv2d(x, kernel, 1, "SAME"), lambda: x)


def twice(x):
    return tf.nn.conv2d(x, tf.constant(KERNELS[0][..., :1]), 1, "SAME") + tf.py_function(lambda v: v, [x], tf.float32)


@pytest.mark.parametrize(
    ("function", "specs", "message"),
    [
        (lambda x: 2 * x, [GREY], "with a convolution, found none"),
        (strings, [([None], tf.string, "x")], "it takes string"),
        (sum_of_three, [GREY, *(([], tf.float32, name) for name in "ab")], r"it takes 3 inputs \(a, b, x\)"),
        (branches, [GREY], "without control flow"),
        (twice, [GREY], "EagerPyFunc"),
        (lambda x: {"a": sum_of_two(x, 1.0), "b": x}, [GREY], "it returns 2 outputs"),
        (lambda x: tf.nn.relu(x), [([None, 5], tf.float32, "x")], r"it takes the shape \(None, 5\)"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(tmp_path, capsys, function, specs, message):
    path = export(tmp_path, function, *specs)
    with pytest.raises(InputError, match=message) as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)
    np.save(tmp_path / "x.npy", image((16, 16)))
    status = main(["denoise", str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.npy"), "--model", str(path)])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "y.npy").exists()


def test_folders_that_are_no_saved_model_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"no graph")
    write_keras(tmp_path / "torn")
    shutil.rmtree(tmp_path / "torn" / "variables")
    for name in ("empty", "broken", "torn"):
        with pytest.raises(InputError, match=name) as caught:
            load_denoiser(tmp_path / name)
        assert "\n" not in str(caught.value)
    tf.saved_model.save(tf.Module(), str(tmp_path / "mute"))
    with pytest.raises(InputError, match="has none"):
        load_denoiser(tmp_path / "mute")


def writes_in_a_function(x, folder):
    @tf.function(input_signature=[tf.TensorSpec([None, None, 1])])
    def write(row):
        with tf.control_dependencies([tf.io.write_file(f"{folder}/written", "harm")]):
            return tf.identity(row)

    shapes = {"output_types": [tf.float32], "output_shapes": [tf.TensorShape([None, None, 1])]}
    return tf.raw_ops.MapDefun(arguments=[x], captured_inputs=[], f=write.get_concrete_function(), **shapes)[0]


def writes_what_it_debugs(x, folder):
    return tf.raw_ops.DebugIdentity(input=x, tensor_name="a:0", debug_urls=[f"file://{folder}/written"])


def reads_a_file(x, folder):
    (folder / "secret").write_bytes(bytes(4))
    # Neither op has an attribute that says that these are strings.
    name = tf.raw_ops.StringFormat(inputs=[], template=f"{folder}/secret")
    return x + tf.io.decode_raw(tf.io.read_file(name), tf.float32)


def maps_a_file(x, folder):
    (folder / "secret").write_bytes(bytes(4))
    return x + tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[], memory_region_name=f"{folder}/secret")


def calls_python(x, folder):
    def write(row):
        (folder / "written").write_text("harm")
        return row

    return tf.numpy_function(write, [x], tf.float32, stateful=False)


def ends_the_process(x, folder):
    with tf.control_dependencies([tf.raw_ops.Abort(exit_without_error=True)]):
        return tf.identity(x)


HARM = {
    writes_in_a_function: "MapDefun",
    writes_what_it_debugs: "DebugIdentity",
    reads_a_file: "found strings at StringFormat",
    maps_a_file: "ImmutableConst",
    calls_python: "PyFuncStateless",
    ends_the_process: "Abort",
}


@pytest.mark.parametrize("harm", HARM)
def test_a_keras_file_whose_graph_would_reach_out_of_it_is_refused(tmp_path, harm):
    write_module(str(tmp_path / "saved"))
    load_denoiser(tmp_path / "saved").save(tmp_path / "good.keras")
    with tf.Graph().as_default() as harmful:
        picture = tf.compat.v1.placeholder(tf.float32, [None, None, None, 1], name="picture")
        tf.identity(harm(picture, tmp_path), name="result")
    with_another_graph(tmp_path / "good.keras", tmp_path / "bad.keras", harmful, "result")
    with pytest.raises(InputError, match=HARM[harm]):
        load_denoiser(tmp_path / "bad.keras")
    assert not (tmp_path / "written").exists()


# In a process of its own: before, it filled the memory.
LOOP_OF_TENSORFLOW_1 = """
import sys, numpy as np, tensorflow as tf
from gaintuning_tf import InputError, load_denoiser
v1, folder = tf.compat.v1, sys.argv[1]
v1.disable_control_flow_v2()
with tf.Graph().as_default(), v1.Session() as session:
    image = v1.placeholder(tf.float32, [None, None, None, 1])
    result = tf.nn.conv2d(image, np.ones((3, 3, 1, 1), np.float32), 1, "SAME")
    result = v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y / 2), [0, result])[1]
    v1.saved_model.simple_save(session, folder, {"image": image}, {"result": result})
try:
    load_denoiser(folder)
except InputError as error:
    print(error)
"""


def test_a_loop_of_tensorflow_1_is_refused_like_any_other(tmp_path):
    command = [sys.executable, "-c", LOOP_OF_TENSORFLOW_1, tmp_path / "saved"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "expected a network without control flow" in done.stdout, done.stderr


def test_a_network_of_a_cluster_runs_on_this_machine(tmp_path):
    kernel = tf.constant(KERNELS[0][..., :1])

    def network(x):
        with tf.device("/job:worker/replica:0/task:1/device:GPU:3"):
            return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))

    gained, x = insert_gains(load_denoiser(export(tmp_path, network, GREY))), image()
    np.testing.assert_allclose(gained(x), tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), atol=1e-6)
    assert np.all(gradients_of_gains(gained, x)[0] > 0)


def with_another_graph(good, bad, graph, output=None):
    """Write a copy of the file `good` of a graph's network, with another graph in it."""
    packed = base64.b64encode(zlib.compress(graph.as_graph_def().SerializeToString())).decode()
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = next(entry for entry in config["config"]["layers"] if entry["class_name"] == "GraphNetwork")
                layer["config"]["graph"] = packed
                layer["config"]["output"] = output or layer["config"]["output"]
                content = json.dumps(config)
            copy.writestr(name, content)


def test_a_keras_file_whose_graph_would_touch_files_is_refused(tmp_path):
    write_module(str(tmp_path / "saved"))
    load_denoiser(tmp_path / "saved").save(tmp_path / "good.keras")
    with tf.Graph().as_default() as harmful:
        tf.compat.v1.placeholder(tf.float32, [None, None, None, 1], name="picture")
        tf.io.write_file(str(tmp_path / "written"), "harm", name="write")
    with_another_graph(tmp_path / "good.keras", tmp_path / "bad.keras", harmful)
    with pytest.raises(InputError, match="found strings at Const 'write/filename'"):
        load_denoiser(tmp_path / "bad.keras")
    assert not (tmp_path / "written").exists()
