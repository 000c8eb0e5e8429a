"""What every loss is: a function becomes one, and the base asks for a risk."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    UNSURE,
    CoupledBootstrap,
    GaussianNoise,
    InputError,
    MonteCarloSURE,
    PoissonGaussianSURE,
    PoissonNoise,
)
from gaintuning_tf.losses.base import RiskEstimate, as_risk_estimate, own_noise
from gaintuning_tf.losses.count_splitting import CountSplitting
from gaintuning_tf.noise.tensors import noise_tensors


def test_a_bare_number_is_a_sigma():
    assert own_noise(2.0) == GaussianNoise(2.0)
    assert own_noise(None) is None


def test_a_callable_keeps_what_it_says_of_itself():
    class Duck:
        """Of the user's own, of no base."""

        needs_noise, uses_reference, step = False, True, None

        def __call__(self, denoise, noisy, noise=None, *, seed, reference=None):
            return self.step, reference

    duck = Duck()
    loss = as_risk_estimate(duck)
    assert (loss.noise, loss.needs_noise, loss.uses_reference, loss.step) == (None, False, True, None)
    chosen = loss.at_step(0.25)
    assert chosen.of(None, None, None, seed=None, reference="x0") == (0.25, "x0")
    assert duck.step is None, "the user's loss was changed"
    assert chosen.at_step(0.5) is chosen
    duck.criterion = MonteCarloSURE()
    assert loss.criterion is duck.criterion


@pytest.mark.parametrize("loss", ["sure", None, MonteCarloSURE])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(InputError, match="expected a loss such as"):
        as_risk_estimate(loss)


def test_the_base_asks_for_a_risk():
    with pytest.raises(NotImplementedError):
        RiskEstimate()(lambda y: y, tf.zeros((1, 4, 4, 1)), seed=(0, 0))


def test_gaussian_noise_is_a_standard_deviation_to_a_function():
    def loss(denoise, noisy, noise, *, seed):
        return noise

    given = as_risk_estimate(loss).of(None, None, noise_tensors(np.array([0.5, 2.0])), seed=None, reference=None)
    assert given.numpy().tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("loss", "noise"),
    [
        (CoupledBootstrap(), GaussianNoise(0.1)),
        (CoupledBootstrap().criterion, GaussianNoise(0.1)),
        (MonteCarloSURE(), GaussianNoise(0.1)),
        (PoissonGaussianSURE(), PoissonNoise(0.02)),
        (CountSplitting(share=0.5), PoissonNoise(0.02)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_error_of_what_changes_nothing_is_that_of_the_noise_that_a_loss_is_at(loss, noise):
    noisy = noise.sample(np.full((1, 128, 128, 1), 0.5), np.random.default_rng(0)).astype("float32")
    risk = loss(lambda y: tf.identity(y), noisy, noise, seed=(0, 1))
    variance = float(noise.variance(np.array(0.5)))
    # The relative standard error of one probe is 2 sqrt(2 / n); of split counts, less than twice that.
    assert float(risk[0]) == pytest.approx(loss.noise_factor * variance, rel=4 * 4 * (2 / 128**2) ** 0.5)


def test_other_losses_have_no_noise_factor_unless_they_say_so():
    def called(denoise, noisy, noise=None, *, seed):
        return tf.zeros(len(noisy))

    assert UNSURE().noise_factor is None
    assert as_risk_estimate(called).noise_factor is None
    called.noise_factor = 2.0
    assert as_risk_estimate(called).noise_factor == 2.0
