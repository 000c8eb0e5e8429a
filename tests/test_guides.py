"""The worked examples of the documents run as they stand."""

import doctest
import functools
import re
import sys
import types

import pytest

import gaintuning_tf
from helpers.places import ROOT


def blocks(name):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S)


def test_the_example_of_the_readme_runs(monkeypatch, capsys):
    (example,) = blocks("README.md")
    short = functools.partial(gaintuning_tf.gaintune, steps=1, progress=False)
    monkeypatch.setattr(gaintuning_tf, "gaintune", short)
    exec(compile(example, "README", "exec"), {})
    noisy, before, tuned, sigma = map(float, capsys.readouterr().out.split())
    assert min(before, tuned) > noisy + 5
    assert abs(sigma - 25) < 0.11 * 25, "what the estimate of so few pixels is uncertain by"


def test_the_loss_of_the_guide_is_a_loss(monkeypatch):
    source, use, *_ = blocks("docs/develop/adding-a-loss.md")
    module = types.ModuleType("gaintuning_tf.losses.one_sided_bootstrap")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, module.__name__, "exec"), vars(module))
    assert doctest.testmod(module).attempted > 0 == doctest.testmod(module).failed
    exec(compile(use, "use", "exec"), {})


@pytest.mark.slow
def test_the_example_of_volumes_trains_a_network_that_takes_out_most_of_the_noise(capsys):
    (example,) = blocks("docs/guides/volumes.md")
    exec(compile(example, "volumes", "exec"), {})
    before, after, sigma = map(float, capsys.readouterr().out.split())
    assert after < before / 2 and abs(sigma - 0.1) < 0.01
