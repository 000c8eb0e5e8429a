"""A network trained on white noise sees correlated noise made white."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

import gaintuning_tf as gt
from gaintuning_tf.noise.models import GaussianNoise
from gaintuning_tf.noise.tensors import noise_of_batch
from gaintuning_tf.tuning.objective import RESULT_COPIES
from helpers import correlations
from helpers.networks import make_tiny

SIDE = 256


def known(correlation, images=1, share=1.0):
    noise = noise_of_batch(GaussianNoise(2.0, correlation=correlation), images, tf.float32)
    return noise._replace(whitening=tf.fill([images], share))


@pytest.mark.parametrize("correlation", [correlations.BLURRED, correlations.COLOUR], ids=["grey", "colour"])
def test_with_what_is_added_the_noise_is_white_at_its_strongest_frequency(correlation):
    channels = correlation.shape[-1] if correlation.ndim == 4 else 1
    images = tf.zeros((1, SIDE, SIDE, channels))
    noise = known(correlation)
    added = noise.shown(tf.identity, images, (3, 4))(images)
    own = noise.probe(images, (5, 6))
    found = correlations.autocovariance_of((added + own)[0].numpy(), 2)
    level = found[2, 2].diagonal().mean()
    # The level is 4 times the highest eigenvalue of the spectrum, that of the correlation being one.
    wrapped = correlation if channels > 1 else correlation[..., None, None]
    highest = np.linalg.eigvalsh(np.fft.fft2(np.roll(_padded(wrapped), (-2, -2), (0, 1)), axes=(0, 1))).max()
    # Four standard errors of a mean of squares of 256^2 independent normal numbers.
    assert level == pytest.approx(4 * highest, rel=4 * (2 / SIDE**2) ** 0.5 + 0.01)
    off = found / level
    off[2, 2] -= np.eye(channels)
    assert np.abs(off).max() < 5 / SIDE + 0.01


def _padded(correlation):
    return np.pad(correlation, [(0, 64 - correlation.shape[0]), (0, 64 - correlation.shape[1]), (0, 0), (0, 0)])


def test_no_share_adds_nothing_and_white_noise_is_seen_as_it_is():
    images = tf.random.stateless_normal((2, 32, 32, 1), (0, 1))
    unchanged = known(correlations.BLURRED, 2, 0.0).shown(tf.identity, images, (0, 1))(images)
    # Fourier transforms round.
    assert np.allclose(unchanged, images, atol=1e-6)
    white = noise_of_batch(GaussianNoise(2.0), 2, tf.float32)
    assert white.shown(tf.identity, images, (0, 1)) is tf.identity


def test_images_above_and_below_get_the_same_noise():
    noise, images = known(correlations.GREY), tf.zeros((1, 32, 32, 1))
    one, other = tf.split(noise.shown(tf.identity, images, (0, 1))(tf.zeros((2, 32, 32, 1))), 2)
    assert np.array_equal(one, other) and np.std(one) > 0


def test_copies_come_in_pairs_with_the_same_noise_added_and_taken_away():
    noise, images = known(correlations.GREY), tf.zeros((1, 32, 32, 1))
    one, other, third = (noise.shown(tf.identity, images, (0, 1), first=number)(images) for number in range(3))
    assert np.array_equal(one, -other) and np.std(one - third) > np.std(one)
    # So nothing is left of it by what is linear.
    assert not np.any(noise.shown(tf.identity, images, (0, 1), copies=2)(images))


def test_the_result_is_the_mean_over_copies_until_the_tuner_is_reset():
    # Of a network that takes correlated noise for detail, or nothing would be added.
    tuner = gt.GainTuner(gt.load_denoiser("unet-bf-natural"), gt.CoupledBootstrap())
    noise = GaussianNoise(0.1, correlation=correlations.BLURRED)
    noisy = noise.sample(np.full((1, 64, 64, 1), 0.5, "float32"), np.random.default_rng(0))
    tuner.tune(noisy, sigma=noise, steps=1, progress=False)
    copies = list(tuner.copies(noisy))
    assert len(copies) == RESULT_COPIES
    # They are chosen before the first step, and without one where that is asked for.
    tuner.reset()
    tuner.tune(noisy, sigma=noise, steps=0, whiten=True, progress=False)
    np.testing.assert_array_equal(copies, list(tuner.copies(noisy)))
    mean = np.mean([tuner.denoise_once(copy) for copy in copies], 0)
    assert np.allclose(tuner.denoise(noisy), mean, atol=1e-6)
    tuner.reset()
    assert [np.array_equal(copy, noisy) for copy in tuner.copies(noisy)] == [True]


def test_a_network_of_white_noise_denoises_correlated_noise():
    # Without texture, which in so small an image would be all that there is.
    rng = np.random.default_rng(0)
    clean = gaussian_filter(rng.uniform(0, 255, (128, 128)), 8, mode="wrap")
    clean = (255 * (clean - clean.min()) / np.ptp(clean)).astype("float32")
    noisy = GaussianNoise(20.0, correlation=correlations.BLURRED).sample(clean, rng)
    result = gt.gaintune(noisy, "unet-bf-natural", data_range=255, steps=2, progress=False)
    again = gt.gaintune(noisy, "unet-bf-natural", data_range=255, steps=2, progress=False)
    score = {name: gt.psnr(clean, image, data_range=255) for name, image in vars(result).items() if name in SHOWN}
    # The network as it is takes the noise for detail.
    assert score["pretrained"] < gt.psnr(clean, noisy, data_range=255) + 1
    assert score["denoised"] > score["pretrained"] + 4
    assert result.noise.correlation is not None and "correlated" in result.evidence[0]["words"]
    assert np.array_equal(result.denoised, again.denoised)


SHOWN = ("pretrained", "denoised")


def test_a_variance_in_doubt_is_worth_few_pixels_however_large_the_image():
    images = tf.zeros((1, SIDE, SIDE, 1))
    noise = noise_of_batch(GaussianNoise(2.0), 1, tf.float32)._replace(doubt=tf.constant([0.1]))
    # 1 / (1/n + u^2/2) of n = 65536 values.
    assert float(noise.effective_share(images)[0] * SIDE**2) == pytest.approx(1 / (1 / SIDE**2 + 0.005))
    # The standard deviations of both add up: v sqrt(2/n) and v u.
    expected = 4 * (2 / SIDE**2 + 0.01) ** 0.5
    assert float(noise.standard_error(images)[0]) == pytest.approx(expected, rel=1e-5)


def test_images_that_are_tuned_together_each_have_their_doubt():
    tuner = gt.GainTuner(make_tiny(), gt.CoupledBootstrap())
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (2, 32, 32, 1)).astype(np.float32)

    def moved(doubt):
        tuner.reset()
        tuner.tune(noisy, sigma=0.1, steps=1, doubt=doubt, progress=False)
        return np.linalg.norm(np.concatenate(tuner.gains()[:-1]) - 1)

    assert moved(0.3) == moved([0.3, 0.3])
    # The less is known, the less gains move.
    assert moved(0.3) < moved([0.3, 0.0]) < moved(0.0)
    with pytest.raises(gt.InputError, match="or one per image, received"):
        moved([0.1, 0.1, 0.1])


def test_a_network_as_it_is_sees_the_image_once():
    tuner = gt.GainTuner(make_tiny(), gt.CoupledBootstrap())
    noise = GaussianNoise(0.1, correlation=correlations.GREY)
    noisy = 0.5 + noise.sample(np.zeros((1, 32, 32, 1)), np.random.default_rng(0)).astype(np.float32)
    risks = tuner.tune(noisy, sigma=noise, steps=0, progress=False)
    assert len(list(tuner.copies(noisy))) == 1
    np.testing.assert_array_equal(tuner.denoise(noisy), tuner.denoise_once(noisy))
    # The risk is that of the network without anything added, as tuning has it.
    tuned = tuner.tune(noisy, sigma=noise, steps=1, progress=False)
    assert risks.risk_before == pytest.approx(tuned.risk_before, rel=1e-5)
