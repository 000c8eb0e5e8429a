"""Numbers on the command line: what is none is told."""

import argparse

import pytest

from gaintuning_tf.cli.common import count, positive, recipe_of


def test_numbers_are_read():
    assert positive("0.5") == 0.5
    assert [count("0"), count("7")] == [0, 7]


@pytest.mark.parametrize(("kind", "text"), [(positive, "0"), (positive, "inf"), (positive, "nan"), (count, "-1")])
def test_what_is_out_of_range_is_told(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"received {text}"):
        kind(text)


@pytest.mark.parametrize(("kind", "text"), [(positive, "x"), (count, "1.5")])
def test_what_is_no_number_is_argparses_business(kind, text):
    with pytest.raises(ValueError, match=text):
        kind(text)


def options(**given):
    defaults = {"sigma": 25.0, "noise": "gaussian", "loss": None, "plain": False, "prior": None, "steps": 7, "seed": 1}
    return argparse.Namespace(**defaults | {"no_tune": False, "precision": "auto"} | given)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"sigma": "auto"}, {"sigma": None}),
        ({"loss": "blind-spot"}, {"loss": "blind-spot"}),
        ({"prior": 0.1}, {"prior": 0.1}),
        ({"plain": True}, {"prior": None, "loss": "monte-carlo-sure"}),
        ({"plain": True, "loss": "sure"}, {"prior": None}),
        ({"no_tune": True}, {"steps": 0}),
        ({"steps": None}, {"steps": None}),
        ({"precision": "float32"}, {"precision": "float32"}),
    ],
)
def test_options_become_a_recipe(given, changed):
    plain = {"sigma": 25.0, "noise": "gaussian", "loss": "sure", "steps": 7, "seed": 1, "precision": "auto"}
    assert recipe_of(options(**given)) == plain | changed
