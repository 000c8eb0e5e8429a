"""The correlation of noise: what is one, the filter that makes it, and what it is worth."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import InputError
from gaintuning_tf.noise import colouring
from gaintuning_tf.noise.correlation import (
    checked_correlation,
    coloured_noise,
    correlation_filter,
    effective_share,
    in_colour,
    joined_correlations,
    nearest_correlation,
    text_of,
)
from helpers.correlations import (
    BLURRED,
    COLOUR,
    GREY,
    UNEQUAL,
    autocorrelation,
    autocovariance_of,
    gaussian,
    of_filter,
)

FILTERS = {
    "mean of 2x2": np.ones((2, 2)),
    "mean of 5x5": np.ones((5, 5)),
    "mean of three in a row": np.ones((1, 3)),
    "Gaussian": gaussian(1.0),
    "sharpened": np.array([[0, -0.2, 0], [-0.2, 1, -0.2], [0, -0.2, 0]]),
    "diagonal": np.eye(3),
}


@pytest.mark.parametrize("name", FILTERS)
def test_the_filter_gives_the_correlation_that_it_was_made_from(name):
    correlation = of_filter(FILTERS[name])
    kernel = correlation_filter(correlation)
    assert np.sum(kernel**2) == pytest.approx(1)
    found = autocorrelation(kernel, [side // 2 for side in correlation.shape])
    np.testing.assert_allclose(found, correlation, atol=0.01)
    # A filter without phase is symmetric.
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("correlation", [*map(of_filter, FILTERS.values()), COLOUR, UNEQUAL])
def test_the_filter_in_a_graph_is_the_same(correlation):
    kernel = correlation_filter(correlation)
    np.testing.assert_allclose(colouring.filters_of(tf.constant(correlation[None]))[0], kernel, atol=1e-9)
    # Where the spectrum touches zero, its root has the root of the rounding.
    single = tf.constant(correlation[None], tf.float32)
    np.testing.assert_allclose(colouring.filters_of(single)[0], kernel, atol=1e-3)
    shares = colouring.effective_shares(single)
    np.testing.assert_allclose(shares, [effective_share(correlation)], rtol=1e-6)


def test_the_filter_of_a_graph_that_does_not_know_the_radius_is_the_same():
    spec = tf.TensorSpec([None, None, None])
    compiled = tf.function(colouring.filters_of, [spec], autograph=False)
    for correlation in (BLURRED, of_filter(np.ones((5, 5)))):
        given = tf.constant(correlation[None], tf.float32)
        np.testing.assert_allclose(compiled(given), colouring.filters_of(given), atol=1e-6)


@pytest.mark.parametrize("given", [BLURRED, [[0.6, 1.0, 0.6]], [[0.5, 0, 0], [0.4, 1, 0.4], [0, 0, 0.5]]], ids=str)
def test_the_nearest_correlation_in_a_graph_is_the_same(given):
    expected = nearest_correlation(np.asarray(given))
    spec = tf.TensorSpec([None, None, None], tf.float64)
    compiled = tf.function(colouring.nearest_of, [spec], autograph=False)
    batch = tf.constant([given, given], tf.float64)
    np.testing.assert_allclose(compiled(batch), [expected, expected], atol=1e-9)


@pytest.mark.parametrize("correlation", [GREY, BLURRED, COLOUR, UNEQUAL])
def test_draws_have_the_correlation(correlation):
    """The covariance of n products of correlated normal numbers is known to sqrt(2 / n_eff) at most."""
    side, channels = 512, correlation.shape[-1] if correlation.ndim == 4 else 1
    tolerance = 0.01 + 4 * (2 / (side**2 * effective_share(correlation) / channels)) ** 0.5
    drawn = coloured_noise(correlation, (side, side, channels), np.random.default_rng(0))
    expected = correlation if correlation.ndim == 4 else in_colour(correlation, 1)
    np.testing.assert_allclose(autocovariance_of(drawn, correlation.shape[0] // 2), expected, atol=tolerance)

    def normal(shape):
        return tf.random.stateless_normal(shape, (0, 1), alg="philox")

    given = tf.constant(correlation[None], tf.float32)
    images = colouring.coloured(normal, tf.zeros((2, side, side, channels)), given).numpy()
    for image in images:
        np.testing.assert_allclose(autocovariance_of(image, correlation.shape[0] // 2), expected, atol=tolerance)
    assert abs(np.mean(images[0] * images[1])) < tolerance


def test_each_image_of_a_batch_may_have_its_own_correlation():
    def normal(shape):
        return tf.random.stateless_normal(shape, (0, 1), alg="philox")

    both = tf.constant(joined_correlations([GREY, BLURRED]), tf.float32)
    images = tf.zeros((2, 64, 64, 1))
    together = colouring.coloured(normal, images, both).numpy()
    for number in range(2):
        alone = colouring.coloured(normal, images, both[number : number + 1]).numpy()
        np.testing.assert_allclose(together[number], alone[number], atol=1e-5)


def test_convolution_by_fourier_transforms_is_convolution():
    rng = np.random.default_rng(0)
    images, kernel = (tf.constant(rng.standard_normal(shape)) for shape in ((2, 12, 9, 3), (1, 5, 3, 3, 3)))
    expected = tf.nn.conv2d(images, kernel[0, ::-1, ::-1], 1, "VALID")
    np.testing.assert_allclose(colouring.convolved(images, kernel), expected, atol=1e-12)


def test_the_effective_share_is_that_of_the_mean_square():
    """Of 600 draws, the variance is known to 6 %."""

    def normal(shape):
        return tf.random.stateless_normal(shape, (0, 1), alg="philox")

    for correlation in (BLURRED, COLOUR, UNEQUAL):
        channels = correlation.shape[-1] if correlation.ndim == 4 else 1
        images = tf.zeros((600, 48, 48, channels))
        drawn = colouring.coloured(normal, images, tf.constant(correlation[None], tf.float32)).numpy()
        strays = np.var(np.mean(drawn**2, (1, 2, 3)))
        expected = 2 / (48**2 * channels * effective_share(correlation))
        assert strays == pytest.approx(expected, rel=4 * (2 / 600) ** 0.5)


def test_a_spectrum_below_zero_is_cut_off():
    given = np.array([[0.6, 1.0, 0.6]])
    nearest = nearest_correlation(given)
    assert nearest[0, 1] == pytest.approx(1)
    assert 0.5 < nearest[0, 0] < 0.6
    kernel = correlation_filter(given)
    np.testing.assert_allclose(autocorrelation(kernel, [0, 1]), nearest, atol=0.01)


@pytest.mark.parametrize(
    ("correlation", "message"),
    [
        (np.ones((2, 3)), "odd sides"),
        (np.array([[0.5, np.nan, 0.5]]), "finite"),
        (np.array([[0.5, 2.0, 0.5]]), "one at lag zero.*divide it by the variance"),
        (np.array([[0.5, 1.0, 0.4]]), "symmetric"),
        (np.array([[-1.1, 1.0, -1.1]]), "at most one"),
        (np.array([[1.0, 1.0, 1.0]]), "a correlation that noise can have"),
        (np.ones((1, 1, 2, 3)), r"\(2r\+1, 2r\+1, C, C\)"),
        (np.ones((1, 1, 2, 2)) * 0.5, "one at lag zero"),
        (np.diag([2.0, 0.0])[None, None], "one at lag zero"),
        (np.array([[[[0.4, 1.0], [1.0, 1.6]]]]), "at most one, received 1.25"),
        (np.array([1.0]), r"shape \(1,\)"),
        ("white", "autocovariance"),
    ],
)
def test_what_is_no_correlation_is_refused(correlation, message):
    with pytest.raises(InputError, match=message):
        checked_correlation(correlation)


def test_a_covariance_between_channels_must_be_symmetric_over_lags():
    wrong = COLOUR.copy()
    wrong[0, 2, 0, 1] += 0.1
    with pytest.raises(InputError, match=r"rho\[-lag, d, c\] = rho\[lag, c, d\]"):
        checked_correlation(wrong)
    for right in (COLOUR, UNEQUAL, np.diag([0.5, 1.5])[None, None]):
        np.testing.assert_array_equal(checked_correlation(right), right)
        np.testing.assert_allclose(nearest_correlation(right), right, atol=1e-6)


def test_no_correlation_but_at_lag_zero_is_white_noise():
    assert checked_correlation(np.array([[0, 1, 0]])) is None
    assert checked_correlation(np.eye(3)[None, None]) is None
    assert checked_correlation(None) is None


def test_correlations_of_several_images_are_joined():
    np.testing.assert_array_equal(joined_correlations([GREY, GREY]), GREY)
    assert joined_correlations([None, None]) is None
    wide = of_filter(np.ones((5, 5)))
    joined = joined_correlations([GREY, wide, None])
    assert joined.shape == (3, 9, 9)
    np.testing.assert_array_equal(joined[0, 3:6, 3:6], GREY)
    np.testing.assert_array_equal(joined[2, 4], np.eye(9)[4])
    assert joined_correlations([COLOUR, None]).shape == (2, *COLOUR.shape)
    with pytest.raises(InputError, match=r"\[2, 3\]"):
        joined_correlations([COLOUR, in_colour(GREY, 2)])


def test_the_words_name_the_stronger_axis_and_what_is_between_channels():
    assert text_of(of_filter(np.ones((1, 3)))) == text_of(of_filter(np.ones((3, 1))))
    assert text_of(of_filter(np.ones((1, 3)))) == "correlated over 2 pixels: 0.67, 0.33"
    between = np.array([[1, 0.3], [0.3, 1]])[None, None]
    assert text_of(between) == "correlated between channels: up to 0.30"
    assert text_of(of_filter(np.eye(3))) == "correlated by at most 0.67"


def test_an_image_of_other_channels_is_refused():
    with pytest.raises(InputError, match="expected an image"):
        coloured_noise(COLOUR, (8, 8, 2), np.random.default_rng(0))
