"""Networks that take the level of the noise get it from the noise model, however they take it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from keras import layers

from gaintuning_tf import (
    CoupledBootstrap,
    GainTuner,
    GaussianNoise,
    InputError,
    Network,
    PoissonGaussianNoise,
    export_saved_model,
    fold_gains,
    gaintune,
    load_gains,
    save_gains,
)
from gaintuning_tf.denoising import frame_tuner
from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.evaluation.weight_tuning import WeightTuner
from gaintuning_tf.gains.normalization_layers import bare, level_map, level_place, take_known_noise, with_level_channel
from gaintuning_tf.losses.sure import MonteCarloSURE
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.networks.residual_unet import drunet
from gaintuning_tf.noise.tensors import noise_of_batch
from helpers.level_networks import SHAPES, ffdnet

SIGMA = 0.08


@pytest.fixture(scope="module")
def network():
    return Network(ffdnet("map"))


@pytest.fixture(scope="module")
def noisy(photograph):
    rng = np.random.default_rng(0)
    return (photograph[:48, :40] + SIGMA * rng.standard_normal((48, 40))).astype("float32")


def level_as(kind, level, image):
    """The level of an image (1, H, W, C) as a network wants it."""
    if kind == "number":
        return np.float32([level])
    return np.full((1, 1) if kind == "column" else (*image.shape[:-1], SHAPES[kind][-1]), level, "float32")


@pytest.mark.parametrize("kind", [*SHAPES, "channel"])
def test_it_gets_the_level_in_any_shape(kind, noisy):
    channels = 3 if kind == "maps" else 1
    model = ffdnet(kind, channels)
    network = network_of(model)
    assert (network.channels, network.takes_level, network.shape) == (channels, True, (None, None, channels))
    image = np.repeat(noisy[..., None], channels, -1)
    result = gaintune(255 * image, network, sigma=255 * SIGMA, data_range=255.0, axes="YXC", steps=0, progress=False)
    if kind == "channel":
        expected = model(np.concatenate([image, np.full_like(image, SIGMA)], -1)[None])
    else:
        expected = model([image[None], level_as(kind, SIGMA, image[None])])
    np.testing.assert_allclose(result.pretrained / 255, expected[0], atol=1e-6)


def test_which_input_is_the_level():
    image, colour = ("x", (None, None, None, 1)), ("x", (None, None, None, 3))
    for other in (("y", (None,)), ("y", (None, 1)), ("sigma", image[1]), ("noise_map", image[1])):
        assert level_place([image, other]) == 1
        assert level_place([other, image]) == 0
    assert level_place([("y", image[1]), colour]) == 0
    assert level_place([("noisy", image[1]), ("a", image[1])]) == 1


def test_tuned_it_goes_through_all_that_tuning_does(network, noisy, tmp_path):
    image = 3 + 10 * noisy
    result = gaintune(image, network, sigma=10 * SIGMA, data_range=20.0, steps=3, progress=False)
    assert result.history["risk_after"] < result.history["risk_before"]
    assert any(np.any(gains != 1) for gains in result.gains.values())
    frames = result.layout.frames(image)
    np.testing.assert_allclose(result.layout.image(result.model(frames).numpy()), result.denoised, rtol=1e-5)
    np.testing.assert_allclose(fold_gains(result.model)(frames), result.model(frames), atol=1e-5)
    # Its model knows the level; saved, it is a network that takes it again, from these gains.
    result.model.save(tmp_path / "tuned.keras")
    again = gaintune(image, tmp_path / "tuned.keras", sigma=10 * SIGMA, data_range=20.0, steps=0, progress=False)
    np.testing.assert_allclose(again.denoised, result.denoised, rtol=1e-5)
    save_gains(result.model, tmp_path / "a.gains.h5")
    loaded = Network(load_gains(bare(network.model), tmp_path / "a.gains.h5"))
    again = gaintune(image, loaded, sigma=10 * SIGMA, data_range=20.0, contrast=False, steps=0, progress=False)
    np.testing.assert_allclose(again.denoised, result.denoised, rtol=1e-5)


def test_noise_that_grows_with_the_signal_is_a_map(network, noisy):
    noise = PoissonGaussianNoise(0.01, 0.03)
    result = gaintune(noisy, network, noise=noise, data_range=1.0, steps=1, progress=False)
    slope, intercept = noise.level(1)
    image = noisy[None, ..., None]
    level = level_map(tf.constant(image), np.float32(slope), np.float32(intercept))
    mean = tf.nn.avg_pool2d(image, 7, 1, "SAME")
    np.testing.assert_allclose(tf.square(level), slope[0] * mean + intercept[0], atol=1e-6)
    expected = bare(network.model)([image, level.numpy()])
    np.testing.assert_allclose(result.pretrained, expected[0, ..., 0], atol=1e-6)
    _, (slopes, intercepts) = take_known_noise(result.model)
    np.testing.assert_allclose([slopes[0], intercepts[0]], [slope[0], intercept[0]], rtol=1e-5)


def test_correlated_noise_has_the_level_that_the_network_sees():
    noise = GaussianNoise(0.1, correlation=np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]))
    known = noise_of_batch(noise, 1, tf.float32)
    images = tf.zeros((1, 256, 256, 1))
    for share in (0.0, 0.5, 1.0):
        tensors = known._replace(whitening=tf.fill([1], share))
        _, variance = tensors.seen_line(images)
        added = tensors.shown(lambda y: y, images, (0, 1))(images)
        # The variance of 65536 values, correlated ones among them, is known to some hundredths.
        assert variance.numpy()[0] == pytest.approx(0.01 + float(tf.math.reduce_variance(added)), rel=0.03)
    assert variance.numpy()[0] == pytest.approx(0.01 * 4, rel=0.01)


def test_the_level_falls_with_the_contrast(network, noisy):
    tuner = GainTuner(network, CoupledBootstrap(SIGMA), contrast=True)
    *gains, _ = tuner.gains()
    tuner.set_gains([*gains, np.float32([0.5])])
    image = noisy[None, ..., None]
    level = np.full(image.shape, 0.5 * SIGMA, "float32")
    expected = 0.5 + 2 * (bare(network.model)([0.5 + 0.5 * (image - 0.5), level]) - 0.5)
    np.testing.assert_allclose(tuner.denoise(image, sigma=SIGMA), expected, atol=1e-6)
    with pytest.raises(InputError, match="expected the noise level, which 'level_as_map'"):
        tuner.denoise(image)


def test_a_network_of_another_range_gets_the_level_in_its_numbers(noisy):
    model = ffdnet("map")
    image, level = keras.Input((None, None, 1)), keras.Input((None, None, 1), name="sigma")
    wide = keras.Model([image, level], model([image / 255, level / 255]) * 255, name="wide")
    network = Network(wide, normalize="0..255")
    found = gaintune(noisy, network, sigma=SIGMA, steps=0, progress=False)
    expected = model([noisy[None, ..., None], np.full((1, *noisy.shape, 1), SIGMA, "float32")])[0, ..., 0]
    np.testing.assert_allclose(found.pretrained, expected, atol=1e-5)
    noise = Network(
        keras.Model([image, level], image - model([image, level])), normalize="percentiles", predicts="noise"
    )
    low, high = np.percentile(noisy, (3, 99.8))
    seen, unit = (noisy - low) / (high - low), high - low
    expected = model([seen[None, ..., None], np.full((1, *noisy.shape, 1), SIGMA / unit, "float32")])[0, ..., 0]
    found = gaintune(noisy, noise, sigma=SIGMA, steps=0, progress=False)
    np.testing.assert_allclose(found.pretrained, expected * unit + low, atol=1e-5)
    np.testing.assert_allclose(found.model(noisy[None, ..., None])[0, ..., 0], found.pretrained, atol=1e-5)


def test_frames_have_levels_of_their_own_in_stacks_and_tiles(network, noisy, tmp_path, monkeypatch):
    movie, sigmas = np.stack([noisy, noisy]), np.array([0.04, 0.12])
    tifffile.imwrite(tmp_path / "in.tif", movie, photometric="minisblack")
    options = {"axes": "TYX", "noise": GaussianNoise(sigmas), "steps": 0, "data_range": 1.0, "progress": False}
    result = denoise_stack(tmp_path / "in.tif", tmp_path / "out.tif", network, **options)
    denoised = tifffile.imread(tmp_path / "out.tif")
    image = noisy[None, ..., None]
    for number, sigma in enumerate(sigmas):
        expected = bare(network.model)([image, np.full(image.shape, sigma, "float32")])
        np.testing.assert_allclose(denoised[number], expected[0, ..., 0], atol=1e-6)
        np.testing.assert_allclose(result.model(number)(image), expected, atol=1e-6)
    together = gaintune(movie, network, **options)
    np.testing.assert_allclose(together.model(movie[..., None])[..., 0], denoised, atol=1e-6)
    monkeypatch.setattr(frame_tuner, "TILED_PIXELS", 100)
    np.testing.assert_allclose(gaintune(movie, network, **options).denoised, denoised, atol=1e-6)
    weights = WeightTuner(network, MonteCarloSURE()).denoise(image, sigma=sigmas[0], steps=0)
    np.testing.assert_allclose(weights[0, ..., 0], denoised[0], atol=1e-6)


def test_served_it_takes_sigma_from_the_request(network, noisy, tmp_path):
    functions = tf.saved_model.load(str(export_saved_model(network, tmp_path / "served"))).signatures
    image, sigma = noisy[None, ..., None], np.float32([SIGMA])
    expected = gaintune(noisy, network, sigma=SIGMA, data_range=1.0, steps=2, progress=False)
    served = functions["serving_default"](noisy=image, sigma=sigma)["denoised"]
    np.testing.assert_allclose(served[0, ..., 0], expected.pretrained, atol=1e-6)
    found = functions["gaintune"](noisy=image, sigma=sigma, steps=tf.constant(2))
    np.testing.assert_allclose(found["denoised"][0, ..., 0], expected.denoised, atol=1e-5)
    np.testing.assert_allclose(found["sure"], expected.history["risk_after"], rtol=1e-4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="sigma"):
        functions["serving_default"](noisy=image, sigma=np.float32([0]))
    # What was exported is such a network again.
    again = gaintune(noisy, tmp_path / "served", sigma=SIGMA, data_range=1.0, steps=0, progress=False)
    np.testing.assert_allclose(again.denoised, expected.pretrained, atol=1e-5)


@pytest.mark.parametrize("kind", ["number", "column", "maps"])
def test_saved_models_with_a_second_input_are_such_networks(kind, noisy, tmp_path):
    model = ffdnet(kind, 3)
    model.export(tmp_path / "saved", verbose=False)
    image = np.repeat(noisy[..., None], 3, -1)
    result = gaintune(image, tmp_path / "saved", sigma=SIGMA, data_range=1.0, axes="YXC", steps=0, progress=False)
    np.testing.assert_allclose(result.denoised, model([image[None], level_as(kind, SIGMA, image[None])])[0], atol=1e-5)


def test_graphs_with_channels_first_and_one_level_for_all(noisy, tmp_path):
    class Module(tf.Module):
        def __init__(self):
            self.kernel = tf.Variable(tf.random.stateless_normal((3, 3, 2, 1), (0, 1)))

        @tf.function(input_signature=[tf.TensorSpec([None, 1, None, None]), tf.TensorSpec([])])
        def denoise(self, image, sigma):
            last = tf.transpose(image, [0, 2, 3, 1])
            x = tf.nn.conv2d(tf.concat([last, sigma * tf.ones_like(last)], -1), self.kernel, 1, "SAME")
            return {"denoised": tf.transpose(last - 0.01 * x, [0, 3, 1, 2])}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), module.denoise)
    result = gaintune(noisy, tmp_path / "saved", sigma=SIGMA, data_range=1.0, steps=2, progress=False)
    expected = module.denoise(noisy[None, None], tf.constant(SIGMA))["denoised"][0, 0]
    np.testing.assert_allclose(result.pretrained, expected, atol=1e-6)
    assert np.any(result.denoised != result.pretrained)


def test_drunet_with_its_noise_map(noisy):
    model = drunet(widths=(4, 8), blocks=1, noise_map=True)
    network = Network(model)
    assert (network.takes_level, network.multiple, network.channels) == (True, 1, 1)
    result = gaintune(noisy[:41, :37], network, sigma=SIGMA, steps=0, data_range=1.0, progress=False)
    image = noisy[None, :41, :37, None]
    expected = model([image, np.full(image.shape, SIGMA, "float32")])
    np.testing.assert_allclose(result.denoised, expected[0, ..., 0], atol=1e-5)
    assert len(result.gains) == len(gaintune_gains(model))


def gaintune_gains(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, (layers.Conv2D, layers.Conv2DTranspose))]


def test_other_pairs_of_inputs_are_left_alone(tiny):
    assert with_level_channel(tiny) is tiny
    inputs = [keras.Input((None, None, 1), name=name) for name in "abc"]
    three = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(InputError, match="3 inputs"):
        Network(three)
