"""Splitting counts: exact for Poisson noise and any denoiser, at the dose of what is left."""

import numpy as np
import pytest
from denoisers import SIDE, blur, curved64, image, matrix

from gaintuning_tf import CountSplitting, InputError, gaintune
from gaintuning_tf.noise import PoissonNoise

GAIN = 0.25


def counts(clean, gain, n, seed):
    return gain * np.random.default_rng(seed).poisson(clean / gain, (n, *clean.shape[1:]))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_of_a_linear_denoiser_it_is_the_error_at_the_lower_dose(share):
    """`|A x - x|^2 / n + sum_ij A_ij^2 gain x_j / (1 - p) / n`."""
    clean = image()
    variance = np.sum(matrix() ** 2 @ (GAIN * clean.ravel())) / (1 - share)
    expected = np.mean((blur(clean) - clean) ** 2) + variance / SIDE**2
    noisy = counts(clean, GAIN, 1500, 1).astype("float32")
    risks = CountSplitting(PoissonNoise(GAIN), share=share)(blur, noisy, seed=(0, 1)).numpy().astype(float)
    error = risks.std() / len(risks) ** 0.5
    assert abs(risks.mean() - expected) < 4 * error
    assert error < 0.03 * expected


def test_it_is_unbiased_for_a_denoiser_that_is_not_linear_at_a_few_counts():
    share, clean = 0.3, image().astype(float)
    lower = counts(clean, GAIN / (1 - share), 3000, 2)
    errors = np.mean((curved64(lower) - clean) ** 2, axis=(1, 2, 3))
    noisy = counts(clean, GAIN, 3000, 3)
    risks = CountSplitting(PoissonNoise(GAIN), share=share)(curved64, noisy, seed=(0, 1)).numpy()
    error = (errors.var() / len(errors) + risks.var() / len(risks)) ** 0.5
    assert abs(errors.mean() - risks.mean()) < 4 * error
    assert error < 0.03 * errors.mean()


def test_it_is_what_sure_means_for_counts(tiny, photograph):
    noisy = np.random.default_rng(0).poisson(4 * photograph[:32, :32]).astype(np.uint8)
    options = {"noise": PoissonNoise(1.0), "data_range": 4.0, "steps": 2, "progress": False}
    named, given = (gaintune(noisy, tiny, loss=loss, **options) for loss in ("sure", CountSplitting()))
    np.testing.assert_array_equal(named.history["risk"], given.history["risk"])
    assert np.any(named.history["risk"] != gaintune(noisy, tiny, loss="noise-resampling", **options).history["risk"])


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_refuses_a_share_that_is_none(share):
    with pytest.raises(InputError, match="share"):
        CountSplitting(share=share)
