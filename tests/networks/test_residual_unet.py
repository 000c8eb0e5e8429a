"""DRUNet."""

import itertools

import keras
import numpy as np
import pytest

from gaintuning_tf import gain_layers, insert_gains
from gaintuning_tf.networks.residual_unet import MirrorToMultiple, drunet

SMALL = {"widths": (4, 6, 8), "blocks": 1}


def image(*shape):
    return np.random.default_rng(0).random(shape).astype("float32")


@pytest.mark.parametrize("size", [(8, 8), (1, 2), (13, 27)])
def test_any_size_and_channels(size):
    assert drunet(3, **SMALL)(image(2, *size, 3)).shape == (2, *size, 3)


def test_the_published_size_has_the_published_number_of_weights():
    # Zhang et al., TPAMI 2021: two 3x3 convolutions in a block, four blocks a scale on either way, none with a bias.
    widths, blocks = (64, 128, 256, 512), 4
    expected = 9 * (4 + 3) * 64 + blocks * 2 * 9 * 512**2
    for fine, coarse in itertools.pairwise(widths):
        expected += 2 * (blocks * 2 * 9 * fine**2 + 4 * fine * coarse)
    assert drunet(3, widths=widths, blocks=blocks, noise_map=True).count_params() == expected


def test_every_convolution_has_gains():
    model = drunet(**SMALL)
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    assert len(gain_layers(insert_gains(model))) == len(kernels) == len(model.weights)


def test_it_is_homogeneous_of_degree_one_and_returns_its_input_less_the_noise():
    keras.utils.set_random_seed(0)
    model, x = drunet(**SMALL), image(1, 9, 9, 1)
    np.testing.assert_allclose(model(3 * x), 3 * model(x).numpy(), rtol=1e-4, atol=1e-5)
    plain = drunet(**SMALL, residual=False)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(model(x), x - plain(x).numpy(), atol=1e-6)


def test_the_noise_map_is_an_input_that_changes_the_output():
    model, x = drunet(**SMALL, noise_map=True), image(1, 9, 12, 1)
    assert [tensor.name for tensor in model.inputs] == ["noise_map" if i else "noisy" for i in range(2)]
    low, high = (model([x, np.full((1, 9, 12, 1), level, "float32")]).numpy() for level in (0.0, 0.5))
    assert low.shape == x.shape and np.abs(low - high).max() > 0.01


@pytest.mark.parametrize("side", range(1, 18))
def test_what_is_added_is_mirrored_as_numpy_does(side):
    x = image(1, side, 3, 1)
    to_add = -side % 8
    expected = np.pad(x, [(0, 0), (0, to_add), (0, 5), (0, 0)], "symmetric")
    np.testing.assert_array_equal(MirrorToMultiple(8)(x), expected)


def test_mixed_precision_leaves_the_image_in_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = drunet(**SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("head").compute_dtype == model.get_layer("tail").compute_dtype == "float32"
    assert model.get_layer("body_1a").compute_dtype == "bfloat16" and model(image(1, 8, 8, 1)).dtype == "float32"


@pytest.mark.parametrize("options", [{"widths": (8,)}, {"blocks": 0}])
def test_too_small_a_network_is_refused(options):
    with pytest.raises(ValueError, match="two or more widths and a block"):
        drunet(**options)
