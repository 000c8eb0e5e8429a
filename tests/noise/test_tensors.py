"""Noise as tensors, and fresh draws of it."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import GaussianNoise, InputError
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.correlation import effective_share
from gaintuning_tf.noise.models import NoiseLevel, PoissonGaussianNoise, PoissonNoise, stacked
from gaintuning_tf.noise.tensors import NoiseTensors, noise_of_batch, noise_tensors
from helpers.correlations import BLURRED, COLOUR, GREY, autocovariance_of


@pytest.mark.parametrize(
    ("noise", "slope", "intercept"),
    [
        (0.5, 0, 0.25),
        (np.array([1.0, 2.0]), 0, [1, 4]),
        (tf.constant([1.0, 2.0]), 0, [1, 4]),
        (GaussianNoise(2), 0, 4),
        (PoissonNoise(3), [3], [0]),
        (PoissonGaussianNoise(0, 2), 0, [4]),
        (PoissonGaussianNoise(np.array([1.0, 2.0]), 3, 4), [1, 2], [9 - 4, 9 - 8]),
        (NoiseLevel(np.array([1.0]), np.array([2.0])), [1], [2]),
    ],
)
def test_any_noise_is_a_line(noise, slope, intercept):
    known = noise_tensors(noise)
    assert known.known
    assert known.is_gaussian == (not np.any(slope))
    np.testing.assert_allclose(0 if known.is_gaussian else known.slope, slope)
    np.testing.assert_allclose(known.intercept, intercept)
    assert known.intercept.dtype == tf.float32
    assert noise_tensors(known) is known


def test_a_slope_that_the_graph_does_not_know_may_be_anything():
    seen = []

    @tf.function
    def trace(slope):
        seen.append(noise_tensors(NoiseLevel(slope, slope)).is_gaussian)
        return slope

    trace(tf.zeros(1))
    assert seen == [False]


def test_a_bare_number_must_be_a_sigma():
    with pytest.raises(InputError, match="positive"):
        noise_tensors(-1.0)


# XLA has no Poisson numbers.
@pytest.mark.parametrize(
    ("slope", "intercept", "way"),
    [(0.0, 0.04, "xla")]
    + [(*line, way) for line in [(0.0, 0.04), (0.5, 0.0), (0.5, 0.2), (0.5, -0.5)] for way in ("eager", "graph")],
)
def test_drawn_noise_has_mean_zero_and_the_variance_of_the_line(slope, intercept, way):
    known = noise_tensors(NoiseLevel(tf.constant([slope, slope]), tf.constant([intercept, intercept])))
    images = tf.fill((2, 200, 200, 1), 2.0)

    def draw(seed):
        return known.draw(images, seed)

    if way != "eager":
        draw = tf.function(draw, jit_compile=way == "xla")
    noise = draw(tf.constant([1, 2])).numpy()
    variance = slope * 2 + intercept
    assert abs(noise.mean()) < 4 * np.sqrt(variance / noise.size)
    # Above the black level the mean count is 2 at least: an excess kurtosis of 1/2 at most.
    assert noise.var() == pytest.approx(variance, rel=4 * np.sqrt(2.5 / noise.size))
    assert not np.array_equal(noise[0], noise[1])


def test_shot_noise_is_whole_counts():
    noise = noise_tensors(PoissonNoise(0.5)).draw(tf.fill((1, 50, 50, 1), 2.0), (1, 2)).numpy()
    counts = noise / 0.5 + 4
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-5)
    assert counts.min() == 0


def test_drawn_noise_is_that_of_the_model():
    """Where NumPy and TensorFlow draw from the same model, they agree in mean square at every brightness."""
    noise = PoissonGaussianNoise(np.array([0.5, 0.1]), 0.2, 0.3)
    clean = np.tile(np.linspace(0.5, 3, 6).astype("float32"), (2, 20000, 1))
    drawn = noise_tensors(noise).draw(tf.constant(clean), (1, 2)).numpy()
    sampled = noise.sample(clean, np.random.default_rng(0)) - clean
    # The mean count at 0.5 is 0.4, of an excess kurtosis of 2.5, for both.
    expected = 4 * np.sqrt(2 * 4.5 / 20000)
    np.testing.assert_allclose((drawn**2).mean(1), (sampled**2).mean(1), rtol=expected)


def test_below_the_black_level_there_is_no_shot_noise():
    noise = noise_tensors(PoissonNoise(1.0)).draw(tf.constant([[-1.0, 0.0, 1e-30]]), (1, 2)).numpy()
    np.testing.assert_allclose(noise, 0, atol=1e-6)


def test_one_image_of_a_batch_may_have_no_shot_noise():
    known = NoiseTensors(tf.constant([0.0, 1.0]), tf.constant([1.0, 0.0]))
    noise = known.draw(tf.fill((2, 100, 100, 1), 9.0), (1, 2)).numpy()
    np.testing.assert_allclose(noise.var(axis=(1, 2, 3)), [1, 9], rtol=4 * np.sqrt(2.2 / 100**2))
    assert len(np.unique(np.round(noise[0], 4))) > 1000
    assert len(np.unique(np.round(noise[1], 4))) < 100


def test_the_standard_error_is_how_far_the_risk_of_a_perfect_denoiser_strays():
    """At 300 draws of noise, the deviation itself is known to 4 %."""
    draws = tf.random.stateless_normal((300, 32, 32, 1), (0, 1), stddev=0.5)
    strays = tf.math.reduce_std(tf.reduce_mean(tf.square(draws), (1, 2, 3)))
    assert float(noise_tensors(0.5).standard_error(draws)[0]) == pytest.approx(float(strays), rel=0.16)
    # Of counts, the variance is their mean.
    assert float(noise_tensors(PoissonNoise(1.0)).standard_error(tf.fill((1, 16, 16, 1), 4.0))[0]) == pytest.approx(
        4 * (2 / 256) ** 0.5
    )


def test_nothing_known_has_no_tensors():
    nothing = noise_tensors(None)
    assert nothing == NoiseTensors() == noise_of_batch(None, 3, tf.float32)
    assert not nothing.known


@pytest.mark.parametrize("noise", [GaussianNoise(2.0), PoissonNoise(np.array([1.0, 2.0])), NoiseLevel(1.0, 2.0)])
def test_noise_of_a_batch_has_a_number_for_each_image_and_the_structure_of_its_specs(noise):
    known = noise_of_batch(noise, 2, tf.float32)
    assert {part.shape[0] for part in known if not isinstance(part, tuple)} == {2}
    specs = known.specs(tf.TensorSpec([None, 8, 8, 1]))
    tf.nest.assert_same_structure(known, specs)
    with pytest.raises(InputError, match="of each of 3"):
        noise_of_batch(PoissonNoise(np.array([1.0, 2.0])), 3, tf.float32)


def test_the_variance_is_the_line_at_each_pixel():
    images = tf.reshape(tf.range(8.0), (2, 2, 2, 1))
    known = NoiseTensors(tf.constant([2.0, 0.0]), tf.constant([1.0, 3.0]))
    np.testing.assert_allclose(known.variance(images)[:, 1, 1, 0], [2 * 3 + 1, 3])
    np.testing.assert_allclose(known.mean_variance(images), [2 * 1.5 + 1, 3])


@pytest.mark.parametrize("noise", [GaussianNoise(0.5, BLURRED), PoissonGaussianNoise(0.5, 0.3, 0.2, BLURRED)])
@pytest.mark.parametrize("way", ["eager", "xla"])
def test_correlated_draws_are_those_of_the_model(noise, way):
    clean = np.tile(np.repeat([1.0, 3.0], 150).astype("float32")[:, None], (2, 300, 1, 1))
    known = noise_tensors(noise)

    def draw(images):
        return known.draw(images, (1, 2))

    drawn = tf.function(draw, jit_compile=way == "xla")(tf.constant(clean)).numpy() / np.sqrt(noise.variance(clean))
    tolerance = 0.01 + 4 * np.sqrt(2 / (150 * 300 * effective_share(BLURRED)))
    for part in (drawn[0, :, :150], drawn[1, :, 150:]):
        np.testing.assert_allclose(autocovariance_of(part, 2)[..., 0, 0], BLURRED, atol=tolerance)
    assert abs(np.mean(drawn[0] * drawn[1])) < tolerance


def test_images_with_gains_of_their_own_get_the_same_correlated_numbers():
    known = noise_tensors(GaussianNoise(0.5, BLURRED))
    with draws.alike():
        together = known.draw(tf.zeros((3, 16, 16, 1)), (1, 2))
    np.testing.assert_allclose(together[2], known.draw(tf.zeros((1, 16, 16, 1)), (1, 2))[0], atol=1e-6)


def test_the_standard_error_counts_what_pixels_are_worth():
    images = tf.zeros((600, 32, 32, 1))
    weights = np.zeros((600, 32, 32, 1), "float32")
    weights[:, :, :24] = 1
    known = noise_tensors(GaussianNoise(0.5, BLURRED))._replace(weights=tf.constant(weights))
    strays = tf.math.reduce_std(known.mean(tf.square(known.draw(images, (1, 2)))))
    # The deviation of 600 draws is known to 3 %. At the borders, pixels have fewer neighbours: 5 % on this area.
    assert float(known.standard_error(images)[0]) == pytest.approx(float(strays), rel=0.05 + 4 * 0.03)
    white = noise_tensors(0.5)
    ratio = float(known.standard_error(images)[0] / white.standard_error(images)[0])
    assert ratio == pytest.approx((effective_share(BLURRED) * 0.75) ** -0.5, rel=1e-5)


def test_pixels_that_do_not_count_are_in_no_mean():
    images = tf.constant(np.random.default_rng(0).standard_normal((2, 4, 5, 3)), tf.float32)
    weights = np.zeros((2, 4, 5, 1), "float32")
    weights[0, :2] = 1
    known = NoiseTensors(intercept=tf.ones(2), weights=tf.constant(weights))
    np.testing.assert_allclose(known.mean(images), [np.mean(images[0, :2]), 0], rtol=1e-5)
    np.testing.assert_allclose(known.mean_variance(images), [1, 0])
    np.testing.assert_allclose(known.share(images), [0.5, 0])
    np.testing.assert_allclose(known.standard_error(images), [(2 / 30) ** 0.5, 0], rtol=1e-6)
    by_channel = NoiseTensors(weights=tf.constant(np.broadcast_to(np.array([1.0, 0, 1], "float32"), (2, 4, 5, 3))))
    np.testing.assert_allclose(by_channel.mean(images), np.mean(images.numpy()[..., ::2], (1, 2, 3)), rtol=1e-5)


def test_a_direction_is_zero_where_pixels_do_not_count():
    weights = tf.constant(np.indices((1, 8, 8, 1)).sum(0) % 2, tf.float32)

    def white(shape):
        return tf.random.stateless_normal(shape, (1, 2))

    known = NoiseTensors(intercept=tf.ones(1), correlation=tf.constant(BLURRED[None], tf.float32), weights=weights)
    found = known.direction(white, tf.zeros((1, 8, 8, 1)))
    np.testing.assert_array_equal(found.numpy() != 0, weights.numpy() != 0)
    plain = NoiseTensors(intercept=tf.ones(1))
    np.testing.assert_array_equal(plain.direction(white, weights), white((1, 8, 8, 1)))
    assert (known.is_white, known.is_weighted, plain.is_white, plain.is_weighted) == (False, True, True, False)


def test_correlation_and_weights_have_specs():
    mixed = stacked([GaussianNoise(1.0, COLOUR), GaussianNoise(2.0)])
    known = noise_of_batch(mixed, 2, tf.float32, tf.ones((2, 8, 8, 1)))
    assert known.correlation.shape == (2, *COLOUR.shape)
    specs = known.specs(tf.TensorSpec([None, None, 8, 3]))
    tf.nest.assert_same_structure(known, specs)
    assert specs.correlation.shape.as_list() == [None, None, None, 3, 3]
    assert specs.weights.shape.as_list() == [None, None, 8, 1]
    for part, spec in zip(known, specs, strict=True):
        assert isinstance(part, tuple) or spec.is_compatible_with(part)
    # One for all images is kept as one.
    assert noise_of_batch(GaussianNoise(1.0, GREY), 3, tf.float32).correlation.shape == (1, 3, 3)
    assert hash(specs) == hash(known.specs(tf.TensorSpec([None, None, 8, 3])))
