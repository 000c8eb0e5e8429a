"""SURE and its divergence estimators against exact traces and true errors, with derived tolerances."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import GaussianNoise, InputError, MonteCarloSURE
from gaintuning_tf.losses import draw_probe, exact_divergence, monte_carlo_divergence, probe_step

SIDE = 24
KERNEL = np.random.default_rng(5).normal(0.1, 0.1, (3, 3, 1, 1)).astype("float32")


def blur(y):
    return tf.nn.conv2d(y, KERNEL, 1, "SAME")


def matrix(side=SIDE):
    """The matrix of `blur`, column by column."""
    units = np.eye(side * side, dtype="float32").reshape(-1, side, side, 1)
    return blur(units).numpy().reshape(side * side, -1).T


def image(seed=0, side=SIDE, n=1):
    return np.random.default_rng(seed).random((n, side, side, 1)).astype("float32")


def curved(y):
    """A denoiser with kinks and curvature: not linear, so that its divergence depends on y."""
    return 0.5 * blur(tf.nn.relu(y - 0.3)) + 0.4 * tf.tanh(y)


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


def test_sure_of_a_linear_denoiser_is_its_closed_form_to_the_monte_carlo_error():
    a, sigma, n = matrix().astype(np.float64), 0.2, SIDE**2
    y = image() + sigma * np.random.default_rng(1).standard_normal((1, SIDE, SIDE, 1)).astype("float32")
    closed = np.mean((blur(y).numpy() - y) ** 2) - sigma**2 + 2 * sigma**2 * np.trace(a) / n
    probes = 64
    estimate = MonteCarloSURE(sigma, probes=probes)(blur, tf.constant(y), seed=(3, 4)).numpy()[0]
    deviation = 2 * sigma**2 / n * np.sqrt(2 * np.sum(((a + a.T) / 2) ** 2) / probes)
    assert abs(estimate - closed) < 4 * deviation
    assert 4 * deviation < 0.1 * closed, "the tolerance would hide an error of a tenth"


@pytest.mark.parametrize("probe", ["gaussian", "rademacher"])
def test_sure_is_unbiased_for_the_true_error(probe):
    sigma, draws = 0.15, 1500
    clean = tf.constant(image(side=32))
    loss = MonteCarloSURE(sigma, probe=probe)

    @tf.function(jit_compile=True)
    def difference(number):
        noise = tf.random.stateless_normal(clean.shape, tf.stack([11, number]), alg="philox")
        noisy = clean + sigma * noise
        error = tf.reduce_mean(tf.square(curved(noisy) - clean))
        return loss(curved, noisy, seed=tf.stack([12, number]))[0] - error, error

    differences, errors = np.array([difference(tf.constant(i)) for i in range(draws)]).T
    standard_error = differences.std(ddof=1) / np.sqrt(draws)
    assert abs(differences.mean()) < 4 * standard_error
    assert 4 * standard_error < 0.02 * errors.mean(), "the tolerance would hide a bias of a fiftieth"


def test_one_risk_per_image_with_sigma_per_image():
    y = tf.constant(image(n=3))
    sigmas = np.array([0.1, 0.2, 0.3], "float32")
    together = MonteCarloSURE()(curved, y, sigmas, seed=(1, 2)).numpy()
    assert together.shape == (3,)
    again = MonteCarloSURE(GaussianNoise(sigmas))(curved, y, seed=(1, 2)).numpy()
    np.testing.assert_array_equal(together, again)


def test_the_same_seed_gives_the_same_risk_compiled_or_not():
    y = tf.constant(image())
    loss = MonteCarloSURE(0.1, probes=2)
    values = [
        tf.function(lambda: loss(curved, y, seed=tf.constant([5, 6])), jit_compile=jit)().numpy()[0]
        for jit in (False, True)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert loss(curved, y, seed=(5, 7)).numpy()[0] != pytest.approx(values[0], rel=1e-4)


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


def curved64(y):
    kernel = tf.constant(KERNEL, tf.float64)
    return 0.5 * tf.nn.conv2d(tf.nn.relu(y - 0.3), kernel, 1, "SAME") + 0.4 * tf.tanh(y)


def test_works_on_a_keras_model(tiny):
    risk = MonteCarloSURE(0.1)(lambda y: tiny(y, training=False), tf.constant(image()), seed=(0, 0))
    assert np.isfinite(keras.ops.convert_to_numpy(risk)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -1}, "positive"),
        ({"sigma": 0}, "positive"),
        ({"probe": "sobol"}, "probe"),
        ({"probes": 0}, "probes"),
        ({"step": 0}, "step"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        MonteCarloSURE(**options)


def test_refuses_to_guess_the_noise():
    with pytest.raises(InputError, match="noise level"):
        MonteCarloSURE()(blur, tf.constant(image()), seed=(0, 0))
