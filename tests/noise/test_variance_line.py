"""The line of variance over mean, on synthetic and on real images."""

import numpy as np
import pytest
from scipy.stats import theilslopes

from gaintuning_tf import InputError
from gaintuning_tf.noise.models import PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.noise.variance_line import median_line, variance_line

RAMP = np.tile(np.linspace(20, 200, 256), (256, 1))
# Relative standard error of the level: 1024 blocks of 16 coefficients, each variance being known to sqrt(2 / 16), and
# the low quantile of many having about twice the variance of their mean.
LEVEL = np.sqrt(2 * 2 / 16 / 1024)


@pytest.mark.parametrize(("gain", "sigma", "offset"), [(2, 5, 0), (2, 5, 100), (0.5, 10, 0)])
def test_finds_the_line_of_a_ramp(gain, sigma, offset):
    noise = PoissonGaussianNoise(gain, sigma, offset)
    slope, intercept = variance_line(noise.sample(RAMP + offset, np.random.default_rng(0)))
    # At the ends of an even ramp a fitted line has twice the standard error of the level.
    ends = np.array([20, 200]) + offset
    np.testing.assert_allclose(slope * ends + intercept, noise.variance(ends), rtol=4 * 2 * LEVEL)


def test_a_line_through_the_origin_is_the_gain():
    noisy = PoissonNoise(3).sample(RAMP, np.random.default_rng(0))
    slope, intercept = variance_line(noisy, through_origin=True)
    assert intercept == 0
    assert slope == pytest.approx(3, rel=4 * LEVEL)


def test_pure_gaussian_noise_has_no_slope_to_speak_of():
    rng = np.random.default_rng(0)
    slope, intercept = variance_line(RAMP + rng.normal(0, 10, RAMP.shape))
    assert slope >= 0
    assert slope * 110 + intercept == pytest.approx(100, rel=4 * LEVEL)
    # From end to end a fitted line has sqrt(12) times the standard error of the level.
    assert slope * 180 < 100 * 4 * np.sqrt(12) * LEVEL


def test_edges_do_not_count_as_noise():
    squares = np.kron(np.random.default_rng(1).choice([50.0, 150.0], (16, 16)), np.ones((24, 24)))
    noisy = PoissonNoise(1).sample(squares, np.random.default_rng(2))
    # A third of the blocks meets an edge, whose variance is up to 100 times that of the noise.
    assert variance_line(noisy, through_origin=True)[0] == pytest.approx(1, rel=0.15)


def test_units_of_the_image_are_those_of_the_line():
    noisy = PoissonGaussianNoise(2, 5).sample(RAMP, np.random.default_rng(0))
    slope, intercept = variance_line(noisy)
    scaled = variance_line(noisy / 255 + 3)
    assert scaled[0] == pytest.approx(slope / 255, rel=1e-6)
    assert scaled[1] == pytest.approx(intercept / 255**2 - 3 * slope / 255, rel=1e-6)


def test_channels_are_taken_together():
    noisy = PoissonGaussianNoise(2, 5).sample(RAMP, np.random.default_rng(0))
    assert variance_line(np.stack([noisy] * 3, -1)) == pytest.approx(variance_line(noisy), rel=0.05)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 64)), "no noise"),
        (np.full((64, 64), 7.3), "no noise"),
        (np.add.outer(np.arange(64.0), np.arange(64.0)), "no noise"),
        (np.random.default_rng(0).normal(size=(16, 16)), "16x16"),
        (np.random.default_rng(0).normal(size=(4, 512)), "4x512"),
    ],
)
def test_refuses_an_image_without_an_answer(image, message):
    with pytest.raises(InputError, match=message):
        variance_line(image)


@pytest.mark.parametrize("count", [3, 10, 20])
def test_the_median_line_is_that_of_theil_and_sen(count):
    means, variances = np.random.default_rng(count).random((2, count))
    means[-1] = means[0]
    np.testing.assert_allclose(median_line(means, variances), theilslopes(variances, means)[:2])
