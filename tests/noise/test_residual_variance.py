"""The noise once more, from a first result."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gaintuning_tf.noise import residual_variance
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise
from gaintuning_tf.noise.residual_variance import FirstResult, refined_by, refined_noise
from helpers import correlations

RNG = np.random.default_rng(0)
# A random image whose spectrum is known, and so the linear estimator of least mean square
# error, for which the correction is exact.
SIDE = 256
PRIOR = 900 * np.exp(-0.5 * (np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE) * SIDE] * 2)) / 12) ** 2)


def spectrum_of(correlation):
    if correlation is None:
        return np.ones((SIDE, SIDE))
    wrapped = np.zeros((SIDE, SIDE))
    wrapped[:5, :5] = correlation
    return np.fft.fft2(np.roll(wrapped, (-2, -2), (0, 1))).real


def filtered(image, gain):
    return np.fft.ifft2(np.fft.fft2(image) * gain).real


def wiener_result(noise):
    """The best linear estimator of an image of that prior, under this noise, and its answer to a probe."""
    signal = 128 + filtered(RNG.standard_normal((SIDE, SIDE)), np.sqrt(PRIOR))
    spectrum = noise.sigma**2 * np.maximum(spectrum_of(noise.correlation), 0)
    gain = PRIOR / (PRIOR + spectrum + 1e-9)
    noisy = noise.sample(signal, RNG)
    denoised = 128 + filtered(noisy - 128, gain)
    probe = noise.sample(np.zeros((SIDE, SIDE)), RNG)
    parts = (denoised, noisy - denoised, probe, filtered(probe, gain))
    return FirstResult(*(part[..., None] for part in parts)), noise


def test_the_correction_is_exact_for_the_best_linear_estimator():
    result, noise = wiener_result(GaussianNoise(10.0, correlation=correlations.BLURRED))
    found, doubt = refined_noise(GaussianNoise(9.0, correlation=correlations.GREY), [result])
    # The residual by itself has less: the estimator takes out part of the noise.
    assert np.var(result.residual) < 0.97 * noise.sigma**2
    # n = 256^2 pixels are worth n / sum rho^2 for a mean of squares; four standard errors.
    error = (2 * np.sum(correlations.BLURRED**2) / SIDE**2) ** 0.5
    assert found.sigma**2 / noise.sigma**2 == pytest.approx(1, abs=4 * error)
    assert np.array_equal(found.correlation, correlations.GREY)
    # Half of how far the first estimate was off: 81 is 0.23 more than 100.
    assert doubt == pytest.approx((100 / 81 - 1) / 2, abs=4 * error)


def test_the_level_of_white_noise_is_found_once_more():
    result, noise = wiener_result(GaussianNoise(10.0))
    # The level that the finest details show is too high where there is texture.
    found, doubt = refined_noise(GaussianNoise(11.0), [result])
    assert found.sigma**2 / noise.sigma**2 == pytest.approx(1, abs=4 * (2 / SIDE**2) ** 0.5)
    assert doubt == pytest.approx((1 - 100 / 121) / 2, abs=0.02)


@pytest.mark.parametrize("first", [9.0, 15.0])
def test_white_noise_stays_as_it_was_where_a_denoiser_says_more_than_structure_explains(first):
    result, _ = wiener_result(GaussianNoise(10.0))
    assert refined_noise(GaussianNoise(first), [result]) == (GaussianNoise(first), 1.0)


def test_white_noise_stays_as_it_was_where_a_denoiser_leaves_some_of_it():
    result, noise = wiener_result(GaussianNoise(10.0))
    left = 0.1 * (result.residual - result.residual.mean())
    worse = result._replace(denoised=result.denoised + left, residual=result.residual - left)
    assert refined_noise(noise, [worse]) == (noise, 1.0)


def test_parts_of_an_image_count_together_and_masked_pixels_not():
    result, noise = wiener_result(GaussianNoise(10.0, correlation=correlations.BLURRED))
    halves = [FirstResult(*(part[half] for part in result[:4])) for half in (np.s_[:128], np.s_[128:])]
    mask = np.zeros(halves[0].residual.shape, bool)
    mask[:40] = True
    halves[0].residual[:40] = 1e3
    found, _ = refined_noise(noise, [halves[0]._replace(mask=mask), halves[1]])
    assert found.sigma == pytest.approx(10, rel=0.03)


def test_noise_that_grows_with_the_signal_keeps_a_line():
    clean = gaussian_filter(RNG.uniform(0, 4000, (SIDE, SIDE)), 24)
    clean = 200 * (clean - clean.min()) / np.ptp(clean)
    noise = PoissonGaussianNoise(2.0, 5.0, correlation=correlations.BLURRED)
    noisy = noise.sample(clean, RNG)
    none = np.zeros_like(clean)[..., None]
    first = FirstResult(clean[..., None], (noisy - clean)[..., None], none, none)
    found, _ = refined_noise(PoissonGaussianNoise(1.0, 1.0, correlation=correlations.GREY), [first])
    at = np.array([50.0, 150.0])
    assert found.variance(at) == pytest.approx(noise.variance(at), rel=0.1)


def test_a_denoiser_that_answers_the_wrong_way_leaves_the_estimate_and_says_nothing():
    noise = GaussianNoise(10.0, correlation=correlations.BLURRED)
    none, probe = np.zeros((32, 32, 1)), np.ones((32, 32, 1))
    assert refined_noise(noise, [FirstResult(none, none, probe, -probe)]) == (noise, 1.0)


FIRST_GUESS = GaussianNoise(3.0, correlation=correlations.GREY)


def all_taken_out(part):
    """The first result of a denoiser whose image is zero."""
    image = part[0].astype(float)
    return FirstResult(0 * image, image, image, 0 * image)


@pytest.fixture
def frame():
    """Noise that is weaker at the borders than between them and the middle."""
    image = np.full((80, 60, 1), 5.0)
    image[:16, :16] = image[:16, -16:] = image[-16:, :16] = image[-16:, -16:] = image[32:48, 22:38] = 2.0
    return image


def test_a_large_image_is_looked_at_in_its_corners_and_its_middle(frame, monkeypatch):
    monkeypatch.setattr(residual_variance, "LARGE", 80 * 60 - 1)
    monkeypatch.setattr(residual_variance, "PART", 16)
    assert refined_by(all_taken_out, frame, FIRST_GUESS)[0].sigma == pytest.approx(2.0)
    mask = np.zeros(frame.shape, bool)
    frame[:8, :16] = 100.0
    mask[:8, :16] = True
    assert refined_by(all_taken_out, frame, FIRST_GUESS, mask)[0].sigma == pytest.approx(2.0)


def test_a_smaller_image_and_one_for_a_denoiser_of_one_size_are_looked_at_whole(frame, monkeypatch):
    whole = np.mean(frame**2) ** 0.5
    assert refined_by(all_taken_out, frame, FIRST_GUESS)[0].sigma == pytest.approx(whole)
    monkeypatch.setattr(residual_variance, "LARGE", 100)
    assert refined_by(all_taken_out, frame, FIRST_GUESS, whole=True)[0].sigma == pytest.approx(whole)
