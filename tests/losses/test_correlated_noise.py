"""Risks under correlated noise, and where not all pixels count: unbiased for linear denoisers of known trace."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    UNSURE,
    BlindSpotLoss,
    CountSplitting,
    CoupledBootstrap,
    GainTuningWarning,
    GaussianNoise,
    InputError,
    MonteCarloSURE,
    NoiseResamplingLoss,
    PoissonGaussianSURE,
)
from gaintuning_tf.losses.base import RiskEstimate, as_risk_estimate
from gaintuning_tf.losses.drawn_noise import SupervisedLoss
from gaintuning_tf.noise.models import PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.noise.tensors import NoiseTensors, noise_of_batch, noise_tensors
from helpers.correlations import BLURRED, COLOUR, UNEQUAL, of_filter

SIDE, DRAWS = 24, 1200
# A convolution with these taps sees lags of one pixel, and more of one side than of the
# other.
TAPS = np.array([[0.02, 0.1, 0.05], [0.15, 0.4, 0.1], [0.03, 0.08, 0.02]], "float32")
NOISES = {
    "white": GaussianNoise(0.2),
    "signal-dependent": PoissonGaussianNoise(0.05, 0.1, 0.1),
    "correlated": GaussianNoise(0.2, BLURRED),
    "both": PoissonGaussianNoise(0.05, 0.1, 0.1, BLURRED),
}


def clean(channels=1):
    """Smooth and above the black level: the variance changes little over the lags."""
    y, x = np.indices((SIDE, SIDE)) / SIDE
    return np.repeat(0.5 + 0.3 * np.sin(2 * y + 3 * x)[None, ..., None], channels, -1).astype("float32")


def blur(images):
    """Convolve, each channel alone, with zeros around the image."""
    channels = images.shape[-1]
    return tf.nn.depthwise_conv2d(images, np.tile(TAPS[:, :, None, None], (1, 1, channels, 1)), [1] * 4, "SAME")


def crossed(images):
    """Mix channels, of the pixel and of its neighbour."""
    mixed = np.array([[0.4, 0.2, 0.0], [0.0, 0.3, 0.1], [0.2, 0.0, 0.3]], "float32")
    moved = tf.concat([tf.zeros_like(images[:, :, :1]), images[:, :, :-1]], 2)
    return tf.einsum("nhwc,cd->nhwd", images + 0.5 * moved, mixed)


def half():
    """Weights of the left half, and of a pattern within it."""
    weights = np.zeros((1, SIDE, SIDE, 1), "float32")
    weights[:, :, : SIDE // 2] = 1
    weights[:, 3::7, 2::5] = 0
    return weights


def errors(denoise, noisy, weights=1.0):
    squares = weights * np.square(denoise(tf.constant(noisy)).numpy() - clean(noisy.shape[-1]))
    return squares.sum((1, 2, 3)) / np.sum(weights * np.ones_like(noisy[:1]))


def is_zero_on_average(differences, scale, tolerance=0.02):
    error = differences.std(ddof=1) / len(differences) ** 0.5
    assert abs(differences.mean()) < 4 * error, (differences.mean(), error)
    assert 4 * error < tolerance * scale, "the tolerance would hide a bias of that share"


@pytest.mark.parametrize("probe", ["gaussian", "rademacher"])
@pytest.mark.parametrize("name", NOISES)
def test_stein_is_unbiased(name, probe):
    noise = NOISES[name]
    noisy = noise.sample(np.repeat(clean(), DRAWS, 0), np.random.default_rng(1))
    kind = MonteCarloSURE if isinstance(noise, GaussianNoise) else PoissonGaussianSURE
    risks = kind(noise, probe=probe)(blur, tf.constant(noisy), seed=(1, 2)).numpy()
    true = errors(blur, noisy)
    is_zero_on_average(risks - true, true.mean(), 0.05)


@pytest.mark.parametrize("name", NOISES)
def test_the_coupled_bootstrap_is_unbiased_at_its_noise_level(name):
    """Of a linear f, the noise that is added adds its own part of the error, which is drawn here."""
    noise, width = NOISES[name], 0.1
    noisy = noise.sample(np.repeat(clean(), DRAWS, 0), np.random.default_rng(1))
    risks = CoupledBootstrap(noise, width=width)(blur, tf.constant(noisy), seed=(1, 2)).numpy()
    level = GaussianNoise(width * float(np.sqrt(noise.variance(clean()).mean())), noise.correlation)
    added = np.square(blur(tf.constant(level.sample(np.zeros_like(noisy), np.random.default_rng(2))))).mean((1, 2, 3))
    true = errors(blur, noisy)
    is_zero_on_average(risks - true - added, true.mean(), 0.05)


def test_white_noise_of_the_same_level_is_a_bias_that_these_tests_see():
    noise = NOISES["correlated"]
    noisy = noise.sample(np.repeat(clean(), DRAWS, 0), np.random.default_rng(1))
    risks = MonteCarloSURE(noise.sigma)(blur, tf.constant(noisy), seed=(1, 2)).numpy()
    with pytest.raises(AssertionError):
        is_zero_on_average(risks - errors(blur, noisy), 1.0)
    # It lacks what the taps make of the correlation: a convolution's trace over n is the sum of taps times lags.
    lacking = 2 * noise.sigma**2 * (np.sum(TAPS * BLURRED[1:4, 1:4]) - TAPS[1, 1])
    found = np.mean(errors(blur, noisy) - risks)
    # At the borders, one in 12 pixels, taps see nothing.
    assert found == pytest.approx(lacking, rel=0.15)


def test_the_trace_is_the_sum_of_taps_times_correlations():
    """Without borders: `trace(R J) / n = sum taps * rho`; the probe alone is random, by sqrt(2 tr((RJ)^2)) / n."""

    def periodic(images):
        shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        return tf.add_n([TAPS[y + 1, x + 1] * tf.roll(images, [-y, -x], [1, 2]) for y, x in shifts])

    noise = NOISES["correlated"]
    images = tf.zeros((400, SIDE, SIDE, 1))
    risks = MonteCarloSURE(noise)(periodic, images, seed=(1, 2)).numpy()
    expected = noise.sigma**2 * (2 * np.sum(TAPS * BLURRED[1:4, 1:4]) - 1)
    # Over the borders, the image is periodic and the probe is not: of the lags of one pixel, 1 in 24 is lost.
    border = 2 * noise.sigma**2 * np.sum((TAPS * BLURRED[1:4, 1:4])[[0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]])
    error = risks.std() / 400**0.5
    assert abs(risks.mean() - expected) < 4 * error + border * 2 / SIDE


@pytest.mark.parametrize("correlation", [COLOUR, UNEQUAL], ids=["alike", "unequal"])
@pytest.mark.parametrize("kind", [MonteCarloSURE, PoissonGaussianSURE, CoupledBootstrap])
def test_covariances_between_channels_are_in_the_risk(kind, correlation):
    noise = GaussianNoise(0.2, correlation)
    noisy = noise.sample(np.repeat(clean(3), DRAWS, 0), np.random.default_rng(1))
    options = {"width": 0.02} if kind is CoupledBootstrap else {}
    risks = kind(noise, **options)(crossed, tf.constant(noisy), seed=(1, 2)).numpy()
    true = errors(crossed, noisy)
    is_zero_on_average(risks - true, true.mean(), 0.05)


@pytest.mark.parametrize("name", ["white", "correlated", "both"])
@pytest.mark.parametrize("kind", [MonteCarloSURE, PoissonGaussianSURE, CoupledBootstrap])
def test_pixels_that_do_not_count_are_no_part_of_the_error(kind, name):
    """They hold a constant, as what is filled in does: no noise."""
    noise, weights = NOISES[name], half()
    if kind is MonteCarloSURE and name == "both":
        pytest.skip("for Gaussian noise alone")
    noisy = noise.sample(np.repeat(clean(), DRAWS, 0), np.random.default_rng(1))
    noisy = np.where(weights > 0, noisy, np.float32(0.7))
    known = noise_of_batch(noise, DRAWS, tf.float32, tf.constant(np.repeat(weights, DRAWS, 0)))
    options = {"width": 0.02} if kind is CoupledBootstrap else {}
    risks = kind(**options)(blur, tf.constant(noisy), known, seed=(1, 2)).numpy()
    true = errors(blur, noisy, weights)
    is_zero_on_average(risks - true, true.mean(), 0.08)


def test_what_a_pixel_holds_that_does_not_count_makes_no_difference_to_a_local_denoiser():
    noisy = clean() + np.random.default_rng(0).normal(0, 0.2, clean().shape).astype("float32")
    noise = PoissonNoise(0.05)
    weights = tf.constant(half())
    other = tf.constant(np.where(half() > 0, noisy, noisy + 3))
    for loss in (
        CoupledBootstrap(),
        PoissonGaussianSURE(),
        CountSplitting(),
        BlindSpotLoss(masked=False),
        UNSURE(),
        UNSURE(lags=1),
        NoiseResamplingLoss(),
    ):
        known = noise_of_batch(noise, 1, tf.float32, weights)
        options = {"reference": tf.constant(clean())} if loss.uses_reference else {}
        risks = [loss(lambda y: 0.5 * y, y, known, seed=(0, 2), **options) for y in (tf.constant(noisy), other)]
        assert float(risks[0][0]) == pytest.approx(float(risks[1][0]), rel=1e-5), type(loss)


def test_losses_without_known_noise_get_the_weights():
    noisy = tf.constant(clean())
    weights = tf.constant(half())
    off = tf.constant(np.where(half() > 0, 0.0, 1.0), tf.float32)  # an error where nothing counts
    known = NoiseTensors(weights=weights)
    for loss in (BlindSpotLoss(masked=False), UNSURE()):
        fit = loss(lambda y: noisy + off + 0 * y, noisy, known, seed=(0, 1))
        assert float(fit[0]) == pytest.approx(0, abs=1e-9)
    masked = BlindSpotLoss()(lambda y: noisy + off, noisy, known, seed=(0, 1))
    assert float(masked[0]) == 0
    own = MonteCarloSURE(0.2)(lambda y: y + off, noisy, known, seed=(0, 1))
    assert float(own[0]) == pytest.approx(MonteCarloSURE(0.2)(lambda y: y, noisy, known, seed=(0, 1))[0])


def test_drawn_noise_is_correlated():
    """Of f = the mean of a pixel and its right neighbour, the error is `sigma^2 (1 + rho) / 2`."""

    def smooth(images):
        return (images + tf.roll(images, -1, 2)) / 2

    images = tf.zeros((4, 128, 128, 1))
    noise = GaussianNoise(0.3, BLURRED)
    expected = 0.3**2 * (1 + BLURRED[2, 3]) / 2
    for risk in (
        SupervisedLoss(noise)(smooth, images, seed=(0, 1)),
        NoiseResamplingLoss(noise)(smooth, images, seed=(0, 1), reference=images),
    ):
        # Less than a twentieth of the pixels are independent after the filter and the mean.
        assert float(tf.reduce_mean(risk)) == pytest.approx(expected, rel=4 * (2 * 10 / (4 * 128**2)) ** 0.5)


def neighbours(images):
    """The mean of the four neighbours."""
    kernel = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], "float32")[:, :, None, None] / 4
    return tf.nn.conv2d(images, kernel, 1, "SAME")


def test_blind_spots_hide_what_is_correlated_with_a_pixel():
    """A mean of 2x2 white values: correlated over 3x3, by 0.25 at least, and not beyond."""
    correlation = of_filter(np.ones((2, 2)))
    empty = np.zeros((1, 200, 200, 1), "float32")
    noisy = tf.constant(GaussianNoise(1.0, correlation).sample(empty, np.random.default_rng(0)))
    seen = []

    def denoise(images):
        seen.append(images.numpy())
        return neighbours(images)

    white = BlindSpotLoss()(denoise, noisy, seed=(0, 1))
    # The neighbours give away the pixel: 1 + (1 + 0.25 * 2 ...) / 4 - 2 * 0.5 of them is left, of 1 and more.
    assert float(white[0]) < 0.7
    known = BlindSpotLoss()(denoise, noisy, noise_tensors(GaussianNoise(1.0, correlation)), seed=(0, 1))
    assert float(known[0]) > 0.9
    changed = seen[1][0, :, :, 0] != noisy.numpy()[0, :, :, 0]
    # Every fifth pixel along each axis, and the eight around it.
    assert changed.mean() == pytest.approx(9 / 25, rel=0.03)
    guess = neighbours(tf.constant(seen[1])).numpy()
    inner = changed.copy()
    for axis in (0, 1):
        inner &= np.roll(changed, 1, axis) & np.roll(changed, -1, axis)
    together = np.mean(guess[0, :, :, 0][inner] * noisy.numpy()[0, :, :, 0][inner])
    assert abs(together) < 4 * np.std(guess) / inner.sum() ** 0.5


@pytest.mark.parametrize("correlation", [BLURRED, COLOUR])
def test_blind_spots_of_correlated_noise_compile(correlation):
    channels = correlation.shape[-1] if correlation.ndim == 4 else 1
    known = noise_tensors(GaussianNoise(1.0, correlation))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels])], autograph=False)
    def compiled(images):
        return BlindSpotLoss()(lambda y: 0.5 * y, images, known, seed=(0, 1))

    assert np.isfinite(compiled(tf.ones((2, 30, 30, channels)))).all()
    np.testing.assert_allclose(compiled(tf.ones((1, 5, 5, channels))), [0.25], rtol=1e-5)


def test_a_network_without_masks_refuses_correlated_noise():
    with pytest.raises(InputError, match="without masks expects white noise"):
        BlindSpotLoss(masked=False).check_noise(GaussianNoise(1.0, BLURRED))


def test_unsure_with_lags_finds_the_denoiser_of_correlated_noise():
    """Of noise alone that is correlated over one pixel, nothing should be kept: neither pixel nor neighbour."""
    noise = GaussianNoise(1.0, of_filter(np.ones((2, 2))))
    noisy = tf.constant(noise.sample(np.zeros((8, 96, 96, 1), "float32"), np.random.default_rng(0)))

    def of_neighbours(images):
        return neighbours(images)

    def nothing(images):
        return 0 * images

    def mean(loss, denoise):
        return float(tf.reduce_mean(loss(denoise, noisy, seed=(0, 2))))

    # No pixel sees itself, so that the divergence is zero, and the fit is better than that of nothing;
    assert mean(UNSURE(), of_neighbours) < mean(UNSURE(), nothing)
    # but the derivatives by the neighbours are not zero.
    assert mean(UNSURE(lags=1), of_neighbours) > mean(UNSURE(lags=1), nothing)
    # Four of them are 1/4: rho times 4/16.
    expected = mean(UNSURE(), of_neighbours) + 10 * 4 / 16
    assert mean(UNSURE(lags=1), of_neighbours) == pytest.approx(expected, rel=0.1)
    with pytest.raises(InputError, match="lags"):
        UNSURE(lags=0.5)


def test_counts_that_are_correlated_cannot_be_split():
    with pytest.raises(InputError, match="independent from pixel to pixel, received correlated noise"):
        CountSplitting(PoissonNoise(1.0, BLURRED)).check_noise(PoissonNoise(1.0, BLURRED))
    with pytest.raises(InputError, match="correlated"):
        CountSplitting()(blur, tf.ones((1, 8, 8, 1)), PoissonNoise(1.0, BLURRED), seed=(0, 1))


def test_a_loss_of_ones_own_that_does_not_take_correlations_says_so():
    def fit(denoise, noisy, noise, *, seed):
        return noise

    known = noise_of_batch(GaussianNoise(0.5, BLURRED), 1, tf.float32, tf.ones((1, 4, 4, 1)))
    with pytest.warns(GainTuningWarning, match="does not take the correlation of the noise and which pixels count"):
        found = as_risk_estimate(fit).of(None, None, known, seed=None, reference=None)
    assert found.numpy().tolist() == [0.5]

    class Own(RiskEstimate):
        def __call__(self, denoise, noisy, noise=None, *, seed, reference=None):
            return noise

    with pytest.warns(GainTuningWarning, match="the correlation of the noise: it gets none"):
        Own().of(None, None, noise_tensors(PoissonNoise(0.5, BLURRED)), seed=None, reference=None)


def test_the_gradient_of_a_risk_under_correlated_noise_is_finite():
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    known = noise_of_batch(GaussianNoise(0.2, COLOUR), 1, tf.float32, tf.constant(half()))
    with tf.GradientTape() as tape:
        risk = CoupledBootstrap()(network, tf.constant(clean(3)), known, seed=(0, 1))
    gradients = tape.gradient(risk, network.trainable_variables)
    assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)
