"""A network whose output is another image is told from one that denoises."""

import numpy as np
import pytest

from gaintuning_tf.noise.residuals import output_words, output_words_of


def pair(sigma, mean=0.5, seed=0):
    rng = np.random.default_rng(seed)
    clean = mean + 0.2 * np.sin(np.arange(4096) / 50)
    return clean, clean + sigma * rng.standard_normal(4096)


@pytest.mark.parametrize("sigma", [0.002, 0.02, 0.1, 0.5, 2.0])
def test_denoisers_good_and_bad_say_nothing(sigma):
    clean, noisy = pair(sigma)
    for output in (clean, noisy, 0.5 * (clean + noisy), clean + 0.03):
        if abs(np.mean(output - clean)) < sigma:
            assert output_words(noisy, output, sigma**2) == ""
    # It knows nothing of the image but its brightness: bad, and no other range.
    assert output_words(noisy, np.full(4096, 0.5) + 0.8 * (clean - 0.5), sigma**2) == ""


@pytest.mark.parametrize("sigma", [0.002, 0.02, 0.1])
def test_other_ranges_are_said(sigma):
    clean, noisy = pair(sigma)
    for output in (clean / 255, 255 * clean, 2 * clean - 1, (clean - 0.45) / 0.22):
        words = output_words(noisy, output, sigma**2)
        assert "--normalize" in words, output.mean()
        assert "seems to return the noise" not in words


@pytest.mark.parametrize("sigma", [0.002, 0.02, 0.1, 0.3])
def test_returned_noise_is_said(sigma):
    clean, noisy = pair(sigma)
    assert "seems to return the noise" in output_words(noisy, 0.9 * (noisy - clean), sigma**2)


def test_pixels_that_do_not_count_are_left_out():
    clean, noisy = pair(0.1)
    output, mask = clean.copy(), np.zeros(4096, bool)
    mask[:50] = True
    output[:50] = 1e6
    assert output_words(noisy, output, 0.01, mask) == ""
    assert output_words(noisy, output, 0.01)


def test_of_many_frames_a_few_are_listed():
    assert output_words_of(["", ""], [0, 1]) == ""
    assert output_words_of(["", "far", ""], [0, 1, 2]) == "frame 1: far"
    assert output_words_of(["far"] * 8, range(8)) == "frames 0, 1, 2, 3, 4 and 3 more: far"
