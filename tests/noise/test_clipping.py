"""Where noise is clipped, it is neither as strong as elsewhere nor without a mean: such areas do not count."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import gaintuning_tf as gt
from gaintuning_tf.noise.automatic import examine_noise
from gaintuning_tf.noise.clipping import LEAST, clipped_areas, is_clipped_as_often, unclipped, without_clipped
from gaintuning_tf.noise.estimation import estimate_noise

SIGMA = 30


def scene(side=192):
    """Half of it black, half of it grey, with soft structure."""
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal((side, side)), 12, mode="wrap")
    grey = 120 + 25 * smooth / smooth.std()
    return np.where(np.arange(side) < side // 2, 4.0, grey)


def clipped(clean):
    noisy = clean + np.random.default_rng(1).normal(0, SIGMA, clean.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=["grey", "one channel", "colour"])
def test_the_level_is_that_of_where_nothing_is_clipped(shape):
    image = clipped(np.broadcast_to(scene().reshape(192, 192, *[1] * len(shape)), (192, 192, *shape)))
    found = examine_noise(image)
    assert found.noise.sigma == pytest.approx(SIGMA, rel=0.05)
    # Before, the black half had a say: its noise has 0.58 of the deviation.
    assert "left out, being near that" in found.words and 0.4 < found.left_out < 0.6


def test_so_it_is_where_the_noise_is_said_to_be_gaussian():
    assert estimate_noise(clipped(scene()), "gaussian").sigma == pytest.approx(SIGMA, rel=0.06)


def test_what_is_masked_stays_so():
    image, mask = clipped(scene()), np.zeros((192, 192), bool)
    mask[:96] = True
    both = without_clipped(image, SIGMA, mask)
    assert both[mask].all() and both[96:, :90].all() and not both[96:, 110:].any()
    assert examine_noise(image, mask).noise.sigma == pytest.approx(SIGMA, rel=0.06)


def test_a_volume_has_the_areas_of_its_planes():
    volume = np.stack([clipped(scene())] * 3)[..., None]
    areas = clipped_areas(volume, SIGMA)
    np.testing.assert_array_equal(areas[1, ..., 0], clipped_areas(volume[1, ..., 0], SIGMA))


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (100 + np.random.default_rng(0).normal(0, 5, (64, 64)), "nothing at the ends"),
        (np.random.default_rng(0).normal(0.5, 0.2, (17, 9)), "of so few pixels, one has the least value"),
        (np.random.default_rng(0).normal(0, 30, (64, 64)).clip(0), "nothing would be left"),
        (np.random.default_rng(0).normal(100, 2, (64, 64)).round(), "the smallest whole number of many is far away"),
    ],
)
def test_nothing_is_left_out(image, why):
    assert clipped_areas(image, float(image.std())) is None, why
    assert 0 < LEAST < 1


def test_signal_dependent_noise_that_is_zero_in_the_dark_is_not_clipped():
    # Half of it dark, half of it from dark to bright.
    clean = np.concatenate([np.full(96, 0.2), np.linspace(0.2, 40, 96)]) * np.ones((192, 1))
    counts = 3 * np.random.default_rng(0).poisson(clean)
    assert examine_noise(counts).left_out == 0
    assert clipped_areas(counts, 12.0) is None


@pytest.mark.parametrize("level", [10.0, 40.0])
def test_what_clipping_adds_to_the_mean_is_taken_out_at_both_ends(level):
    values = np.array([0.0, 20.0, 128.0, 240.0, 255.0])
    # Enough of it is grey.
    clean = np.repeat(values, [60, 60, 240, 60, 60])[:, None] * np.ones((1, 300))
    noisy = (clean + np.random.default_rng(0).normal(0, level, clean.shape)).clip(0, 255)
    means = np.array([noisy[clean == value].mean() for value in values])
    assert means[0] > 0.35 * level and 255 - means[-1] > 0.35 * level
    # Where the slope is least, a half, the error of a mean of 18,000 is twice as large.
    np.testing.assert_allclose(unclipped(means, noisy, level), values, atol=8 * level / 18000**0.5)


def test_an_end_that_is_not_clipped_is_left_alone():
    noisy = np.random.default_rng(0).normal(np.repeat([[5.0, 100.0]], 128, 1), 20, (128, 256)).clip(0)
    assert unclipped(np.array([300.0]), noisy, 20.0).tolist() == [300.0]
    image = np.zeros((8, 8), np.float32)
    assert unclipped(image, noisy + np.random.default_rng(1).random(noisy.shape), 20.0) is image


def test_the_network_as_it_is_stays_as_it_is():
    result = gt.gaintune(clipped(scene(64)), "unet-bf-natural", sigma=SIGMA, steps=0, progress=False)
    np.testing.assert_array_equal(result.denoised, result.pretrained)


def test_tuning_does_not_fit_what_was_clipped():
    clean = scene(128)
    result = gt.gaintune(clipped(clean), "unet-bf-natural", progress=False)
    score = {name: gt.psnr(clean, getattr(result, name), data_range=255) for name in ("pretrained", "denoised")}
    # The black half is black again.
    assert score["denoised"] > score["pretrained"] + 1
    grey = np.arange(128) > 80
    true = np.mean((result.denoised.astype(float) - clean)[:, grey] ** 2)
    assert result.history["risk_after"] == pytest.approx(true, abs=0.05 * SIGMA**2)


@pytest.mark.parametrize(("level", "expected"), [(20.0, True), (14.0, False), (40.0, False)])
def test_noise_of_another_level_would_put_more_or_fewer_pixels_at_the_ends(level, expected):
    clean = np.repeat([[20.0, 128.0, 235.0]], 128, 1) * np.ones((128, 1))
    noisy = (clean + 20 * np.random.default_rng(0).standard_normal(clean.shape)).clip(0, 255)
    assert is_clipped_as_often(clean, noisy, level) is expected
    mask = clean > 200
    assert is_clipped_as_often(clean, noisy, level, mask) is expected
    assert is_clipped_as_often(255 - clean, 255 - noisy, level) is expected


def test_a_picture_that_was_clipped_first_and_then_smoothed_is_left_alone():
    clean = np.repeat([[5.0, 100.0]], 128, 1) * np.ones((128, 1))
    noisy = (clean + 20 * np.random.default_rng(0).standard_normal(clean.shape)).clip(0)
    smooth = gaussian_filter(noisy, 0.6)
    level = float((smooth[:, 192:] - 100).std())
    assert not is_clipped_as_often(clean, smooth.round(), level)
