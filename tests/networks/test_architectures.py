"""Architectures."""

import keras
import numpy as np
import pytest

from gaintuning_tf import gain_layers, insert_gains
from gaintuning_tf.networks.architectures import (
    BiasFreeBatchNormalization,
    PadToMultiple,
    Rotate90,
    blind_spot,
    dncnn,
    unet,
)


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (1, 2), (13, 27)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_channels(size, channels):
    model = unet(channels, width=4)
    image = np.random.default_rng(0).random((2, *size, channels)).astype("float32")
    assert model(image).shape == image.shape


def test_the_default_has_the_published_number_of_weights():
    # Mohan et al., ICLR 2020: kernels of 5, 3, 3, 3, 3, 3, 4, 3, 5; 32 and 64 channels.
    kernels = 25 * 32 + 9 * 32 * 32 + 9 * 32 * 64 + 3 * 9 * 64 * 64 + 16 * 64 * 64 + 9 * 96 * 32 + 25 * 32
    assert unet(bias_free=True).count_params() == kernels
    assert unet().count_params() == kernels + 2 * 32 + 5 * 64 + 32
    assert sum(gain.gain.shape[-1] for gain in gain_layers(insert_gains(unet()))) == 2 * 32 + 5 * 64 + 32 + 1


def test_bias_free_is_homogeneous_of_degree_one():
    keras.utils.set_random_seed(0)
    model = unet(bias_free=True, width=4)
    image = np.random.default_rng(0).standard_normal((1, 9, 9, 1)).astype("float32")
    np.testing.assert_allclose(model(3 * image), 3 * model(image).numpy(), rtol=1e-4, atol=1e-5)


def test_agrees_with_the_published_network_in_pytorch(shared):
    """Same weights, same outputs: the architecture is the published one, odd sizes included."""
    torch = pytest.importorskip("torch")
    import importlib.util

    spec = importlib.util.spec_from_file_location("peer", shared / "peer" / "gaintune_torch.py")
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    theirs = peer.load(shared / "checkpoints" / "unet_bias_0-55.pt")
    ours = unet()
    for number in range(1, 10):
        layer, other = ours.get_layer(f"conv{number}"), theirs.conv[str(number)]
        # PyTorch: (out, in, h, w), transposed (in, out, h, w); Keras: (h, w, in, out), transposed (h, w, out, in).
        layer.kernel.assign(other.weight.numpy().transpose(2, 3, 1, 0))
        if other.bias is not None:
            layer.bias.assign(other.bias.numpy())
    for size in ((32, 40), (33, 41)):
        image = np.random.default_rng(0).random((1, *size, 1)).astype("float32")
        with torch.no_grad():
            expected = theirs(torch.from_numpy(image.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ours(image), expected, atol=1e-4)


def test_survives_saving(tmp_path):
    model = unet(width=4)
    model.save(tmp_path / "m.keras")
    image = np.random.default_rng(0).random((1, 9, 9, 1)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(image), model(image))


def test_padding_is_refused_a_nonsensical_multiple():
    with pytest.raises(ValueError, match="at least 1"):
        PadToMultiple(0)


@pytest.mark.parametrize("bias_free", [False, True])
def test_dncnn_keeps_the_size_and_is_homogeneous_if_bias_free(bias_free):
    keras.utils.set_random_seed(0)
    model = dncnn(3, bias_free=bias_free, depth=5, width=6)
    image = np.random.default_rng(0).standard_normal((2, 7, 5, 3)).astype("float32")
    assert model(image).shape == image.shape
    for variable in model.variables:  # away from zero, where biases would not show
        variable.assign(np.random.default_rng(1).uniform(0.1, 1, variable.shape))
    same = np.allclose(model(3 * image), 3 * model(image).numpy(), rtol=1e-4)
    assert same == bias_free
    assert len(gain_layers(insert_gains(model))) == 5


def test_bias_free_norm_scales_by_the_batch_in_training_and_the_average_in_inference():
    layer = BiasFreeBatchNormalization(momentum=0.5, epsilon=0.0)
    x = np.random.default_rng(0).normal(2, [1, 3], (500, 4, 4, 2)).astype("float32")
    np.testing.assert_allclose(layer(x), x)
    scaled = layer(x, training=True).numpy()
    np.testing.assert_allclose(scaled, x / x.std((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, 0.5 + 0.5 * x.var((0, 1, 2)), rtol=1e-3)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), layer(x, training=False))


def test_a_dncnn_of_one_layer_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        dncnn(depth=1)


def test_more_dilations_see_further():
    from gaintuning_tf.networks.tiles import receptive_field

    assert receptive_field(unet(width=4, dilations=(2, 4, 8))) > receptive_field(unet(width=4)) + 12
    assert len(gain_layers(insert_gains(unet(width=4, dilations=(2, 4, 8))))) == 10


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3])
def test_rotation_is_numpys(quarters):
    image = np.random.default_rng(0).random((2, 4, 5, 3)).astype("float32")
    layer = Rotate90(quarters)
    turned = layer(image)
    np.testing.assert_array_equal(turned, np.rot90(image, quarters, axes=(1, 2)))
    assert layer.compute_output_shape(image.shape) == turned.shape
    assert Rotate90.from_config(layer.get_config()).quarters == quarters


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bias_free", [False, True])
def test_the_blind_spot_network_sees_everything_about_a_pixel_but_the_pixel(channels, bias_free):
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = blind_spot(channels, width=8, bias_free=bias_free)
    for weight in model.weights:  # all positive: no path is shut by a ReLU, whatever the image
        weight.assign(np.abs(weight.numpy()) + 0.01)
    image = tf.constant(np.random.default_rng(0).random((1, 7, 6, channels)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(image)
        output = model(image)
    assert output.shape == image.shape
    jacobian = tape.jacobian(output, image).numpy().reshape(42, channels, 42, channels)
    seen = np.abs(jacobian).max((1, 3)) > 0
    np.testing.assert_array_equal(seen, ~np.eye(42, dtype=bool))


def test_gains_keep_the_blind_spot_blind():
    model = insert_gains(blind_spot(width=4))
    for gain in gain_layers(model):
        gain.gain.assign(np.random.default_rng(0).uniform(0.5, 1.5, gain.gain.shape))
    image = np.random.default_rng(0).random((1, 9, 9, 1)).astype("float32")
    other = image.copy()
    other[0, 4, 4] += 1
    difference = np.abs(model(other).numpy() - model(image).numpy())
    assert difference[0, 4, 4] == 0
    assert difference.max() > 0
    assert len(gain_layers(model)) == 10  # shared by the four directions


def test_the_output_is_exact_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        models = [unet(width=4), dncnn(depth=3, width=4), blind_spot(width=4)]
    finally:
        keras.config.set_dtype_policy(policy)
    for model in models:
        assert model(np.zeros((1, 8, 8, 1), "float32")).dtype == "float32"
        assert "bfloat16" in [layer.compute_dtype for layer in model.layers]
