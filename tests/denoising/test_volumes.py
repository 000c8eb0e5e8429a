"""Volumes through a network of them: the whole way, in parts, with every kind of noise."""

import math

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import BlindSpotLoss, GainTuningWarning, GaussianNoise, InputError, gaintune
from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.images.files import load_image
from gaintuning_tf.networks import volume_tiles
from gaintuning_tf.tuning import objective
from gaintuning_tf.tuning.windows import windows_of_volume
from helpers.correlations import BLURRED
from helpers.networks import make_tiny, make_tiny_of_volumes, smooth_volume

CLEAN = smooth_volume((12, 72, 80))
SIGMA = 20.0


@pytest.fixture(scope="module")
def network():
    """Never changed, so that it is compiled once."""
    return make_tiny_of_volumes()


@pytest.fixture(scope="module")
def noisy():
    return (CLEAN + np.random.default_rng(0).normal(0, SIGMA, CLEAN.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def tuned(network, noisy):
    return quick(noisy, network)


def quick(volume, network, **options):
    return gaintune(volume, network, **{"steps": 2, "contrast": False, "progress": False, **options})


def error(image):
    return float(np.sqrt(np.mean(np.square(image.astype(float) - CLEAN))))


def test_a_volume_gets_better_as_one_image(tuned, noisy):
    assert (tuned.layout.axes, tuned.denoised.shape, tuned.denoised.dtype) == ("ZYX", CLEAN.shape, np.uint8)
    assert tuned.noise.correlation is None and tuned.noise.sigma == pytest.approx(SIGMA, rel=0.05)
    # The mean of 27 voxels has a fifth of the noise, which structure and a perturbed kernel make more of.
    assert error(tuned.denoised) < SIGMA / 3
    assert tuned.history["risk_after"] < tuned.history["risk_before"]
    # The risk is the mean squared error, within its standard error and what rounding to bytes adds.
    assert float(tuned.history["risk_after"]) == pytest.approx(error(tuned.denoised) ** 2, abs=8)
    assert not tuned.worse_than_input and tuned.residuals[0].variance == pytest.approx(0.95, abs=0.1)


def test_a_movie_of_volumes_is_each_of_them(tmp_path, network, noisy, tuned):
    movie = np.stack([noisy[:, ::-1], noisy])
    np.save(tmp_path / "in.npy", movie)
    how = {"axes": "TZYX", "steps": 2, "contrast": False, "progress": False}
    result = denoise_stack(tmp_path / "in.npy", tmp_path / "out.tif", network, **how)
    together = quick(movie, network, axes="TZYX")
    assert together.gains["first_gain"].shape == (2, 4)
    np.testing.assert_array_equal(together.denoised[1], tuned.denoised)
    np.testing.assert_array_equal(load_image(tmp_path / "out.tif"), together.denoised)
    assert [row["failed"] for row in result.rows] == [None, None]


def test_a_network_of_images_sees_planes_as_ever(noisy):
    network = make_tiny()
    planes, images = (quick(noisy[:2], network, axes=axes, sigma=SIGMA, steps=0) for axes in ("ZYX", "TYX"))
    assert planes.history["risk_after"].shape == (2,)
    np.testing.assert_array_equal(planes.denoised, images.denoised)


def test_arrays_without_depth_are_refused_in_one_line(network, noisy):
    with pytest.raises(InputError, match=r"volumes of shape \(D, H, W\).*received \(72, 80\)"):
        quick(noisy[0], network)
    with pytest.raises(InputError, match="takes volumes, received the axes TYX"):
        quick(noisy, network, axes="TYX")


def test_windows_and_blocks_give_what_the_whole_gives(network, noisy, monkeypatch):
    """Denoised in blocks after a tuning on windows, a volume is what the tuned network makes of it at once."""
    monkeypatch.setattr(volume_tiles, "MEMORY", 1e5)
    monkeypatch.setattr(objective, "VOLUME_MEMORY", 2e6)
    seen = []
    own = volume_tiles.denoise_in_blocks
    monkeypatch.setattr(volume_tiles, "denoise_in_blocks", lambda *parts, **how: seen.append(how) or own(*parts, **how))
    volume = noisy.astype(np.float32)
    result = quick(volume, network, data_range=255.0, sigma=SIGMA)
    assert [how["receptive_field"] for how in seen] == [1, 1]
    assert seen[0]["voxels"] * 10 < volume.size and np.any(result.gains["first_gain"] != 1)
    whole = 255 * result.model(volume[None, ..., None] / 255).numpy()[0, ..., 0]
    np.testing.assert_allclose(result.denoised, whole, atol=1e-5 * 255)


def test_a_window_is_as_large_as_fits_and_as_deep_as_the_volume():
    for shape, fitting, size in (
        ((64, 256, 256), 10**6, (64, 112, 112)),
        ((8, 600, 600), 10**6, (8, 352, 352)),
        ((30, 40, 50), 10**6, (30, 40, 50)),
        ((64, 256, 256), 10, (16, 16, 16)),
    ):
        found = windows_of_volume(tf.zeros((1, *shape, 1)), 512**2, 16, fitting)
        assert found.size.numpy().tolist() == list(size)
        assert int(found.count) == max(round(min(512**2, math.prod(shape)) / math.prod(size)), 1)


def test_noise_that_is_correlated_within_planes_is_found_and_taken_out(network):
    noise = GaussianNoise(SIGMA, correlation=BLURRED)
    volume = noise.sample(CLEAN[..., None], np.random.default_rng(0))[..., 0]
    result = quick(volume, network, data_range=255.0, steps=0)
    assert result.noise.correlation is not None
    before, after = (float(np.sqrt(np.mean(np.square(image - CLEAN)))) for image in (volume, result.denoised))
    assert after < before / 1.5
    assert result.noise.sigma == pytest.approx(SIGMA, rel=0.15)


def test_noise_that_goes_on_along_the_depth_is_said(network):
    white = np.random.default_rng(0).normal(0, SIGMA, (13, 72, 80))
    between = (CLEAN + (white[1:] + white[:-1]) / 2).astype(np.float32)
    with pytest.warns(GainTuningWarning, match="taken for white along the depth"):
        quick(between, network, data_range=255.0, steps=0)


def test_voxels_that_do_not_count_are_passed_through(network, noisy):
    volume = noisy.copy()
    volume[10:], volume[3, 30, 30] = 0, 255
    mask = np.zeros(CLEAN.shape[1:], bool)
    mask[:, :5] = True
    with pytest.warns(GainTuningWarning, match="constant at 0"):
        result = quick(volume, network, mask=mask, steps=0)
    np.testing.assert_array_equal(result.denoised[10:], 0)
    np.testing.assert_array_equal(result.denoised[:, :, :5], volume[:, :, :5])
    inner = np.s_[:9, :, 6:]
    assert np.sqrt(np.mean(np.square(result.denoised[inner] - CLEAN[inner]))) < SIGMA / 3
    assert result.denoised[3, 30, 30] == pytest.approx(CLEAN[3, 30, 30], abs=SIGMA)


def test_pixels_are_hidden_in_planes_for_correlated_noise():
    loss, noise = BlindSpotLoss(spacing=4), GaussianNoise(1.0, correlation=BLURRED)
    planes = tf.constant(noise.sample(np.zeros((32, 64, 64, 1)), np.random.default_rng(0)).astype(np.float32))
    volume, images = (loss(lambda y: y, part, noise, seed=(0, 1)).numpy() for part in (planes[None], planes))
    # A pixel in 64 or more is guessed in each plane, and of 8 planes or more some are looked at in a volume.
    assert volume[0] == pytest.approx(images.mean(), rel=0.2) and images.mean() > 0.7
