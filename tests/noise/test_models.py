"""Noise models and their estimation."""

import json

import numpy as np
import pytest

from gaintuning_tf import GaussianNoise, InputError
from gaintuning_tf.noise.correlation import effective_share
from gaintuning_tf.noise.estimation import estimate_noise
from gaintuning_tf.noise.models import NoiseLevel, NoiseModel, PoissonGaussianNoise, PoissonNoise, stacked
from gaintuning_tf.noise.variance_line import variance_line
from helpers.correlations import BLURRED, COLOUR, GREY, autocovariance_of


@pytest.mark.parametrize("sigma", [10, 30, 70])
def test_estimates_the_noise_of_a_photograph(sigma, photograph):
    noisy = 255 * photograph + sigma * np.random.default_rng(0).standard_normal(photograph.shape)
    # The median of about 1900 coefficients has a standard error of 2 %; structure adds to it at low noise.
    assert estimate_noise(noisy).sigma == pytest.approx(sigma, rel=0.12)


def test_estimates_set12_within_four_percent(shared):
    from skimage.io import imread

    for index, file in enumerate(sorted((shared / "data" / "set12").glob("*.png"))):
        clean = imread(file)
        for sigma in (30, 70):
            noisy = clean + sigma * np.random.RandomState(index).randn(*clean.shape)
            assert estimate_noise(noisy).sigma == pytest.approx(sigma, rel=0.04)


def test_colour_is_estimated_over_channels():
    noisy = np.random.default_rng(0).normal(0, [1, 2, 3], (128, 128, 3))
    assert estimate_noise(noisy).sigma == pytest.approx(2, rel=0.05)


def test_scales_with_the_image():
    assert GaussianNoise(25).scaled(1 / 255).sigma == pytest.approx(25 / 255)


MODELS = [
    (GaussianNoise(0.3), 0.3**2),
    (PoissonNoise(0.5), 0.5 * 2),
    (PoissonGaussianNoise(0.5, 0.3), 0.5 * 2 + 0.3**2),
    (PoissonGaussianNoise(0.5, 0.3, offset=1.5), 0.5 * 0.5 + 0.3**2),
    (PoissonGaussianNoise(0, 0.3), 0.3**2),
]


@pytest.mark.parametrize(("noise", "variance"), MODELS)
def test_samples_have_the_mean_and_variance_of_the_model(noise, variance):
    clean = np.full((300, 300), 2.0)
    noisy = noise.sample(clean, np.random.default_rng(0))
    assert isinstance(noise, NoiseModel)
    assert noise.variance(clean)[0, 0] == pytest.approx(variance)
    assert noise.level(1).variance(clean[None])[0, 0, 0] == pytest.approx(variance)
    assert noisy.mean() == pytest.approx(2, abs=4 * np.sqrt(variance / clean.size))
    # A Poisson variable has an excess kurtosis of one over its mean, 4 here, or 1 above the black level.
    assert noisy.var() == pytest.approx(variance, rel=4 * np.sqrt((2 + 1) / clean.size))


@pytest.mark.parametrize(("noise", "_"), MODELS)
def test_scaled_noise_is_that_of_the_scaled_image(noise, _):
    clean = np.linspace(2, 9, 5)
    scaled = noise.scaled(3, shift=4)
    np.testing.assert_allclose(scaled.variance(3 * clean + 4), 9 * noise.variance(clean))
    draws = [n.sample(c, np.random.default_rng(1)) for n, c in ((scaled, 3 * clean + 4), (noise, clean))]
    np.testing.assert_allclose(draws[0], 3 * draws[1] + 4)


def test_poisson_noise_stays_poisson_noise_without_a_shift():
    assert PoissonNoise(2.0).scaled(0.5) == PoissonNoise(1.0)
    assert PoissonNoise(2.0).scaled(0.5, 1.0) == PoissonGaussianNoise(1.0, 0.0, 1.0)


def test_no_electrons_arrive_below_the_black_level():
    dark = PoissonGaussianNoise(1.0, 0.0, offset=10.0).sample(np.zeros(5), np.random.default_rng(0))
    np.testing.assert_array_equal(dark, 10.0)
    assert PoissonGaussianNoise(1.0, 2.0, offset=10.0).variance(np.array(0.0)) == 4


def test_parameters_may_be_one_per_image():
    noise = PoissonGaussianNoise(np.array([0.0, 1.0]), np.array([2.0, 3.0]), 5.0)
    level = noise.level(2)
    np.testing.assert_allclose(level.slope, [0, 1])
    np.testing.assert_allclose(level.intercept, [4, 9 - 5])
    clean = np.full((2, 200, 200, 1), 20.0)
    np.testing.assert_allclose(noise.variance(clean)[:, 0, 0, 0], [4, 15 + 9])
    np.testing.assert_allclose(level.variance(clean), noise.variance(clean))
    noisy = noise.sample(clean, np.random.default_rng(0))
    np.testing.assert_allclose(noisy.var(axis=(1, 2, 3)), [4, 24], rtol=4 * np.sqrt(2.1 / 200**2))
    with pytest.raises(InputError, match="each of 3"):
        noise.level(3)


def test_a_level_takes_tensors():
    import tensorflow as tf

    level = NoiseLevel(tf.constant([1.0, 2.0]), tf.constant([0.5, -1.0]))
    variance = level.variance(tf.ones((2, 3, 3, 1)))
    np.testing.assert_allclose(variance[:, 0, 0, 0], [1.5, 1.0])


def test_samples_keep_a_floating_dtype():
    rng = np.random.default_rng(0)
    assert PoissonNoise(1).sample(np.ones(3, "float32"), rng).dtype == np.float32
    assert PoissonNoise(1).sample(np.ones(3, "uint8"), rng).dtype == np.float64


@pytest.mark.parametrize("dose", [0.5, 1, 2, 5, 10])
def test_counts_of_electrons_have_a_gain_of_one(dose, shared):
    """Low-dose micrographs: exactly, since nothing lies between counts. As a variance alone, 0.962 at half an electron
    per unit, 0.998 at ten."""
    from skimage.io import imread

    for file in sorted((shared / "data" / "tem").glob("*.tif")):
        clean = dose * imread(file).astype(np.float64)
        counts = np.random.default_rng(0).poisson(clean)
        assert estimate_noise(counts, "poisson").gain == 1
        assert estimate_noise(counts / 50, "poisson").gain == pytest.approx(1 / 50, rel=1e-12)
        assert variance_line(counts, through_origin=True)[0] == pytest.approx(1, abs=0.05)
        level = estimate_noise(counts, "poisson-gaussian").level(1)
        # The values span a factor of two only, the mean of a block is uncertain, and counts below one are far from
        # normal: measured 0.94 and 0.89 of the variance at half an electron, 0.99 and 0.97 at ten.
        middle, bright = np.quantile(clean, [0.5, 0.95])
        assert level.variance(np.full((1, 1), middle)).item() == pytest.approx(middle, rel=0.08)
        assert level.variance(np.full((1, 1), bright)).item() == pytest.approx(bright, rel=0.13)


def test_a_camera_is_estimated_on_photographs(shared):
    """Measured: the standard deviation at the median value within 4 %, in the darkest tenth within 13 %."""
    from skimage.io import imread

    noise = PoissonGaussianNoise(gain=4.0, sigma=5.0, offset=20.0)
    for index, file in enumerate(sorted((shared / "data" / "set12").glob("*.png"))):
        clean = imread(file) + 20.0
        noisy = noise.sample(clean, np.random.default_rng(index))
        values = np.quantile(clean, [0.1, 0.5, 0.9])
        found = estimate_noise(noisy, "poisson-gaussian").level(1).variance(values[None])[0]
        ratio = np.sqrt(found / noise.variance(values))
        assert abs(ratio[0] - 1) < 0.15
        assert np.all(abs(ratio[1:] - 1) < 0.05)
        # Texture adds to the noise, up to a tenth for grass and feathers.
        poisson = estimate_noise(PoissonNoise(4.0).sample(clean - 20, np.random.default_rng(index)), "poisson")
        assert 0.97 < poisson.gain / 4 < 1.12


def test_an_intercept_below_zero_is_a_black_level():
    noise = PoissonGaussianNoise(2.0, 1.0, offset=50.0)
    ramp = 50 + np.tile(np.linspace(0, 200, 256), (256, 1))
    found = estimate_noise(noise.sample(ramp, np.random.default_rng(0)), "poisson-gaussian")
    assert found.sigma == 0
    assert found.gain == pytest.approx(2, rel=0.1)
    # Sigma is taken for a black level that is lower by sigma^2 / gain.
    assert found.offset == pytest.approx(49.5, abs=3)


def test_counts_of_mean_zero_are_refused():
    with pytest.raises(InputError, match="mean zero"):
        estimate_noise(np.random.default_rng(0).normal(-1, 0.1, (64, 64)), "poisson")


@pytest.mark.parametrize("kind", ["poisson", "poisson-gaussian"])
@pytest.mark.parametrize("image", [np.full((64, 64), 7), np.full((3, 64), 7)])
def test_refuses_to_invent_a_line(kind, image):
    with pytest.raises(InputError, match=r"no noise|3x64"):
        estimate_noise(image, kind)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PoissonNoise(0), "gain to be a positive"),
        (lambda: PoissonNoise("1"), "gain to be a positive"),
        (lambda: PoissonGaussianNoise(-1, 1), "gain to be a number of at least 0"),
        (lambda: PoissonGaussianNoise(1, np.nan), "sigma to be a number of at least 0"),
        (lambda: PoissonGaussianNoise(1, 1, np.inf), "offset to be a number"),
        (lambda: PoissonGaussianNoise(0, 0), "both zero"),
        (lambda: PoissonGaussianNoise([1, 0], 0), "both zero"),
    ],
)
def test_refuses_parameters_that_are_no_noise(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize("sigma", [0, -1, np.nan, np.inf, "25", [1, -1]])
def test_refuses_a_sigma_that_is_no_noise(sigma):
    with pytest.raises(InputError, match="positive"):
        GaussianNoise(sigma)


@pytest.mark.parametrize(
    ("image", "message"),
    [(np.zeros((64, 64)), "no noise"), (np.zeros((3, 64)), "3x64"), (np.full((64, 64), 7), "no noise")],
)
def test_refuses_to_invent_an_estimate(image, message):
    with pytest.raises(InputError, match=message):
        estimate_noise(image)


def test_refuses_unknown_noise():
    with pytest.raises(InputError, match="'salt'"):
        estimate_noise(np.ones((8, 8)), "salt")


CORRELATED = [
    GaussianNoise(0.3, BLURRED),
    PoissonNoise(0.5, BLURRED),
    PoissonGaussianNoise(0.5, 0.3, offset=1.5, correlation=BLURRED),
]


@pytest.mark.parametrize("noise", CORRELATED)
def test_correlated_samples_have_the_variance_and_the_correlation_of_the_model(noise):
    clean = np.tile(np.repeat([2.0, 4.0], 200), (300, 1))
    noisy = noise.sample(clean, np.random.default_rng(0))
    drawn = (noisy - clean) / np.sqrt(noise.variance(clean))
    # The products of values of variance one are known to the root of two over the number of independent ones.
    tolerance = 0.01 + 4 * np.sqrt(2 / (clean.size * effective_share(BLURRED)))
    for part in (drawn[:, :200], drawn[:, 200:]):
        np.testing.assert_allclose(autocovariance_of(part[..., None], 2)[..., 0, 0], BLURRED, atol=2 * tolerance)


def test_a_sample_keeps_dtype_and_shape_and_draws_between_channels():
    rng = np.random.default_rng(0)
    noise = GaussianNoise(2.0, COLOUR)
    noisy = noise.sample(np.zeros((200, 200, 3), "float32"), rng)
    assert noisy.dtype == np.float32
    tolerance = 4 * (0.01 + 4 * np.sqrt(2 / (200**2 * effective_share(COLOUR) / 3)))
    np.testing.assert_allclose(autocovariance_of(noisy, COLOUR.shape[0] // 2), 4 * COLOUR, atol=tolerance)
    assert noise.sample(np.zeros((2, 8, 8, 3)), rng).shape == (2, 8, 8, 3)
    assert GaussianNoise(2.0, BLURRED).sample(np.zeros((8, 9)), rng).shape == (8, 9)
    with pytest.raises(InputError, match=r"correlated over .* received \(8, 8\)"):
        noise.sample(np.zeros((8, 8)), rng)


@pytest.mark.parametrize("noise", CORRELATED)
def test_scaled_noise_keeps_its_correlation(noise):
    scaled = noise.scaled(3, shift=4)
    np.testing.assert_array_equal(scaled.correlation, BLURRED)
    clean = np.full((16, 16), 5.0)
    draws = [n.sample(c, np.random.default_rng(1)) for n, c in ((scaled, 3 * clean + 4), (noise, clean))]
    np.testing.assert_allclose(draws[0], 3 * draws[1] + 4)


def test_models_are_equal_number_by_number():
    one, other = GaussianNoise(2.0, GREY), GaussianNoise(2, GREY.copy())
    assert (one == other) is True and hash(one) == hash(other)
    for different in (
        GaussianNoise(2.0),
        GaussianNoise(1.0, GREY),
        GaussianNoise(2.0, BLURRED),
        PoissonNoise(2.0, GREY),
    ):
        assert (one == different) is False and one != different
    assert (GaussianNoise(np.array([1.0, 2.0])) == GaussianNoise(np.array([1.0, 2.0]))) is True
    assert (GaussianNoise(np.array([1.0, 2.0])) == GaussianNoise(np.array([1.0, 3.0]))) is False
    assert len({one, other, GaussianNoise(2.0), GaussianNoise(2.0, np.array([[0, 1, 0]]))}) == 2


def test_images_of_a_batch_share_a_correlation_or_have_one_each():
    shared = stacked([GaussianNoise(1.0, GREY), GaussianNoise(2.0, GREY)])
    assert shared == GaussianNoise(np.array([1.0, 2.0]), GREY)
    assert shared.each(2) == [GaussianNoise(1.0, GREY), GaussianNoise(2.0, GREY)]
    own = stacked([GaussianNoise(1.0, GREY), GaussianNoise(1.0)])
    assert own.correlation.shape == (2, 3, 3) and own.images == 2
    assert own.each(2) == [GaussianNoise(1.0, GREY), GaussianNoise(1.0)]
    noisy = own.sample(np.zeros((2, 300, 300, 1)), np.random.default_rng(0))
    assert np.mean(noisy[0, 1:] * noisy[0, :-1]) == pytest.approx(GREY[0, 1], abs=0.03)
    assert np.mean(noisy[1, 1:] * noisy[1, :-1]) == pytest.approx(0, abs=0.03)
    assert GaussianNoise(1.0, own.correlation).images == 2
    with pytest.raises(InputError, match="each of 3, received 2"):
        own.correlations(3)


@pytest.mark.parametrize("noise", [GaussianNoise(2.0), *CORRELATED, GaussianNoise(np.array([1.0, 2.0]), COLOUR)])
def test_parameters_are_json_from_which_the_model_can_be_made_again(noise):
    found = json.loads(json.dumps(noise.parameters()))
    assert found.pop("noise_text") == noise.text()
    assert type(noise)(**found) == noise


def test_the_text_says_what_the_image_would_be_checked_for():
    assert GaussianNoise(2.0).text() == "white"
    assert PoissonNoise(2.0).text() == "signal-dependent, white"
    assert GaussianNoise(2.0, BLURRED).text() == "correlated over 2 pixels: 0.67, 0.17"


@pytest.mark.parametrize(
    "kind", [GaussianNoise, PoissonNoise, lambda level, c: PoissonGaussianNoise(level, 1.0, 0.0, c)]
)
def test_refuses_what_is_no_correlation(kind):
    with pytest.raises(InputError, match="one at lag zero"):
        kind(1.0, np.zeros((3, 3)))
