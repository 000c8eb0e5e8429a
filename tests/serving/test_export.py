"""Exports: what TensorFlow Serving finds in the folder, and that it answers as Python does."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    InputError,
    PoissonGaussianNoise,
    export_saved_model,
    gain_layers,
    gaintune,
    insert_gains,
    load_denoiser,
    save_gains,
)
from gaintuning_tf.cli.program import main
from gaintuning_tf.networks.network import Network
from gaintuning_tf.serving import export as export_module
from gaintuning_tf.serving.versions import check_version, next_version
from helpers.channels_first import run
from helpers.correlations import BLURRED
from helpers.networks import make_tiny, make_tiny_of_volumes


def images(shape=(2, 24, 20, 1)):
    rng = np.random.default_rng(0)
    return rng.normal(0.5, 0.1, shape).astype(np.float32)


def signatures(folder):
    return tf.saved_model.load(folder).signatures


@pytest.fixture(scope="module")
def functions(served):
    return signatures(served[1])


def denoised(folder, noisy):
    return signatures(folder)["serving_default"](noisy=tf.constant(noisy))["denoised"].numpy()


def halving(channels=1, dtype="float32", side=None):
    """A network that needs even sides."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((side, side, channels), dtype=dtype)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", dtype=dtype)(inputs)
    x = keras.layers.Conv2DTranspose(channels, 3, strides=2, padding="same", dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Add(dtype=dtype)([inputs, x]))


def files(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_the_signatures_have_the_names_kinds_and_shapes_of_the_contract(functions):
    described = {
        name: [
            {tensor: (spec.dtype.name, spec.shape.as_list()) for tensor, spec in specs.items()}
            for specs in (function.structured_input_signature[1], function.structured_outputs)
        ]
        for name, function in functions.items()
    }
    image = ("float32", [None, None, None, 1])
    assert described == {
        "serving_default": [{"noisy": image}, {"denoised": image}],
        "gaintune": [
            {"noisy": image, "sigma": ("float32", [None]), "steps": ("int32", [])},
            {"denoised": image, "sure": ("float32", [None])},
        ],
        "gaintune_noise": [
            {
                "noisy": image,
                "slope": ("float32", [None]),
                "intercept": ("float32", [None]),
                "correlation": ("float32", [None, None, None]),
                "steps": ("int32", []),
            },
            {"denoised": image, "sure": ("float32", [None])},
        ],
    }


@pytest.mark.parametrize("shape", [(1, 24, 20, 1), (3, 17, 9, 1), (2, 1, 2, 1)])
def test_any_number_and_size_of_images(served, functions, shape):
    result = functions["serving_default"](noisy=images(shape))
    np.testing.assert_allclose(result["denoised"], served[0].predict(images(shape), verbose=0), atol=1e-6)
    sigma = np.full(shape[0], 0.1, np.float32)
    result = functions["gaintune"](noisy=images(shape), sigma=sigma, steps=tf.constant(1))
    assert result["denoised"].shape == shape
    assert result["sure"].shape == shape[:1]


def test_the_adapting_signature_gives_what_gaintune_gives(served, functions):
    noisy, sigmas = images(), (0.1, 0.07)
    result = functions["gaintune"](noisy=noisy, sigma=np.float32(sigmas), steps=tf.constant(5))
    for index, sigma in enumerate(sigmas):
        options = {"sigma": sigma, "steps": 5, "data_range": 1.0, "axes": "YXC", "progress": False}
        expected = gaintune(noisy[index], served[0], **options)
        np.testing.assert_allclose(result["denoised"][index], expected.denoised, atol=1e-4)
        np.testing.assert_allclose(result["sure"][index], expected.history["risk_after"], atol=1e-4)
        assert np.any(expected.denoised != expected.pretrained)


@pytest.mark.parametrize(
    ("noisy", "sigma", "steps", "message"),
    [
        (images()[:0], np.zeros(0), 1, "at least one image"),
        (images(), [0.1], 1, "one sigma for each image"),
        (images(), [0.1, 0.1], -1, "whole number of at least 0"),
        (np.full((1, 8, 8, 1), np.nan), [0.1], 1, "finite pixels"),
        (images((1, 8, 8, 1)), [np.inf], 1, "finite sigma"),
    ],
)
def test_bad_requests_are_refused(functions, noisy, sigma, steps, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        functions["gaintune"](noisy=np.float32(noisy), sigma=np.float32(sigma), steps=tf.constant(steps))


def test_the_signature_of_noise_gives_what_gaintune_gives(served, functions):
    model, steps = PoissonGaussianNoise(0.01, 0.0, 0.1, correlation=BLURRED), tf.constant(5)
    noisy = images((2, 40, 36, 1))
    slope, intercept = (np.repeat(np.float32(part), 2) for part in model.level(1))
    correlation = np.float32([BLURRED, np.pad(np.ones((1, 1)), 2)])
    known = {"slope": slope, "intercept": intercept, "correlation": correlation}
    result = functions["gaintune_noise"](noisy=noisy, steps=steps, **known)
    for index, noise in enumerate((model, PoissonGaussianNoise(0.01, 0.0, 0.1))):
        expected = gaintune(noisy[index], served[0], noise=noise, steps=5, data_range=1.0, axes="YXC", progress=False)
        np.testing.assert_allclose(result["denoised"][index], expected.denoised, atol=1e-5)
        np.testing.assert_allclose(result["sure"][index], expected.history["risk_after"], atol=1e-5)
        assert np.any(expected.denoised != expected.pretrained)


def test_white_noise_of_one_level_is_the_same_by_both_signatures(functions):
    noisy, steps = images(), tf.constant(5)
    by_sigma = functions["gaintune"](noisy=noisy, sigma=np.float32([0.1, 0.1]), steps=steps)
    white = {"slope": np.zeros(2), "intercept": np.full(2, 0.01), "correlation": np.ones((2, 1, 1))}
    by_line = functions["gaintune_noise"](noisy=noisy, steps=steps, **{k: np.float32(v) for k, v in white.items()})
    for name, values in by_sigma.items():
        np.testing.assert_allclose(by_line[name], values, atol=1e-6)


LAGS = np.array([[0, 0, 0], [0.5, 1, 0.5], [0, 0, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noisy": images()[:0]}, "at least one image"),
        ({"noisy": np.full((2, 8, 8, 1), np.nan)}, "finite pixels"),
        ({"steps": -1}, "whole number of at least 0"),
        ({"slope": [0.1]}, "one slope for each image"),
        ({"intercept": [0.1] * 3}, "one intercept for each image"),
        ({"slope": [0.1, np.nan]}, "finite slope"),
        ({"intercept": [0.1, np.inf]}, "finite intercept"),
        ({"slope": [0.1, -0.1]}, "slope of at least 0"),
        ({"correlation": [LAGS]}, "one correlation for each image"),
        ({"correlation": [LAGS[1:2], LAGS[1:2]]}, "one correlation for each image"),
        ({"correlation": np.ones((2, 0, 0))}, "K odd"),
        ({"correlation": np.ones((2, 2, 2))}, "K odd"),
        ({"correlation": [LAGS, np.full((3, 3), np.nan)]}, "finite correlation"),
        ({"correlation": [LAGS, 2 * LAGS]}, "one at lag zero"),
        ({"correlation": [LAGS, [[0, 0, 0], [0.5, 1, 0], [0, 0, 0]]]}, "symmetric"),
        ({"correlation": [LAGS, [[0, 0, 0], [1.5, 1, 1.5], [0, 0, 0]]]}, "at most one"),
        ({"correlation": [LAGS, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]}, "that noise can have"),
    ],
)
def test_what_is_no_noise_is_refused(functions, change, message):
    good = {"noisy": images(), "slope": [0.0, 0.0], "intercept": [0.01, 0.01], "correlation": [LAGS, LAGS], "steps": 1}
    request = {name: np.asarray(value, np.float32) for name, value in (good | change).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        functions["gaintune_noise"](**request | {"steps": tf.constant(int(request["steps"]))})


def test_gains_are_folded_and_the_model_is_left_alone(tiny, tmp_path):
    gained = insert_gains(tiny)
    for number, gain in enumerate(gain_layers(gained)):
        gain.gain.assign(np.linspace(0.7, 1.2 + number, gain.gain.shape[0]))
    before = [v.numpy().copy() for v in gained.variables]
    folder = export_saved_model(gained, tmp_path, adaptive=False)
    assert len(gain_layers(gained)) == 2
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(gained.variables, before, strict=True))
    np.testing.assert_allclose(denoised(folder, images()), gained.predict(images(), verbose=0), atol=1e-6)
    stored = tf.train.list_variables(str(folder / "variables" / "variables"))
    shapes = sorted(shape for name, shape in stored if name.startswith("weights"))
    assert shapes == sorted(list(v.shape) for v in tiny.variables), "the network's, once, and no gain"


@pytest.mark.parametrize("options", [{"channels": 3, "dtype": "float64"}, {"side": 16}], ids=str)
def test_networks_of_colour_float64_even_or_fixed_sizes(options, tmp_path):
    model = halving(**options)
    folder = export_saved_model(model, tmp_path)
    shape = (2, *(side or 15 for side in model.inputs[0].shape[1:]))
    result = signatures(folder)["gaintune"](noisy=images(shape), sigma=np.float32([0.1, 0.1]), steps=tf.constant(2))
    assert result["denoised"].dtype == result["sure"].dtype == tf.float32
    expected = gaintune(images(shape)[1], model, sigma=0.1, steps=2, data_range=1.0, axes="YXC", progress=False)
    np.testing.assert_allclose(result["denoised"][1], expected.denoised, atol=1e-4)
    np.testing.assert_allclose(denoised(folder, images(shape))[1], expected.pretrained, atol=1e-6)
    other = images((1, 37, 11, shape[-1]))
    np.testing.assert_allclose(denoised(folder, other), Network(model)(other), atol=1e-6)


def test_a_network_whose_channels_come_first_is_served_with_them_last(tmp_path):
    layer = keras.layers.Conv2D(1, 3, padding="same", data_format="channels_first")
    model = keras.Sequential([keras.Input((1, None, None)), layer])
    folder = export_saved_model(model, tmp_path, adaptive=False)
    expected = np.moveaxis(run(model, np.moveaxis(images(), -1, 1)).numpy(), 1, -1)
    np.testing.assert_allclose(denoised(folder, images()), expected, atol=1e-6)


def test_versions_count_up_and_are_never_overwritten(tiny, tmp_path):
    folder = tmp_path / "a" / "tiny"
    assert export_saved_model(tiny, folder, adaptive=False) == folder / "1"
    assert export_saved_model(tiny, folder, adaptive=False, version=7) == folder / "7"
    (folder / "0010").mkdir()
    (folder / "notes").mkdir()
    assert export_saved_model(tiny, folder, adaptive=False) == folder / "11"
    before = files(folder)
    with pytest.raises(InputError, match=r"has 7 already; the next free is 12"):
        export_saved_model(tiny, folder, version=7)
    with pytest.raises(InputError, match="has 10 already"):
        export_saved_model(tiny, folder, version=10)
    assert files(folder) == before
    assert next_version(folder) == 12


def test_who_writes_the_same_version_meanwhile_keeps_it(tiny, tmp_path, monkeypatch):
    save = tf.saved_model.save

    def slow(module, path, signatures):
        save(module, path, signatures)
        if not (tmp_path / "1").exists():
            (tmp_path / "1").mkdir()
            (tmp_path / "1" / "theirs").touch()

    monkeypatch.setattr(export_module.tf.saved_model, "save", slow)
    assert export_saved_model(tiny, tmp_path, adaptive=False) == tmp_path / "2"
    assert files(tmp_path / "1") == ["theirs"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"1", "2", "models.config", "batching.config"}


def test_a_version_is_seen_whole_or_not_at_all(tiny, tmp_path, monkeypatch):
    folder, seen = tmp_path / "new", []

    def fail(module, path, signatures):
        os.makedirs(path, exist_ok=True)
        open(os.path.join(path, "saved_model.pb"), "w").close()
        seen.extend(os.listdir(folder))
        raise OSError("disk full")

    monkeypatch.setattr(export_module.tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(tiny, folder, adaptive=False)
    assert seen and not any(name.isdecimal() for name in seen), "a server takes numbers for versions"
    assert not folder.exists()


def test_the_configurations_are_beside_the_versions_and_kept(tiny, served, tmp_path):
    beside = served[1].parent
    assert 'name: "tiny"' in (beside / "models.config").read_text()
    assert 'base_path: "/models/tiny"' in (beside / "models.config").read_text()
    assert "--enable_per_model_batching_parameters" in (beside / "batching.config").read_text()
    # The server's batcher would refuse `steps`, which has no batch axis: it must not find this.
    assert not (served[1] / "batching_params.pbtxt").exists()
    (tmp_path / "models.config").write_text("mine")
    folder = export_saved_model(tiny, tmp_path, adaptive=False)
    assert (tmp_path / "models.config").read_text() == "mine"
    assert "max_batch_size" in (folder / "batching_params.pbtxt").read_text()
    assert list(signatures(folder)) == ["serving_default"]


def test_a_server_that_runs_as_another_user_can_read_it(tiny, tmp_path):
    mask = os.umask(0o022)
    try:
        folder = export_saved_model(tiny, tmp_path, adaptive=False)
    finally:
        os.umask(mask)
    assert folder.stat().st_mode & 0o055 == 0o055


def test_the_warmup_requests_can_be_replayed(served, functions):
    messages = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs the extra [serving]")
    replayed = []
    for record in tf.data.TFRecordDataset(str(served[1] / "assets.extra" / "tf_serving_warmup_requests")):
        log = messages.PredictionLog.FromString(record.numpy())
        # Nothing that the message does not know, which the server would drop.
        assert log.SerializeToString(deterministic=True) and log.ByteSize() == len(record.numpy())
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        outputs = functions[request.model_spec.signature_name](**inputs)
        assert request.model_spec.name == "tiny"
        assert outputs["denoised"].shape == (1, 32, 32, 1)
        replayed.append(request.model_spec.signature_name)
    assert replayed == ["serving_default", "gaintune", "gaintune_noise"]


def saved_model_cli(*arguments):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_saved_model_cli_shows_and_runs_it(served, functions, tmp_path):
    shown = saved_model_cli("show", "--dir", served[1], "--all")
    names = ("noisy", "sigma", "slope", "intercept", "correlation", "steps", "denoised", "sure")
    for part in ("serving_default", "gaintune", "gaintune_noise", *names):
        assert f"['{part}']" in shown
    inputs = {"noisy": images(), "sigma": np.float32([0.1, 0.07]), "steps": np.int32(3)}
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
    paths = ";".join(f"{name}={tmp_path / name}.npy" for name in inputs)
    names = ["--dir", served[1], "--tag_set", "serve", "--signature_def", "gaintune"]
    saved_model_cli("run", *names, "--inputs", paths, "--outdir", tmp_path)
    expected = functions["gaintune"](**{name: tf.constant(value) for name, value in inputs.items()})
    for name, value in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), value, atol=1e-5)


def test_what_is_no_denoiser_or_no_version_is_refused(tiny, tmp_path):
    plain = keras.Sequential([keras.Input((None, None, 1)), keras.layers.ReLU()])
    with pytest.raises(InputError, match="no convolution"):
        export_saved_model(plain, tmp_path / "out")
    with pytest.raises(InputError, match="output has its input's shape"):
        export_saved_model(
            keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3)]), tmp_path / "out"
        )
    with pytest.raises(InputError, match="cannot hold"):
        export_saved_model(insert_gains(tiny, images=2), tmp_path / "out")
    for version in (-1, 1.5, True, "2", 2**63):
        with pytest.raises(InputError, match="whole number"):
            export_saved_model(tiny, tmp_path / "out", version=version)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        export_saved_model(tiny, tmp_path / "file")
    with pytest.raises(InputError, match="cannot write"):
        check_version("/proc/saved/model")
    assert files(tmp_path) == ["file"]
    assert not (tmp_path / "out").exists()


def test_the_command_line_exports_gains_into_the_weights(tmp_path, capsys):
    network = load_denoiser("unet-bf-natural")
    gained = insert_gains(network)
    for gain in gain_layers(gained):
        gain.gain.assign(0.9 * np.ones(gain.gain.shape))
    save_gains(gained, tmp_path / "a.gains.h5")
    out = tmp_path / "saved"
    arguments = ["export", "--model", "unet-bf-natural", str(out)]
    assert main([*arguments, "--gains", str(tmp_path / "a.gains.h5"), "--version", "4"]) == 0
    assert f"{out / '4'}: unet" in capsys.readouterr().err
    exported = signatures(out / "4")
    assert set(exported) == {"serving_default", "gaintune", "gaintune_noise"}
    result = exported["serving_default"](noisy=tf.constant(images()))["denoised"]
    np.testing.assert_allclose(result, gained.predict(images(), verbose=0), atol=1e-5)
    assert main([*arguments, "--no-adaptive"]) == 0
    assert list(signatures(out / "5")) == ["serving_default"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no-such-net", "out"], "no-such-net"),
        (["--gains", "no.gains.h5", "out"], "no such file: no.gains.h5"),
        (["card.json"], "card.json is a file"),
        (["out", "--model", "card.json"], ".keras or .h5 file"),
        (["out", "--gains", "card.json"], "card.json"),
        (["/proc/out"], "cannot write"),
    ],
)
def test_bad_arguments_are_one_line_and_nothing_is_written(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({}))
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert files(tmp_path) == ["card.json"]
    assert not (tmp_path / "out").exists()


def test_a_version_that_is_no_number_is_refused(tmp_path, capsys):
    for version in ("-1", "x", "1.5"):
        with pytest.raises(SystemExit) as exit_:
            main(["export", str(tmp_path / "out"), f"--version={version}"])
        assert exit_.value.code == 2
        assert capsys.readouterr().err.startswith("error: argument --version: expected a whole number")


def test_a_compiled_model_stays_as_it_is(tmp_path):
    model = make_tiny()
    model.compile("adam", "mse")
    before, optimizer = [w.copy() for w in model.get_weights()], model.optimizer
    export_saved_model(model, tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert model.optimizer is optimizer
    assert gain_layers(model) == []


def test_a_network_of_volumes_serves_volumes(tmp_path):
    noisy = tf.constant(images((1, 6, 20, 24, 1)))
    served = signatures(export_saved_model(make_tiny_of_volumes(), tmp_path, adaptive=False))["serving_default"]
    assert served.structured_input_signature[1]["noisy"].shape.as_list() == [None] * 4 + [1]
    np.testing.assert_allclose(served(noisy=noisy)["denoised"], make_tiny_of_volumes()(noisy), atol=1e-6)
