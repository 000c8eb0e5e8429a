"""Methods by name: each denoises, given the noise."""

import importlib.util

import numpy as np
import pytest

from gaintuning_tf import CoupledBootstrap, InputError, psnr
from gaintuning_tf.evaluation.baselines import BASELINES, check_baselines, methods

SIGMA = 0.1


@pytest.fixture
def noisy(photograph):
    noise = SIGMA * np.random.default_rng(0).standard_normal(photograph.shape)
    return (photograph + noise).astype("float32")


@pytest.mark.parametrize("name", ["bm3d", "nlm"])
def test_classical_methods_take_most_of_the_noise_away(name, photograph, noisy):
    if name == "bm3d":
        pytest.importorskip("bm3d")
    denoise = methods([name], None)[name]
    before = noisy.copy()
    denoised = denoise(noisy, SIGMA)
    np.testing.assert_array_equal(noisy, before)
    assert denoised.dtype == np.float32
    assert psnr(photograph, denoised, data_range=1.0) > psnr(photograph, noisy, data_range=1.0) + 5
    # Told that there is hardly any noise, it takes hardly any away.
    assert np.abs(denoise(noisy, SIGMA / 100) - noisy).max() < SIGMA / 10


def test_methods_that_tune_weights_are_told_loss_steps_and_seed(tiny, noisy):
    names = ["last-layer", "all-weights"]
    found = methods(names, tiny, loss=CoupledBootstrap(), steps=2, seed=1)
    assert list(found) == ["all-weights", "last-layer"]
    same = methods(names, tiny, loss="sure", steps=2, seed=1)
    for name in names:
        denoised = found[name](noisy, SIGMA)
        assert np.abs(denoised - tiny(noisy[None, ..., None])[0, ..., 0]).max() > 0
        np.testing.assert_array_equal(denoised, same[name](noisy, SIGMA))


def test_scratch_needs_no_network_and_is_told_iterations_and_seed(noisy, monkeypatch):
    from gaintuning_tf.evaluation import self2self

    monkeypatch.setattr(self2self, "denoise_from_scratch", lambda image, **options: (image, options))
    image, options = methods(["scratch"], None, iterations=7, seed=3)["scratch"](noisy, SIGMA)
    assert image is noisy
    assert options == {"iterations": 7, "seed": 3}
    assert methods(["scratch"], None)["scratch"](noisy, SIGMA)[1]["iterations"] == self2self.ITERATIONS


def test_refusals(monkeypatch, tiny):
    with pytest.raises(InputError, match=r"bm3d, nlm.*'wavelets'"):
        check_baselines(["wavelets"])
    with pytest.raises(InputError, match=r"expected loss in sure, .*received 'magic'"):
        methods(["all-weights"], tiny, loss="magic")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_baselines([name for name in BASELINES if name != "bm3d"])
    with pytest.raises(InputError, match=r"gaintuning-tf\[evaluate\]"):
        check_baselines(["bm3d"])
