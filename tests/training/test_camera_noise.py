"""Camera noise: what is drawn has the correlation, the line of the variance and the covariance that it says."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from gaintuning_tf import InputError
from gaintuning_tf.training.batches import Batches, DrawnNoise
from gaintuning_tf.training.camera_noise import NEIGHBOUR, CameraNoise, draw_camera_noise

SIGMA = 0.1


def draws(count, channels=1):
    rng = np.random.default_rng(0)
    return [draw_camera_noise(rng, SIGMA, channels) for _ in range(count)]


def correlated(noise):
    return noise.filters.shape[0] > 1


def covariance(noise, one, other):
    """The covariance of two channels where s is one, by lag: (2K-1, 2K-1), lag zero in the middle."""
    filters = np.moveaxis(noise.filters, -1, 0)
    sources = zip(filters, noise.mixing[one], noise.mixing[other], strict=True)
    return sum(a * b * correlate2d(kernel, kernel) for kernel, a, b in sources)


def measured(values, others, row, column):
    """The mean of `values` times `others` so many rows and columns on."""
    high, wide = values.shape
    return np.mean(values[: high - row, : wide - column] * others[row:, column:])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_autocovariance_is_that_of_filters_and_mixing(channels):
    side = 400
    shown = [noise for noise in draws(30, channels) if correlated(noise)][:4]
    for number, noise in enumerate(shown):
        flat = CameraNoise(0.0, 1.0, noise.filters, noise.mixing)
        drawn = flat.sample(np.zeros((side, side, channels), "float32"), np.random.default_rng(number))
        assert drawn.dtype == np.float32
        assert np.mean([covariance(noise, c, c)[6, 6] for c in range(channels)]) == pytest.approx(1, abs=1e-6)
        for one in range(channels):
            for other in range(channels):
                expected = covariance(noise, one, other)
                own, others = covariance(noise, one, one), covariance(noise, other, other)
                # Bartlett: the variance of a mean product is at most the sum of both products of covariances.
                error = np.sqrt((np.sum(np.abs(own * others)) + np.sum(expected**2)) / side**2)
                for row, column in ((0, 0), (0, 1), (1, 0), (2, 1), (0, 3), (5, 0)):
                    found = measured(drawn[..., one], drawn[..., other], row, column)
                    # The same for a lag and its opposite, since filters are alike when turned by half a circle.
                    assert found == pytest.approx(expected[6 + row, 6 + column], abs=4.5 * error)


def test_neighbours_correlate_by_0_to_08_and_lags_from_5_on_by_nothing():
    filters = [noise for noise in draws(900) if correlated(noise)]
    every = np.array([covariance(noise, 0, 0) for noise in filters])
    assert len(filters) == pytest.approx(600, abs=4 * np.sqrt(900 * 2 / 9))
    for neighbours in (every[:, 6, 7], every[:, 7, 6]):
        assert neighbours.min() == pytest.approx(0, abs=0.02)
        # Turned Gaussians lie on other taps than those for which the width was found.
        assert NEIGHBOUR - 0.05 < neighbours.max() < NEIGHBOUR + 0.02
        # Uniform in [0, 0.8] for two thirds, and less for filters with a peak: a third to a half above 0.4.
        assert 1 / 3 - 0.08 < np.mean(neighbours > 0.4) < 1 / 2 + 0.08
    assert np.abs(every[:, :2]).max() < 0.01
    # A third of the filters has the same correlation along both axes, another third clearly does not.
    difference = np.abs(every[:, 6, 7] - every[:, 7, 6])
    assert np.mean(difference < 0.01) > 0.3
    assert np.mean(difference > 0.1) > 0.3


def test_the_variance_is_the_line_that_was_drawn():
    both = [noise for noise in draws(40) if correlated(noise) and noise.slope][:3]
    levels = np.linspace(0, 1, 6, dtype="float32")
    for number, noise in enumerate(both):
        clean = np.broadcast_to(levels[:, None, None, None], (6, 300, 300, 1))
        rng = np.random.default_rng(number)
        rest = np.stack([noise.sample(crop, rng) - crop for crop in clean])
        line = noise.slope * levels + noise.intercept
        # Of a sample variance under correlation, squared: twice the sum of the squares of the correlation.
        error = np.sqrt(2 * np.sum(covariance(noise, 0, 0) ** 2) / 300**2)
        np.testing.assert_allclose(rest.var((1, 2, 3)), line, rtol=4.5 * error, atol=1e-9)


def test_lines_have_the_level_at_mid_grey_and_slopes_of_both_signs():
    slopes = []
    for noise in draws(300):
        assert noise.slope / 2 + noise.intercept == pytest.approx(SIGMA**2)
        assert min(noise.intercept, noise.slope + noise.intercept) >= 0
        assert correlated(noise) or noise.slope
        slopes.append(noise.slope / SIGMA**2)
    assert min(slopes) == pytest.approx(-1, abs=0.1)
    assert max(slopes) == pytest.approx(2, abs=0.1)


def test_channels_are_independent_to_alike_with_levels_within_a_factor_of_two():
    matrices = [noise.mixing @ noise.mixing.T for noise in draws(500, channels=3)]
    levels = np.sqrt([np.diag(matrix) for matrix in matrices])
    np.testing.assert_allclose(np.mean(levels**2, axis=1), 1)
    assert np.max(levels.max(1) / levels.min(1)) < 2
    between = [matrix[0, 1] / (a[0] * a[1]) for matrix, a in zip(matrices, levels, strict=True)]
    assert min(between) < -0.3
    assert np.mean(np.abs(between) < 0.1) > 0.05
    assert np.mean(np.array(between) > 0.9) > 0.05


def test_opposite_borders_have_nothing_in_common():
    noise = CameraNoise(0.0, 1.0, np.full((7, 7, 1), 1 / 7), np.eye(1))
    rng = np.random.default_rng(0)
    crops = [noise.sample(np.zeros((16, 16, 1), "float32"), rng)[..., 0] for _ in range(500)]
    across = np.mean([np.mean(crop[0] * crop[-1]) for crop in crops])
    # A product of independent numbers, each row worth more than 16 / 7 of them.
    assert across == pytest.approx(0, abs=4 * np.sqrt(7 / 16 / 500))


def neighbours(noise, count=400):
    rng, grey = np.random.default_rng(0), np.full((64, 64, 1), 0.5, np.float32)
    crops = [noise.draw(rng, grey)[0][..., 0] - 0.5 for _ in range(count)]
    return np.array([np.mean(crop[1:] * crop[:-1]) / crop.var() for crop in crops])


def test_the_share_of_white_noise_is_that_asked_for():
    # A correlation of white noise has a standard error of 1 / 64.
    never, half, all_white = (
        np.mean(np.abs(neighbours(DrawnNoise("camera", sigma=(20, 30), white=white))) > 4 / 64) for white in (0, 0.5, 1)
    )
    assert all_white < 0.01
    assert never > 0.5
    assert half == pytest.approx(never / 2, abs=4 * np.sqrt(0.25 / 400) * 1.2)


def test_levels_at_mid_grey_are_those_of_white_noise():
    rng, grey = np.random.default_rng(0), np.full((16, 16, 1), 0.5, np.float32)
    levels = [255 * DrawnNoise("camera", sigma=(5, 45)).draw(rng, grey)[1] for _ in range(400)]
    assert np.mean(levels) == pytest.approx(25, abs=4 * 40 / np.sqrt(12 * 400))
    assert 5 <= min(levels) < 7
    assert 43 < max(levels) <= 45


def test_colour_batches_of_camera_noise_depend_on_their_number_alone():
    images = [np.full((20, 20, 3), 128, "uint8")]
    noise = DrawnNoise("camera", white=0.2)
    one, other = (Batches(images, crop=16, batch=4, noise=noise, seed=1) for _ in range(2))
    noisy, clean = one[5]
    assert noisy.dtype == np.float32 and noisy.shape == clean.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(noisy, other[5][0])
    assert np.any(noisy != one[4][0])


@pytest.mark.parametrize("objective", ["blind-spot", "masking", "sure"])
def test_objectives_that_take_noise_to_be_white_are_refused(objective):
    images = [np.zeros((20, 20, 1), "uint8")]
    with pytest.raises(InputError, match=f"objective supervised with the noise camera, received '{objective}'"):
        Batches(images, crop=16, batch=4, noise=DrawnNoise("camera"), objective=objective)


@pytest.mark.parametrize("white", [-0.1, 1.5, "half", float("nan")])
def test_a_share_that_is_none_is_refused(white):
    with pytest.raises(InputError, match="expected white to be a share"):
        DrawnNoise("camera", white=white)


def test_a_model_card_says_what_was_drawn():
    words = DrawnNoise("camera", white=0.25).words()
    assert words.startswith("Gaussian, sigma 0 to 55 (of 255): white on 25% of the crops, correlated")
