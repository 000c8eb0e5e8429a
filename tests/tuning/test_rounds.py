"""Further rounds of tuning: for networks far from the image alone, each kept only where it pays."""

import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from gaintuning_tf import CoupledBootstrap, GainTuner, gaintune, insert_gains
from gaintuning_tf.tuning import rounds
from gaintuning_tf.tuning.defaults import ROUNDS, STEPS
from helpers.one_gain import SIGMA, gains, noisy, scaling, tune
from helpers.places import TESTS

# So far from one that a round of steps of at most 0.1 does not get there.
FAR = scaling(0.2)


def risk(gain, factor, y):
    """Of `gain * factor * y`, whose divergence is exact."""
    g = gain * factor
    return np.mean((g - 1) ** 2 * y**2) - SIGMA**2 + 2 * SIGMA**2 * g


def test_a_network_that_is_far_gets_further_rounds_and_ends_lower():
    y = noisy()
    tuner = GainTuner(FAR, CoupledBootstrap(SIGMA))
    one = tune(tuner, y, steps=STEPS)
    short = gains(tuner.model)[0]
    tuner.reset()
    history = tune(tuner, y)
    assert one.risk.shape == (STEPS,)
    assert history.risk.shape[0] > STEPS and history.risk.shape[0] % STEPS == 0
    assert history.risk.shape[0] <= ROUNDS * STEPS
    np.testing.assert_array_equal(history.risk[:STEPS], one.risk)
    assert history.risk_before == one.risk_before
    assert history.risk_after < one.risk_after
    found = gains(tuner.model)[0]
    assert 1.1 < short < found
    assert risk(found, 0.2, y) < 0.5 * risk(short, 0.2, y)


def test_a_network_that_is_near_gets_one():
    tuner = GainTuner(scaling(0.97), CoupledBootstrap(SIGMA))
    assert tune(tuner, noisy()).risk.shape == (STEPS,)


def test_a_round_that_fits_the_noise_is_not_kept(monkeypatch, tiny):
    y = noisy(shape=(1, 16, 16, 1))
    tuner = GainTuner(tiny, CoupledBootstrap(SIGMA))
    tune(tuner, y, steps=STEPS)
    short = gains(tuner.model)
    tuner.reset()
    monkeypatch.setattr(rounds, "_needs_more", lambda base, *_: base == base)
    optimism = iter([0.0, 1.0])
    monkeypatch.setattr(rounds.TuningRun, "_optimism", lambda self: next(optimism))
    history = tune(tuner, y)
    assert history.risk.shape == (2 * STEPS,)
    np.testing.assert_array_equal(gains(tuner.model), short)


# In a process of its own, which without the reference convolves an image of no channels and dies of it.
WITHOUT_STEPS = """
import numpy as np, tensorflow as tf
from helpers.networks import make_tiny
from gaintuning_tf import GainTuner, NoiseResamplingLoss
from gaintuning_tf.serving.tuning_in_graph import TuningInGraph
from gaintuning_tf.tuning.rounds import TuningRun
from gaintuning_tf.tuning.steps import gain_steps

noisy = np.random.default_rng(0).normal(0.5, 0.1, (1, 32, 32, 1)).astype("float32")
options = {"sigma": 0.1, "progress": False}
tuner = GainTuner(make_tiny(), NoiseResamplingLoss(), contrast=False)
print(tuner.tune(noisy, steps=1, **options).risk_before)
tuner.reset()
print(tuner.tune(noisy, steps=0, **options).risk_before)
steps = gain_steps(make_tiny(), NoiseResamplingLoss(), contrast=False)
graph = TuningInGraph(steps, window=512)
print(float(graph.at_sigma(tf.constant(noisy), tf.constant([0.1]), tf.constant(0))[1][0]))

def interrupt(run, bar):
    raise KeyboardInterrupt

TuningRun._prepare = interrupt
history = tuner.tune(noisy, steps=1, **options)
print(history.risk_before)
assert history.interrupted
"""


def test_a_loss_with_a_reference_has_it_without_steps_too():
    done = subprocess.run([sys.executable, "-c", WITHOUT_STEPS], capture_output=True, text=True, cwd=TESTS)
    assert done.returncode == 0, done.stderr[-2000:]
    stepped, *others = map(float, done.stdout.split())
    np.testing.assert_allclose(others, stepped, rtol=1e-4)
    assert len(others) == 3 and stepped > 0


def test_no_further_round_follows_a_risk_that_is_impossible():
    # Of eight times the noise there is, the estimate falls far below zero, and further with every step.
    tuner = GainTuner(FAR, CoupledBootstrap(8 * SIGMA))
    history = tune(tuner, noisy())
    assert history.risk_after < history.risk_before < 0
    assert history.risk.shape == (STEPS,)


@pytest.mark.parametrize(("base", "after", "far"), [(1.0, 0.94, True), (1.0, 0.97, False), (0.01, 0.0, False)])
def test_far_is_a_share_of_the_risk_or_of_its_standard_error(base, after, far):
    assert bool(rounds._needs_more(np.float64(base), np.float64(after), 0.0, np.float64(0.5))) == far


def test_images_in_a_batch_go_on_by_themselves():
    # Of the second, 0.2 is the best multiple: 1 - s^2 / mean(y^2).
    faint = 0.05 + SIGMA * np.random.default_rng(2).standard_normal((1, 32, 32, 1))
    y = np.concatenate([noisy(), faint.astype("float32")])
    tuner = GainTuner(insert_gains(FAR, images=2), CoupledBootstrap())
    history = tune(tuner, y, sigma=[SIGMA, SIGMA])
    alone = GainTuner(FAR, CoupledBootstrap())
    for index in range(2):
        alone.reset()
        single = tune(alone, y[index : index + 1], sigma=SIGMA)
        steps = len(single.risk)
        np.testing.assert_allclose(history.risk[index, :steps], single.risk, rtol=1e-4, atol=1e-7)
        assert np.isnan(history.risk[index, steps:]).all()
        np.testing.assert_allclose(history.risk_after[index], single.risk_after, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(gains(tuner.model).reshape(2, -1)[index], gains(alone.model), rtol=1e-3)
    assert np.isfinite(history.risk[0, STEPS:]).all() and history.risk.shape[1] > STEPS
    assert np.isnan(history.risk[1, STEPS:]).all()


class _At(keras.callbacks.Callback):
    """Does something at the end of a step."""

    def __init__(self, step, act):
        super().__init__()
        self.step, self.act, self.seen = step, act, []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)
        if epoch == self.step:
            self.act(self.model)


def interrupt(_):
    raise KeyboardInterrupt


def stop(model):
    model.stop_training = True


@pytest.mark.parametrize("act", [interrupt, stop])
@pytest.mark.parametrize("step", [2, STEPS - 1, STEPS + 3])
def test_it_ends_early_in_any_round_with_the_best_so_far(act, step):
    tuner = GainTuner(FAR, CoupledBootstrap(SIGMA))
    callback = _At(step, act)
    history = tune(tuner, noisy(), callbacks=[callback])
    assert callback.seen == list(range(step + 1))
    assert history.risk.shape == (step + 1,)
    assert history.interrupted == (act is interrupt)
    assert history.risk_after < history.risk_before
    assert gains(tuner.model)[0] > 1


def test_gaintune_tells_how_many_steps_it_took():
    y = noisy()[0, ..., 0]
    result = gaintune(y, FAR, sigma=SIGMA, data_range=1.0, progress=False)
    assert result.history["risk"].shape[-1] > STEPS
    again = gaintune(y, FAR, sigma=SIGMA, data_range=1.0, progress=False)
    np.testing.assert_array_equal(result.denoised, again.denoised)


def test_ctrl_c_ends_the_run_after_the_step_and_keeps_the_best(tiny):
    """Wherever it comes: as a signal it is asked for after each step, and no exception."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        press = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_, **__: signal.raise_signal(signal.SIGINT))
        history = tune(GainTuner(tiny, CoupledBootstrap(SIGMA)), noisy(), steps=1000, callbacks=[press])
    finally:
        signal.signal(signal.SIGINT, before)
    assert history.interrupted
    assert history.risk.shape == (1,)
    assert history.risk_after <= history.risk_before


def test_what_is_called_later_is_traced_by_another_thread(tiny):
    threads = set()

    class Noted(CoupledBootstrap):
        def __call__(self, *arguments, **options):
            threads.add(threading.current_thread().name)
            return super().__call__(*arguments, **options)

    tune(GainTuner(tiny, Noted(SIGMA)), noisy(), steps=1)
    assert len(threads) == 1 and threads.pop().startswith("tracing")
