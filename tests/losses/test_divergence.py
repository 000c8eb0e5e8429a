"""Divergence estimators against exact traces, with derived tolerances."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.losses.divergence import draw_probe, exact_divergence, monte_carlo_divergence, probe_step
from helpers.denoisers import KERNEL, SIDE, blur, curved, curved64, image, matrix


def test_exact_divergence_is_the_trace():
    y = tf.constant(image())
    trace = np.trace(matrix())
    assert exact_divergence(blur, y).numpy()[0] == pytest.approx(trace, rel=1e-5)
    assert trace == pytest.approx(KERNEL[1, 1, 0, 0] * SIDE**2, rel=1e-5)


@pytest.mark.parametrize("probe", ["gaussian", "rademacher"])
def test_monte_carlo_divergence_has_the_mean_and_variance_of_theory(probe):
    a = matrix().astype(np.float64)
    symmetric = (a + a.T) / 2
    variance = 2 * np.sum(symmetric**2) - (2 * np.sum(np.diag(a) ** 2) if probe == "rademacher" else 0)
    draws = 400
    y = tf.constant(image())
    estimate = tf.function(lambda seed: monte_carlo_divergence(blur, y, seed, probe=probe)[0][0])
    values = np.array([estimate(tf.constant([7, i])).numpy() for i in range(draws)])
    # Four standard errors; of a sample variance the standard error is sqrt(2 / (n - 1)), a little
    # more for sums that are not quite Gaussian.
    assert abs(values.mean() - np.trace(a)) < 4 * np.sqrt(variance / draws)
    assert values.var(ddof=1) == pytest.approx(variance, rel=4 * 1.2 * np.sqrt(2 / (draws - 1)))


def test_monte_carlo_divergence_returns_the_denoised_image_too():
    y = tf.constant(image(n=2))
    _, denoised = monte_carlo_divergence(blur, y, (0, 0))
    np.testing.assert_allclose(denoised, blur(y), rtol=1e-6)


def test_probes_have_unit_variance_and_the_right_values():
    signs = draw_probe((1000,), (0, 0), "rademacher").numpy()
    assert set(signs) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / np.sqrt(1000)
    normal = draw_probe((10000,), (0, 0)).numpy()
    assert normal.var() == pytest.approx(1, abs=4 * np.sqrt(2 / 10000))


def test_the_step_follows_range_and_precision():
    assert probe_step() == pytest.approx(2 ** (-23 / 2))
    assert probe_step(255.0) == pytest.approx(255 * probe_step())
    assert probe_step(dtype=tf.float64) == pytest.approx(2**-26)


def test_the_default_step_is_near_the_best_for_float32():
    """The divergence of a smooth denoiser along one probe, against float64 with a tiny step."""
    y = tf.constant(image())
    truth = monte_carlo_divergence(curved64, tf.cast(y, tf.float64), (0, 0), step=1e-6, probe="rademacher")[0].numpy()[
        0
    ]

    def error(step):
        return (
            abs(monte_carlo_divergence(curved, y, (0, 0), step=step, probe="rademacher")[0].numpy()[0] - truth)
            / SIDE**2
        )

    assert error(None) < 2e-3
    assert error(1e-1) > error(None)
    assert error(1e-7) > error(None)


@pytest.mark.parametrize("probe", ["gaussian", "rademacher"])
def test_weights_are_those_of_the_diagonal(probe):
    a, draws = matrix().astype(np.float64), 400
    weights = np.random.default_rng(3).normal(1, 1, SIDE**2)
    exact = np.sum(weights * np.diag(a))
    shaped = tf.constant(weights.reshape(1, SIDE, SIDE, 1), tf.float32)
    y = tf.constant(image())
    assert exact_divergence(blur, y, shaped).numpy()[0] == pytest.approx(exact, rel=1e-4)
    weighted = weights[:, None] * a
    variance = 2 * np.sum(((weighted + weighted.T) / 2) ** 2)
    variance -= 2 * np.sum(np.diag(weighted) ** 2) if probe == "rademacher" else 0
    # Each image of a batch has a probe of its own.
    batch = tf.repeat(y, draws, axis=0)
    values = monte_carlo_divergence(blur, batch, (7, 8), probe=probe, weights=shaped)[0].numpy()
    assert abs(values.mean() - exact) < 4 * np.sqrt(variance / draws)
    assert values.var(ddof=1) == pytest.approx(variance, rel=4 * 1.2 * np.sqrt(2 / (draws - 1)))
