"""The unit of counts: exact where there is one, and none where there is not."""

import numpy as np
import pytest

from gaintuning_tf import gaintune, psnr
from gaintuning_tf.noise.variance_line import MOST_COUNTS, count_unit, variance_line
from gaintuning_tf.training import synthetic


def counts(mean=2.0, shape=(64, 64), seed=0):
    return np.random.default_rng(seed).poisson(mean, shape)


@pytest.mark.parametrize("unit", [1.0, 0.2, 1 / 3, 7.5])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_unit_is_found_whatever_the_scale(unit, dtype):
    image = (unit * counts()).astype(dtype)
    assert count_unit(image, 1.1 * unit) == pytest.approx(unit, rel=1e-6)


def test_an_estimate_far_from_the_unit_is_that_of_a_camera():
    assert count_unit(counts(), 1.25) is None
    assert count_unit(counts(), 0.75) is None


@pytest.mark.parametrize(
    "image",
    [
        counts() + np.random.default_rng(1).normal(0, 0.05, (64, 64)),
        np.full((8, 8), 3),
        np.zeros((8, 8)),
        counts() - 1,
        counts(MOST_COUNTS + 500),
    ],
    ids=["read-out noise", "constant", "zero", "negative", "many"],
)
def test_what_is_no_count_has_no_unit(image):
    assert count_unit(image, 1.0) is None


def test_tuning_on_counts_of_an_unknown_gain_does_no_harm():
    """By the variance, the gain is a tenth off here: 23.5 dB after tuning in place of 29.6, too bright."""
    clean = synthetic.images("nanoparticles", 1, seed=7, size=128)[0][..., 0]
    counts = np.random.default_rng(0).poisson(clean).astype(np.float32)
    assert variance_line(counts, through_origin=True)[0] < 0.92
    result = gaintune(counts, "unet-tem", noise="poisson", data_range=1.0, progress=False)
    assert result.noise.gain == pytest.approx(1, rel=1e-6)
    before, after = (psnr(clean, image, data_range=1.0) for image in (result.pretrained, result.denoised))
    # Gained nothing on so few counts: measured 0.14 dB below.
    assert after > before - 0.3
    assert result.denoised.mean() == pytest.approx(clean.mean(), rel=0.02)
