"""Tuning in a graph gives what tuning in Python gives, image by image, and changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, GainTuner, GaussianNoise, gain_layers, gaintune
from gaintuning_tf.noise.models import PoissonGaussianNoise, stacked
from gaintuning_tf.noise.tensors import noise_tensors
from gaintuning_tf.serving.tuning_in_graph import TuningInGraph, tune_one
from gaintuning_tf.tuning import objective
from gaintuning_tf.tuning.steps import gain_steps
from helpers.correlations import BLURRED, GREY
from helpers.networks import make_tiny, make_tiny_of_volumes

SIGMAS = np.float32([0.1, 0.05, 0.15])
# What the contract promises between the graph and Python.
SAME = 1e-4
# What float32 leaves of that on images of this size.
CLOSE = 1e-5
RNG = np.random.default_rng


def images(shape=(3, 24, 20, 1)):
    rng = np.random.default_rng(0)
    wave = 0.5 + 0.3 * np.sin(np.arange(shape[2]) / 4)[None, None, :, None]
    return (wave + 0.1 * rng.standard_normal(shape)).astype(np.float32)


def adaptively(way, noisy, sigma, steps, **options):
    options = {"window": 512, **options}
    shapes = [tf.TensorSpec((None, None, None, 1)), tf.TensorSpec((None,)), tf.TensorSpec((), tf.int32)]
    graph = tf.function(TuningInGraph(way, **options).at_sigma, shapes, autograph=False)
    denoised, risk = graph(noisy, sigma, steps)
    return denoised.numpy(), risk.numpy()


def in_python(image, model, **options):
    return gaintune(image, model, data_range=1.0, progress=False, axes="YXC", **options)


@pytest.mark.parametrize(("shape", "seed"), [((3, 24, 20, 1), 0), ((3, 17, 9, 1), 3)])
def test_every_image_of_a_batch_gets_what_gaintune_gives_it_alone(tiny, shape, seed):
    noisy = images(shape)
    denoised, risk = adaptively(gain_steps(tiny, CoupledBootstrap()), noisy, SIGMAS, 8, seed=seed)
    for index, sigma in enumerate(SIGMAS):
        expected = in_python(noisy[index], tiny, sigma=sigma, steps=8, seed=seed)
        assert np.abs(expected.denoised - expected.pretrained).max() > 10 * SAME, "tuning does something"
        np.testing.assert_allclose(denoised[index], expected.denoised, atol=SAME)
        np.testing.assert_allclose(risk[index], expected.history["risk_after"], atol=SAME)


def test_large_images_are_seen_through_the_same_windows(tiny):
    noisy = images((1, 40, 20, 1))
    tuner = GainTuner(tiny, CoupledBootstrap())
    options = {"sigma": 0.1, "steps": 8, "progress": False, "seed": 2}
    whole = tuner.tune(noisy, **options)
    tuner.reset()
    history = tuner.tune(noisy, window=16, **options)
    assert np.any(whole.risk != history.risk)
    denoised, risk = adaptively(gain_steps(tiny, CoupledBootstrap()), noisy, [0.1], 8, seed=2, window=16)
    np.testing.assert_allclose(denoised, tuner.denoise(noisy), atol=SAME)
    np.testing.assert_allclose(risk, history.risk_after, atol=SAME)


def test_a_network_that_needs_much_memory_sees_several_windows_in_both(tiny, monkeypatch):
    noisy = images((1, 40, 24, 1))
    tuner = GainTuner(tiny, CoupledBootstrap())
    seen = gain_steps(tiny, CoupledBootstrap()).objective
    assert int(seen.windows(noisy, 32).count) == 1
    monkeypatch.setattr(objective, "MEMORY", seen.network.network.bytes_per_pixel * 200)
    monkeypatch.setattr(objective, "SIDE_UNIT", 12)
    assert [int(v) for v in seen.windows(noisy, 32).size] == [12, 12]
    assert int(seen.windows(noisy, 32).count) == 7
    history = tuner.tune(noisy, window=32, sigma=0.1, steps=8, progress=False, seed=2)
    denoised, risk = adaptively(gain_steps(tiny, CoupledBootstrap()), noisy, [0.1], 8, seed=2, window=32)
    np.testing.assert_allclose(denoised, tuner.denoise(noisy), atol=SAME)
    np.testing.assert_allclose(risk, history.risk_after, atol=SAME)


def test_a_sigma_that_is_not_positive_is_estimated(tiny):
    noisy = images()
    denoised, risk = adaptively(gain_steps(tiny, CoupledBootstrap()), noisy, [0.0, -1.0, 0.15], 5)
    for index, sigma in enumerate((None, None, 0.15)):
        expected = in_python(noisy[index], tiny, sigma=sigma, steps=5)
        np.testing.assert_allclose(denoised[index], expected.denoised, atol=SAME)
        np.testing.assert_allclose(risk[index], expected.history["risk_after"], atol=SAME)


def test_an_image_without_noise_is_not_tuned(tiny):
    flat = np.full((1, 16, 16, 1), 0.5, np.float32)
    denoised, risk = adaptively(gain_steps(tiny, CoupledBootstrap()), flat, [0.0], 5)
    np.testing.assert_allclose(denoised, tiny.predict(flat, verbose=0), atol=1e-6)
    # At sigma 0 the risk is the distance to the image itself.
    np.testing.assert_allclose(risk[0], np.mean((denoised - flat) ** 2), rtol=1e-4)


def test_no_steps_is_the_network_as_it_is(tiny):
    noisy = images()
    denoised, risk = adaptively(gain_steps(tiny, CoupledBootstrap()), noisy, SIGMAS, 0)
    np.testing.assert_allclose(denoised, tiny.predict(noisy, verbose=0), atol=1e-6)
    expected = in_python(noisy[1], tiny, sigma=SIGMAS[1], steps=0)
    np.testing.assert_allclose(risk[1], expected.history["risk_before"], atol=1e-6)


@pytest.mark.parametrize("optimizer", [keras.optimizers.Lion(1e-3), keras.optimizers.SGD(1e30)], ids=lambda o: o.name)
def test_another_optimizer_and_an_end_by_risks_that_overflow(tiny, optimizer):
    noisy = images((1, 24, 20, 1))
    tuner = GainTuner(tiny, CoupledBootstrap(), optimizer)
    denoised, _ = adaptively(gain_steps(tiny, CoupledBootstrap(), optimizer), noisy, [0.1], 6)
    history = tuner.tune(noisy, sigma=0.1, steps=6, progress=False)
    np.testing.assert_allclose(denoised, tuner.denoise(noisy), atol=SAME)
    assert (len(history.risk) < 6) == isinstance(optimizer, keras.optimizers.SGD)


def test_nothing_is_changed(tiny):
    tiny.compile("sgd", "mse")
    way = gain_steps(tiny, CoupledBootstrap())
    models = (tiny, way.objective.network.network.model)
    before = [[v.numpy().copy() for v in model.variables] for model in models]
    state = [np.copy(v) for v in way.optimizer.variables]
    adaptively(way, images(), SIGMAS, 3)
    for model, values in zip(models, before, strict=True):
        assert all(np.array_equal(v.numpy(), b) for v, b in zip(model.variables, values, strict=True))
    assert all(np.array_equal(v, b) for v, b in zip(way.optimizer.variables, state, strict=True))
    assert gain_layers(tiny) == []


def test_the_gains_are_those_of_the_tuner(tiny):
    noisy = images((1, 24, 20, 1))
    tuner = GainTuner(tiny, CoupledBootstrap())
    way = gain_steps(tiny, CoupledBootstrap())
    graph = tf.function(lambda noisy, steps: tune_one(way, noisy, noise_tensors(0.1), steps, window=512))
    gains, _, risk = graph(tf.constant(noisy), tf.constant(5))
    history = tuner.tune(noisy, sigma=0.1, steps=5, progress=False)
    np.testing.assert_allclose(risk[0], history.risk_after, atol=1e-6)
    *gains, contrast = gains
    assert contrast.numpy().tolist() == tuner.gains()[-1].tolist()
    for gain, layer in zip(gains, gain_layers(tuner.model), strict=True):
        np.testing.assert_allclose(gain, layer.gain, atol=SAME)


CORRELATED = np.array([np.pad(GREY, 1), BLURRED])
WHITE = np.pad(np.ones((1, 1)), 2)


@pytest.fixture(scope="module")
def under_noise():
    """Tuning by the line of the variance and the correlation, traced once."""
    way = gain_steps(make_tiny(), CoupledBootstrap())
    shapes = [(None, None, None, 1), (None,), (None,), (None, None, None)]
    specs = [*map(tf.TensorSpec, shapes), tf.TensorSpec((), tf.int32)]
    return tf.function(TuningInGraph(way, window=512).at_noise, specs, autograph=False)


@pytest.fixture(scope="module")
def tuner():
    return GainTuner(make_tiny(), CoupledBootstrap())


def noisy_images(noise, shape=(1, 40, 36, 1)):
    return noise.sample(np.tile(np.linspace(0.3, 0.8, shape[2], dtype=np.float32)[:, None], (*shape[:2], 1, 1)), RNG(0))


def as_tuner(tuner, noisy, noise, steps):
    tuner.reset()
    history = tuner.tune(noisy, sigma=noise, steps=steps, progress=False)
    return tuner.denoise(noisy), history.risk_after


@pytest.mark.parametrize(
    "noise",
    [
        GaussianNoise(0.1),
        PoissonGaussianNoise(0.02, 0.05),
        PoissonGaussianNoise(0.02, 0.0, 0.1),
        GaussianNoise(0.1, correlation=BLURRED),
        PoissonGaussianNoise(0.02, 0.0, 0.1, correlation=BLURRED),
    ],
    ids=["white", "signal-dependent", "black level", "correlated", "both"],
)
def test_noise_of_any_kind_is_tuned_on_as_by_the_tuner(under_noise, tuner, noise):
    noisy = noisy_images(noise)
    correlation = np.ones((1, 1)) if noise.correlation is None else noise.correlation
    slope, intercept = np.float32(noise.level(1))
    denoised, risk = under_noise(noisy, slope, intercept, np.float32(correlation)[None], tf.constant(6))
    expected, held_out = as_tuner(tuner, noisy, noise, 6)
    np.testing.assert_allclose(denoised, expected, atol=CLOSE)
    np.testing.assert_allclose(risk[0], held_out, atol=CLOSE)
    tuner.reset()
    assert np.abs(expected - tuner.denoise(noisy)).max() > 100 * CLOSE, "tuning does something"


def test_each_image_of_a_batch_has_its_own_noise(under_noise, tuner):
    # Padded as in the request: another radius means other random numbers.
    models = [*(GaussianNoise(0.1, correlation=one) for one in CORRELATED), PoissonGaussianNoise(0.02, 0.05)]
    noisy = np.concatenate([noisy_images(model) for model in models])
    level = stacked(models).level(3)
    correlation = np.float32([*CORRELATED, WHITE])
    denoised, risk = under_noise(noisy, *np.float32(level), correlation, tf.constant(4))
    for image, model, found, value in zip(noisy, models, denoised, risk, strict=True):
        expected, held_out = as_tuner(tuner, image[None], model, 4)
        np.testing.assert_allclose(found, expected[0], atol=CLOSE)
        np.testing.assert_allclose(value, held_out, atol=CLOSE)


def test_white_noise_may_be_said_with_lags_of_zero(under_noise):
    noisy, line = noisy_images(PoissonGaussianNoise(0.02, 0.05)), (np.float32([0.02]), np.float32([0.0025]))
    answers = [under_noise(noisy, *line, np.float32(lags)[None], tf.constant(4)) for lags in (np.ones((1, 1)), WHITE)]
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("correlation", [WHITE, BLURRED], ids=["white", "correlated"])
def test_a_line_that_leaves_no_noise_is_not_tuned_on(under_noise, tiny, correlation):
    noisy = np.full((1, 16, 16, 1), 0.1, np.float32)
    line = np.float32([0.1]), np.float32([-0.02])
    denoised, risk = under_noise(noisy, *line, np.float32(correlation)[None], tf.constant(5))
    np.testing.assert_allclose(denoised, tiny(noisy), atol=1e-6)
    np.testing.assert_allclose(risk[0], np.mean((denoised - noisy) ** 2), rtol=1e-4)


def test_volumes_are_tuned_as_in_python(monkeypatch):
    monkeypatch.setattr(objective, "VOLUME_MEMORY", 4e5)  # windows of 12 x 16 x 16 voxels
    model, noisy = make_tiny_of_volumes(), 0.5 + 0.1 * RNG(0).standard_normal((1, 12, 30, 28, 1)).astype(np.float32)
    graph = TuningInGraph(gain_steps(model, CoupledBootstrap(), contrast=False), window=512)
    shapes = [tf.TensorSpec((None, None, None, None, 1)), tf.TensorSpec((None,)), tf.TensorSpec((), tf.int32)]
    denoised, risk = tf.function(graph.at_sigma, shapes, autograph=False)(noisy, tf.constant([0.1]), tf.constant(2))
    tuner = GainTuner(model, CoupledBootstrap(), contrast=False)
    history = tuner.tune(noisy, sigma=0.1, steps=2, window=512, progress=False)
    assert np.any(tuner.gains()[0] != 1), "tuning does something"
    np.testing.assert_allclose(denoised, tuner.denoise(noisy), atol=SAME)
    assert float(risk[0]) == pytest.approx(float(history.risk_after), rel=1e-3)
