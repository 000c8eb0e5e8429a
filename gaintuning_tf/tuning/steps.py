"""What tuning computes: pure functions of gains, optimiser state, image, noise and seed.

The loop of `GainTuner` in Python and that of `gaintuning_tf.serving.tuning_in_graph` in a graph call them, so that
the two agree. No function here changes a variable.
"""

from __future__ import annotations

import contextlib
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.gains.contrast import at_contrast
from gaintuning_tf.gains.convolutions import convolutions, sublayers
from gaintuning_tf.gains.graph_models import as_keras_model
from gaintuning_tf.gains.graph_network import GraphNetwork
from gaintuning_tf.gains.surgery import gain_layers, insert_gains
from gaintuning_tf.losses.base import as_risk_estimate
from gaintuning_tf.losses.divergence import probe_step
from gaintuning_tf.networks import sizes
from gaintuning_tf.networks.memory import bytes_per_pixel
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.tensors import as_level, standard_error
from gaintuning_tf.tuning import gauss_newton, selection, windows as tuning_windows
from gaintuning_tf.tuning.contrast_search import is_homogeneous, lowest_contrast
from gaintuning_tf.tuning.crop_derivatives import Twin
from gaintuning_tf.tuning.defaults import ADAM_RATE, RATE, WIDE_LIMIT, WIDE_PRIOR
from gaintuning_tf.tuning.round_inputs import Reach, Scene, Slope, damping
from gaintuning_tf.tuning.stateless_optimizer import stateless

# A step may keep so many bytes of the network's activations: those of a UNet for
# 512x512 pixels, of a DnCNN for 256x256. Larger images are tuned on windows as large as
# that allows, for near the borders of small ones the network has no context
# (docs/log/2026-11-25-small-windows-mislead-on-micrographs.md).
MEMORY = 1.75e9
# The sides of windows are multiples of this, so that networks that halve the resolution
# up to six times see them without padding.
SIDE_UNIT = 64
# A network is asked about its biases with an image of this side, in pixels. Biases show
# in an image of any size; this one is small, and no network that halves it needs
# padding.
PROBE_SIDE = 64


class Core:
    """A network with gains, a loss, and the pure functions that tune one by the other.

    `gains` are, throughout, one tensor per `Gain` layer in the order of `gain_layers`, and behind
    them the contrast, (images or 1,); without it, the contrast is that of the object.
    """

    def __init__(self, model, loss, optimizer, prior, contrast):
        model = as_keras_model(model)
        sizes.check_denoiser(model)
        self.model = insert_gains(model)
        loss, step = as_risk_estimate(loss), _probe_step(self.model)
        self.loss, self.criterion = loss.at_step(step), loss.criterion.at_step(step)
        self.prior = prior if optimizer is None else None
        self._anneals = optimizer is None
        if optimizer is None:
            optimizer = keras.optimizers.Adam(ADAM_RATE) if prior is None else keras.optimizers.SGD(RATE)
        self.optimizer = stateless(optimizer)
        self._multiple = sizes.size_multiple(self.model)
        self._twin = None if self.prior is None else Twin(model, self.model)
        gains = gain_layers(self.model)
        self._images = gains[0].images
        self._count = len(gains)
        self._row_kind = tf.TensorSpec([self._images or 1], tf.float64)
        self._sizes = [gain.gain.shape[-1] for gain in gains]
        ones = np.ones(self._images or 1, np.float32)
        self._variables = [*(gain.gain for gain in gains), keras.Variable(ones, trainable=False, name="contrast")]
        self.contrast = self._level_matters() if contrast is None else contrast
        self.optimizer.build(self._variables[: self._count])
        rate = self.optimizer._learning_rate
        self._rate = next((i for i, variable in enumerate(self.optimizer.variables) if variable is rate), None)
        self._initial_state = [keras.ops.convert_to_numpy(v) for v in self.optimizer.variables]

    def _level_matters(self):
        """Whether to look for a contrast: with biases, a network knows noise of some strengths only."""
        if self.prior is None:
            return False
        batch, *size, channels = self.model.inputs[0].shape
        shape = (batch or self._images or 1, *(side or PROBE_SIDE for side in size), channels)
        return not is_homogeneous(functools.partial(self._run, self.model), shape)

    # The network.

    def apply(self, gains, noisy):
        """The images denoised with these gains, (N, H, W, C)."""
        with self._with(gains):
            return self._denoise(noisy)

    def risk(self, gains, noisy, noise, seed, reference=None):
        """The risk of each image at these gains, (N,): the arguments of `step`, and as pure."""
        return self._risk_by(self.loss, gains, noisy, noise, seed, reference)

    def _risk_by(self, loss, gains, noisy, noise, seed, reference):
        noise = None if isinstance(noise, tuple) and not noise else noise
        with self._with(gains), draws.alike() if self._images else contextlib.nullcontext():
            return loss.of(self._denoise, noisy, noise, seed=seed, reference=reference)

    def _with(self, gains):
        return keras.StatelessScope(list(zip(self._variables, gains, strict=False)))

    def _denoise(self, noisy):
        contrast = tf.convert_to_tensor(self._variables[-1].value)
        return at_contrast(lambda image: self._run(self.model, image), noisy, contrast)

    def _run(self, model, noisy):
        padded = sizes.pad_symmetric(noisy, self._multiple)
        # A network of mixed precision answers in its compute dtype.
        return tf.cast(sizes.crop_like(model(padded, training=False), noisy), noisy.dtype)

    # One step.

    def step(self, gains, state, noisy, noise, seed, curvature=None, reference=None):
        """One update: (gains, optimiser state, image, noise, seed) to (gains, state, risk).

        A pure function of its arguments, for `tf.function`: no variable changes.

        Args:
            gains: See the class.
            state: The values of `self.optimizer.variables`.
            noisy: (N, H, W, C).
            noise: As in `Scene`.
            seed: Two integers.
            curvature: As in `Scene`. Without, the optimizer gets the gradient as it is.
            reference: As in `Scene`.

        Returns:
            The new gains and state, and the risk of each image, (N,), at the old gains.
        """
        slope = self._slope(gains, noisy, noise, seed, reference)
        pixels = tf.reduce_prod(tf.shape(noisy)[1:])
        return (*self._stepped(gains, state, slope, pixels, curvature, self.reach()), slope.risk)

    def _slope(self, gains, noisy, noise, seed, reference):
        tuned, fixed = list(gains[: self._count]), list(gains[self._count :])
        with tf.GradientTape() as tape:
            tape.watch(tuned)
            risk = self.risk([*tuned, *fixed], noisy, noise, seed, reference)
            total = tf.reduce_sum(risk)
        gradients = tape.gradient(total, tuned, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return Slope(risk, gradients, self._variance(noisy, noise, risk))

    def _variance(self, noisy, noise, risk):
        if isinstance(noise, tuple) and not noise:
            return self._by_row(tf.abs(risk))
        variance = as_level(noise, noisy.dtype).variance(noisy) * tf.ones_like(noisy)
        return self._by_row(tf.reduce_mean(variance, list(range(1, len(noisy.shape)))))

    def _stepped(self, gains, state, slope, pixels, curvature, reach):
        """The gains and the state after the step."""
        tuned, fixed = list(gains[: self._count]), list(gains[self._count :])
        gradients = slope.gradients
        if self.prior is not None and curvature is not None:
            weight = damping(slope.variance, pixels, reach.prior)
            step = gauss_newton.newton_step(
                curvature, self._flat(gradients), self._flat(tuned) - 1, weight, reach.limit
            )
            gradients = self._split(-step)
        tuned, state = self.optimizer.stateless_apply(state, gradients, tuned)
        return [*tuned, *fixed], state

    def _flat(self, gains):
        """(rows, all gains)."""
        rows = [gain if self._images is not None else gain[None] for gain in gains]
        return tf.concat(rows, -1)

    def _split(self, flat):
        parts = tf.split(flat, self._sizes, axis=-1)
        return parts if self._images is not None else [part[0] for part in parts]

    def initial(self):
        """Gains and contrast of one and the optimiser's state before its first step, for `step`: constants."""
        gains = [tf.ones(v.shape, v.dtype) for v in self._variables]
        return gains, [tf.constant(value, v.dtype) for value, v in self._initial_pairs()]

    def _initial_pairs(self):
        return zip(self._initial_state, self.optimizer.variables, strict=True)

    def annealed(self, state, number, steps):
        """The optimiser's state for step `number` of `steps`: its learning rate falls, unless the caller chose it."""
        if not self._anneals:
            return state
        rate = selection.annealed(float(self._initial_state[self._rate]), number, steps)
        return [tf.cast(rate, value.dtype) if i == self._rate else value for i, value in enumerate(state)]

    # What is found once, before the first step.

    def prepared(self, gains, noisy, noise, seed, windows):
        """The gains with the contrast of the lowest risk, the scene of the tuning, and the held-out risk before.

        Args:
            gains: See the class; with contrast.
            noisy: (N, H, W, C).
            noise: As in `Scene`.
            seed: The seed of the whole tuning, ().
            windows: What a step sees of the image.

        Returns:
            Gains, `Scene`, and the held-out risk of the gains as they were, (rows,).
        """
        scene = self.referenced(gains, self.unprepared(noisy, noise, windows))
        if self.contrast:
            gains, risk = self._contrasted(gains, scene, seed)
        else:
            risk = self.held_out(gains, scene, seed)
        if self.prior is not None:
            scene = self._curved(gains, scene, seed)
        return gains, scene, risk

    def referenced(self, gains, scene):
        """The scene with the images as these gains denoise them, if the loss uses a reference."""
        if not (self.loss.uses_reference or self.criterion.uses_reference):
            return scene
        return scene._replace(reference=self.apply(gains, scene.noisy))

    def _curved(self, gains, scene, seed):
        derivative = functools.partial(self._twin.derivative, self._run, gains)
        return scene._replace(curvature=gauss_newton.curvature_rows(derivative, scene.noisy, self._images, seed))

    def widened(self, gains, scene, seed):
        """The scene of a further round from these gains: the curvature there, and a longer reach."""
        prior = tf.maximum(scene.reach.prior, WIDE_PRIOR)
        return self._curved(gains, scene, seed)._replace(reach=Reach(prior, tf.constant(WIDE_LIMIT, tf.float64)))

    def optimism(self, scene, steps):
        """By how much a round lowers the risk estimate by fitting the noise alone, about, by row: see `freedom`.

        The pixels are those that a round of so many steps has seen.
        """
        variance = self._variance(scene.noisy, scene.noise, tf.zeros([self._images or 1], tf.float64))
        freedom = gauss_newton.freedom(scene.curvature, damping(variance, scene.pixels(), scene.reach.prior))
        image = tf.reduce_prod(tf.cast(tf.shape(scene.noisy)[1:], tf.float64))
        seen = tf.minimum(image, tf.cast(steps, tf.float64) * tf.cast(scene.pixels(), tf.float64))
        return 2 * variance * freedom / seen

    def chance(self, scene):
        """The standard error of the risk, by row: see `standard_error`, of the pixels that a held-out estimate sees."""
        image = scene.noisy.shape[1:].num_elements()
        whole = self._by_row(standard_error(scene.noise, scene.noisy))
        return whole * tf.sqrt(image / tf.cast(scene.pixels(), tf.float64))

    def windows(self, noisy, side):
        """What a step sees of images: as many pixels as a square of this side has; the whole, if memory allows.

        Args:
            noisy: (N, H, W, C).
            side: Pixels; None for the whole image at once.
        """
        if side is None:
            return tuning_windows.windows(noisy, math.inf, SIDE_UNIT, whole=math.inf)
        fitting = MEMORY / max((noisy.shape[0] or 1) * self._bytes_per_pixel, 1)
        fitting_side = max(int(fitting ** (1 / (len(noisy.shape) - 2)) / SIDE_UNIT), 1) * SIDE_UNIT
        return tuning_windows.windows(noisy, side**2, min(side, fitting_side), whole=min(side**2, fitting))

    @functools.cached_property
    def _bytes_per_pixel(self):
        return bytes_per_pixel(self.model)

    def unprepared(self, noisy, noise, windows):
        """The scene of a tuning without steps, but for the reference, see `referenced`."""
        rows = tf.zeros([self._images or 1, 0, sum(self._sizes)])
        return Scene(noisy, noise, noisy[..., :0], rows, windows, self.reach())

    def reach(self):
        """Of the first round."""
        return Reach(tf.constant(self.prior or 1.0, tf.float64), tf.constant(gauss_newton.LIMIT, tf.float64))

    def _contrasted(self, gains, scene, seed):
        """The gains with the contrast of the lowest risk, and the risk of the first."""
        *tuned, start = gains
        best, first = lowest_contrast(lambda contrast: self.held_out([*tuned, contrast], scene, seed), start)
        return [*tuned, best], first

    # The turn of a loop, and what decides which gains are kept.

    def turn(self, known, gains, state, scene, seed):
        """A step on random windows: the search, gains and state after it, and the risk before, by row."""

        def of_window(number):
            own = tuning_windows.window_seed(seed, number)
            noisy, reference = self._window(scene, seed, number)
            slope = self._slope(gains, noisy, scene.noise, own, reference)
            return slope._replace(risk=self._by_row(slope.risk))

        gradients = [tf.TensorSpec(gain.shape, gain.dtype) for gain in gains[: self._count]]
        kind = Slope(self._row_kind, gradients, self._row_kind)
        slope = _mean_of_windows(of_window, kind, scene.windows.count)
        after, state = self._stepped(gains, state, slope, scene.pixels(), scene.curvature, scene.reach)
        return selection.remember(known, gains, slope.risk), after, state, slope.risk

    def held_out(self, gains, scene, seed):
        """The criterion's mean on probes that tuning never sees, by row; `seed` is that of the whole tuning, ()."""
        pixels = tf.reduce_prod(scene.windows.size) * scene.windows.count
        return selection.held_out(self._held_out_risk(scene), gains, seed, pixels)

    def _held_out_risk(self, scene):
        def risk(gains, seed):
            def of_window(number):
                own = tuning_windows.window_seed(seed, number)
                noisy, reference = self._window(scene, seed, number)
                return self._by_row(self._risk_by(self.criterion, gains, noisy, scene.noise, own, reference))

            return _mean_of_windows(of_window, self._row_kind, scene.windows.count)

        return risk

    def _window(self, scene, seed, number):
        """The same part of the image and the reference."""
        both = tf.concat([scene.noisy, tf.cast(scene.reference, scene.noisy.dtype)], -1)
        channels = scene.noisy.shape[-1]
        part = tuning_windows.spread_window(both, seed, number, scene.windows)
        return part[..., :channels], part[..., channels:]

    def _by_row(self, risk):
        """One risk per set of gains: of each image, or of all that share them."""
        risk = tf.cast(risk, tf.float64)
        return risk if self._images is not None else tf.reduce_mean(risk, keepdims=True)


def _mean_of_windows(of_window, kind, count):
    """The mean of what the windows of a step give, one after the other: in the memory of one."""
    found = tf.map_fn(of_window, tf.range(count), fn_output_signature=kind, parallel_iterations=1)
    return tf.nest.map_structure(lambda values: tf.reduce_mean(values, 0), found)


def _probe_step(model):
    """The length of a probe that can be seen at the network's precision."""
    dtypes = {layer.compute_dtype for layer in convolutions(model)}
    dtypes |= {found.dtype for graph in sublayers(model, GraphNetwork) for found in graph.convolutions}
    return max(probe_step(dtype=dtype) for dtype in dtypes)
