"""Steps in bfloat16: the copy of the network that takes them, when it does, and what stays float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, GainTuner, InputError, MonteCarloSURE, gaintune, load_denoiser
from gaintuning_tf.gains import insert_gains
from gaintuning_tf.gains.graphs.graph_models import graph_of
from gaintuning_tf.gains.layers import Gain
from gaintuning_tf.networks.network import Network
from gaintuning_tf.support import processor
from gaintuning_tf.tuning import tuner as tuner_module
from gaintuning_tf.tuning.tunable_network import in_bfloat16, with_tunable_gains

# Stronger noise than the network was trained on, so that there is something to gain.
SIGMA = 100 / 255


def deep(convolutions=4):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((None, None, 1))
    x = inputs
    for _ in range(convolutions - 2):
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.LayerNormalization()(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Subtract()([inputs, layers.Conv2D(1, 3, padding="same")(x)]), name="deep")


def picture(side=96):
    from skimage.data import camera

    clean = camera()[100 : 100 + side, 200 : 200 + side].astype("float32") / 255
    noisy = clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape).astype("float32")
    return clean, noisy[None, ..., None]


@pytest.fixture(scope="module")
def unet():
    return load_denoiser("unet-bf-natural")


def test_all_but_the_image_the_gains_and_what_sums_is_rounded():
    tunable = with_tunable_gains(Network(deep()))
    copy = in_bfloat16(tunable)
    dtypes = {layer.name: layer.compute_dtype for layer in copy.network.model.layers if layer.weights}
    first, *_, last = (layer.name for layer in copy.network.model.layers if isinstance(layer, keras.layers.Conv2D))
    assert {dtypes.pop(first), dtypes.pop(last)} == {"float32"}
    exact = (Gain, keras.layers.LayerNormalization)
    for name, dtype in dtypes.items():
        assert dtype == ("float32" if isinstance(copy.network.model.get_layer(name), exact) else "bfloat16"), name
    assert {variable.dtype for variable in copy.network.model.variables} == {"float32"}
    assert [tuple(v.shape) for v in copy.variables] == [tuple(v.shape) for v in tunable.variables]


def test_the_copy_computes_what_the_network_does_to_eight_bits(unet):
    tunable = with_tunable_gains(Network(unet))
    copy, (_, noisy) = in_bfloat16(tunable), picture()
    values = [tf.constant(np.linspace(0.9, 1.1, v.shape[-1]), tf.float32) for v in tunable.tuned] + [tf.ones(1)]
    exact, rounded = (network.apply(values, noisy).numpy() for network in (tunable, copy))
    assert rounded.dtype == np.float32
    difference = np.abs(rounded - exact).mean() / SIGMA
    assert 1e-5 < difference < 0.02


@pytest.mark.parametrize(
    "model",
    [lambda: deep(2), lambda: graph_of(deep()), lambda: with_one_kind_only(), lambda: _in_half_precision()],
    ids=["two", "graph", "one kind", "half"],
)
def test_of_these_there_is_no_copy(model):
    assert in_bfloat16(with_tunable_gains(Network(insert_gains(model())))) is None


def with_one_kind_only():
    layers = keras.layers
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(8, 3, padding="same")(inputs)  # whose gain is exact
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(OneKind()(x, y)))


class OneKind(keras.Operation):
    """A sum that refuses numbers of two kinds."""

    def call(self, x, y):
        if x.dtype != y.dtype:
            raise TypeError(f"expected two of one kind, received {x.dtype} and {y.dtype}")
        return x + y

    def compute_output_spec(self, x, y):
        self.call(keras.ops.zeros(1, x.dtype), keras.ops.zeros(1, y.dtype))
        return keras.KerasTensor(x.shape, x.dtype)


def with_a_lambda():
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.Lambda(lambda x: x + tf.ones(8, tf.float32))(x)
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(x))


def test_a_function_of_somebodys_own_sees_what_it_saw_before():
    tunable = with_tunable_gains(Network(with_a_lambda()))
    copy, (_, noisy) = in_bfloat16(tunable), picture(32)
    values = [tf.ones(v.shape) for v in tunable.tuned] + [tf.ones(1)]
    np.testing.assert_allclose(copy.apply(values, noisy), tunable.apply(values, noisy), atol=0.03)


def _in_half_precision():
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return deep()
    finally:
        keras.config.set_dtype_policy(kept)


def test_what_is_gained_is_gained_and_all_is_decided_in_float32(unet):
    clean, noisy = picture(128)
    results = {}
    for precision in ("float32", "bfloat16"):
        tuner = GainTuner(unet, CoupledBootstrap(SIGMA), precision=precision)
        before = tuner.denoise(noisy)
        history = tuner.tune(noisy, progress=False)
        errors = [np.mean((image[0, ..., 0] - clean) ** 2) for image in (before, tuner.denoise(noisy))]
        results[precision] = history, 10 * np.log10(errors[0] / errors[1])
    (exact, gained), (rounded, gained_rounded) = results.values()
    assert (exact.precision, rounded.precision) == ("float32", "bfloat16")
    assert exact.risk_before == rounded.risk_before
    assert not np.array_equal(exact.risk, rounded.risk)
    assert gained > 0.05
    assert gained_rounded == pytest.approx(gained, rel=0.05)


def test_weights_and_a_second_run_are_the_same(unet):
    _, noisy = picture()
    weights = [value.copy() for value in unet.get_weights()]
    tuner = GainTuner(unet, CoupledBootstrap(SIGMA), precision="bfloat16")
    runs = []
    for _ in range(2):
        tuner.reset()
        tuner.tune(noisy, steps=2, progress=False)
        runs.append(tuner.gains())
    assert all(np.array_equal(*pair) for pair in zip(*runs, strict=True))
    assert all(np.array_equal(*pair) for pair in zip(weights, unet.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("in_hardware", "least", "expected"),
    [(True, 1e6, "bfloat16"), (True, 1e12, "float32"), (False, 1e6, "float32")],
)
def test_auto_is_for_hardware_that_has_it_and_steps_that_are_long(unet, monkeypatch, in_hardware, least, expected):
    monkeypatch.setattr(tuner_module, "has_bfloat16", lambda: in_hardware)
    monkeypatch.setattr(tuner_module, "ROUNDED_BYTES", least)
    history = GainTuner(unet, CoupledBootstrap(SIGMA)).tune(picture(64)[1], steps=1, progress=False)
    assert history.precision == expected


def test_differences_of_outputs_are_not_rounded(unet, monkeypatch):
    monkeypatch.setattr(tuner_module, "has_bfloat16", lambda: True)
    monkeypatch.setattr(tuner_module, "ROUNDED_BYTES", 0)
    history = GainTuner(unet, MonteCarloSURE(SIGMA)).tune(picture(64)[1], steps=1, progress=False)
    assert history.precision == "float32"
    with pytest.raises(InputError, match="the loss takes differences too small for it"):
        GainTuner(unet, MonteCarloSURE(SIGMA), precision="bfloat16").tune(picture(64)[1], steps=1, progress=False)


def test_a_precision_that_there_is_not(unet):
    with pytest.raises(InputError, match="one of auto, float32, bfloat16, received 'half'"):
        gaintune(picture(64)[1][0, ..., 0], unet, precision="half")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("flags\t\t: fpu avx512f avx512_bf16_not\n", False),
        ("Features\t: fp asimd bf16\n", False),
    ],
)
def test_what_linux_says_of_the_processor(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", file)
    processor._has_any.cache_clear()
    try:
        assert processor.has_bfloat16() is expected
    finally:
        processor._has_any.cache_clear()


@pytest.mark.parametrize(("capability", "expected"), [((8, 0), True), ((7, 5), False), (None, False)])
def test_what_a_gpu_can(monkeypatch, capability, expected):
    details = {} if capability is None else {"compute_capability": capability}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert processor.has_bfloat16() is expected
