"""Training: learns, and resumes to the same weights."""

import json

import keras
import numpy as np
import pytest
from skimage.data import camera

from gaintuning_tf import InputError, gain_layers
from gaintuning_tf.training import TrainingConfig, train

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
    straight = train(CONFIG, images(), tmp_path / "straight", verbose=0)

    save = keras.Model.save

    def kill_after_second(model, path, **options):
        save(model, path, **options)
        if int(model.optimizer.iterations) == 20:
            raise Killed

    monkeypatch.setattr(keras.Model, "save", kill_after_second)
    with pytest.raises(Killed):
        train(CONFIG, images(), tmp_path / "killed", verbose=0)
    monkeypatch.undo()
    # Killed before the second checkpoint was renamed: the first is what it resumes from.
    assert int(keras.models.load_model(tmp_path / "killed" / "checkpoint.keras").optimizer.iterations) == 10
    resumed = train(CONFIG, images(), tmp_path / "killed", verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True))

    again = train(CONFIG, images(), tmp_path / "straight", verbose=0)
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


def test_configurations_are_checked(tmp_path):
    file = tmp_path / "c.json"
    for values, message in (({"stpes": 3}, "stpes"), ({"architecture": "vgg"}, "'vgg'")):
        file.write_text(json.dumps(values))
        with pytest.raises(InputError, match=message):
            TrainingConfig.read(file)


def test_the_configurations_of_shipped_networks_are_valid():
    from conftest import ROOT

    for file in (ROOT / "scripts").glob("*.json"):
        assert TrainingConfig.read(file).steps > 0
