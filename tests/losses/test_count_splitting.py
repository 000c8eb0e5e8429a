"""Splitting counts: exact for Poisson noise and any denoiser, at the dose of what is left."""

import subprocess
import sys

import numpy as np
import pytest

from gaintuning_tf import CountSplitting, GainTuner, InputError, NoiseLevel, gaintune
from gaintuning_tf.noise.models import PoissonNoise
from helpers.denoisers import SIDE, blur, curved64, image, matrix
from helpers.places import TESTS

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


# In a process of its own: refused too late, the sampler never ended, and was deaf to Ctrl-C.
REFUSED = """
import numpy as np
from helpers.networks import make_tiny
from gaintuning_tf import *

image, model = np.zeros((1, 16, 16, 1), "float32"), make_tiny()
line = NoiseLevel(np.zeros(1), np.ones(1))
both = WeightedSum([(CoupledBootstrap(), 1.0), (CountSplitting(), 1.0)])
tuner = GainTuner(model, CountSplitting(), contrast=False)
calls = [
    lambda: CountSplitting(0.1)(None, image, seed=(0, 0)),
    lambda: CountSplitting()(None, image, line, seed=(0, 0)),
    lambda: tuner.tune(image, sigma=0.1, progress=False),
    lambda: tuner.tune(image, sigma=line, progress=False),
    lambda: tuner.tune(image, sigma=PoissonGaussianNoise(0.0, 0.1), progress=False),
    lambda: GainTuner(model, both).tune(image, sigma=0.1, progress=False),
    *(
        lambda options=options: gaintune(image[0, ..., 0], "absent.keras", progress=False, **options)
        for options in (
            {"loss": "count-splitting", "noise": "gaussian"},
            {"loss": "count-splitting", "sigma": 0.1},
            {"loss": CountSplitting(PoissonNoise(0.1)), "noise": "gaussian"},
            {"loss": both, "noise": "gaussian"},
            {"loss": "count-splitting", "noise": PoissonGaussianNoise(0.0, 0.1)},
        )
    ),
]
for call in calls:
    try:
        call()
    except InputError as error:
        print(error)
"""


def test_noise_without_counts_is_refused_before_anything_is_computed():
    command = [sys.executable, "-c", REFUSED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    errors = done.stdout.splitlines()
    assert len(errors) == 11
    for error in errors:
        assert "expects noise of counts" in error and "PoissonNoise(1.0)" in error and "'sure'" in error


def test_a_noise_level_is_a_noise_of_the_tuner(tiny, photograph):
    noisy = counts(photograph[None, :32, :32, None], GAIN, 1, 1).astype("float32")
    model, level = PoissonNoise(GAIN), NoiseLevel(GAIN, np.zeros(1))
    tuner = GainTuner(tiny, CountSplitting(), contrast=False)
    known, given = (tuner.tune(noisy, sigma=noise, steps=0, progress=False) for noise in (model, level))
    assert known.risk_after == given.risk_after
    with pytest.raises(InputError, match="of each of 1"):
        tuner.tune(noisy, sigma=NoiseLevel(np.ones(2), 0.0), steps=0, progress=False)
