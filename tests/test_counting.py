"""The unit of counts: exact where there is one, and none where there is not."""

import numpy as np
import pytest

from gaintuning_tf import gaintune, psnr, synthetic
from gaintuning_tf.counting import MOST, count_unit


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
        counts(MOST + 500),
    ],
    ids=["read-out noise", "constant", "zero", "negative", "many"],
)
def test_what_is_no_count_has_no_unit(image):
    assert count_unit(image, 1.0) is None


def test_tuning_on_counts_of_an_unknown_gain_does_no_harm():
    """With the gain as the variance tells it, 3 to 5 % off, the same image lost 1 dB and more."""
    clean = synthetic.images("nanoparticles", 1, seed=3, size=128)[0][..., 0]
    noisy = np.random.default_rng(0).poisson(5 * clean).astype(np.uint16)
    result = gaintune(noisy.astype(np.float32), "unet-tem", noise="poisson", data_range=5.0, progress=False)
    before, after = (psnr(5 * clean, x, data_range=5.0) for x in (result.pretrained, result.denoised))
    assert result.noise.gain == pytest.approx(1, rel=1e-6)
    assert after > before - 0.1
