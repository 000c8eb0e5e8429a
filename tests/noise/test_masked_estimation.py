"""Noise estimated from the pixels that count alone."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.noise.estimation import estimate_noise
from gaintuning_tf.noise.models import PoissonGaussianNoise
from gaintuning_tf.noise.variance_line import masked_coefficients

SIDE = 128
RAMP = np.tile(np.linspace(20, 200, SIDE), (SIDE, 1))
MASK = np.zeros((SIDE, SIDE), bool)
MASK[:, 70:] = MASK[:11] = MASK[40, 40] = True


@pytest.mark.parametrize("noise", ["gaussian", "poisson", "poisson-gaussian"])
@pytest.mark.parametrize("shape", [(SIDE, SIDE), (SIDE - 1, SIDE - 3)])
def test_masked_pixels_have_no_say(noise, shape):
    rng = np.random.default_rng(0)
    image = PoissonGaussianNoise(2, 5).sample(RAMP, rng)[: shape[0], : shape[1]]
    mask = MASK[: shape[0], : shape[1]]
    found = estimate_noise(image, noise, mask=mask)
    # They are far too many, and too different, for a median to be robust against them.
    other = np.where(mask, 1000 * rng.standard_normal(shape) + 5000, image)
    assert estimate_noise(other, noise, mask=mask) == found


@pytest.mark.parametrize("channels", [(), (3,)])
def test_what_is_left_says_what_the_whole_does(channels):
    image = 100 + 5 * np.random.default_rng(0).standard_normal((SIDE, SIDE, *channels))
    mask = np.broadcast_to(MASK.reshape(SIDE, SIDE, *[1] * len(channels)), image.shape)
    # A median of n absolute values of the normal distribution has a relative standard error of 1.17 / sqrt(n): here
    # of the coefficients, a quarter of the pixels, of which 44 % are left.
    assert estimate_noise(image, mask=mask).sigma == pytest.approx(5, rel=4 * 1.17 / np.sqrt(0.44 * SIDE**2 / 4))
    assert estimate_noise(image, mask=np.zeros_like(mask)).sigma == pytest.approx(estimate_noise(image).sigma, rel=1e-9)


def test_a_coefficient_is_masked_if_a_masked_pixel_changes_it():
    import pywt

    rng = np.random.default_rng(0)
    for shape in ((8, 9), (5, 4), (7, 13)):
        mask = np.zeros(shape, bool)
        mask[tuple(rng.integers(shape))] = True
        details = [pywt.dwt2(rng.random(shape) * 0 + value * mask, "db2", mode="symmetric")[1][2] for value in (0, 1)]
        np.testing.assert_array_equal(masked_coefficients(mask), np.abs(details[1] - details[0]) > 1e-12)


@pytest.mark.parametrize("noise", ["gaussian", "poisson-gaussian"])
def test_too_few_pixels_that_count_are_refused(noise):
    image = np.random.default_rng(0).normal(100, 5, (64, 64))
    mask = np.ones((64, 64), bool)
    mask[30, 30] = False
    with pytest.raises(InputError, match="found no noise"):
        estimate_noise(image, noise, mask=mask)
