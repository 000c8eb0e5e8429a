"""The whole of `GainTuner.tune` as a graph without state, for a model that tunes itself for each request."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gaintuning_tf.gains.normalization_layers import limits_of
from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.serving.noise_in_graph import estimate_sigma
from gaintuning_tf.serving.request_checks import (
    checks_of_correlation,
    checks_of_images,
    checks_of_numbers,
    checks_of_slope,
)
from gaintuning_tf.support.normalization import Normalization
from gaintuning_tf.tuning import selection
from gaintuning_tf.tuning.steps import Steps
from gaintuning_tf.tuning.windows import step_seed


class TuningInGraph:
    """The tuning of each image of a batch by itself, and its denoising; in a graph, without state.

    What `gaintune` does in Python (Mohan et al., "Adaptive denoising via GainTuning", NeurIPS
    2021), by the same functions. One image is tuned after the other, so that neither the
    number of images nor that of steps takes memory. Nothing is assigned: any number of
    threads may run the graph at once.

    Args:
        way: How to tune, and what: see `gain_steps`. All gains start at one.
        seed: As for `gaintune`.
        window: As for `GainTuner.tune`.
        normalization: Which values of an image are 0 and 1 to the network.

    Example:

    >>> import keras
    >>> from gaintuning_tf import CoupledBootstrap
    >>> from gaintuning_tf.tuning.steps import gain_steps
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> graph = TuningInGraph(gain_steps(model, CoupledBootstrap()), window=512)
    >>> noisy = tf.random.stateless_uniform((2, 16, 16, 1), (0, 1))
    >>> denoised, risk = graph.at_sigma(noisy, tf.constant([0.1, 0.2]), tf.constant(3))
    >>> denoised.shape.as_list(), risk.shape.as_list()
    ([2, 16, 16, 1], [2])
    """

    def __init__(self, way: Steps, *, seed: int = 0, window: int, normalization: Normalization | None = None):
        self._normalization = normalization or Normalization()
        self._way, self._seed, self._window = way, seed, window
        network = way.objective.network.network
        image, number = tf.TensorSpec(network.shape, network.dtype), tf.TensorSpec([], network.dtype)
        line = [image, number, number, tf.TensorSpec([], tf.int32)]
        # Both ways to ask call this one function, so that a SavedModel of both has it once.
        self._white = tf.function(self._at_white_noise, line, autograph=False)

    def at_sigma(self, noisy: tf.Tensor, sigma: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Tune and denoise images with white Gaussian noise.

        Args:
            noisy: (N, H, W, C), in [0, 1].
            sigma: Standard deviation of the noise of each image in the same units, (N,);
                estimated by `estimate_sigma` where it is not positive. An image in which no
                noise is found is denoised with gains of one.
            steps: Steps of optimisation, (), int32, at least 0.

        Returns:
            The denoised images, (N, H, W, C), and the risk of the gains that were kept, on probes
            that tuning did not see, (N,), in squared units of the image.

        Raises:
            tf.errors.InvalidArgumentError: There is no image, or not one sigma for each, pixels or sigma
                are not finite, or steps is negative.
        """
        with tf.control_dependencies([*checks_of_images(noisy, steps), *checks_of_numbers(noisy, sigma=sigma)]):
            noisy = tf.identity(noisy)

        def of_image(image, level):
            level = tf.where(level > 0, level, tf.cast(estimate_sigma(image), level.dtype))
            return self._white(image, tf.zeros_like(level), tf.square(level), steps)

        return _image_by_image(of_image, noisy, sigma)

    def at_noise(
        self, noisy: tf.Tensor, slope: tf.Tensor, intercept: tf.Tensor, correlation: tf.Tensor, steps: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Tune and denoise images with noise of a variance `slope * value + intercept`, white or correlated.

        Args:
            noisy: (N, H, W, C), in [0, 1].
            slope: That of the variance of each image, (N,), at least 0; in the units of `noisy`.
            intercept: Likewise in their square, negative where there is a black level. An image
                whose mean variance is not positive is denoised with gains of one.
            correlation: Autocovariance over variance, (N, K, K), see `correlation.checked_correlation`: K
                is odd, lag zero in the middle; each channel has this one, independent of the
                others. Zero but at lag zero for white noise, for which K may be 1.
            steps: Steps of optimisation, (), int32, at least 0.

        Returns:
            As `at_sigma`. Of correlated noise, the denoised image is the mean over noisier copies, see
            `NoiseTensors.shown`.

        Raises:
            tf.errors.InvalidArgumentError: There is no image, or not one of each for each, a number is not
                finite, slope or steps is negative, or correlation is none.

        Example:

        >>> import keras
        >>> from gaintuning_tf import CoupledBootstrap
        >>> from gaintuning_tf.tuning.steps import gain_steps
        >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
        >>> graph = TuningInGraph(gain_steps(model, CoupledBootstrap()), window=512)
        >>> noisy = tf.random.stateless_uniform((1, 16, 16, 1), (0, 1))
        >>> correlation = tf.constant([[[0.0, 0.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.0, 0.0]]])
        >>> denoised, risk = graph.at_noise(noisy, tf.zeros(1), tf.constant([0.01]), correlation, tf.constant(3))
        >>> denoised.shape.as_list(), risk.shape.as_list()
        ([1, 16, 16, 1], [1])
        """
        checks = [*checks_of_images(noisy, steps), *checks_of_numbers(noisy, slope=slope, intercept=intercept)]
        with tf.control_dependencies([*checks, *checks_of_slope(slope), *checks_of_correlation(noisy, correlation)]):
            noisy = tf.identity(noisy)

        def of_image(image, slope, intercept, correlation):
            return tf.cond(
                _is_white(correlation),
                lambda: self._white(image, slope, intercept, steps),
                lambda: self._denoised(image, _line(slope, intercept, correlation), steps),
            )

        return _image_by_image(of_image, noisy, slope, intercept, correlation)

    def _at_white_noise(self, image, slope, intercept, steps):
        return self._denoised(image, _line(slope, intercept), steps)

    def _denoised(self, image, noise, steps):
        """Tune on one image (H, W, C) within its limits, and denoise it; returns it and its risk."""
        if self._normalization.is_fixed:
            return self._tuned(image, noise, steps)
        (low,), (span,) = (tf.unstack(part, 1) for part in limits_of(self._normalization, image[None]))
        slope, intercept = noise.slope / span, (noise.intercept + noise.slope * low) / tf.square(span)
        noise = noise._replace(slope=slope, intercept=intercept)
        denoised, risk = self._tuned((image - low) / span, noise, steps)
        return denoised * span + low, risk * tf.cast(tf.square(span), risk.dtype)

    def _tuned(self, image, noise, steps):
        """Tune on one image (H, W, C) as the network takes it, and denoise it; returns it and its risk."""
        noisy = image[None]
        found = noise.mean_variance(noisy)[0] > 0
        # A line that is below zero in the mean says no more than that there is no noise.
        noise = noise._replace(**{name: tf.where(found, part, 0) for name, part in _parameters(noise)})
        steps = tf.where(found, steps, 0)
        gains, noise, risk = tune_one(self._way, noisy, noise, steps, seed=self._seed, window=self._window)
        return self._way.objective.denoise(gains, noisy, noise, self._seed)[0], risk[0]


def _parameters(noise):
    return [("slope", noise.slope), ("intercept", noise.intercept)]


def _line(slope, intercept, correlation: Any = ()):
    """Make the noise of one image of its line and, unless it is white, its correlation (K, K)."""
    if isinstance(correlation, tuple):
        return NoiseTensors(slope[None], intercept[None])
    whitening = tf.zeros([1], correlation.dtype)
    return NoiseTensors(slope[None], intercept[None], correlation[None], whitening=whitening)


def _is_white(correlation):
    """Whether a correlation (K, K) is one at lag zero and zero elsewhere, ()."""
    return tf.math.count_nonzero(correlation) <= 1


def _image_by_image(of_image, noisy, *parameters):
    """Denoise one image of a batch after the other; returns the images and their risks, of their dtype."""
    kind = (tf.TensorSpec(noisy.shape[1:], noisy.dtype), tf.TensorSpec([], tf.float64))
    images = (noisy, *parameters)
    found = tf.map_fn(lambda parts: of_image(*parts), images, fn_output_signature=kind, parallel_iterations=1)
    return tf.reshape(found[0], tf.shape(noisy)), tf.cast(found[1], noisy.dtype)


def tune_one(
    way: Steps, noisy: tf.Tensor, noise: NoiseTensors, steps: tf.Tensor, *, seed: int = 0, window: int
) -> tuple[list[tf.Tensor], NoiseTensors, tf.Tensor]:
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
        contrast; the noise, of correlated noise with the whitening that was chosen; and the
        held-out risk, (1,), float64.
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
    kept, lowest = selection.keep_best(candidates, [before, *tf.unstack(risks, num=len(candidates) - 1)])
    return kept, inputs.noise, lowest
