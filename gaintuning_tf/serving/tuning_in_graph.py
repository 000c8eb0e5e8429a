"""The whole of `GainTuner.tune` as a graph without state, for a model that tunes itself for each request."""

from __future__ import annotations

import tensorflow as tf

from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.serving.noise_in_graph import estimate_sigma
from gaintuning_tf.tuning import selection
from gaintuning_tf.tuning.steps import Steps
from gaintuning_tf.tuning.windows import step_seed


def denoise_adaptively(
    way: Steps, noisy: tf.Tensor, sigma: tf.Tensor, steps: tf.Tensor, *, seed: int = 0, window: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Tune gains for each image of a batch by itself, and denoise it with them; in a graph, without state.

    What `gaintune` does in Python (Mohan et al., "Adaptive denoising via GainTuning", NeurIPS
    2021), by the same functions. One image is tuned after the other, so that neither the
    number of images nor that of steps takes memory. Nothing is assigned: any number of
    threads may run the graph at once.

    Args:
        way: How to tune, and what: see `gain_steps`. All gains start at one.
        noisy: (N, H, W, C), in [0, 1].
        sigma: Standard deviation of the noise of each image in the same units, (N,);
            estimated by `estimate_sigma` where it is not positive. An image in which no
            noise is found is denoised with gains of one.
        steps: Steps of optimisation, (), integer, at least 0.
        seed: As for `gaintune`.
        window: As for `GainTuner.tune`.

    Returns:
        The denoised images, (N, H, W, C), and the risk of the gains that were kept, on probes
        that tuning did not see, (N,), in squared units of the image.

    Raises:
        tf.errors.InvalidArgumentError: There is no image, or not one sigma for each, pixels or sigma
            are not finite, or steps is negative.

    Example:

    >>> import keras
    >>> from gaintuning_tf import MonteCarloSURE
    >>> from gaintuning_tf.tuning.steps import gain_steps
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> way = gain_steps(model, MonteCarloSURE())
    >>> noisy = tf.random.stateless_uniform((2, 16, 16, 1), (0, 1))
    >>> denoised, risk = denoise_adaptively(way, noisy, tf.constant([0.1, 0.2]), tf.constant(3), window=512)
    >>> denoised.shape.as_list(), risk.shape.as_list()
    ([2, 16, 16, 1], [2])
    """
    with tf.control_dependencies(_checks(noisy, sigma, steps)):
        noisy = tf.identity(noisy)

    def one(image_and_sigma):
        image, level = image_and_sigma
        level = tf.where(level > 0, level, tf.cast(estimate_sigma(image), level.dtype))
        found = tf.where(level > 0, steps, 0)
        noise = NoiseTensors(intercept=tf.square(level[None]))
        gains, risk = tune_one(way, image[None], noise, found, seed=seed, window=window)
        return way.objective.network.apply(gains, image[None])[0], risk[0]

    result = (tf.TensorSpec(noisy.shape[1:], noisy.dtype), tf.TensorSpec([], tf.float64))
    denoised, risk = tf.map_fn(one, (noisy, sigma), fn_output_signature=result, parallel_iterations=1)
    return tf.reshape(denoised, tf.shape(noisy)), tf.cast(risk, noisy.dtype)


def tune_one(
    way: Steps, noisy: tf.Tensor, noise: NoiseTensors, steps: tf.Tensor, *, seed: int = 0, window: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Find the gains that `GainTuner.tune` would find on one image from gains of one.

    Args:
        way: How to tune, and what.
        noisy: (1, H, W, C).
        noise: What is known of its noise.
        steps: (), integer.
        seed: As for `GainTuner.tune`.
        window: As for `GainTuner.tune`.

    Returns:
        One tensor per `Gain` layer, in the order of `gain_layers`, and behind them the
        contrast; and the held-out risk, (1,), float64.
    """
    objective = way.objective
    windows = objective.windows(noisy, window)
    start, state = way.initial()

    def unprepared():
        # Without steps there is nothing to prepare for.
        inputs = objective.with_reference(start, way.unprepared(noisy, noise, windows))
        return start, inputs, objective.held_out(start, inputs, seed)

    def prepared():
        values, inputs, _, risk = way.prepare(start, noisy, noise, seed, windows)
        return values, inputs, risk

    gains, inputs, before = tf.cond(steps > 0, prepared, unprepared)

    def unfinished(number, risk, *_):
        # As the loop in Python: a risk that is not finite ends it.
        return (number < steps) & tf.math.is_finite(risk[0])

    def body(number, risk, gains, state, best):
        state = way.annealed(state, number, steps)
        best, gains, state, risk = way.one_step(best, gains, state, inputs, step_seed(seed, number))
        return number + 1, risk, gains, state, best

    best = selection.nothing_seen(start, groups=1)
    loop = (tf.zeros_like(steps), tf.zeros([1], tf.float64), gains, state, best)
    # No gradient is taken through the loop, so that no step's activations outlive it.
    _, _, last, _, best = tf.while_loop(unfinished, body, loop, parallel_iterations=1)

    candidates = selection.candidates(start, best.values, last)
    # The first is the start, whose risk is known.
    together = [tf.stack(gains) for gains in zip(*candidates[1:], strict=True)]
    result = tf.TensorSpec([1], tf.float64)
    # One candidate after the other: side by side they would need the memory of all.
    risks = tf.map_fn(
        lambda gains: objective.held_out(gains, inputs, seed),
        together,
        fn_output_signature=result,
        parallel_iterations=1,
    )
    return selection.keep_best(candidates, [before, *tf.unstack(risks, num=len(candidates) - 1)])


def _checks(noisy, sigma, steps):
    return [
        tf.debugging.assert_positive(tf.shape(noisy)[0], "expected at least one image"),
        tf.debugging.assert_equal(
            tf.shape(sigma), tf.shape(noisy)[:1], "expected one sigma for each image: noisy [N, H, W, C] and sigma [N]"
        ),
        tf.debugging.assert_non_negative(steps, "expected steps to be a whole number of at least 0"),
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(noisy)), ["expected finite pixels, received NaN or infinite ones"]
        ),
        tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(sigma)), ["expected finite sigma, received", sigma]),
    ]
