"""Volumes as planes: their noise is found as that of images is, and whether it goes on along the depth."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.noise.automatic import examine_noise
from gaintuning_tf.noise.colouring import convolved
from gaintuning_tf.noise.details import CORRELATED_IN_DEPTH, depth_correlation, depth_words, side_by_side
from gaintuning_tf.noise.draws import alike
from gaintuning_tf.noise.estimation import estimate_noise
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.noise.residuals import examine_residual
from gaintuning_tf.noise.tensors import noise_of_batch
from gaintuning_tf.serving.noise_in_graph import estimate_sigma
from helpers.correlations import BLURRED
from helpers.networks import smooth_volume

CLEAN = smooth_volume((10, 96, 112))[..., None]


def drawn(noise, clean=CLEAN, seed=0):
    return noise.sample(clean, np.random.default_rng(seed))


def test_white_noise_is_found_as_it_is():
    found = examine_noise(drawn(GaussianNoise(8.0))).noise
    assert isinstance(found, GaussianNoise) and found.correlation is None
    # The quietest 20th of 10 x 72 blocks of 36 details: 1296 of them, whose sigma is known to 2 %.
    assert found.sigma == pytest.approx(8.0, rel=0.06)
    assert examine_noise(drawn(PoissonNoise(1.0))).noise.gain == 1.0


def test_noise_that_grows_with_the_signal_is_found():
    noise = PoissonGaussianNoise(2.0, 4.0)
    found = examine_noise(drawn(noise, CLEAN - 50)).noise
    for value in (20.0, 75.0, 130.0):
        assert found.variance(value) == pytest.approx(noise.variance(np.array(value)), rel=0.1)


def test_noise_that_is_correlated_within_planes_is_found():
    found = examine_noise(drawn(GaussianNoise(8.0, correlation=BLURRED))).noise
    middle = found.correlation.shape[0] // 2
    radius = BLURRED.shape[0] // 2
    own = found.correlation[middle - radius : middle + radius + 1, middle - radius : middle + radius + 1]
    assert np.abs(own - BLURRED).max() < 0.1
    assert found.sigma == pytest.approx(8.0, rel=0.15)


def test_stripes_of_planes_are_seen_and_white_noise_has_none():
    stripes = np.random.default_rng(1).normal(0, 8, (10, 96, 1, 1))
    assert "stripes along the rows" in examine_noise(drawn(GaussianNoise(8.0)) + stripes).words
    mask = np.zeros(CLEAN.shape, bool)
    mask[:6] = True
    assert "stripes along the rows" in examine_noise(drawn(GaussianNoise(8.0)) + stripes, mask).words
    assert "stripes" not in examine_noise(drawn(GaussianNoise(8.0))).words


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "poisson-gaussian"])
def test_a_volume_of_one_plane_is_that_image(kind):
    noisy = drawn(PoissonGaussianNoise(1.5, 3.0), CLEAN[:1])
    ours, image = estimate_noise(noisy, kind), estimate_noise(noisy[0], kind)
    np.testing.assert_allclose(ours.variance(100.0), image.variance(100.0), rtol=1e-9)


def test_pixels_that_do_not_count_have_no_say():
    noisy, mask = drawn(GaussianNoise(8.0)), np.zeros(CLEAN.shape, bool)
    mask[3:5], mask[:, 20:40] = True, True
    noisy[mask] = 0
    for kind in ("auto", "gaussian"):
        assert estimate_noise(noisy, kind, mask=mask).sigma == pytest.approx(8.0, rel=0.06)


def test_the_server_estimates_the_same():
    noisy = drawn(GaussianNoise(8.0))
    assert float(estimate_sigma(tf.constant(noisy))) == pytest.approx(estimate_noise(noisy).sigma, rel=1e-9)


def test_correlation_along_the_depth_is_seen_and_said():
    white = drawn(GaussianNoise(8.0), np.zeros((11, 96, 112, 1)))
    between = CLEAN + (white[1:] + white[:-1]) / 2
    assert depth_correlation(between) == pytest.approx(0.45, abs=0.05)
    assert "white along the depth" in depth_words(depth_correlation(between))
    for noise in (GaussianNoise(8.0), GaussianNoise(8.0, correlation=BLURRED), PoissonNoise(1.0)):
        assert abs(depth_correlation(drawn(noise))) < CORRELATED_IN_DEPTH / 2
    assert depth_words(0.0) == "" and depth_correlation(white[:1]) == 0


def test_drawn_noise_is_correlated_within_planes_and_white_along_the_depth():
    noise, shape = GaussianNoise(2.0, correlation=BLURRED), (2, 9, 64, 64, 1)
    known = noise_of_batch(noise, 2, tf.float32)
    volumes = tf.zeros(shape)
    radius = BLURRED.shape[0] // 2
    for found in (known.probe(volumes, (0, 1)).numpy(), noise.sample(np.zeros(shape), np.random.default_rng(0))):
        # Of 64 x 64 x 18 numbers, each worth about a fifth of an independent one.
        assert found.var() == pytest.approx(4.0, rel=0.1)
        along = np.mean(found[:, :, :, 1:] * found[:, :, :, :-1]) / found.var()
        assert along == pytest.approx(BLURRED[radius, radius + 1], abs=0.05)
        for axis in (0, 1):
            ones, others = (np.take(found, range(*ends), axis) for ends in ((0, shape[axis] - 1), (1, shape[axis])))
            assert abs(np.mean(ones * others) / found.var()) < 0.05
    with alike():
        first, second = known.probe(volumes, (0, 1)).numpy()
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_planes_are_convolved_as_images_are():
    rng = np.random.default_rng(0)
    volumes = tf.constant(rng.random((2, 3, 9, 8, 2)))
    for filters in (
        rng.random((1, 3, 5)),
        rng.random((2, 3, 5)),
        rng.random((1, 3, 5, 2, 2)),
        rng.random((2, 3, 5, 2, 2)),
    ):
        found = convolved(volumes, tf.constant(filters)).numpy()
        for number in range(2):
            own = filters[number % len(filters)][None]
            np.testing.assert_allclose(found[number], convolved(volumes[number], tf.constant(own)), atol=1e-9)


def test_the_residual_of_a_volume_is_that_of_its_planes():
    noise = GaussianNoise(8.0, correlation=BLURRED)
    found = examine_residual(drawn(noise), CLEAN, noise)
    radius = BLURRED.shape[0] // 2
    assert found.variance == pytest.approx(1.0, rel=0.05)
    assert found.correlation == pytest.approx((BLURRED[radius + 1, radius], BLURRED[radius, radius + 1]), abs=0.05)


def test_many_planes_are_looked_at_evenly_spread():
    volume = np.arange(100.0).reshape(100, 1, 1, 1) * np.ones((1, 4, 4, 1))
    seen = side_by_side(volume)[0, 0, :, 0]
    assert len(seen) == 32 and (seen[0], seen[-1]) == (0, 99)
    assert set(np.diff(seen)) <= {3, 4}
