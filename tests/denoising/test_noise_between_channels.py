"""Noise that is alike in red, green and blue, as in JPEG files whose colours have half the resolution."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage.data import cat

import gaintuning_tf as gt
from gaintuning_tf.denoising.network_choice import network_for
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.noise.automatic import BETWEEN, correlation_between_channels, examine_noise
from gaintuning_tf.noise.details import channel_correlation

SIGMA = 25


def drawn(side=128, sigma=SIGMA):
    clean = cat()[:side, :side]
    noisy = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
    return clean, noisy.clip(0, 255).round().astype("uint8")


def as_jpeg(image, subsampling):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=95, subsampling=subsampling)
    return np.asarray(Image.open(io.BytesIO(file.getvalue())))


def off_diagonal(matrix):
    return np.abs(matrix - np.eye(len(matrix))).max()


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_what_was_drawn_for_each_channel_is_not_alike(sigma):
    _, noisy = drawn(256, sigma)
    assert off_diagonal(channel_correlation(noisy.astype(float))) < BETWEEN / 2
    assert correlation_between_channels(noisy) is None
    assert correlation_between_channels(noisy[..., :1]) is None


def test_half_the_resolution_of_colours_leaves_the_noise_of_the_brightness():
    _, noisy = drawn()
    for subsampling, alike in ((0, False), (2, True)):
        found = examine_noise(as_jpeg(noisy, subsampling))
        assert ("correlated between channels" in found.words) is alike
        assert (found.noise.correlation is not None) is alike
    assert found.noise.correlation.shape == (1, 1, 3, 3)
    assert off_diagonal(found.noise.correlation[0, 0]) > 0.9


def test_masked_pixels_do_not_count():
    _, noisy = drawn()
    image = as_jpeg(noisy, 2)
    mask = np.zeros(image.shape, bool)
    mask[:, :64] = True
    image = np.where(mask, noisy, image)
    assert correlation_between_channels(image, mask) is not None
    assert correlation_between_channels(image, ~mask) is None


def test_it_is_denoised_in_colour_and_not_taken_for_detail():
    clean, noisy = drawn()
    image = as_jpeg(noisy, 2)
    choice = network_for(image, Recipe(), axes="YXC")
    assert choice.name == "drunet-color" and "alike in the channels" in choice.why
    with pytest.warns(gt.GainTuningWarning, match="taken for noise of its own in each channel"):
        told = gt.gaintune(image, choice.name, sigma=17, steps=1, progress=False)
    found = gt.gaintune(image, choice.name, progress=False)
    psnr = {name: gt.psnr(clean, one, data_range=255) for name, one in
            {"noisy": image, "told": told.denoised, "found": found.denoised}.items()}  # fmt: skip
    assert psnr["told"] < psnr["noisy"] + 1
    assert psnr["found"] > psnr["noisy"] + 6
