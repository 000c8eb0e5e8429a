"""The optimisation of the gains on one noisy image."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.networks import sizes
from gaintuning_tf.noise.models import GaussianNoise, NoiseLevel, NoiseModel
from gaintuning_tf.noise.tensors import standard_error
from gaintuning_tf.tuning import selection, windows as tuning_windows
from gaintuning_tf.tuning.defaults import PLAIN_STEPS, PRIOR, ROUNDS, STEPS
from gaintuning_tf.tuning.round_inputs import Reach, Scene
from gaintuning_tf.tuning.rounds import Run, equal
from gaintuning_tf.tuning.steps import Core


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


class GainTuner(Core):
    """Optimise the gains of a denoiser on a noisy image, the weights frozen.

    Minimises `loss` over the gains g alone, `min_g SURE(f_g, y)` (Mohan et al.,
    "Adaptive denoising via GainTuning", NeurIPS 2021, eq. 4). The network runs in
    inference mode throughout: batch norm keeps its statistics, dropout is off.

    By default with three additions to the paper. A prior, `N(1, prior^2)` for each gain, whose weight
    against the image falls with the number of pixels: so few pixels move the gains less.
    Gauss-Newton steps within a trust region (`gauss_newton`), which need a
    quarter of the steps. And before the first, the contrast at which a
    network with biases sees the image is lowered as long as that lowers the risk (`contrast`), which brings noise
    stronger than in training into the trained range. The paper's plain method is
    `GainTuner(model, MonteCarloSURE(), prior=None)`.

    One tuner serves any number of images: the step is traced once, whatever their
    sizes; under XLA it is compiled once per size.

    Args:
        model: A denoiser (N, H, W, C) to the same shape. One without gains is copied
            and left untouched; the gains of one that has them are what is tuned.
        loss: A risk estimate such as `CoupledBootstrap` or `MonteCarloSURE`, see `RiskEstimate`, or a plain
            function, see `base.as_risk_estimate`.
        optimizer: Any Keras optimizer; a copy is used, with the plain gradient. By default
            Gauss-Newton steps or, without a prior, Adam with a learning rate of 3e-3; of both,
            the learning rate falls to zero along a half cosine over the steps of each call of `tune`.
        prior: Its standard deviation, or None.
        contrast: Whether to look for a better contrast; by default only with Gauss-Newton steps, and
            not where the network doubles its output with its input: then it knows noise of any strength.
        jit_compile: Whether XLA compiles the step. Off by default: on the CPU it was
            slower for both networks it was measured on, see
            docs/log/2026-11-23-xla-on-the-cpu.md.

    Attributes:
        model: The model with the gains.

    Raises:
        InputError: The model is not one image in, one of the same shape out, or has
            no convolution.

    Example:

    >>> from gaintuning_tf import CoupledBootstrap
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> tuner = GainTuner(model, CoupledBootstrap(0.1))
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.1, (1, 32, 32, 1)).astype("float32")
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
        prior: float | None = PRIOR,
        contrast: bool | None = None,
        jit_compile: bool = False,
    ):
        if prior is not None and not prior > 0:
            raise InputError(f"expected prior to be a positive number or None, received {prior!r}")
        super().__init__(model, loss, optimizer, prior, contrast)
        self._steps_done = 0
        self.jit_compile = jit_compile
        self._compiled = {}
        image = tf.TensorSpec([None, *self.model.inputs[0].shape[1:]], tf.as_dtype(self.model.inputs[0].dtype))
        self._image_spec = image
        self._run_denoise = tf.function(self._denoise, [image], autograph=False, jit_compile=jit_compile)

    def _functions(self, kind):
        """What a call of `tune` runs, compiled once for each kind of noise."""
        if kind not in self._compiled:
            image = self._image_spec
            each = tf.TensorSpec([None], image.dtype)
            noise = {"gaussian": each, "line": NoiseLevel(each, each), "none": ()}[kind]
            windows = tuning_windows.Windows(
                tf.TensorSpec([len(image.shape) - 2], tf.int32), tf.TensorSpec([], tf.int32)
            )
            rows = tf.TensorSpec([self._images or 1, None, sum(self._sizes)], tf.float32)
            reference = tf.TensorSpec([*image.shape[:-1], None], image.dtype)
            width = tf.TensorSpec([], tf.float64)
            scene = Scene(image, noise, reference, rows, windows, Reach(width, width))
            gains = [tf.TensorSpec(v.shape, tf.as_dtype(v.dtype)) for v in self._variables]
            number = tf.TensorSpec([], tf.int64)
            known = tf.nest.map_structure(tf.TensorSpec.from_tensor, self._search())
            seed = tf.TensorSpec([2], tf.int64)
            step = {"autograph": False, "jit_compile": self.jit_compile}
            self._compiled[kind] = _Functions(
                prepare=tf.function(self.prepared, [gains, image, noise, number, windows], autograph=False),
                step=tf.function(self._assigning_step, [known, scene, seed], **step),
                held_out=tf.function(self.held_out, [gains, scene, number], autograph=False),
                widen=tf.function(self.widened, [gains, scene, number], autograph=False),
                optimism=tf.function(self.optimism, [scene, number], autograph=False),
            )
        return self._compiled[kind]

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

        Afterwards the gains are those with the lowest risk among the
        candidates: those at the start, the last ones, those half-way between, and those where the running average of
        the risk was lowest. They are compared on probes that tuning has not seen,
        the same for each. So an interruption, an early stop or too large a learning
        rate loses nothing.

        Args:
            image: Noisy, (N, H, W, C); in [0, 1] for a network trained on that.
            sigma: Standard deviation of its noise in the same units, a number or one
                per image, a noise model such as `PoissonNoise`, or a `NoiseLevel`; the loss's own by default.
            steps: Steps; by default 40 without a prior, else 10, and 10 or 20 more for an image that the network is
                far from: where these have lowered the risk by 5 % or more, beyond what fitting noise accounts for
                (`gauss_newton.freedom`), with a wider prior and longer steps.
            callbacks: Keras callbacks. A step is an epoch of one batch; `logs` has
                `loss`, the risk; further steps are further epochs. `model.stop_training = True` stops early.
            progress: Show a progress bar with the current risk on stderr.
            seed: Same seed, same machine: same gains.
            window: Evaluate the risk at each step on a random window of at most this
                many pixels squared instead of on the whole image, which bounds time
                and memory for large images; on several smaller ones with as many pixels together, one
                after the other, where the network would keep more than `steps.MEMORY` for it.

        Returns:
            What happened. `KeyboardInterrupt` ends tuning early and is not raised.

        Raises:
            InputError: Wrong shape, wrong number of images, not finite, no sigma, or noise that the loss is not for.
        """
        start = time.perf_counter()
        noisy = self._check(image)
        noise = self._noise(sigma, noisy)
        rounds = ROUNDS if steps is None and self.prior is not None and _kind(noise) != "none" else 1
        steps = (PLAIN_STEPS if self.prior is None else STEPS) if steps is None else steps
        if int(steps) != steps or steps < 0:
            raise InputError(f"expected steps to be a whole number of at least 0, received {steps!r}")
        scene = self.unprepared(noisy, noise, self.windows(noisy, window))
        run = Run(self, self._functions(_kind(noise)), scene, int(steps), seed)
        with _optimizer_of(self.model, self.optimizer):
            listeners = keras.callbacks.CallbackList(
                list(callbacks), model=self.model, epochs=steps, steps=1, verbose=0
            )
            before, after = run.rounds(rounds, listeners, progress)
        if steps and equal(self._gains(), run.start):
            warnings.warn(
                "tuning changed nothing: no gains with a lower risk were found", GainTuningWarning, stacklevel=2
            )
        if self.loss.needs_noise and np.any(after < -3 * standard_error(noise, noisy)):
            warnings.warn(
                "the risk estimate is negative: the noise is probably less than was said",
                GainTuningWarning,
                stacklevel=2,
            )
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

    def gains(self) -> list[np.ndarray]:
        """The gains of each layer, in the order of `gain_layers`, and behind them the contrast."""
        return [v.numpy() for v in self._variables]

    def set_gains(self, values: Sequence[np.ndarray]) -> None:
        """Set the gains to what `gains` returned."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    # In Python, gains and state are variables, which callbacks may look at and change.

    def _assigning_step(self, known, scene, seed):
        state = [tf.convert_to_tensor(v.value) for v in self.optimizer.variables]
        known, gains, state, risk = self.turn(known, self._gains(), state, scene, seed)
        for variable, value in zip([*self._variables, *self.optimizer.variables], [*gains, *state], strict=True):
            variable.assign(value)
        return known, risk

    def _gains(self):
        return [tf.convert_to_tensor(v.value) for v in self._variables]

    def _search(self):
        return selection.start(self._gains(), self._images or 1)

    def _check(self, image):
        dtype = self.model.inputs[0].dtype
        noisy = tf.convert_to_tensor(np.asarray(image), name="noisy")
        if noisy.dtype not in (tf.float16, tf.float32, tf.float64):
            raise InputError(f"expected a floating-point image, received {noisy.dtype.name}; gaintune() takes integers")
        sizes.check_size(self.model, noisy.shape)
        if self._images not in (None, noisy.shape[0]):
            raise InputError(f"the gains are for {self._images} images, received {noisy.shape[0]}")
        if not tf.reduce_all(tf.math.is_finite(noisy)):
            raise InputError("expected finite pixels, received NaN or infinite ones")
        return tf.cast(noisy, dtype)

    def _noise(self, sigma, noisy):
        """As in `Scene`."""
        noise = self.loss.noise if sigma is None else sigma
        if noise is None:
            if self.loss.needs_noise:
                raise InputError("expected the noise level: give sigma to the loss or to tune()")
            return ()
        if not isinstance(noise, (NoiseModel, NoiseLevel)):
            noise = GaussianNoise(noise)
        self.loss.check_noise(noise)
        images = noisy.shape[0]
        level = noise.for_images(images) if isinstance(noise, NoiseLevel) else noise.level(images)
        if isinstance(noise, GaussianNoise):
            return tf.cast(np.sqrt(level.intercept), noisy.dtype)
        return NoiseLevel(*(tf.cast(part, noisy.dtype) for part in level))


class _Functions(NamedTuple):
    prepare: tf.types.experimental.PolymorphicFunction
    step: tf.types.experimental.PolymorphicFunction
    held_out: tf.types.experimental.PolymorphicFunction
    widen: tf.types.experimental.PolymorphicFunction
    optimism: tf.types.experimental.PolymorphicFunction


def _kind(noise):
    if isinstance(noise, NoiseLevel):
        return "line"
    return "none" if isinstance(noise, tuple) else "gaussian"


class _optimizer_of:
    """For a while, `model.optimizer` is the tuner's: callbacks read and set the learning rate there."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer

    def __enter__(self):
        self.previous = getattr(self.model, "optimizer", None)
        self.model.optimizer = self.optimizer

    def __exit__(self, *_):
        self.model.optimizer = self.previous
