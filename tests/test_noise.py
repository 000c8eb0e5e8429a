"""Noise models and their estimation."""

import numpy as np
import pytest

from gaintuning_tf import GaussianNoise, InputError
from gaintuning_tf.noise import estimate_noise


@pytest.mark.parametrize("sigma", [10, 30, 70])
def test_estimates_the_noise_of_a_photograph(sigma, photograph):
    noisy = 255 * photograph + sigma * np.random.default_rng(0).standard_normal(photograph.shape)
    # The median of about 1900 coefficients has a standard error of 2 %; structure adds to it at low noise.
    assert estimate_noise(noisy).sigma == pytest.approx(sigma, rel=0.12)


def test_estimates_set12_within_four_percent(shared):
    from skimage.io import imread

    for index, file in enumerate(sorted((shared / "data" / "set12").glob("*.png"))):
        clean = imread(file)
        for sigma in (30, 70):
            noisy = clean + sigma * np.random.RandomState(index).randn(*clean.shape)
            assert estimate_noise(noisy).sigma == pytest.approx(sigma, rel=0.04)


def test_colour_is_estimated_over_channels():
    noisy = np.random.default_rng(0).normal(0, [1, 2, 3], (128, 128, 3))
    assert estimate_noise(noisy).sigma == pytest.approx(2, rel=0.05)


def test_scales_with_the_image():
    assert GaussianNoise(25).scaled(1 / 255).sigma == pytest.approx(25 / 255)


@pytest.mark.parametrize("sigma", [0, -1, np.nan, np.inf, "25", [1, -1]])
def test_refuses_a_sigma_that_is_no_noise(sigma):
    with pytest.raises(InputError, match="positive"):
        GaussianNoise(sigma)


@pytest.mark.parametrize(
    ("image", "message"),
    [(np.zeros((64, 64)), "no noise"), (np.zeros((3, 64)), "3x64"), (np.full((64, 64), 7), "no noise")],
)
def test_refuses_to_invent_an_estimate(image, message):
    with pytest.raises(InputError, match=message):
        estimate_noise(image)


def test_refuses_unknown_noise():
    with pytest.raises(InputError, match="'salt'"):
        estimate_noise(np.ones((8, 8)), "salt")
