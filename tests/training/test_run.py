"""Training: learns, and resumes to the same weights."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from skimage.data import camera

from gaintuning_tf import InputError, gain_layers, load_denoiser
from gaintuning_tf.training.batches import Batches
from gaintuning_tf.training.config import TrainingConfig
from gaintuning_tf.training.run import build, train

CONFIG = TrainingConfig(
    architecture_options={"bias_free": True, "width": 4},
    steps=30,
    warmup=5,
    checkpoint_every=10,
    crop=16,
    batch=4,
    sigma=(20, 30),
)


class Killed(Exception):
    pass


def images():
    photograph = camera()[:180, :180]
    return [photograph[i : i + 60, i : i + 70, None] for i in range(0, 120, 20)]


def test_a_killed_training_resumes_to_the_same_weights(tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, noise="camera")  # half of its crops are of the noise gaussian
    straight = train(config, images(), tmp_path / "straight", verbose=0)

    save = keras.Model.save

    def kill_after_second(model, path, **options):
        save(model, path, **options)
        if int(model.optimizer.iterations) == 20:
            raise Killed

    monkeypatch.setattr(keras.Model, "save", kill_after_second)
    with pytest.raises(Killed):
        train(config, images(), tmp_path / "killed", verbose=0)
    monkeypatch.undo()
    # Killed before the second checkpoint was renamed: the first is what it resumes from.
    assert int(keras.models.load_model(tmp_path / "killed" / "checkpoint.keras").optimizer.iterations) == 10
    resumed = train(config, images(), tmp_path / "killed", verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True))

    again = train(config, images(), tmp_path / "straight", verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(straight.get_weights(), again.get_weights(), strict=True))


def test_training_learns_to_denoise(tmp_path):
    config = TrainingConfig(
        architecture_options={"bias_free": True, "width": 8},
        learning_rate=5e-3,
        steps=600,
        warmup=20,
        checkpoint_every=600,
        crop=32,
        batch=4,
        sigma=(25, 25),
        ema_momentum=0.9,
    )
    model = train(config, images(), tmp_path, verbose=0)
    clean = camera()[300:380, 200:280, None].astype("float32")[None] / 255
    noisy = clean + 25 / 255 * np.random.default_rng(0).standard_normal(clean.shape, "float32")
    before, after = np.mean((noisy - clean) ** 2), np.mean((model(noisy).numpy() - clean) ** 2)
    assert after < before / 2
    assert not getattr(model, "compiled", False)
    assert gain_layers(model) == []
    assert (tmp_path / "log.csv").read_text().startswith("epoch")


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("blind-spot", {"architecture": "blind-spot"}),
        ("masking", {}),
        ("sure", {}),
    ],
)
def test_noisy_images_alone_are_enough(tmp_path, objective, options):
    sigma = 25
    rng = np.random.default_rng(0)
    clean = [image.astype("float32") / 255 for image in images()]
    noisy = [image + sigma / 255 * rng.standard_normal(image.shape, "float32") for image in clean]
    config = TrainingConfig(
        objective=objective,
        architecture_options={"bias_free": True, "width": 8},
        noise="none",
        learning_rate=5e-3,
        steps=500,
        warmup=20,
        checkpoint_every=500,
        crop=32,
        batch=4,
        ema_momentum=0.9,
        **options,
    )
    model = train(config, noisy, tmp_path, verbose=0)
    before = after = 0.0
    for x, y in zip(noisy, clean, strict=True):
        before += np.mean((x - y) ** 2)
        after += np.mean((model(x[None]).numpy()[0] - y) ** 2)
    assert after < before / 2


def test_pairs_are_learnt(tmp_path):
    clean = [image.astype("float32") / 255 for image in images()]
    half = [image / 2 for image in clean]  # what is to be learnt: to double
    config = TrainingConfig(
        architecture="dncnn",
        architecture_options={"depth": 2, "width": 4, "normalised": False},
        noise="none",
        learning_rate=1e-2,
        steps=300,
        warmup=20,
        checkpoint_every=300,
        crop=16,
        batch=4,
        ema_momentum=0.9,
    )
    model = train(config, half, tmp_path, targets=clean, verbose=0)
    error = np.mean([np.mean((model(x[None]).numpy()[0] - y) ** 2) for x, y in zip(half, clean, strict=True)])
    assert error < np.mean([np.mean((x - y) ** 2) for x, y in zip(half, clean, strict=True)]) / 20


def test_mixed_precision_trains_to_weights_of_full_precision(tmp_path):
    policy = keras.config.dtype_policy().name
    config = dataclasses.replace(CONFIG, precision="mixed_bfloat16", architecture="dncnn")
    config = dataclasses.replace(config, architecture_options={"depth": 3, "width": 4})
    model = train(config, images(), tmp_path, verbose=0)
    assert keras.config.dtype_policy().name == policy
    assert all(layer.dtype_policy.name == "float32" for layer in model.layers)
    assert np.isfinite(model(images()[0][None] / np.float32(255)).numpy()).all()


@pytest.mark.parametrize("bias_free", [False, True])
def test_statistics_of_batch_norm_are_those_of_the_averaged_weights(tmp_path, bias_free):
    options = {"depth": 3, "width": 4, "bias_free": bias_free}
    # A long average of a short training: far from the last weights.
    config = dataclasses.replace(CONFIG, architecture="dncnn", architecture_options=options, ema_momentum=0.9)
    model = train(config, images(), tmp_path, verbose=0)
    norm = model.get_layer("norm2")
    before = keras.Model(model.inputs, norm.input)
    batches = Batches(images(), crop=16, batch=4, noise=config.drawn_noise(), seed=9).between(0, 200)
    features = np.concatenate([before(noisy).numpy() for noisy, _ in batches])
    # 50 batches of 4 crops: about a tenth of relative standard error each.
    np.testing.assert_allclose(norm.moving_variance, features.var((0, 1, 2)), rtol=0.2)
    assert norm.momentum == (0.9 if bias_free else 0.99)


def test_training_starts_from_given_weights(tmp_path):
    start = build(CONFIG)
    before = start.get_weights()
    config = dataclasses.replace(CONFIG, learning_rate=1e-9, steps=1, warmup=0, checkpoint_every=1)
    model = train(config, images(), tmp_path / "a", start=start, verbose=0)
    for a, b, c in zip(before, start.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-6)
    with pytest.raises(InputError, match="start from"):
        train(config, images(), tmp_path / "b", start=build(TrainingConfig()), verbose=0)


def test_a_run_with_other_settings_or_images_is_not_continued(tmp_path):
    train(CONFIG, images(), tmp_path, verbose=0)
    with pytest.raises(InputError, match="differs in seed;"):
        train(dataclasses.replace(CONFIG, seed=1), images(), tmp_path, verbose=0)
    with pytest.raises(InputError, match="differs in images;"):
        train(CONFIG, images()[1:], tmp_path, verbose=0)


def test_a_run_of_a_version_without_a_setting_is_continued(tmp_path):
    config = dataclasses.replace(CONFIG, steps=10)
    first = train(config, images(), tmp_path, verbose=0)
    file = tmp_path / "run.json"
    settings = json.loads(file.read_text())
    del settings["white"]
    file.write_text(json.dumps(settings))
    again = train(config, images(), tmp_path, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights(), strict=True))
    with pytest.raises(InputError, match="differs in white;"):
        train(dataclasses.replace(config, white=0.1), images(), tmp_path, verbose=0)


def test_tensorboard_gets_its_logs(tmp_path):
    pytest.importorskip("tensorboard")
    train(CONFIG, images(), tmp_path / "run", tensorboard=tmp_path / "logs", verbose=0)
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("options", "pairs", "message"),
    [
        ({"objective": "sure", "noise": "poisson"}, False, "Gaussian"),
        ({"objective": "masking", "noise": "none"}, True, "pairs"),
        ({"architecture_options": {"wdith": 3}}, False, "wdith"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, options, pairs, message):
    config = dataclasses.replace(CONFIG, **options)
    with pytest.raises(InputError, match=message):
        train(config, images(), tmp_path, targets=images() if pairs else None, verbose=0)


ON_JAX = """
import sys
sys.modules["tensorflow"] = None  # an accelerator without it
import numpy as np
from gaintuning_tf.cli.program import main
status = main(["train", "synthetic:piecewise-constant:2", "-o", "m.keras", "--quiet", *sys.argv[1:]])
if status == 0:
    from gaintuning_tf.networks.pretrained import load_denoiser
    image = np.random.default_rng(0).random((1, 13, 10, 1)).astype("float32")
    np.save("out.npy", np.asarray(load_denoiser("m.keras")(image)))
sys.exit(status)
"""
SHORT = {"crop": 16, "batch": 2, "steps": 6, "warmup": 1, "checkpoint_every": 3}
SLIM = {"bias_free": True, "width": 4}
ON_DEVICE = {"noise": "camera", "batches": "device", "sigma_weighting": 1.2, "scales": [1, 0.5]}


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "dncnn", "architecture_options": SLIM, "objective": "sure"},
        {"architecture": "drunet", "architecture_options": {"widths": [4, 6]}, **ON_DEVICE},
    ],
)
def test_the_command_trains_on_jax_and_the_file_loads_here_with_the_same_outputs(tmp_path, settings):
    pytest.importorskip("jax")
    (tmp_path / "settings.json").write_text(json.dumps({**SHORT, **settings}))
    start = build(TrainingConfig(**{**SHORT, **settings}))
    start.save(tmp_path / "start.keras")
    command = [sys.executable, "-c", ON_JAX, "--config", "settings.json", "--start", "start.keras"]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    image = np.random.default_rng(0).random((1, 13, 10, 1)).astype("float32")
    trained = load_denoiser(tmp_path / "m.keras")
    np.testing.assert_allclose(trained(image), np.load(tmp_path / "out.npy"), atol=1e-5)
    assert np.abs(trained(image) - start(image).numpy()).max() > 0


@pytest.mark.parametrize(("objective", "least"), [("supervised", 0.4), ("sure", 0.04), ("masking", 0.01)])
def test_volumes_train(tmp_path, objective, least):
    config = dataclasses.replace(
        CONFIG,
        architecture="unet3d",
        architecture_options={"bias_free": True, "width": 4, "scales": 2},
        objective=objective,
        crop_depth=4,
        steps=40,
        warmup=0,
        learning_rate=2e-2,
        ema_momentum=0.5,
    )
    z, y, x = np.indices((6, 40, 40))
    volumes = [(0.5 + 0.4 * np.sin(z / 3 + y / 7 + x / (5 + n)))[..., None].astype("float32") for n in range(3)]
    model = train(config, volumes, tmp_path, verbose=0)
    assert model.output_shape == (None, None, None, None, 1)
    rng = np.random.default_rng(0)
    noisy = volumes[0][None] + 25 / 255 * rng.standard_normal((1, *volumes[0].shape)).astype("float32")
    errors = [float(np.mean(np.square(np.asarray(m(noisy)) - volumes[0]))) for m in (build(config), model)]
    # As begun, it returns about its input.
    assert errors[0] == pytest.approx((25 / 255) ** 2, rel=0.3)
    # Noisy volumes alone say less: in so few steps, the error has just begun to fall.
    assert errors[1] < (1 - least) * errors[0]


def test_images_are_no_volumes_and_volumes_no_images(tmp_path):
    volumetric = dataclasses.replace(CONFIG, architecture="unet3d", architecture_options={})
    with pytest.raises(InputError, match=r"expected volumes \(D, H, W, C\) for the architecture unet3d"):
        train(volumetric, images(), tmp_path, verbose=0)
    with pytest.raises(InputError, match=r"expected images \(H, W, C\) for the architecture unet"):
        train(CONFIG, [np.zeros((20, 20, 20, 1), "uint8")], tmp_path, verbose=0)
    with pytest.raises(InputError, match=r"architecture of images for scales .* received 'unet3d', of volumes"):
        dataclasses.replace(volumetric, scales=(1.0, 0.5))
    with pytest.raises(InputError, match="crop_depth is for volumes"):
        dataclasses.replace(CONFIG, crop_depth=8)
