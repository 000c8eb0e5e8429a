"""The coupled bootstrap: unbiased at its noise level for any width, and a gradient with less noise than SURE's."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, InputError, MonteCarloSURE
from gaintuning_tf.noise.models import PoissonNoise
from helpers.denoisers import SIDE, blur, curved64, image, matrix

SIGMA = 0.2


def within(values, expected, errors=4):
    """The mean of independent values is what is expected, to so many of its standard errors."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / len(values) ** 0.5
    assert abs(values.mean() - expected) < errors * error, (values.mean(), expected, error)
    return error


@pytest.mark.parametrize("width", [0.1, 0.5, 2.0])
def test_for_any_width_it_is_the_error_at_the_higher_noise_level(width):
    """Of a linear f: `|A x - x|^2 / n + (1 + width^2) sigma^2 |A|_F^2 / n`."""
    clean = image()
    bias = np.mean((blur(clean) - clean) ** 2)
    expected = bias + (1 + width**2) * SIGMA**2 * np.sum(matrix() ** 2) / SIDE**2
    noisy = clean + SIGMA * np.random.default_rng(1).standard_normal((600, *clean.shape[1:])).astype("float32")
    risks = CoupledBootstrap(SIGMA, width=width)(blur, noisy, seed=(0, 1))
    assert within(risks, expected) < 0.05 * expected


def test_it_is_unbiased_for_a_denoiser_that_is_not_linear():
    width, clean, rng = 0.7, image().astype("float64"), np.random.default_rng(2)
    draw = rng.standard_normal((2, 1500, *clean.shape[1:]))
    higher = clean + SIGMA * (1 + width**2) ** 0.5 * draw[0]
    errors = np.mean((curved64(higher) - clean) ** 2, axis=(1, 2, 3))
    risks = CoupledBootstrap(SIGMA, width=width)(curved64, clean + SIGMA * draw[1], seed=(0, 1))
    # Both are estimates: of the difference, the variances add.
    error = (errors.var() / len(errors) + np.var(risks) / len(risks)) ** 0.5
    assert abs(errors.mean() - np.mean(risks)) < 4 * error
    assert error < 0.01 * errors.mean()


@pytest.mark.parametrize("noise", [SIGMA, PoissonNoise(0.05)])
def test_it_is_the_mean_of_its_sides_each_of_which_sees_the_images_once(noise):
    noisy = tf.constant(image() + 0.1)
    seen = []

    def curved(images):
        seen.append(len(images))
        return tf.square(images)

    loss = CoupledBootstrap(noise)
    whole = loss(curved, noisy, seed=(0, 1))
    sides = [loss.of_side(tf.constant(side))(curved, noisy, seed=(0, 1)) for side in loss.sides]
    np.testing.assert_allclose(np.mean(sides, 0), whole, rtol=1e-5)
    assert np.any(np.abs(sides[0] / whole - 1) > 1e-3)
    assert seen == [2 * len(noisy), len(noisy), len(noisy)]


def test_counts_have_the_variance_of_their_pixels():
    clean, width, gain = image(), 0.5, 0.05
    rng = np.random.default_rng(3)
    noisy = (gain * rng.poisson(clean / gain, (800, *clean.shape[1:]))).astype("float32")
    squares = matrix() ** 2
    own = np.sum(squares @ (gain * clean.ravel()))
    added = width**2 * gain * clean.mean() * squares.sum()
    expected = np.mean((blur(clean) - clean) ** 2) + (own + added) / SIDE**2
    risks = CoupledBootstrap(PoissonNoise(gain), width=width)(blur, noisy, seed=(0, 4))
    assert within(risks, expected) < 0.05 * expected


def test_the_criterion_is_the_risk_at_the_level_of_the_image():
    wide = CoupledBootstrap(SIGMA, width=0.5, probes=3)
    assert (wide.criterion.width, wide.criterion.probes, wide.criterion.noise) == (0.1, 3, wide.noise)
    narrow = wide.criterion
    assert narrow.criterion is narrow


def test_the_gradient_through_kinks_has_far_less_variance_than_that_of_sure():
    """f(y) = relu(g y - 0.3): the derivative of its divergence by g is a delta where g y = 0.3."""
    noisy = tf.constant(image(n=1, side=64))
    gain = tf.constant(1.0)

    def gradients(loss):
        found = []
        for number in range(40):
            with tf.GradientTape() as tape:
                tape.watch(gain)
                risk = loss(lambda y: tf.nn.relu(gain * y - 0.3), noisy, seed=(0, number))
            found.append(float(tape.gradient(risk, gain)))
        return np.array(found)

    wide, narrow = gradients(CoupledBootstrap(SIGMA)), gradients(MonteCarloSURE(SIGMA))
    assert narrow.var() > 10 * wide.var()


@pytest.mark.parametrize("options", [{"width": 0}, {"width": -1.0}, {"probes": 0}, {"probes": 1.5}])
def test_refuses_bad_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        CoupledBootstrap(SIGMA, **options)
