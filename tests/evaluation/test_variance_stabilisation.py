"""Noise that depends on the signal: made the same everywhere, and back without bias."""

import numpy as np
import pytest

from gaintuning_tf.evaluation.variance_stabilisation import VarianceStabilisation
from gaintuning_tf.noise.models import PoissonGaussianNoise

DRAWS = 400_000


@pytest.mark.parametrize(("gain", "sigma", "offset"), [(1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (2.0, 5.0, 20.0)])
def test_the_noise_has_variance_one_and_the_way_back_has_no_bias(gain, sigma, offset):
    noise = PoissonGaussianNoise(gain, sigma, offset)
    (slope,), (intercept,) = noise.level(1)
    way = VarianceStabilisation(slope, intercept)
    rng = np.random.default_rng(0)
    for counts in (1, 4, 20):
        clean = offset + gain * counts
        stable = way.forward(noise.sample(np.full(DRAWS, float(clean)), rng))
        if counts > 1:
            assert stable.var() == pytest.approx(1, abs=0.1)
        # The closed form is off by at most 0.04 counts; the mean of the draws, by its error.
        error = 4 * float(np.sqrt(noise.variance(np.array(float(clean))) / DRAWS)) / gain
        assert (way.back(stable.mean()) - clean) / gain == pytest.approx(0, abs=0.04 + error)


def test_below_the_transform_of_zero_the_way_back_is_that_of_zero():
    way = VarianceStabilisation(2.0, -40.0)
    np.testing.assert_allclose(way.back(np.array([-1.0, 0.0, 2 * (3 / 8) ** 0.5])), 20.0)
    assert np.all(np.diff(way.back(np.linspace(1.3, 30, 200))) > 0)
    assert way.forward(np.array([-1e6])).tolist() == [0.0]
