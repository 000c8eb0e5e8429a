"""Tuning where not all pixels count, and under correlated noise: what is looked at, and what it is worth."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    UNSURE,
    CoupledBootstrap,
    GainTuner,
    GaussianNoise,
    InputError,
    MonteCarloSURE,
    PoissonNoise,
    insert_gains,
)
from gaintuning_tf.evaluation.weight_tuning import WeightTuner
from gaintuning_tf.noise.correlation import effective_share, joined_correlations
from gaintuning_tf.noise.tensors import NoiseTensors, noise_of_batch, weights_of
from gaintuning_tf.tuning import windows
from gaintuning_tf.tuning.steps import gain_steps
from helpers.correlations import BLURRED, COLOUR, GREY
from helpers.one_gain import SIGMA, gains, noisy, scaling, tune


def half_masked(image, value=0.0):
    """The image with a value in its left half, and its mask."""
    mask = np.zeros(image.shape[:-1], bool)
    mask[:, :, : image.shape[2] // 2] = True
    return np.where(mask[..., None], np.float32(value), image), mask


def test_the_minimum_is_that_of_the_pixels_that_count():
    """risk(g) = mean((g - 1)^2 y^2) - s^2 + 2 s^2 g over those, least at g = 1 - s^2 / mean(y^2)."""
    y, mask = half_masked(noisy(), 5.0)
    best = 1 - SIGMA**2 / np.mean(y[~mask] ** 2)
    assert best < 0.98
    tuner = GainTuner(scaling(), MonteCarloSURE(SIGMA, probe="rademacher"), keras.optimizers.SGD(0.3))
    history = tune(tuner, y, steps=60, mask=mask)
    assert gains(tuner.model)[0] == pytest.approx(best, abs=2e-3)
    g = gains(tuner.model)[0]
    expected = np.mean((g - 1) ** 2 * y[~mask] ** 2) - SIGMA**2 + 2 * SIGMA**2 * g
    assert history.risk_after == pytest.approx(expected, rel=0.02)
    tuner.reset()
    tune(tuner, y, steps=60)
    assert gains(tuner.model)[0] > best + 0.01, "the masked half makes a difference that this test would see"


@pytest.fixture(scope="module")
def plain_tuner():
    """One for all tests that start it anew, for tracing takes longer than tuning."""
    return GainTuner(scaling(), CoupledBootstrap(SIGMA), prior=None)


@pytest.mark.parametrize("window", [None, 16])
def test_what_masked_pixels_hold_changes_nothing(window, plain_tuner):
    """For a network that sees one pixel at a time. Gauss-Newton steps take their curvature from crops of all pixels."""
    found = []
    for value in (0.5, -3.0):
        y, mask = half_masked(noisy(), value)
        plain_tuner.reset()
        history = tune(plain_tuner, y, steps=5, mask=mask, window=window)
        found.append((gains(plain_tuner.model), history.risk, history.risk_before, history.risk_after))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_mask_that_masks_nothing_is_none():
    assert weights_of(np.zeros((1, 8, 8), bool), tf.zeros((1, 8, 8, 1))) == ()
    assert weights_of(None, tf.zeros((1, 8, 8, 1))) == ()


def test_windows_count_by_their_pixels_that_count():
    """The mean over windows is that over their pixels, and a window without any makes it no NaN."""
    y, mask = noisy(shape=(1, 64, 64, 1)), np.ones((1, 64, 64), bool)
    mask[:, :40, :40] = False
    way = gain_steps(scaling(), MonteCarloSURE(probe="rademacher"), contrast=False)
    noise = noise_of_batch(GaussianNoise(SIGMA), 1, tf.float32, tf.constant(~mask[..., None], tf.float32))
    start, _ = way.initial()
    seen = windows.Windows(tf.constant([8, 8]), tf.constant(12))
    inputs = way.unprepared(tf.constant(y), noise, seen)
    seed = windows.step_seed(3, 0)
    # Of f(y) = y, the risk at each pixel is its variance: that of any mean of them.
    slope = way.objective.slope(start, inputs, seed)
    assert float(slope.risk[0]) == pytest.approx(SIGMA**2, rel=1e-2)
    assert float(slope.variance[0]) == pytest.approx(SIGMA**2, rel=1e-5)
    # The gradient is that of the sum over all pixels that count of all windows.
    parts = [
        windows.spread_window(tf.concat([y, noise.weights], -1), seed, number, seen, noise.weights).numpy()
        for number in range(12)
    ]
    shares = [part[..., 1].mean() for part in parts]
    assert min(shares) < max(shares) == 1 and min(shares) > 0
    assert float(slope.gradients[0][0]) == pytest.approx(2 * SIGMA**2, rel=1e-2)


def test_windows_are_put_where_pixels_count():
    weights = np.zeros((1, 100, 120, 1), "float32")
    weights[:, 60:80, 7:29] = 1
    seen = windows.Windows(tf.constant([16, 16]), tf.constant(4))
    image = tf.constant(np.indices((100, 120)).transpose(1, 2, 0)[None], tf.float32)
    both = tf.concat([image, weights], -1)
    cut = tf.function(lambda seed, number: windows.spread_window(both, seed, number, seen, tf.constant(weights)))
    corners = set()
    for step in range(10):
        for number in range(4):
            part = cut(windows.step_seed(0, step), tf.constant(number)).numpy()
            assert part[..., 2].mean() >= 0.5 * weights.mean()
            assert part.shape == (1, 16, 16, 3)
            corners.add(tuple(part[0, 0, 0, :2]))
    assert len(corners) > 20, "they are not all at the same place"


def test_images_with_gains_of_their_own_have_masks_of_their_own():
    y = np.concatenate([noisy(0), noisy(1)])
    masked, mask = half_masked(y[:1], 7.0)
    together = GainTuner(insert_gains(scaling(), images=2), CoupledBootstrap())
    both = np.concatenate([mask, np.zeros_like(mask)])
    history = tune(together, np.concatenate([masked, y[1:]]), steps=5, mask=both, sigma=np.full(2, SIGMA))
    found = gains(together.model)
    alone = GainTuner(scaling(), CoupledBootstrap(SIGMA))
    for number, (image, own) in enumerate([(masked, mask), (y[1:], None)]):
        alone.reset()
        single = tune(alone, image, steps=5, mask=own)
        np.testing.assert_allclose(found[number], gains(alone.model)[0], rtol=1e-4)
        assert history.risk_after[number] == pytest.approx(float(single.risk_after), rel=1e-3)


@pytest.mark.parametrize("correlation", [None, BLURRED])
def test_prior_and_errors_count_effective_pixels(correlation):
    way = gain_steps(scaling(), CoupledBootstrap(), contrast=False)
    y = tf.constant(noisy(shape=(1, 32, 32, 1)))
    weights = np.ones((1, 32, 32, 1), "float32")
    weights[:, :8] = 0
    noise = noise_of_batch(GaussianNoise(SIGMA, correlation), 1, tf.float32, tf.constant(weights))
    white = noise_of_batch(GaussianNoise(SIGMA), 1, tf.float32)
    share = 0.75 * effective_share(correlation)
    start, _ = way.initial()
    seen = way.objective.windows(y, None)
    inputs, plain = (way.prepare(start, y, known, 0, seen)[1] for known in (noise, white))
    np.testing.assert_allclose(way.objective.effective(inputs, inputs.pixels()), [share * 32**2], rtol=1e-6)
    assert int(way.objective.effective(plain, plain.pixels())) == 32**2
    errors = [float(way.objective.standard_error(given)[0]) for given in (inputs, plain)]
    assert errors[0] == pytest.approx(errors[1] * share**-0.5, rel=1e-5)
    # Of one gain that the image decides on, the optimism is 2 v / n.
    optimism = [float(way.optimism(given, tf.constant(10, tf.int64))[0]) for given in (inputs, plain)]
    assert optimism[0] == pytest.approx(optimism[1] / share, rel=0.05)


def test_a_tuner_takes_correlated_noise_of_each_image_or_of_all():
    y = np.concatenate([noisy(0), noisy(1)])
    tuner = GainTuner(scaling(), CoupledBootstrap())
    one = tune(tuner, y, steps=2, sigma=GaussianNoise(SIGMA, GREY))
    tuner.reset()
    both = tune(tuner, y, steps=2, sigma=GaussianNoise(SIGMA, joined_correlations([GREY, BLURRED])))
    assert np.isfinite(one.risk_after) and np.isfinite(both.risk_after)
    tuner.reset()
    # Of f(y) = y, the trace of the covariance is n times the variance, whatever the correlation.
    assert both.risk_before == pytest.approx(one.risk_before, rel=0.1)
    assert one.risk_before == pytest.approx(SIGMA**2, rel=0.1)


@pytest.mark.parametrize(
    ("noise", "shape", "message"),
    [
        (GaussianNoise(SIGMA, COLOUR), (1, 16, 16, 1), "between the 1 channels of the image, received one of 3"),
        (GaussianNoise(np.array([0.1, 0.2]), GREY), (3, 16, 16, 1), "one noise for all images, or one per image of 3"),
    ],
)
def test_refuses_a_correlation_of_other_images(noise, shape, message, plain_tuner):
    with pytest.raises(InputError, match=message):
        tune(plain_tuner, noisy(shape=shape), steps=1, sigma=noise)


def test_planes_may_be_correlated_and_lines_may_not():
    GaussianNoise(SIGMA, GREY).check_images((1, 8, 8, 8, 1))
    with pytest.raises(InputError, match=r"expected images \(N, H, W, C\), or volumes, with correlated noise"):
        GaussianNoise(SIGMA, GREY).check_images((1, 8, 1))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((1, 16, 16), bool), "leaves none"),
        (np.zeros((16, 16), bool), r"of shape \(1, 16, 16\) or \(1, 16, 16, 1\), received bool of shape \(16, 16\)"),
        (np.zeros((1, 16, 16)), "expected mask to be boolean.* received float64"),
    ],
)
def test_refuses_what_is_no_mask(mask, message):
    with pytest.raises(InputError, match=message):
        weights_of(mask, tf.zeros((1, 16, 16, 1)))


def test_a_tuner_refuses_a_mask_of_another_shape(plain_tuner):
    with pytest.raises(InputError, match="received bool of shape"):
        tune(plain_tuner, noisy(shape=(1, 16, 16, 1)), mask=np.zeros((16, 16), bool))


def test_weights_of_a_network_are_tuned_on_the_pixels_that_count():
    found = []
    for value in (0.5, -3.0):
        y, mask = half_masked(noisy(shape=(1, 32, 32, 1)), value)
        tuner = WeightTuner(scaling(), CoupledBootstrap(), learning_rate=0.01)
        result = tuner.denoise(y, sigma=GaussianNoise(SIGMA, GREY), steps=3, mask=mask)
        found.append(result[~mask])
    np.testing.assert_allclose(*found, rtol=1e-4)
    assert np.any(found[0] != noisy(shape=(1, 32, 32, 1))[~mask])


def test_weights_reach_losses_that_do_not_need_the_noise():
    tuner, found = GainTuner(scaling(), UNSURE(), prior=None), []
    for value in (7.0, -1.0):
        y, mask = half_masked(noisy(), value)
        tuner.reset()
        tune(tuner, y, steps=3, mask=mask)
        found.append(gains(tuner.model))
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_noise_without_correlation_has_no_tensor_in_the_graph():
    noise = noise_of_batch(PoissonNoise(0.5), 2, tf.float32)
    assert noise.is_plain and noise.correlation == () and noise.weights == ()
    assert NoiseTensors().is_plain
