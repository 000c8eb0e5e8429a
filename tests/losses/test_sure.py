"""Stein's risks against true errors, with derived tolerances."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import UNSURE, GaussianNoise, InputError, MonteCarloSURE, PoissonGaussianSURE
from gaintuning_tf.losses.divergence import exact_divergence
from gaintuning_tf.noise.models import NoiseLevel, PoissonGaussianNoise, PoissonNoise
from helpers.denoisers import SIDE, blur, curved, image, matrix

NOISES = [
    GaussianNoise(0.2),
    PoissonNoise(0.1),
    PoissonGaussianNoise(0.05, 0.1),
    PoissonGaussianNoise(0.1, 0.0, offset=-0.2),
    PoissonGaussianNoise(0.1, 0.05, offset=0.1),
]


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


@pytest.mark.parametrize(("probe", "jit"), [("gaussian", False), ("rademacher", False), ("rademacher", True)])
def test_the_same_seed_gives_the_same_risk_compiled_or_not(probe, jit):
    y = tf.constant(image())
    loss = MonteCarloSURE(0.1, probe=probe, probes=2)
    compiled = tf.function(lambda seed: loss(curved, y, seed=seed), jit_compile=jit)
    value = loss(curved, y, seed=(5, 6)).numpy()[0]
    assert compiled(tf.constant([5, 6])).numpy()[0] == pytest.approx(value, rel=1e-4)
    assert loss(curved, y, seed=(5, 7)).numpy()[0] != pytest.approx(value, rel=1e-4)


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


@pytest.mark.parametrize("noise", NOISES)
def test_poisson_gaussian_sure_is_unbiased_for_a_linear_denoiser(noise):
    draws = 1500
    clean = np.repeat(0.1 + image(), draws, axis=0)
    noisy = noise.sample(clean, np.random.default_rng(1))
    errors = np.mean((blur(noisy).numpy() - clean) ** 2, axis=(1, 2, 3))
    risks = PoissonGaussianSURE(noise)(blur, tf.constant(noisy), seed=(1, 2)).numpy()
    standard_error = (risks - errors).std(ddof=1) / np.sqrt(draws)
    assert abs((risks - errors).mean()) < 4 * standard_error
    assert 4 * standard_error < 0.02 * errors.mean(), "the tolerance would hide a bias of a fiftieth"


def test_the_wrong_noise_makes_a_bias_that_the_test_above_would_see():
    noise, draws = PoissonNoise(0.1), 1500
    clean = np.repeat(0.1 + image(), draws, axis=0)
    noisy = noise.sample(clean, np.random.default_rng(1))
    errors = np.mean((blur(noisy).numpy() - clean) ** 2, axis=(1, 2, 3))
    same_power = GaussianNoise(float(np.sqrt(noise.variance(clean).mean())))
    risks = PoissonGaussianSURE(same_power)(blur, tf.constant(noisy), seed=(1, 2)).numpy()
    # A convolution has the same derivative at every pixel, so that the mean variance is enough for it;
    flat = (risks - errors).std(ddof=1) / np.sqrt(draws)
    assert abs((risks - errors).mean()) < 4 * flat

    def uneven(y):  # not for one whose derivative is larger where the image is brighter.
        return y * (0.1 + image())

    errors = np.mean((uneven(noisy) - clean) ** 2, axis=(1, 2, 3))
    for model, biased in ((same_power, True), (noise, False)):
        differences = PoissonGaussianSURE(model)(uneven, tf.constant(noisy), seed=(1, 2)).numpy() - errors
        assert (abs(differences.mean()) > 4 * differences.std(ddof=1) / np.sqrt(draws)) == biased


@pytest.mark.parametrize("noise", NOISES)
def test_poisson_gaussian_sure_is_its_exact_twin_to_the_monte_carlo_error(noise):
    a, n, probes = matrix().astype(np.float64), SIDE**2, 64
    y = noise.sample(0.1 + image(), np.random.default_rng(1))
    variance = noise.level(1).variance(y.astype(np.float64))
    exact = exact_divergence(blur, tf.constant(y), tf.constant(variance, tf.float32)).numpy()[0]
    closed = np.mean((blur(y).numpy() - y) ** 2 - variance) + 2 * exact / n
    estimate = PoissonGaussianSURE(noise, probes=probes)(blur, tf.constant(y), seed=(3, 4)).numpy()[0]
    weighted = variance.reshape(-1, 1) * a
    deviation = 2 / n * np.sqrt(2 * np.sum(((weighted + weighted.T) / 2) ** 2) / probes)
    assert abs(estimate - closed) < 4 * deviation
    assert 4 * deviation < 0.1 * closed, "the tolerance would hide an error of a tenth"


def test_for_gaussian_noise_poisson_gaussian_sure_is_sure():
    y = tf.constant(image(n=2))
    expected = MonteCarloSURE(0.1)(curved, y, seed=(1, 2)).numpy()
    level = NoiseLevel(tf.zeros(2), tf.fill([2], 0.01))
    for noise in (0.1, np.array([0.1, 0.1]), GaussianNoise(0.1), PoissonGaussianNoise(0.0, 0.1), level):
        for loss in (PoissonGaussianSURE(), MonteCarloSURE()):
            np.testing.assert_allclose(loss(curved, y, noise, seed=(1, 2)), expected, rtol=1e-4)


def test_a_level_in_a_compiled_graph_is_that_of_the_model():
    y = tf.constant(image(n=2))
    noise = PoissonGaussianNoise(np.array([0.1, 0.2]), 0.1, 0.05)
    level = NoiseLevel(*(tf.constant(part, tf.float32) for part in noise.level(2)))
    loss = PoissonGaussianSURE(probe="rademacher")
    compiled = tf.function(lambda y, level: loss(curved, y, level, seed=(1, 2)), jit_compile=True)
    np.testing.assert_allclose(compiled(y, level), loss(curved, y, noise, seed=(1, 2)), rtol=1e-4)


def test_sure_refuses_noise_that_grows_with_the_signal():
    with pytest.raises(InputError, match="use PoissonGaussianSURE"):
        MonteCarloSURE(PoissonNoise(1))
    with pytest.raises(InputError, match="use PoissonGaussianSURE"):
        MonteCarloSURE()(blur, tf.constant(image()), PoissonNoise(1), seed=(0, 0))
    with pytest.raises(InputError, match="use PoissonGaussianSURE"):
        MonteCarloSURE()(blur, tf.constant(image()), NoiseLevel(tf.ones(1), tf.ones(1)), seed=(0, 0))


def around(y):
    """The mean of the four neighbours: no pixel sees itself."""
    kernel = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], "float32")[:, :, None, None] / 4
    return tf.nn.conv2d(y, kernel, 1, "SAME")


def mixture(share):
    return lambda y: share * y + (1 - share) * around(y)


@pytest.mark.parametrize("strength", [3.0, 10.0, 100.0])
def test_unsure_is_smallest_near_a_divergence_of_zero(strength):
    """Of `f_a = a y + (1 - a) around(y)`, d = a: the constraint is a = 0, the penalty's optimum R / (R + rho)."""
    draws, n = 200, 64**2
    noisy = image(side=64) + 0.2 * np.random.default_rng(1).standard_normal((1, 64, 64, 1)).astype("float32")
    loss = UNSURE(strength, probe="rademacher")
    batch = tf.repeat(tf.constant(noisy), draws, axis=0)
    shares = np.array([-0.5, 0.0, 0.5])
    # Along a the risk is a parabola, whatever the probes.
    risks = [loss(mixture(share), batch, seed=(4, 5)).numpy().astype(np.float64).mean() for share in shares]
    square, linear, _ = np.polyfit(shares, risks, 2)
    residual, rho = np.mean((around(noisy).numpy() - noisy) ** 2), strength * noisy.var()
    optimum = residual / (residual + rho)
    # d^2 is estimated as (a + (1 - a) e1)(a + (1 - a) e2), the e of variance 2 |A|_F^2 / n^2 = 2 / (4 n) and mean zero:
    # to first order the optimum moves by (e1 + e2) / 2.
    assert -linear / (2 * square) == pytest.approx(optimum, abs=4 * np.sqrt(2 / (4 * n) / 2 / draws))


def test_unsure_is_the_fit_and_the_squared_divergence_without_bias():
    draws, n = 400, SIDE**2
    y = tf.repeat(tf.constant(image()), draws, axis=0)
    a = matrix().astype(np.float64)
    rho = 10 * image().var()
    values = UNSURE()(blur, y, seed=(1, 2)).numpy()
    expected = np.mean((blur(image()).numpy() - image()) ** 2) + rho * (np.trace(a) / n) ** 2
    variance = 2 * np.sum(((a + a.T) / 2) ** 2) / n**2
    deviation = rho * np.sqrt(2 * (np.trace(a) / n) ** 2 * variance + variance**2)
    assert abs(values.mean() - expected) < 4 * deviation / np.sqrt(draws)
    # The square of one estimate would be too large by its variance.
    assert values.std() == pytest.approx(deviation, rel=4 * 1.5 * np.sqrt(1 / (2 * draws)))


def test_unsure_scales_with_the_image_and_knows_no_sigma():
    y = tf.constant(image(n=2))
    loss = UNSURE()
    risk = loss(blur, y, seed=(1, 2)).numpy()
    assert not loss.needs_noise
    np.testing.assert_array_equal(loss(blur, y, tf.constant([0.1, 0.5]), seed=(1, 2)), risk)
    loss = UNSURE(step=255 * 3.5e-4)
    np.testing.assert_allclose(loss(blur, 255 * y, seed=(1, 2)), 255**2 * risk, rtol=1e-3)


@pytest.mark.parametrize("strength", [0, -1, np.inf])
def test_refuses_a_strength_that_is_none(strength):
    with pytest.raises(InputError, match="strength"):
        UNSURE(strength)
