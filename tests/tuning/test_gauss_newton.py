"""Gauss-Newton steps: the minimum of the quadratic, within the trust region; curvature as sampled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import GainTuner, GaussianNoise, MonteCarloSURE, insert_gains
from gaintuning_tf.noise.tensors import noise_of_batch
from gaintuning_tf.tuning.gauss_newton import CROPS, DIAGONAL, LIMIT, PASSES, crops_in_a_pass, freedom, newton_step
from gaintuning_tf.tuning.steps import gain_steps


def problem(seed=0, rows=2, samples=5, gains=7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, samples, gains)), 1e-3 * rng.normal(size=(rows, gains))


def model_of(rows):
    """The curvature that `newton_step` makes of rows."""
    whole = 2 / rows.shape[0] * rows.T @ rows
    return (1 - DIAGONAL) * whole + DIAGONAL * np.diag(np.diag(whole))


def test_the_step_is_the_minimum_of_the_quadratic_with_the_prior():
    rows, gradient = problem()
    deviation, damping = 0.01 * np.random.default_rng(1).normal(size=gradient.shape), np.array([0.3, 0.7])
    step = newton_step(rows, gradient, deviation, damping).numpy()
    for i in range(2):
        expected = -np.linalg.solve(model_of(rows[i]) + damping[i] * np.eye(7), gradient[i] + damping[i] * deviation[i])
        np.testing.assert_allclose(step[i], expected, rtol=1e-9)


def test_a_long_step_ends_at_the_trust_region_and_a_short_one_beside_it_is_not_touched():
    rows, gradient = problem()
    gradient[1] *= 1e3
    still, damping = np.zeros_like(gradient), np.array([0.1, 0.1])
    step = newton_step(rows, gradient, still, damping).numpy()
    alone = newton_step(rows[:1], gradient[:1], still[:1], damping[:1]).numpy()
    np.testing.assert_allclose(step[:1], alone, rtol=1e-12)
    longest = np.abs(step[1]).max()
    assert LIMIT / 4 < longest <= LIMIT * (1 + 1e-9)
    # Steepened, not cut: it is still downhill, and turned towards the gradient.
    assert step[1] @ gradient[1] < 0


def test_an_endless_gradient_makes_no_endless_step():
    rows, gradient = problem()
    step = newton_step(rows, 1e30 * gradient, 0 * gradient, np.array([1e-12, 1e-12])).numpy()
    assert np.abs(step).max() <= LIMIT * (1 + 1e-9)


def test_the_freedom_is_the_trace_of_what_the_image_decides():
    rows, damping = problem()[0], np.array([0.3, 0.7])
    found = freedom(tf.constant(rows, tf.float32), tf.constant(damping)).numpy()
    for i in range(2):
        h = model_of(rows[i])
        assert found[i] == pytest.approx(np.trace(np.linalg.solve(h + damping[i] * np.eye(7), h)), rel=1e-6)
    np.testing.assert_allclose(freedom(rows, np.array([1e-9, 1e9])), [7, 0], atol=1e-6)


def scaling(channels=1, side=None):
    """f(y) = gain * y: J^T J / n is the mean square of the image."""
    model = keras.Sequential([keras.Input((side, side, channels)), keras.layers.Conv2D(channels, 1, use_bias=False)])
    model.layers[0].kernel.assign(np.eye(channels)[None, None])
    return model


def curvature(steps, noisy, seed=0):
    gains, _ = steps.initial()
    seen = steps.objective.windows(noisy, None)
    noise = noise_of_batch(GaussianNoise(0.1), len(noisy), tf.float32)
    prepare = tf.function(steps.prepare, autograph=False)
    _, inputs, *_ = prepare(gains, noisy, noise, tf.constant(seed, tf.int64), seen)
    return inputs.curvature.numpy()


def test_the_sampled_curvature_is_that_of_the_error_to_the_monte_carlo_error():
    noisy = np.random.default_rng(0).uniform(0.5, 1, (1, 48, 48, 1)).astype("float32")
    rows = curvature(gain_steps(scaling(), MonteCarloSURE(), contrast=False), noisy)
    assert rows.shape == (1, PASSES * CROPS, 1)
    # Each squared row has the mean m = mean(y^2), and as the square of a normal number the variance 2 m^2.
    expected = float(np.mean(noisy**2))
    assert np.mean(rows**2) == pytest.approx(expected, abs=4 * expected * (2 / rows.size) ** 0.5)


@pytest.mark.parametrize(("side", "crops"), [(40, 16), (100, 8)])
def test_a_network_of_fixed_size_has_the_curvature_of_crops_of_that_size(side, crops):
    noisy = np.random.default_rng(0).uniform(0.5, 1, (1, 120, 90, 1)).astype("float32")
    steps = gain_steps(scaling(side=side), MonteCarloSURE(), contrast=False)
    assert crops_in_a_pass((side, side)) == crops
    rows = curvature(steps, noisy)
    assert rows.shape == (1, PASSES * CROPS, 1)
    expected = float(np.mean(noisy**2))
    assert np.mean(rows**2) == pytest.approx(expected, abs=4 * expected * (2 / rows.size) ** 0.5)
    size, count = steps.objective.windows(noisy, None)
    assert size.numpy().tolist() == [side, min(side, 90)] and count == round(120 * 90 / (side * min(side, 90)))


def test_a_dense_layer_on_channels_has_the_curvature_of_a_convolution():
    noisy = np.random.default_rng(0).uniform(0.5, 1, (1, 60, 50, 2)).astype("float32")
    dense = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Dense(2, use_bias=False)])
    dense.layers[0].kernel.assign(np.eye(2))
    steps = [gain_steps(model, MonteCarloSURE(), contrast=False) for model in (dense, scaling(2))]
    np.testing.assert_allclose(*(curvature(one, noisy) for one in steps), rtol=1e-5)


def test_each_image_has_the_curvature_it_has_alone():
    images = np.random.default_rng(0).uniform(0, 1, (2, 60, 50, 1)).astype("float32")
    images[1] *= 0.3
    together = curvature(gain_steps(insert_gains(scaling(), images=2), MonteCarloSURE(), contrast=False), images)
    alone = gain_steps(scaling(), MonteCarloSURE(), contrast=False)
    for i in range(2):
        np.testing.assert_allclose(together[i], curvature(alone, images[i : i + 1])[0], rtol=1e-5)


def test_a_few_steps_find_what_many_of_adam_find(tiny):
    rng = np.random.default_rng(0)
    clean = 0.5 + 0.3 * np.sin(np.arange(64) / 6)[None, None, :, None]
    noisy = (clean + 0.1 * rng.standard_normal((1, 64, 64, 1))).astype("float32")
    found = {}
    for name, options in {"newton": {}, "adam": {"prior": None}}.items():
        tuner = GainTuner(tiny, MonteCarloSURE(0.1), contrast=False, **options)
        found[name] = tuner.tune(noisy, steps={"newton": 8, "adam": 60}[name], progress=False)
    gained = {name: history.risk_before - history.risk_after for name, history in found.items()}
    assert gained["newton"] > 0.8 * gained["adam"] > 0
