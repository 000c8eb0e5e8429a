"""What was taken out, beside the noise; and whether the risk is larger."""

import json

import numpy as np
import pytest

from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise
from gaintuning_tf.noise.residuals import examine_residual, exceeds_noise, mean_variance, worse_words
from helpers.correlations import GREY

RAMP = np.tile(np.linspace(20.0, 200.0, 160), (160, 1))[..., None]
# Of a mean of squares of n pixels, one standard error is the root of 2 / n of it.
GROUP = RAMP.size / 8


@pytest.mark.parametrize(
    "noise",
    [GaussianNoise(7.0), PoissonGaussianNoise(0.5, 3.0), PoissonGaussianNoise(0.5, 3.0, 10.0, GREY)],
    ids=["white", "signal-dependent", "correlated"],
)
def test_of_the_clean_image_the_residual_is_the_noise(noise):
    found = examine_residual(noise.sample(RAMP, np.random.default_rng(0)), RAMP, noise)
    # Correlated pixels are fewer: the correlation here makes them half as many at worst.
    assert found.variance == pytest.approx(1, abs=4 * (4 / RAMP.size) ** 0.5)
    assert found.mean == pytest.approx(0, abs=4 * (9 * noise.variance(RAMP).mean() / RAMP.size) ** 0.5)
    assert [ratio for _, ratio in found.by_brightness] == pytest.approx([1] * 8, abs=4 * (4 / GROUP) ** 0.5)
    brightness = [mean for mean, _ in found.by_brightness]
    assert brightness == sorted(brightness)
    if noise.correlation is None:
        assert found.expected == (0.0, 0.0)
    else:
        assert found.expected == (GREY[2, 1], GREY[1, 2])
    assert found.correlation == pytest.approx(found.expected, abs=4 * (3 / RAMP.size) ** 0.5)
    assert json.loads(json.dumps(found.to_json()))["words"] == found.words


def test_the_wrong_noise_is_seen_by_brightness_and_by_neighbours():
    rng = np.random.default_rng(0)
    noisy = PoissonGaussianNoise(0.5, 1.0, 0.0, GREY).sample(RAMP, rng)
    found = examine_residual(noisy, RAMP, GaussianNoise(float(np.std(noisy - RAMP))))
    (_, dark), *_, (_, bright) = found.by_brightness
    assert bright > 4 * dark
    assert found.correlation[1] > 0.2
    assert f"correlated by {found.correlation[0]:.2f} (noise: 0.00)" in found.words or (
        f"correlated by {found.correlation[1]:.2f} (noise: 0.00)" in found.words
    )


def test_pixels_that_do_not_count_are_left_out():
    noise = GaussianNoise(5.0)
    noisy = noise.sample(RAMP, np.random.default_rng(0))
    whole = examine_residual(noisy[:100], RAMP[:100], noise)
    mask = np.zeros(RAMP.shape, bool)
    mask[100:] = True
    spoilt = np.where(mask, 1e6, noisy)
    assert examine_residual(spoilt, RAMP, noise, mask) == whole
    assert mean_variance(PoissonGaussianNoise(2.0, 0.0), spoilt, mask) == pytest.approx(2 * noisy[:100].mean())


def test_below_the_black_level_there_is_nothing_to_compare_with():
    noise = PoissonGaussianNoise(2.0, 0.0, 100.0)
    found = examine_residual(RAMP + 1, RAMP, noise)
    assert [mean > 100 for mean, _ in found.by_brightness] == [True] * 4
    dark = examine_residual(RAMP / 4 + 1, RAMP / 4, noise)
    assert dark.variance is None
    assert dark.words.startswith("mean 1, below the black level")
    json.dumps([found.to_json(), dark.to_json()], allow_nan=False)


def test_a_risk_is_worse_only_beyond_chance():
    noise, image = GaussianNoise(2.0), np.zeros((100, 100))
    chance = 8 * (2 / 10_000) ** 0.5
    assert not exceeds_noise(4 * (1 + 0.99 * chance), noise, image)
    assert exceeds_noise(4 * (1 + 1.01 * chance), noise, image)
    assert not exceeds_noise(4 * (1 + 1.01 * chance), noise, image, factor=1.25)
    # Correlated pixels say less, and so do fewer.
    assert not exceeds_noise(4 * (1 + 1.01 * chance), GaussianNoise(2.0, GREY), image)
    assert not exceeds_noise(4 * (1 + 1.01 * chance), noise, image, np.arange(100)[:, None] + 0 * image > 50)
    assert not exceeds_noise(float("nan"), noise, image)


def test_of_many_frames_the_line_names_a_few():
    assert worse_words(9.0, 4.0, [1, 2, 3, 4, 5, 6, 7]).startswith("frames 1, 2, 3, 4, 5 and 2 more: the result")
    assert worse_words(9.0, 4.0, [1]).startswith("frame 1: the result")
    assert worse_words(9.0, 4.0).startswith("the result is estimated to be worse than the input, a squared error of 9 ")
