"""Noise as the arrays of a request."""

import numpy as np
import pytest

from gaintuning_tf import GainTuningWarning, GaussianNoise, InputError, PoissonGaussianNoise, PoissonNoise
from gaintuning_tf.noise.correlation import effective_share
from gaintuning_tf.serving.request_noise import noise_inputs, noise_of_frames, refined, starts_at_zero
from helpers.correlations import BLURRED, COLOUR, GREY


def test_noise_is_put_into_the_units_of_the_network():
    found = noise_of_frames(PoissonGaussianNoise(2.0, 10.0, 50.0), np.zeros((2, 8, 8, 1)), 200.0, 50.0)
    assert found == [PoissonGaussianNoise(0.01, 0.05, 0.0)] * 2


def test_each_frame_has_its_own_estimate():
    rng = np.random.default_rng(0)
    frames = np.stack([0.5 + sigma * rng.standard_normal((128, 128, 1)) for sigma in (0.05, 0.1)])
    for found, sigma in zip(noise_of_frames("auto", frames, 255.0, 0.0), (0.05, 0.1), strict=True):
        # Of 2 * 64^2 details of the image, and what scaling to the lowest of their blocks adds.
        assert found.sigma == pytest.approx(sigma, rel=0.05)


def test_noise_that_no_model_fits_is_refused_with_what_to_do():
    rng = np.random.default_rng(0)
    frames = 0.5 + 0.05 * (rng.standard_normal((1, 96, 96, 1)) + rng.standard_normal((1, 96, 1, 1)))
    with pytest.raises(InputError, match=r"received an image with stripes along the rows, .* or denoise\(\) it"):
        noise_of_frames("auto", frames, 255.0, 0.0)


def test_a_small_frame_is_taken_for_white():
    noisy = GaussianNoise(0.1, correlation=BLURRED).sample(np.full((1, 32, 32, 1), 0.5), np.random.default_rng(0))
    assert noise_of_frames("auto", noisy, 1.0, 0.0)[0].correlation is None


def test_the_level_of_noise_is_found_once_more_by_a_servers_answers():
    noise = GaussianNoise(0.1, correlation=BLURRED)
    frames = noise.sample(np.full((2, 128, 128, 1), 0.5), np.random.default_rng(0)).astype(np.float32)
    asked = []

    def denoise(images, sigma):
        asked.append((images.shape, sigma))
        return np.full_like(images, 0.5)

    first = [GaussianNoise(0.15, correlation=BLURRED), GaussianNoise(0.11)]
    found = refined(first, frames, denoise)
    # All is taken out, and the standard deviation of a mean of squares that are correlated is
    # that of fewer.
    share = effective_share(BLURRED)
    assert found[0].sigma == pytest.approx(0.1, rel=4 * (2 / (share * 128**2)) ** 0.5 / 2)
    np.testing.assert_array_equal(found[0].correlation, BLURRED)
    assert found[1].sigma == pytest.approx(0.1, rel=4 * (2 / (share * 128**2)) ** 0.5 / 2)
    # The image, and it with a probe added and taken away; of correlated noise two copies of each.
    assert asked == [((1, 128, 128, 1), pytest.approx(0.15))] * 6 + [((1, 128, 128, 1), pytest.approx(0.11))] * 3
    signal_dependent = [PoissonGaussianNoise(0.1, 0.1)]
    assert refined(signal_dependent, frames[:1], denoise) is signal_dependent
    small = first[:1]
    assert refined(small, frames[:1, :32], denoise) is small


def test_lines_and_correlations_are_those_of_the_models():
    models = [GaussianNoise(0.5, correlation=GREY), PoissonGaussianNoise(0.5, 0.25, 2.0), PoissonNoise(2.0, BLURRED)]
    inputs = noise_inputs(models)
    assert inputs["slope"].tolist() == [0, 0.5, 2]
    assert inputs["intercept"].tolist() == [0.25, 0.0625 - 1, 0]
    expected = [np.pad(GREY, 1), np.pad(np.ones((1, 1)), 2), BLURRED]
    np.testing.assert_allclose(inputs["correlation"], expected, atol=1e-7)
    assert {array.dtype for array in inputs.values()} == {np.dtype("float32")}


def test_a_correlation_along_one_axis_becomes_a_square():
    inputs = noise_inputs([GaussianNoise(1.0, correlation=np.array([[0.5, 1.0, 0.5]]))] * 2)
    assert inputs["correlation"].tolist() == [[[0, 0, 0], [0.5, 1, 0.5], [0, 0, 0]]] * 2


def test_covariances_between_channels_are_left_out_and_that_is_said():
    with pytest.warns(GainTuningWarning, match="correlated between channels"):
        inputs = noise_inputs([GaussianNoise(1.0, correlation=COLOUR)])
    np.testing.assert_allclose(inputs["correlation"][0], np.einsum("yxcc->yx", COLOUR) / 3, atol=1e-7)


def test_counts_alone_start_at_zero():
    assert starts_at_zero(PoissonNoise(1.0)) and starts_at_zero("poisson")
    assert not any(map(starts_at_zero, (PoissonGaussianNoise(1.0, 0.0, 1.0), "auto", None)))
