"""Which noise an image is found to have."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import color, data, io
from skimage.restoration import estimate_sigma

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.automatic import CORRELATED, examine_noise
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise, PoissonNoise
from helpers import correlations

CAMERA = data.camera()[::2, ::2].astype(np.float64)


def drawn(noise, clean, seed=0):
    return noise.sample(clean, np.random.default_rng(seed))


@pytest.mark.parametrize("sigma", [5, 15, 50])
def test_white_noise_on_a_photograph_is_white_and_nearer_than_the_median_of_all_details(sigma):
    noisy = drawn(GaussianNoise(sigma), CAMERA)
    found = examine_noise(noisy).noise
    assert isinstance(found, GaussianNoise) and found.correlation is None
    assert abs(found.sigma - sigma) <= abs(estimate_sigma(noisy) - sigma) + 0.02 * sigma


def test_texture_is_not_taken_for_correlated_noise():
    rng = np.random.default_rng(0)
    # Grass, say: correlated like much noise, but of another strength in each place.
    strength = np.kron(rng.lognormal(2.5, 0.8, (8, 8)), np.ones((32, 32)))
    texture = strength * GaussianNoise(1.0, correlation=correlations.BLURRED).sample(np.zeros((256, 256)), rng)
    found = examine_noise(128 + texture + rng.normal(0, 5, (256, 256)))
    assert found.detail_ratio > CORRELATED and found.noise.correlation is None


def test_set12_is_white_at_every_level(shared):
    off = []
    for sigma in (5, 15, 25, 50):
        for path in sorted((shared / "data" / "set12").glob("*.png")):
            clean = io.imread(path).astype(np.float64)
            noisy = clean + sigma * np.random.RandomState(0).randn(*clean.shape)
            found = examine_noise(noisy).noise
            assert isinstance(found, GaussianNoise) and found.correlation is None, (path.name, sigma)
            off.append((found.sigma / sigma - 1, estimate_sigma(noisy) / sigma - 1))
    own, peer = np.sqrt(np.mean(np.square(off), 0))
    assert own < 0.6 * peer


def test_correlated_noise_is_found_with_its_level_and_its_lags():
    noise = GaussianNoise(12.0, correlation=correlations.BLURRED)
    found = examine_noise(drawn(noise, CAMERA)).noise
    middle = found.correlation.shape[0] // 2
    true = correlations.BLURRED[2, 2:5]
    # Structure of the photograph adds to the lags of the flattest blocks, and to their variance.
    assert np.abs(found.correlation[middle, middle : middle + 3] - true).max() < 0.12
    assert abs(found.sigma / 12 - 1) < 0.15


def test_noise_that_grows_with_the_signal_has_a_line_and_a_black_level():
    # Smooth, for texture adds to the variance of bright places.
    clean = 20 + gaussian_filter(CAMERA, 2)
    found = examine_noise(drawn(PoissonGaussianNoise(3.0, 0.0, 20.0), clean))
    assert isinstance(found.noise, PoissonGaussianNoise)
    assert found.growth > 2 and found.black_level == pytest.approx(20, abs=6)
    variance, true = found.noise.variance(clean).mean(), 3 * (clean - 20).mean()
    assert variance == pytest.approx(true, rel=0.1)


def test_counts_are_known_by_their_unit():
    ramp = np.tile(np.linspace(1, 30, 256), (256, 1))
    counts = np.random.default_rng(0).poisson(ramp)
    assert examine_noise(counts).noise == PoissonNoise(1.0)
    assert examine_noise(counts / 4).noise.gain == 0.25


def test_both_at_once():
    clean = np.tile(np.linspace(10, 200, 512), (256, 1))
    noise = PoissonGaussianNoise(2.0, 3.0, correlation=correlations.BLURRED)
    found = examine_noise(drawn(noise, clean)).noise
    assert isinstance(found, PoissonGaussianNoise) and found.correlation is not None
    assert found.variance(np.array([50.0, 150.0])) == pytest.approx(noise.variance(np.array([50.0, 150.0])), rel=0.15)


@pytest.mark.parametrize("true", [correlations.COLOUR, correlations.UNEQUAL], ids=["alike", "unequal"])
def test_colours_have_covariances_between_them(true):
    noise = GaussianNoise(10.0, correlation=true)
    noisy = drawn(noise, np.full((256, 256, 3), 128.0))
    found = examine_noise(noisy).noise
    assert found.sigma == pytest.approx(10, rel=0.05)
    middle = found.correlation.shape[0] // 2
    centre = true.shape[0] // 2
    window = found.correlation[middle - 1 : middle + 2, middle - 1 : middle + 2]
    # The mean over n = 25 blocks of 1024 pixels of products of variance up to 2.
    assert np.abs(window - true[centre - 1 : centre + 2, centre - 1 : centre + 2]).max() < 0.06 * true.max()


def test_a_mask_leaves_pixels_out():
    noisy = drawn(GaussianNoise(8.0, correlation=correlations.BLURRED), CAMERA)
    mask = np.zeros(noisy.shape, bool)
    mask[:64] = True
    spoiled = np.where(mask, 1e4 * np.random.default_rng(1).standard_normal(noisy.shape), noisy)
    found, alone = examine_noise(spoiled, mask).noise, examine_noise(noisy[64:]).noise
    # But for the blocks that lie across the border.
    assert found.sigma == pytest.approx(alone.sigma, rel=0.02)
    assert found.correlation == pytest.approx(alone.correlation, abs=0.05)


def test_noise_of_coarse_detail_alone_is_found_by_flat_blocks():
    """As red of a phone: white noise, that of green, and coarser noise of its own."""
    coarse = correlations.of_filter([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    fine = correlations.of_filter([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    correlation = 0.8 * coarse + 0.2 * fine
    found = examine_noise(drawn(GaussianNoise(20.0, correlation=correlation), CAMERA))
    assert found.detail_ratio < CORRELATED, "the details by themselves do not show it"
    assert found.noise.sigma == pytest.approx(20, rel=0.1)
    seen = found.noise.correlation
    middle = seen.shape[0] // 2
    assert seen[middle, middle + 1 : middle + 3] == pytest.approx(correlation[2, 3:], abs=0.1)


@pytest.mark.parametrize("gain", [3.0, 8.0])
def test_noise_that_grows_with_the_signal_is_found_where_it_was_clipped(gain):
    clean = data.coffee()[100:356, 100:356].astype(float)
    noisy = PoissonGaussianNoise(gain, 3.0).sample(clean, np.random.default_rng(0)).clip(0, 255).round()
    for channel in range(3):
        found = examine_noise(noisy[..., channel].astype("uint8"))
        at = np.array([60.0, 120.0])
        # Where nothing was clipped, as it was drawn.
        assert found.noise.variance(at) == pytest.approx(gain * at + 9, rel=0.25)
        assert "clipped at 255" in found.words and found.left_out > 0.01


def test_correlated_noise_that_grows_stays_correlated_where_it_was_clipped():
    """As in the demo's picture: beside what is bright, too little is left to show it."""
    clean = color.rgb2gray(data.astronaut()[:256, 96:352])
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(clean.shape), 0.6, mode="wrap")
    noisy = clean + noise / noise.std() * np.sqrt(0.012 * (clean + 0.05))
    found = examine_noise((255 * noisy.clip(0, 1)).round().astype("uint8"))
    assert found.words.startswith("correlated over 2 pixels") and "signal-dependent" in found.words
    assert "clipped at 255" in found.words


def test_clipping_is_seen_and_said():
    noisy = np.clip(drawn(GaussianNoise(20.0), CAMERA), 0, 255)
    found = examine_noise(noisy)
    assert found.clipped_low == (0.0, pytest.approx(np.mean(noisy == 0)))
    assert "clipped at 0" in found.words


def test_what_a_scan_leaves_is_no_correlation_but_counts_in_the_level():
    clean = np.maximum(40 + 1440 * gaussian_filter(np.random.default_rng(3).normal(0, 1, (512, 512)), 24), 2)
    along = np.array([[0.06, 1.0, 0.06]])
    for correlation, seen in ((along, True), (along.T, True), (None, False)):
        noise = PoissonGaussianNoise(2.0, 1.0, correlation=correlation)
        found = examine_noise(noise.sample(clean, np.random.default_rng(0)))
        assert found.noise.correlation is None
        assert bool(found.scan_correlation) is seen
        assert found.words.startswith("white but for 0.0" if seen else "white, signal-dependent")
        level = np.mean(found.noise.variance(clean)) / np.mean(noise.variance(clean))
        # Without, it would be 1 / 1.07 of that.
        assert level == pytest.approx(1, abs=0.04)


def test_the_evidence_is_json_and_words():
    found = examine_noise(drawn(GaussianNoise(9.0, correlation=correlations.BLURRED), CAMERA))
    assert "correlated over" in found.words
    assert json.loads(json.dumps(found.to_json()))["words"] == found.words


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.tile(np.arange(64.0), (64, 1))], ids=["constant", "ramp"])
def test_no_noise_is_said(image):
    with pytest.raises(InputError, match="found no noise"):
        examine_noise(image)


def test_an_image_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="16x16 image, 24x24 or more are needed"):
        examine_noise(np.random.default_rng(0).normal(size=(16, 16)))


@pytest.mark.parametrize("name", ["gravel", "cat", "grass"])
def test_a_clean_picture_is_not_taken_for_correlated_noise(name):
    image = getattr(data, name)()
    assert examine_noise(image[..., 1] if image.ndim == 3 else image).noise.correlation is None


@pytest.mark.parametrize(("width", "is_noise"), [(0.7, True), (1.0, True), (2.5, False)])
def test_what_goes_on_for_many_pixels_is_the_picture(width, is_noise):
    grain = gaussian_filter(np.random.default_rng(0).standard_normal((256, 256)), width)
    found = examine_noise(100 + 10 * grain / grain.std())
    assert (found.noise.correlation is not None) is is_noise
