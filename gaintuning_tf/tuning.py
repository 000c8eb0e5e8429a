"""The optimisation of the gains on one noisy image."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
import warnings
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from gaintuning_tf import padding, search
from gaintuning_tf.convolutions import convolutions, sublayers
from gaintuning_tf.errors import InputError
from gaintuning_tf.graph import as_keras_model
from gaintuning_tf.graph_network import GraphNetwork
from gaintuning_tf.losses import probe_step
from gaintuning_tf.optimizers import stateless
from gaintuning_tf.surgery import gain_layers, insert_gains

STEPS = 40
LEARNING_RATE = 3e-3


@dataclasses.dataclass(frozen=True)
class TuningHistory:
    """What happened while tuning.

    Attributes:
        risk: Risk estimate at each step, before the step's update, in squared units
            of the image: (steps,), or (images, steps) for gains of their own per image.
        before: Held-out risk estimate of the gains at the start, () or (images,).
        after: The same of the gains that were kept.
        seconds: Wall time, compilation included.
        interrupted: Whether Ctrl-C ended it.
    """

    risk: np.ndarray
    before: np.ndarray
    after: np.ndarray
    seconds: float
    interrupted: bool


class GainTuner:
    """Optimise the gains of a denoiser on a noisy image, the weights frozen.

    Minimises `loss` over the gains g alone, `min_g SURE(f_g, y)` (Mohan et al.,
    "Adaptive denoising via GainTuning", NeurIPS 2021, eq. 4). The network runs in
    inference mode throughout: batch norm keeps its statistics, dropout is off.

    One tuner serves any number of images: the step is traced once, whatever their
    sizes; under XLA it is compiled once per size.

    Args:
        model: A denoiser (N, H, W, C) to the same shape. One without gains is copied
            and left untouched; the gains of one that has them are what is tuned.
        loss: A risk estimate such as `MonteCarloSURE`: called with the denoiser, the
            image, sigma and a seed, it returns one risk per image.
        optimizer: Any Keras optimizer; a copy is used. By default Adam with a
            learning rate of 3e-3 that falls to zero along a half cosine over the
            steps of each call of `tune`.
        jit_compile: Whether XLA compiles the step. Off by default: on the CPU it was
            slower for both networks it was measured on, see docs/research-log.md.

    Attributes:
        model: The model with the gains.

    Raises:
        InputError: The model is not one image in, one of the same shape out, or has
            no convolution.

    Example:

    >>> from gaintuning_tf import MonteCarloSURE
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> tuner = GainTuner(model, MonteCarloSURE(sigma=0.1))
    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((1, 32, 32, 1), "float32")
    >>> history = tuner.tune(noisy, steps=5, progress=False)
    >>> bool(history.after <= history.before), tuner.denoise(noisy).shape
    (True, (1, 32, 32, 1))
    """

    def __init__(
        self,
        model: keras.Model,
        loss,
        optimizer: keras.optimizers.Optimizer | None = None,
        *,
        jit_compile: bool = False,
    ):
        model = as_keras_model(model)
        padding.check_denoiser(model)
        self.model = insert_gains(model)
        self.loss = _at_precision(loss, self.model)
        self._anneals = optimizer is None
        self.optimizer = stateless(keras.optimizers.Adam(LEARNING_RATE) if optimizer is None else optimizer)
        self._multiple = padding.size_multiple(self.model)
        gains = gain_layers(self.model)
        self._images = gains[0].images
        self._variables = [gain.gain for gain in gains]
        self.optimizer.build(self._variables)
        rate = self.optimizer._learning_rate
        self._rate = next((i for i, variable in enumerate(self.optimizer.variables) if variable is rate), None)
        self._initial_state = [keras.ops.convert_to_numpy(v) for v in self.optimizer.variables]
        self._steps_done = 0
        self.jit_compile = jit_compile
        self._compile()

    def _compile(self):
        image = tf.TensorSpec([None, *self.model.inputs[0].shape[1:]], tf.as_dtype(self.model.inputs[0].dtype))
        size = tf.TensorSpec([len(image.shape) - 2], tf.int32)
        seen = [image, tf.TensorSpec([None], image.dtype), tf.TensorSpec([2], tf.int64), size]
        gains = [tf.TensorSpec(v.shape, tf.as_dtype(v.dtype)) for v in self._variables]
        options = {"jit_compile": self.jit_compile, "autograph": False}
        known = tf.nest.map_structure(tf.TensorSpec.from_tensor, self._search())
        self._run_step = tf.function(self._assigning_step, [known, *seen], **options)
        self._run_risk = tf.function(self.windowed_risk, [gains, *seen], **options)
        self._run_denoise = tf.function(self._denoise, [image], **options)

    def tune(
        self,
        image,
        *,
        sigma=None,
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        progress: bool = True,
        seed: int = 0,
        window: int | None = None,
    ) -> TuningHistory:
        """Tune the gains on `image`, from the values they have.

        Afterwards the gains are those with the lowest risk among three candidates:
        those at the start, the last ones, and those where the running average of the
        risk was lowest. The three are compared on probes that tuning has not seen,
        the same for each. So an interruption, an early stop or too large a learning
        rate loses nothing.

        Args:
            image: Noisy, (N, H, W, C); in [0, 1] for a network trained on that.
            sigma: Standard deviation of its noise in the same units, a number or one
                per image; the loss's own by default.
            steps: Steps, 40 by default.
            callbacks: Keras callbacks. A step is an epoch of one batch; `logs` has
                `loss`, the risk. `model.stop_training = True` stops early.
            progress: Show a progress bar with the current risk on stderr.
            seed: Same seed, same machine: same gains.
            window: Evaluate the risk at each step on a random window of at most this
                many pixels squared instead of on the whole image, which bounds time
                and memory for large images.

        Returns:
            What happened. `KeyboardInterrupt` ends tuning early and is not raised.

        Raises:
            InputError: Wrong shape, wrong number of images, not finite, or no sigma.
        """
        start = time.perf_counter()
        noisy = self._check(image)
        sigma = self._sigma(sigma, noisy)
        steps = STEPS if steps is None else steps
        if int(steps) != steps or steps < 0:
            raise InputError(f"expected steps to be a whole number of at least 0, received {steps!r}")
        run = _Run(self, noisy, sigma, int(steps), seed, window)
        with _optimizer_of(self.model, self.optimizer):
            listeners = keras.callbacks.CallbackList(
                list(callbacks), model=self.model, epochs=steps, steps=1, verbose=0
            )
            run.steps(listeners, progress)
        before, after = run.keep_best()
        if steps and all(np.array_equal(v, s) for v, s in zip(self._gains(), run.start, strict=True)):
            warnings.warn("tuning changed nothing: no gains with a lower risk were found", stacklevel=2)
        if np.any(after < 0):
            warnings.warn("the risk estimate is negative: sigma is probably larger than the noise is", stacklevel=2)
        risk = np.stack(run.risks, -1) if run.risks else np.zeros((len(before), 0))
        if self._images is None:
            risk, before, after = risk[0], before[0], after[0]
        return TuningHistory(risk, before, after, time.perf_counter() - start, run.interrupted)

    def denoise(self, image) -> np.ndarray:
        """The denoised image with the gains as they are, (N, H, W, C)."""
        return self._run_denoise(self._check(image)).numpy()

    def reset(self) -> None:
        """Set the gains to one and the optimizer to its start, for the next image."""
        for variable in self._variables:
            variable.assign(np.ones(variable.shape))
        for value, variable in self._initial_pairs():
            variable.assign(value)
        self._steps_done = 0

    def _initial_pairs(self):
        return zip(self._initial_state, self.optimizer.variables, strict=True)

    # The one core: pure functions of gains and optimiser state, used compiled.

    def step(self, gains, state, noisy, sigma, seed):
        """One update: (gains, optimiser state, image, sigma, seed) to (gains, state, risk).

        A pure function of its arguments, for `tf.function`: no variable changes.

        Args:
            gains: One tensor per `Gain` layer, in the order of `gain_layers`.
            state: The values of `self.optimizer.variables`.
            noisy: (N, H, W, C).
            sigma: (N,).
            seed: Two integers.

        Returns:
            The new gains and state, and the risk of each image, (N,), at the old gains.
        """
        with tf.GradientTape() as tape:
            tape.watch(gains)
            risk = self.risk(gains, noisy, sigma, seed)
            total = tf.reduce_sum(risk)
        gradients = tape.gradient(total, gains, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gains, state = self.optimizer.stateless_apply(state, gradients, gains)
        return gains, state, risk

    def risk(self, gains, noisy, sigma, seed):
        """The risk of each image at these gains, (N,): the arguments of `step`, and as pure."""
        with self._with(gains):
            return self.loss(self._denoise, noisy, sigma, seed=seed)

    def apply(self, gains, noisy):
        """The images denoised with these gains, (N, H, W, C): the arguments of `step`, and as pure."""
        with self._with(gains):
            return self._denoise(noisy)

    def initial(self):
        """Gains of one and the optimiser's state before its first step, for `step`: constants."""
        gains = [tf.ones(v.shape, v.dtype) for v in self._variables]
        return gains, [tf.constant(value, v.dtype) for value, v in self._initial_pairs()]

    def annealed(self, state, number, steps):
        """The optimiser's state for step `number` of `steps`: its learning rate falls, unless the caller chose it."""
        if not self._anneals:
            return state
        rate = search.annealed(float(self._initial_state[self._rate]), number, steps)
        return [tf.cast(rate, value.dtype) if i == self._rate else value for i, value in enumerate(state)]

    def _with(self, gains):
        return keras.StatelessScope(list(zip(self._variables, gains, strict=True)))

    def _denoise(self, noisy):
        padded = padding.pad_symmetric(noisy, self._multiple)
        # A network of mixed precision answers in its compute dtype.
        return tf.cast(padding.crop_like(self.model(padded, training=False), noisy), noisy.dtype)

    # The turn of a loop, and what decides which gains are kept: of the loop in Python and of that in a graph.

    def turn(self, known, gains, state, noisy, sigma, seed, size):
        """A step on a random window: the search, gains and state after it, and the risk before, by row."""
        new, state, risk = self.step(gains, state, search.random_window(noisy, seed, size), sigma, seed)
        rows = self._by_row(risk)
        return search.remember(known, gains, rows), new, state, rows

    def windowed_risk(self, gains, noisy, sigma, seed, size):
        """The risk on a random window, by row."""
        return self._by_row(self.risk(gains, search.random_window(noisy, seed, size), sigma, seed))

    def _by_row(self, risk):
        """One risk per set of gains: of each image, or of all that share them."""
        risk = tf.cast(risk, tf.float64)
        return risk if self._images is not None else tf.reduce_mean(risk, keepdims=True)

    # In Python, gains and state are variables, which callbacks may look at and change.

    def _assigning_step(self, known, noisy, sigma, seed, size):
        state = [tf.convert_to_tensor(v.value) for v in self.optimizer.variables]
        known, gains, state, risk = self.turn(known, self._gains(), state, noisy, sigma, seed, size)
        for variable, value in zip([*self._variables, *self.optimizer.variables], [*gains, *state], strict=True):
            variable.assign(value)
        return known, risk

    def _gains(self):
        return [tf.convert_to_tensor(v.value) for v in self._variables]

    def _search(self):
        return search.start(self._gains(), self._images or 1)

    def _check(self, image):
        dtype = self.model.inputs[0].dtype
        noisy = tf.convert_to_tensor(np.asarray(image), name="noisy")
        if noisy.dtype not in (tf.float16, tf.float32, tf.float64):
            raise InputError(f"expected a floating-point image, received {noisy.dtype.name}; gaintune() takes integers")
        padding.check_size(self.model, noisy.shape)
        if self._images not in (None, noisy.shape[0]):
            raise InputError(f"the gains are for {self._images} images, received {noisy.shape[0]}")
        if not tf.reduce_all(tf.math.is_finite(noisy)):
            raise InputError("expected finite pixels, received NaN or infinite ones")
        return tf.cast(noisy, dtype)

    def _sigma(self, sigma, noisy):
        noise = getattr(self.loss, "noise", None)
        sigma = noise.sigma if sigma is None and noise is not None else sigma
        if sigma is None:
            raise InputError("expected the noise level: give sigma to the loss or to tune()")
        sigma = np.asarray(sigma, np.float64)
        if sigma.shape not in ((), (1,), (noisy.shape[0],)) or not (np.isfinite(sigma).all() and (sigma > 0).all()):
            raise InputError(f"expected sigma to be a positive number, or one per image, received {sigma}")
        return tf.cast(np.broadcast_to(sigma, (noisy.shape[0],)), noisy.dtype)


class _Run:
    """One call of `tune`: its loop, and the search for the gains to keep."""

    def __init__(self, tuner, noisy, sigma, steps, seed, window):
        self.tuner, self.noisy, self.sigma = tuner, noisy, sigma
        self.total, self.seed = steps, int(seed) % 2**63
        self.size = search.window_size(noisy, max(noisy.shape[1:-1]) if window is None else window)
        self.search = tuner._search()
        self.start = self.search.best
        self.risks = []
        self.interrupted = False

    def steps(self, listeners, progress):
        tuner = self.tuner
        tuner.model.stop_training = False
        learning_rate = float(tuner.optimizer.learning_rate)
        listeners.on_train_begin()
        try:
            with tqdm(total=self.total, desc="tuning", unit="step", disable=not progress, leave=False) as bar:
                for number in range(self.total):
                    if tuner._anneals:
                        tuner.optimizer.learning_rate = float(search.annealed(learning_rate, number, self.total))
                    risk = self._step(number, listeners)
                    bar.set_postfix(risk=f"{risk:.3g}", refresh=False)
                    bar.update()
                    if tuner.model.stop_training or not math.isfinite(risk):
                        break
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            if tuner._anneals:
                tuner.optimizer.learning_rate = learning_rate
        listeners.on_train_end({"loss": float(np.mean(self.risks[-1]))} if self.risks else {})

    def _step(self, number, listeners):
        listeners.on_epoch_begin(number)
        listeners.on_train_batch_begin(0)
        seed = search.step_seed(self.seed, self.tuner._steps_done)
        self.search, risk = self.tuner._run_step(self.search, self.noisy, self.sigma, seed, self.size)
        self.tuner._steps_done += 1
        self.risks.append(risk.numpy())
        mean = float(np.mean(self.risks[-1]))
        listeners.on_train_batch_end(0, {"loss": mean})
        listeners.on_epoch_end(number, {"loss": mean})
        return mean

    def keep_best(self):
        """Set the gains to the best candidate; the held-out risks of the start and of it."""
        candidates = [self.start, self.search.best, self.tuner._gains()] if self.risks else [self.start]
        risks = [search.held_out(self._risk, gains, self.seed) for gains in candidates]
        kept, lowest = search.keep_best(candidates, risks)
        for variable, value in zip(self.tuner._variables, kept, strict=True):
            variable.assign(value)
        return risks[0].numpy(), lowest.numpy()

    def _risk(self, gains, seed):
        return self.tuner._run_risk(gains, self.noisy, self.sigma, seed, self.size)


def _at_precision(loss, model):
    """The loss with a probe long enough to be seen at the network's precision, unless its step was chosen."""
    if getattr(loss, "step", 0) is not None:
        return loss
    loss = copy.copy(loss)
    dtypes = {layer.compute_dtype for layer in convolutions(model)}
    dtypes |= {found.dtype for graph in sublayers(model, GraphNetwork) for found in graph.convolutions}
    loss.step = max(probe_step(dtype=dtype) for dtype in dtypes)
    return loss


class _optimizer_of:
    """For a while, `model.optimizer` is the tuner's: callbacks read and set the learning rate there."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer

    def __enter__(self):
        self.previous = getattr(self.model, "optimizer", None)
        self.model.optimizer = self.optimizer

    def __exit__(self, *_):
        self.model.optimizer = self.previous
