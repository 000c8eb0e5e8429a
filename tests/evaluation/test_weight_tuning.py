"""Weights tuned on one image: those asked for, in a copy, under the loss that was given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, GainTuner, InputError, MonteCarloSURE, PoissonNoise, insert_gains
from gaintuning_tf.evaluation import weight_tuning
from gaintuning_tf.evaluation.weight_tuning import WeightTuner
from gaintuning_tf.networks.network import Network
from gaintuning_tf.tuning import objective
from gaintuning_tf.tuning.rounds import TuningRun

SIGMA = 0.1


@pytest.fixture
def noisy(photograph):
    noise = np.random.default_rng(0).standard_normal((32, 30)).astype("float32")
    return (photograph[:32, :30] + SIGMA * noise)[None, ..., None]


def linear():
    """f(y) = w y for one weight w, which starts at one."""
    start = keras.initializers.Constant(1.0)
    return keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=start)]
    )


def moved(tuner):
    """The names of the layers whose weights differ from those at the start."""
    layers = [layer for layer in tuner.model.layers if layer.weights]
    fresh = {layer.name: layer.get_weights() for layer in tuner.original.layers}
    return {
        layer.name
        for layer in layers
        if any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), fresh[layer.name], strict=True))
    }


def test_sure_leads_to_the_weight_of_least_error():
    noisy = np.random.default_rng(0).normal(0, 0.5, (1, 64, 64, 1)).astype("float32")
    tuner = WeightTuner(linear(), MonteCarloSURE(), learning_rate=0.05)
    denoised = tuner.denoise(noisy, sigma=0.3, steps=60)
    # SURE = (w - 1)^2 E - s^2 + 2 s^2 w is least at w = 1 - s^2 / E. The probes' mean square differs from one by
    # sqrt(2 / 4096), and the rate ends at zero.
    ratio = 0.3**2 / float(np.mean(noisy**2))
    weight = np.sum(denoised * noisy) / np.sum(noisy**2)
    assert weight == pytest.approx(1 - ratio, abs=4 * ratio * (2 / 4096) ** 0.5)


@pytest.mark.parametrize(("which", "expected"), [("all", {"first", "norm", "last"}), ("last", {"last"})])
def test_what_was_asked_for_moves_in_a_copy_and_nothing_else(which, expected, tiny, noisy):
    before = tiny.get_weights()
    tuner = WeightTuner(tiny, MonteCarloSURE(), which, learning_rate=1e-3)
    tuner.original = tiny
    tuner.denoise(noisy, sigma=SIGMA, steps=3)
    assert moved(tuner) == expected
    for value, now in zip(before, tiny.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)
    norm = tuner.model.get_layer("norm")
    np.testing.assert_array_equal(norm.moving_variance, tiny.get_layer("norm").moving_variance)


def test_weights_that_the_user_froze_are_tuned_and_stay_frozen_there(tiny, noisy):
    tiny.trainable = False
    tuner = WeightTuner(tiny, MonteCarloSURE(), learning_rate=1e-3)
    tuner.original = tiny
    tuner.denoise(noisy, sigma=SIGMA, steps=3)
    assert moved(tuner) == {"first", "norm", "last"}
    assert tiny.trainable_variables == []


def test_every_image_starts_from_the_models_weights(tiny, noisy):
    tuner = WeightTuner(tiny, MonteCarloSURE(), learning_rate=1e-3)
    first = tuner.denoise(noisy, sigma=SIGMA, steps=3, seed=5)
    tuner.denoise(noisy[:, :-3], sigma=2 * SIGMA, steps=3)
    np.testing.assert_array_equal(tuner.denoise(noisy, sigma=SIGMA, steps=3, seed=5), first)
    assert np.abs(tuner.denoise(noisy, sigma=SIGMA, steps=3, seed=6) - first).max() > 0
    np.testing.assert_allclose(tuner.denoise(noisy, sigma=SIGMA, steps=0), tiny(noisy), atol=1e-6)


def test_a_rate_that_does_harm_leaves_the_network_as_it_was(tiny, noisy):
    tuner = WeightTuner(tiny, MonteCarloSURE(), learning_rate=50.0)
    np.testing.assert_allclose(tuner.denoise(noisy, sigma=SIGMA, steps=2), tiny(noisy), atol=1e-6)


def test_gains_are_left_out_and_graphs_are_tuned_by_their_convolutions(tiny, noisy, tmp_path):
    gained = insert_gains(tiny)
    assert len(WeightTuner(gained, MonteCarloSURE()).model.weights) == len(tiny.weights)
    from gaintuning_tf import load_denoiser

    tiny.export(tmp_path / "graph", verbose=False)
    graph = load_denoiser(tmp_path / "graph")
    for which, count in (("all", 4), ("last", 2)):
        tuner = WeightTuner(graph, MonteCarloSURE(), which, learning_rate=1e-3)
        assert len(tuner._compiled.steps.objective.network.tuned) == count
        assert np.abs(tuner.denoise(noisy, sigma=SIGMA, steps=3) - graph(noisy)).max() > 1e-4


def test_any_loss_object_will_do(tiny, noisy):
    def to_half(denoise, noisy, sigma, *, seed):
        return tf.reduce_mean(tf.square(denoise(noisy) - 0.5), axis=(1, 2, 3))

    tuner = WeightTuner(tiny, to_half, learning_rate=1e-2)
    before, after = (np.square(tuner.denoise(noisy, sigma=SIGMA, steps=n) - 0.5).mean() for n in (0, 20))
    assert after < 0.8 * before


def test_refusals(tiny):
    with pytest.raises(InputError, match=r"which in .*'some'"):
        WeightTuner(tiny, MonteCarloSURE(), "some")
    half = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same", dtype="bfloat16")])
    with pytest.raises(InputError, match="float32 network"):
        WeightTuner(half, MonteCarloSURE())
    empty = keras.Sequential([keras.Input((None, None, 1)), keras.layers.ReLU()])
    with pytest.raises(InputError, match="none to tune"):
        WeightTuner(empty, MonteCarloSURE())
    with pytest.raises(InputError, match="none to tune"):
        WeightTuner(empty, MonteCarloSURE(), "last")


def test_noise_may_grow_with_the_signal(tiny):
    rng = np.random.default_rng(0)
    counts = rng.poisson(4 * (0.5 + 0.3 * np.sin(np.arange(32) / 4)) * np.ones((1, 32, 1)))[..., None] / 4
    tuner = WeightTuner(tiny, CoupledBootstrap(), "all")
    found = [tuner.denoise(counts.astype("float32"), sigma=noise, steps=3) for noise in (PoissonNoise(0.25), 0.35)]
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 0


def test_a_step_sees_the_windows_that_a_step_of_gains_sees(tiny, monkeypatch):
    """Both with little memory: several windows, the same ones, so that the comparison is of what is tuned alone."""
    monkeypatch.setattr(weight_tuning, "WINDOW", 32)
    monkeypatch.setattr(objective, "SIDE_UNIT", 12)
    monkeypatch.setattr(objective, "MEMORY", 200 * Network(tiny).bytes_per_pixel)
    noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((1, 40, 24, 1)).astype("float32")
    seen = {"gains": [], "weights": []}

    class Spy(MonteCarloSURE):
        def __init__(self, who):
            super().__init__(0.1)
            self.who = who

        def __call__(self, denoise, noisy, noise=None, *, seed):
            tf.py_function(lambda x: seen[self.who].append(x.numpy().tobytes()), [noisy], [])
            return super().__call__(denoise, noisy, noise, seed=seed)

    GainTuner(tiny, Spy("gains"), prior=None).tune(noisy, steps=2, seed=3, window=32, progress=False)
    WeightTuner(tiny, Spy("weights")).denoise(noisy, sigma=0.1, steps=2, seed=3)
    assert len(set(seen["gains"])) > 2 * 5
    steps = 2 * 7  # of seven windows each
    assert set(seen["weights"][:steps]) <= set(seen["gains"])
    assert len(seen["weights"]) >= 2 * steps


def test_an_interruption_is_raised(tiny, noisy, monkeypatch):
    monkeypatch.setattr(TuningRun, "_prepare", lambda self, bar: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        WeightTuner(tiny, MonteCarloSURE()).denoise(noisy, sigma=SIGMA, steps=1)
