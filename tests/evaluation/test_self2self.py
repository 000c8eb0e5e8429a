"""Training on the one image alone."""

import numpy as np
import pytest

from gaintuning_tf import InputError, psnr
from gaintuning_tf.evaluation.self2self import denoise_from_scratch


def test_it_learns_a_smooth_image_from_its_noisy_version_alone():
    rows, columns = np.mgrid[:32, :37] / 16
    clean = (0.5 + 0.2 * np.sin(rows + columns)).astype("float32")
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape).astype("float32")
    before = noisy.copy()
    denoised = denoise_from_scratch(noisy, iterations=40, predictions=10, width=8)
    np.testing.assert_array_equal(noisy, before)
    # The mean of the neighbours, from which it starts, has 1 / 13 of the noise's variance: 11 dB less. That much
    # less would be noise fitted; nothing at all, a network that does harm.
    assert psnr(clean, denoised, data_range=1.0) > psnr(clean, noisy, data_range=1.0) + 8


def test_the_same_seed_gives_the_same_image_and_another_another():
    noisy = np.random.default_rng(0).random((12, 13), "float32")
    options = {"iterations": 3, "predictions": 2, "width": 4}
    one, same, other = (denoise_from_scratch(noisy, seed=seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_a_pixel_is_predicted_without_itself():
    """An impulse in an image of zeros cannot be guessed: hidden, it is taken for its neighbours."""
    noisy = np.zeros((16, 16), "float32")
    noisy[8, 8] = 1
    denoised = denoise_from_scratch(noisy, iterations=1, predictions=20, width=4)
    # Adam's only step of 1e-3 makes a correction of a few hundredths at most.
    assert abs(denoised[8, 8]) < 0.03
    assert denoised[8, 9] > 0.06  # the weight of a neighbour is 24 / 256 or more


def test_refusals():
    with pytest.raises(InputError, match=r"\(H, W\)"):
        denoise_from_scratch(np.zeros((4, 4, 1)))
    with pytest.raises(InputError, match="at least one iteration"):
        denoise_from_scratch(np.zeros((4, 4)), iterations=0)
