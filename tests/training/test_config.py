"""Configurations of trainings: read, checked, and those of the shipped networks valid."""

import json

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.networks.pretrained import list_denoisers
from gaintuning_tf.training.config import TrainingConfig
from helpers.places import ROOT


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stpes": 3}, "stpes"),
        ({"architecture": "vgg"}, "'vgg'"),
        ({"objective": "blind-spot"}, "architecture blind-spot"),
        ({"steps": 0}, "steps"),
        ({"batch": 2.5}, "2.5"),
        ({"steps": 10, "warmup": 10}, "warmup"),
        ({"sigma": [5, 1]}, "sigma"),
        ({"learning_rate": -1}, "-1"),
        ({"channels": 2}, "channels"),
        ({"noise": "camera", "white": 2}, "white"),
        ({"noise": "camera", "objective": "sure"}, "noise camera"),
        ([1], "list"),
    ],
)
def test_configurations_are_checked(tmp_path, values, message):
    file = tmp_path / "c.json"
    file.write_text(json.dumps(values))
    with pytest.raises(InputError, match=message):
        TrainingConfig.read(file)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "c.json").write_text("no")
    for name in ("c.json", "absent.json"):
        with pytest.raises(InputError, match="expected a JSON file"):
            TrainingConfig.read(tmp_path / name)


def test_options_go_before_the_file(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"steps": 300, "seed": 2}))
    config = TrainingConfig.read(tmp_path / "c.json", seed=5)
    assert (config.steps, config.seed) == (300, 5)


def test_every_shipped_network_has_its_configuration():
    for name in list_denoisers():
        assert TrainingConfig.read(ROOT / "scripts" / "recipes" / f"{name}.json").steps > 0


def test_cards_of_shipped_networks_say_the_noise_of_their_configuration():
    for name, info in list_denoisers().items():
        assert TrainingConfig.read(ROOT / "scripts" / "recipes" / f"{name}.json").drawn_noise().words() == info.noise


def test_every_configuration_that_comes_with_the_project_is_one():
    recipes = list((ROOT / "scripts" / "recipes").glob("*.json"))
    assert {TrainingConfig.read(recipe).noise for recipe in recipes} == {"gaussian", "poisson", "camera"}
