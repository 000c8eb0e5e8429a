"""GainTuner: finds the optimum, touches nothing but gains, repeats itself, and can be stopped."""

import pydoc
import resource

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    BlindSpotLoss,
    CountSplitting,
    CoupledBootstrap,
    GainTuner,
    GainTuningWarning,
    GaussianNoise,
    InputError,
    MonteCarloSURE,
    NoiseResamplingLoss,
    PoissonNoise,
    gain_layers,
    insert_gains,
)
from gaintuning_tf.noise.tensors import noise_tensors
from gaintuning_tf.tuning import selection, windows
from gaintuning_tf.tuning.steps import gain_steps
from helpers.one_gain import SIGMA, gains, noisy, scaling, tune


def test_finds_the_minimum_of_sure():
    """risk(g) = mean((g - 1)^2 y^2) - s^2 + 2 s^2 g, least at g = 1 - s^2 / mean(y^2), for the exact divergence."""
    y = noisy()
    best = 1 - SIGMA**2 / np.mean(y**2)
    assert best < 0.98
    tuner = GainTuner(scaling(), MonteCarloSURE(SIGMA, probe="rademacher"), keras.optimizers.SGD(0.3))
    tune(tuner, y, steps=60)
    # Rademacher probes see a multiple of the identity without error; rounding over the step of 3e-4 is left.
    assert gains(tuner.model)[0] == pytest.approx(best, abs=2e-3)


def test_the_history_tells_the_risk():
    y = noisy()
    tuner = GainTuner(scaling(), MonteCarloSURE(SIGMA, probe="rademacher"), keras.optimizers.SGD(0.3))
    history = tune(tuner, y, steps=30)
    assert history.risk.shape == (30,)
    assert history.risk_before == pytest.approx(SIGMA**2, rel=0.01)  # of f(y) = y
    assert history.risk[0] == pytest.approx(SIGMA**2, rel=0.01)
    g = gains(tuner.model)[0]
    assert history.risk_after == pytest.approx(np.mean((g - 1) ** 2 * y**2) - SIGMA**2 + 2 * SIGMA**2 * g, rel=0.01)
    assert not history.interrupted


@pytest.mark.parametrize("jit_compile", [False, True])
def test_weights_stay_bit_for_bit_and_the_model_is_untouched(tiny, jit_compile):
    tiny.compile("sgd", "mse")
    before, optimizer = [w.copy() for w in tiny.get_weights()], tiny.optimizer
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA), jit_compile=jit_compile)
    frozen = [v for v in tuner.model.variables if v.name != "gain"]
    frozen_before = [v.numpy().copy() for v in frozen]
    tune(tuner, noisy(), steps=5)
    assert all(np.array_equal(a, b) for a, b in zip(tiny.get_weights(), before, strict=True))
    assert tiny.optimizer is optimizer
    assert gain_layers(tiny) == []
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(frozen, frozen_before, strict=True))
    assert np.any(gains(tuner.model) != 1)


def test_batch_norm_and_dropout_stay_in_inference_mode():
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Conv2D(1, 3, padding="same"),
        ]
    )
    tuner = GainTuner(model, MonteCarloSURE(SIGMA, probe="rademacher"), keras.optimizers.SGD(0.0))
    history = tune(tuner, noisy(), steps=4)
    norm = tuner.model.get_layer(index=2)
    assert norm.moving_mean.numpy().tolist() == [0] * 4
    # Dropout would scatter the risk at unchanging gains by tens of percent; probes alone do less.
    assert np.std(history.risk) < 0.1 * abs(np.mean(history.risk))


def test_the_same_seed_gives_the_same_gains(tiny):
    found = []
    for seed in (1, 1, 2):
        tuner = GainTuner(tiny, MonteCarloSURE(SIGMA))
        tune(tuner, noisy(), steps=5, seed=seed)
        found.append(gains(tuner.model))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.any(found[0] != found[2])


@pytest.mark.parametrize("seed", [-1, 2**40, 2**70])
def test_any_whole_number_is_a_seed(tiny, seed):
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA, probes=2))
    assert np.isfinite(tune(tuner, noisy(), steps=1, seed=seed, window=20).risk_after)


def test_tensorboard_and_checkpoints_work_as_callbacks(tiny, tmp_path):
    callbacks = [
        keras.callbacks.TensorBoard(tmp_path / "board", histogram_freq=1, write_graph=False),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss", save_best_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = tune(GainTuner(tiny, MonteCarloSURE(SIGMA)), noisy(), steps=3, callbacks=callbacks)
    assert list((tmp_path / "board").rglob("events*"))
    assert len(gain_layers(keras.models.load_model(tmp_path / "best.keras"))) == 2
    logged = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)["loss"]
    np.testing.assert_allclose(logged, history.risk, rtol=1e-5)


def test_reset_makes_a_used_tuner_like_a_new_one(tiny):
    fresh = GainTuner(tiny, MonteCarloSURE(SIGMA))
    tune(fresh, noisy(1), steps=5)
    used = GainTuner(tiny, MonteCarloSURE(SIGMA))
    tune(used, noisy(2), steps=7)
    used.reset()
    assert set(gains(used.model)) == {1}
    tune(used, noisy(1), steps=5)
    np.testing.assert_array_equal(gains(used.model), gains(fresh.model))


def test_compiled_and_uncompiled_agree(tiny):
    found = []
    for jit_compile in (False, True):
        tuner = GainTuner(tiny, MonteCarloSURE(SIGMA), prior=None, jit_compile=jit_compile)
        tune(tuner, noisy(), steps=10)
        found.append(gains(tuner.model))
    np.testing.assert_allclose(*found, atol=2e-3)


def test_the_step_is_a_pure_function(tiny):
    steps = gain_steps(tiny, MonteCarloSURE())
    image, seen = tf.constant(noisy()), steps.objective.windows(noisy(), None)
    inputs = steps.prepare(steps.initial()[0], image, noise_tensors(SIGMA), 0, seen)[1]
    step = tf.function(steps.one_step, autograph=False)
    start, state = steps.initial()
    arguments = (selection.nothing_seen(start, groups=1), start, state, inputs, tf.constant([0, 0]))
    _, new, new_state, risk = step(*arguments)
    _, again, _, _ = step(*arguments)
    assert set(gains(steps.objective.network.network.model)) == {1}
    assert int(steps.optimizer.iterations) == 0
    assert any(np.any(v != 1) for v in new)
    assert int(new_state[0]) == 1
    assert risk.shape == (1,)
    assert all(np.array_equal(a, b) for a, b in zip(new, again, strict=True))


def test_each_image_of_a_batch_is_tuned_as_if_alone(tiny):
    images = np.concatenate([noisy(1), 0.5 * noisy(2), noisy(3) ** 2])
    sigmas = np.array([0.1, 0.05, 0.15])

    class Quiet(MonteCarloSURE):
        """The same probe for every image, so that a batch sees what each image alone would see."""

        def __call__(self, denoise, noisy, sigma=None, *, seed):
            probe = tf.random.stateless_normal(tf.shape(noisy)[1:], seed, alg="philox")[None]
            clean, shifted = tf.split(denoise(tf.concat([noisy, noisy + 1e-3 * probe], 0)), 2)
            divergence = tf.reduce_mean(probe * (shifted - clean), [1, 2, 3]) / 1e-3
            return tf.reduce_mean((clean - noisy) ** 2, [1, 2, 3]) + sigma**2 * (2 * divergence - 1)

    together = GainTuner(insert_gains(tiny, images=3), Quiet())
    history = tune(together, images, sigma=sigmas, steps=8)
    assert history.risk.shape == (3, 8)
    assert history.risk_after.shape == (3,)
    alone = GainTuner(tiny, Quiet())
    for index in range(3):
        alone.reset()
        tune(alone, images[index : index + 1], sigma=sigmas[index], steps=8)
        for one, all_of_them in zip(gain_layers(alone.model), gain_layers(together.model), strict=True):
            np.testing.assert_allclose(all_of_them.gain[index], one.gain, atol=1e-4)


@pytest.mark.parametrize(
    "loss", [CoupledBootstrap(), MonteCarloSURE(), NoiseResamplingLoss(), BlindSpotLoss(), CountSplitting()]
)
def test_each_image_of_a_batch_gets_the_random_numbers_that_it_would_get_alone(tiny, loss):
    images = np.concatenate([noisy(1), 0.5 * noisy(2), noisy(3) ** 2])
    noise = PoissonNoise(0.02) if isinstance(loss, CountSplitting) else GaussianNoise(SIGMA)
    together = GainTuner(insert_gains(tiny, images=3), loss)
    risk = tune(together, images, sigma=noise, steps=3).risk
    alone = GainTuner(tiny, loss)
    for index in range(3):
        alone.reset()
        own = tune(alone, images[index : index + 1], sigma=noise, steps=3).risk
        np.testing.assert_allclose(risk[index], own, rtol=1e-4, atol=1e-7)
        image = images[index : index + 1]
        np.testing.assert_allclose(together.denoise(images)[index], alone.denoise(image)[0], atol=1e-4)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.01),
        keras.optimizers.RMSprop(1e-3),
        keras.optimizers.AdamW(1e-3),
        keras.optimizers.Lion(1e-3),
    ],
    ids=lambda o: o.name,
)
def test_any_keras_optimizer_lowers_the_risk(tiny, optimizer):
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA), optimizer)
    history = tune(tuner, noisy(), steps=20)
    assert history.risk_after < history.risk_before
    assert not optimizer.built, "the optimizer passed in is only copied"


def test_a_reckless_learning_rate_cannot_make_it_worse(tiny):
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA), keras.optimizers.SGD(1e3))
    with pytest.warns(GainTuningWarning, match="changed nothing"):
        history = tune(tuner, noisy(), steps=10)
    assert history.risk_after == history.risk_before
    assert set(gains(tuner.model)) == {1}


def test_a_sigma_that_is_too_large_is_told(tiny):
    with pytest.warns(GainTuningWarning, match="noise is probably less"):
        tune(GainTuner(tiny, MonteCarloSURE(1.0)), noisy(), steps=1)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 6:
            raise KeyboardInterrupt


def test_an_interruption_keeps_the_best_gains_so_far(tiny):
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA))
    history = tune(tuner, noisy(), steps=100, callbacks=[Interrupt()])
    assert history.interrupted
    assert history.risk.shape == (7,)
    assert history.risk_after < history.risk_before
    assert np.any(gains(tuner.model) != 1)


def test_keras_callbacks_stop_and_change_the_learning_rate(tiny):
    rates = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            assert np.isfinite(logs["loss"])
            rates.append(float(self.model.optimizer.learning_rate))

    callbacks = [
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0),
        keras.callbacks.EarlyStopping("loss", patience=6, min_delta=10.0, restore_best_weights=True),
        Watch(),
    ]
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA), keras.optimizers.Adam(1e-2))
    history = tune(tuner, noisy(), steps=50, callbacks=callbacks)
    assert history.risk.shape == (7,)
    assert rates[0] == pytest.approx(1e-2)
    assert rates[-1] < rates[0] / 4


@pytest.mark.parametrize(("prior", "highest"), [(0.06, 0.6), (None, 3e-3)])
def test_the_default_learning_rate_falls_to_zero(tiny, prior, highest):
    rates = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda e, logs: rates.append(float(tuner.optimizer.learning_rate))
    )
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA), prior=prior)
    for _ in range(2):
        tune(tuner, noisy(), steps=10, callbacks=[watch])
    np.testing.assert_allclose(rates[:10], rates[10:], rtol=1e-6)
    np.testing.assert_allclose(rates[:10], highest * (1 + np.cos(np.pi * np.arange(10) / 10)) / 2, rtol=1e-5)


def test_twenty_images_neither_retrace_nor_grow(tiny):
    tuner = GainTuner(tiny, MonteCarloSURE(SIGMA))
    shapes = [(1, 48, 48, 1), (1, 33, 47, 1)]
    peaks = []
    for number in range(20):
        tuner.reset()
        tune(tuner, noisy(number, shapes[number % 2]), steps=3)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    functions = tuner._compiled.functions(noise_tensors(SIGMA))._asdict()
    counts = {name: function.experimental_get_tracing_count() for name, function in functions.items()}
    assert counts == {"prepare": 1, "step": 1, "held_out": 1, "rounded_step": 0, "whiten": 0, "widen": 0, "optimism": 0}
    assert peaks[-1] - peaks[5] < 20_000, "kilobytes gained from the 6th image to the 20th"


def test_a_window_bounds_what_a_step_sees(tiny):
    seen = []

    class Spy(MonteCarloSURE):
        def __call__(self, denoise, noisy, sigma=None, *, seed):
            tf.py_function(lambda x: seen.append((x.shape[1:3], float(x[0, 0, 0, 0]))), [noisy], [])
            return super().__call__(denoise, noisy, sigma, seed=seed)

    tuner = GainTuner(tiny, Spy(SIGMA), jit_compile=False)
    history = tune(tuner, noisy(shape=(1, 40, 20, 1)), steps=8, window=24)
    assert {tuple(shape) for shape, _ in seen} == {(24, 20)}
    assert len({corner for _, corner in seen}) > 4, "windows move"
    assert np.isfinite(history.risk_after)


def test_a_step_goes_down_the_mean_of_its_windows(tiny):
    steps = gain_steps(tiny, MonteCarloSURE(), keras.optimizers.SGD(1.0))
    gains, state = steps.initial()
    image, noise, seed = tf.constant(noisy(shape=(1, 40, 20, 1))), noise_tensors(SIGMA), windows.step_seed(3, 5)
    seen = windows.Windows(tf.constant([12, 12]), tf.constant(3))
    nothing = selection.nothing_seen(gains, groups=1)
    _, after, _, risk = steps.one_step(nothing, gains, state, steps.unprepared(image, noise, seen), seed)
    risks, gradients = [], []
    for number in range(3):
        part = windows.spread_window(image, seed, number, seen)
        with tf.GradientTape() as tape:
            tape.watch(gains[:-1])
            risks.append(steps.objective.risk(gains, part, noise, windows.window_seed(seed, number)))
        gradients.append(tape.gradient(risks[-1], gains[:-1]))
    np.testing.assert_allclose(risk, [np.mean(risks)], rtol=1e-6)
    for index, gain in enumerate(after[:-1]):
        np.testing.assert_allclose(gain, 1 - np.mean([slope[index] for slope in gradients], 0), rtol=1e-5)
    assert len({float(risk[0]) for risk in risks}) == 3, "the windows differ"


def test_odd_sizes_of_a_network_that_halves(tiny):
    inputs = keras.Input((None, None, 1))
    half = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    quarter = keras.layers.Conv2D(4, 3, strides=2, padding="same")(half)
    back = keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same")(quarter)
    joined = keras.layers.Concatenate()([back, half])
    model = keras.Model(inputs, keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(joined))
    tuner = GainTuner(model, MonteCarloSURE(SIGMA))
    for shape in ((1, 31, 30, 1), (1, 2, 5, 1)):
        history = tune(tuner, noisy(shape=shape), steps=2)
        assert np.isfinite(history.risk_after)
        assert tuner.denoise(noisy(shape=shape)).shape == shape


def test_volumes_and_lines_are_images_too():
    for layer, shape in ((keras.layers.Conv1D, (1, 64, 1)), (keras.layers.Conv3D, (1, 8, 8, 8, 1))):
        model = keras.Sequential([keras.Input((*[None] * (len(shape) - 2), 1)), layer(1, 3, padding="same")])
        image = 0.5 + SIGMA * np.random.default_rng(0).standard_normal(shape).astype("float32")
        history = tune(GainTuner(model, MonteCarloSURE(SIGMA)), image, steps=3)
        assert history.risk_after <= history.risk_before


def test_float64_and_mixed_precision_networks():
    for policy in ("float64", "mixed_bfloat16"):
        inputs = keras.Input((None, None, 1), dtype="float64" if policy == "float64" else "float32")
        x = keras.layers.Conv2D(4, 3, padding="same", dtype=policy, activation="relu")(inputs)
        x = keras.layers.Conv2D(1, 3, padding="same", dtype=policy)(x)
        model = keras.Model(inputs, x)
        tuner = GainTuner(model, MonteCarloSURE(SIGMA))
        assert tuner.loss.step == pytest.approx({"float64": 2**-26, "mixed_bfloat16": 2**-3.5}[policy])
        history = tune(tuner, noisy(), steps=3)
        assert history.risk_after <= history.risk_before


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((32, 32, 1), "float32"), {}, "expects images of shape"),
        (np.zeros((1, 32, 32, 3), "float32"), {}, "expects images of shape"),
        (np.zeros((1, 32, 32, 1), "uint8"), {}, "floating-point"),
        (np.full((1, 32, 32, 1), np.nan, "float32"), {}, "finite"),
        (noisy(), {"sigma": 0}, "positive"),
        (noisy(), {"sigma": [0.1, 0.2]}, "one per image"),
        (noisy(), {"steps": -1}, "steps"),
    ],
)
def test_bad_input_is_refused(tiny, image, options, message):
    with pytest.raises(InputError, match=message):
        tune(GainTuner(tiny, MonteCarloSURE(SIGMA)), image, **options)


def test_an_unknown_noise_level_is_refused(tiny):
    with pytest.raises(InputError, match="noise level"):
        tune(GainTuner(tiny, MonteCarloSURE()), noisy())


def test_a_model_that_is_no_denoiser_is_refused():
    for stack, message in (
        ([keras.layers.Conv2D(2, 3, padding="same")], "output has its input's shape"),
        ([keras.layers.Conv2D(1, 3)], "size of its input"),
        ([keras.layers.Flatten(), keras.layers.Dense(1)], "output has its input's shape"),
    ):
        with pytest.raises(InputError, match=message):
            GainTuner(
                keras.Sequential([keras.Input((16, 16, 1) if len(stack) > 1 else (None, None, 1)), *stack]),
                MonteCarloSURE(1),
            )


def test_help_shows_what_a_user_calls_and_no_machinery():
    shown = {name for name in vars(GainTuner) if not name.startswith("_")}
    assert GainTuner.__bases__ == (object,)
    methods = {"tune", "denoise", "denoise_once", "copies", "first_result", "reset", "gains", "set_gains"}
    assert shown == {*methods, "model", "contrast"}
    text = pydoc.render_doc(GainTuner, renderer=pydoc.plaintext)
    assert all(name in text for name in shown)
    assert "Methods inherited" not in text


def test_the_old_names_of_the_risks_still_work(tiny):
    history = tune(GainTuner(tiny, MonteCarloSURE(SIGMA)), noisy(), steps=1)
    with pytest.warns(DeprecationWarning, match="risk_before"):
        assert history.before == history.risk_before
    with pytest.warns(DeprecationWarning, match="risk_after"):
        assert history.after == history.risk_after
