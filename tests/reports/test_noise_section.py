"""The noise on a page: the points of the image lie on the line of the model, and words say what was found."""

import numpy as np
import pytest

from gaintuning_tf import gaintune
from gaintuning_tf.noise.details import details_of
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise
from gaintuning_tf.noise.residuals import examine_residual
from gaintuning_tf.noise.variance_line import low_quantile, variance_groups
from gaintuning_tf.reports.noise_section import groups_of, lags_of_residual, noise_figure, noise_section, taken_out
from gaintuning_tf.support.plotting import pyplot
from helpers.correlations import BLURRED, COLOUR, GREY, of_filter
from helpers.networks import make_tiny

RAMP = np.tile(np.linspace(20.0, 200.0, 256), (256, 1))
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def tuned():
    """Of correlated, signal-dependent noise that is found in the image; a border does not count."""
    noisy = PoissonGaussianNoise(1.0, 3.0, 0.0, BLURRED).sample(RAMP, np.random.default_rng(0))
    mask = np.zeros(RAMP.shape, bool)
    mask[:40] = True
    noisy[mask] = 5000
    return gaintune(noisy, make_tiny(), mask=mask, data_range=255, steps=0, progress=False)


def test_the_page_says_what_was_found_and_shows_it(tuned):
    page = "".join(noise_section(tuned))
    assert "Found: correlated over" in page
    assert "signal-dependent" in page
    assert "variance where the image is bright over that where it is dark" in page
    assert page.count('<svg class="chart"') == 2


def test_the_correlation_of_a_residual_is_that_of_its_noise_in_pixels_that_count(tuned):
    noise = GaussianNoise(2.0, BLURRED).sample(np.zeros((512, 512, 1)), np.random.default_rng(1))
    mask = np.zeros(noise.shape, bool)
    mask[100:140] = True
    found = lags_of_residual(np.where(mask, 1e3, noise), mask)
    side = BLURRED.shape[0] // 2
    expected = np.pad(BLURRED, 5 - side)
    # Of as many pixels a correlation is known to some 1 / sqrt(pixels), more where noise is smooth.
    np.testing.assert_allclose(found, expected, atol=0.02)
    planes = np.stack([noise, 3 * noise[::-1, ::-1]])
    np.testing.assert_allclose(lags_of_residual(planes), lags_of_residual(noise), atol=0.02)
    assert taken_out(tuned).startswith('<svg class="chart"')


def test_the_points_lie_on_the_line_of_the_noise_and_masked_pixels_are_none(tuned):
    truth = PoissonGaussianNoise(1.0, 3.0, 0.0, BLURRED)
    groups = groups_of(tuned, truth)
    assert groups.means.max() < 210
    # A low quantile of the blocks of a group, 54 of 16 correlated details, is known to some 10 %.
    ratios = groups.variances / truth.variance(groups.means)
    assert ratios.mean() == pytest.approx(1, abs=0.05)
    assert ratios == pytest.approx(np.ones(16), abs=0.4)


@pytest.mark.parametrize("correlation", [GREY, BLURRED, of_filter(np.ones((1, 5)))], ids=["small", "blurred", "rows"])
def test_the_details_of_correlated_noise_are_what_draws_have(correlation):
    noise = GaussianNoise(2.0, correlation).sample(np.zeros((512, 512)), np.random.default_rng(0))
    _, variances, sizes = variance_groups(noise)
    details = details_of(correlation)
    assert details.independent <= 1
    found = float(np.average(variances * low_quantile(1) / low_quantile(details.independent), weights=sizes)) / 4
    # The quantile of 16 groups of 256 blocks is known to 1 %; Wilson and Hilferty's formula
    # is for independent details, of which there are as many only for the variance.
    assert found == pytest.approx(details.share, rel=0.05)


def test_given_noise_small_images_and_several_frames(photograph, tuned):
    model = make_tiny()
    frames = np.stack([photograph[:16, :16]] * 2)
    result = gaintune(frames, model, sigma=0.1, axes="TYX", steps=0, progress=False)
    page = "".join(noise_section(result))
    assert "<h2>The noise, in the first frame</h2>" in page
    assert "Given, or of the kind that was: white." in page
    assert "too small, or too even" in page


def test_colours_are_drawn_by_their_mean():
    noise = GaussianNoise(5.0, COLOUR)
    clean = np.stack([RAMP] * 3, -1)[:64]
    residual = examine_residual(noise.sample(clean, np.random.default_rng(0)), clean, noise)
    figure = noise_figure(noise, None, residual.by_brightness)
    left, right, *_ = figure.axes
    np.testing.assert_allclose(right.images[0].get_array()[2, 2], 1)
    # The line, and what was taken out: there are no points of the image.
    assert len(left.lines) == 2
    pyplot().close(figure)
