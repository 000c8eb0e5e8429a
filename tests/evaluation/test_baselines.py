"""Methods by name: each denoises, given the noise."""

import importlib.util

import numpy as np
import pytest

from gaintuning_tf import CoupledBootstrap, InputError, psnr
from gaintuning_tf.evaluation.baselines import (
    BASELINES,
    check_baselines,
    denoise_bm3d,
    denoise_nlm,
    methods,
    power_spectrum,
)
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise
from helpers.correlations import gaussian, of_filter

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


@pytest.mark.parametrize(
    "noise",
    [
        GaussianNoise(0.1, of_filter(gaussian(0.7, 2))),
        PoissonGaussianNoise(0.02, 0.02, -0.1, of_filter(gaussian(0.7, 2))),
        PoissonGaussianNoise(0.02, 0.02),
    ],
    ids=["correlated", "correlated and signal-dependent", "signal-dependent"],
)
def test_bm3d_makes_use_of_all_that_it_is_told_of_the_noise(noise, photograph):
    pytest.importorskip("bm3d")
    noisy = noise.sample(photograph, np.random.default_rng(0))
    lent_nothing = hasattr(np, "trapz")
    mean = GaussianNoise(float(np.sqrt(noise.variance(photograph).mean())))
    told, less = (psnr(photograph, denoise_bm3d(noisy, known), data_range=1.0) for known in (noise, mean))
    assert told > less + 0.5
    assert told > psnr(photograph, noisy, data_range=1.0) + 4
    assert hasattr(np, "trapz") is lent_nothing


def test_the_power_spectrum_is_that_of_draws():
    correlation, shape = of_filter(gaussian(0.7, 2)), (12, 20)
    rng = np.random.default_rng(0)
    drawn = np.stack([GaussianNoise(1.0, correlation).sample(np.zeros((36, 60)), rng)[:12, :20] for _ in range(2000)])
    expected = power_spectrum(correlation, shape)
    assert expected.mean() == pytest.approx(12 * 20)
    found = np.mean(np.abs(np.fft.fft2(drawn)) ** 2, 0)
    # Of 2000 draws, each is known to a 45th of itself; borders, where the noise does not go
    # on periodically, add a share of the correlation's 3 pixels in 12.
    assert np.abs(found - expected).mean() < 0.1 * expected.mean()
    with pytest.raises(InputError, match="grey image"):
        power_spectrum(np.ones((1, 1, 3, 3)), shape)


def test_nlm_is_told_the_mean_level(noisy):
    line = PoissonGaussianNoise(0.02, 0.05)
    level = float(np.sqrt(0.02 * noisy.astype("float64").mean() + 0.05**2))
    np.testing.assert_allclose(denoise_nlm(noisy, line), denoise_nlm(noisy, level), rtol=1e-5)


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


def colour_picture():
    """A smooth picture of three different channels, and white noise."""
    y, x = np.mgrid[:64, :64] / 64
    clean = np.stack([0.2 + 0.6 * y, 0.8 - 0.5 * x, 0.3 + 0.4 * x * y], axis=-1).astype("float32")
    return clean, (clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)).astype("float32")


@pytest.mark.parametrize("name", ["nlm", "bm3d"])
def test_colour_is_denoised_as_colour(name):
    if name == "bm3d":
        pytest.importorskip("bm3d")
    clean, noisy = colour_picture()
    denoised = methods([name], model=None)[name](noisy, GaussianNoise(0.1))
    assert denoised.shape == clean.shape and denoised.dtype == "float32"
    # A 64x64 gradient is easy: the noise of 20 dB falls by 6 dB and more.
    assert psnr(clean, denoised, data_range=1) > 26


def test_correlated_colour_is_denoised_better_when_its_spectrum_is_given():
    pytest.importorskip("bm3d")
    clean, _ = colour_picture()
    correlation = np.einsum("ij,cd->ijcd", gaussian(1.0), np.eye(3))
    noise = GaussianNoise(0.1, correlation=correlation)
    noisy = noise.sample(clean[None], np.random.default_rng(1))[0]
    told = methods(["bm3d"], model=None)["bm3d"](noisy, noise)
    untold = methods(["bm3d"], model=None)["bm3d"](noisy, GaussianNoise(0.1))
    assert psnr(clean, told, data_range=1) > psnr(clean, untold, data_range=1) + 1


def test_training_from_scratch_is_for_grey_images():
    with pytest.raises(InputError, match="scratch"):
        methods(["scratch"], model=None)["scratch"](colour_picture()[1], 0.1)
