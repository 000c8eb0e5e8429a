"""FFDNet."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import fold_gains, gain_layers, insert_gains
from gaintuning_tf.networks.half_resolution import PixelShuffle, PixelUnshuffle, ffdnet

SMALL = {"depth": 3, "width": 6}


def image(*shape):
    return np.random.default_rng(0).random(shape).astype("float32")


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_pixels_become_channels_and_come_back(scale):
    x = image(2, 6, 12, 3)
    channels = PixelUnshuffle(scale)(x)
    assert channels.shape == PixelUnshuffle(scale).compute_output_shape(x.shape)
    np.testing.assert_array_equal(PixelShuffle(scale)(channels), x)
    # TensorFlow's own has the channels of the image last.
    if scale > 1:
        theirs = tf.nn.space_to_depth(x, scale).numpy().reshape(*channels.shape[:3], scale**2, 3)
        np.testing.assert_array_equal(channels, theirs.swapaxes(-1, -2).reshape(channels.shape))


def test_the_published_sizes_have_the_published_number_of_weights():
    # Zhang et al., TIP 2018: kernels and biases of 15 convolutions of 64, and of 12 of 96 in colour.
    for channels, depth, width in ((1, 15, 64), (3, 12, 96)):
        kernels = 9 * width * (4 * channels + 1 + (depth - 2) * width + 4 * channels)
        biases = (depth - 1) * width + 4 * channels
        assert ffdnet(channels, depth=depth, width=width).count_params() == kernels + biases


@pytest.mark.parametrize("size", [(8, 8), (1, 2), (13, 27)])
def test_any_size_and_channels(size):
    assert ffdnet(3, **SMALL)([image(2, *size, 3), image(2, *size, 1)]).shape == (2, *size, 3)


def test_the_level_of_a_block_is_its_mean():
    model, x = ffdnet(**SMALL), image(1, 6, 8, 1)
    noise_map = image(1, 6, 8, 1)
    means = noise_map.reshape(1, 3, 2, 4, 2, 1).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(model([x, noise_map]), model([x, means]), atol=1e-6)
    assert np.abs(model([x, noise_map]) - model([x, 2 * noise_map])).max() > 1e-3


def test_it_is_homogeneous_without_biases():
    model, x, noise_map = ffdnet(bias_free=True, **SMALL), image(1, 9, 9, 1), image(1, 9, 9, 1)
    np.testing.assert_allclose(model([3 * x, 3 * noise_map]), 3 * model([x, noise_map]).numpy(), rtol=1e-4, atol=1e-5)


def test_gains_go_in_and_fold():
    model, inputs = ffdnet(**SMALL), [image(1, 7, 5, 1), image(1, 7, 5, 1)]
    gained = insert_gains(model)
    assert len(gain_layers(gained)) == 3
    np.testing.assert_array_equal(gained(inputs), model(inputs))
    for gain in gain_layers(gained):
        gain.gain.assign(np.linspace(0.5, 1.5, gain.gain.shape[0]))
    np.testing.assert_allclose(fold_gains(gained)(inputs), gained(inputs), atol=1e-5)


@pytest.mark.parametrize(("options", "message"), [({"depth": 1}, "depth of at least 2"), ({"scale": 0}, "a scale")])
def test_too_small_a_network_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ffdnet(**options)
