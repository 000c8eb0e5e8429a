"""`GainTuner`: the optimisation of the gains on one noisy image."""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from gaintuning_tf.errors import GainTuningWarning, InputError, of_network
from gaintuning_tf.losses.base import Loss
from gaintuning_tf.networks.network import NetworkLike, network_of
from gaintuning_tf.noise.models import GaussianNoise, Noise, NoiseLevel, NoiseModel
from gaintuning_tf.noise.residual_variance import FirstResult, first_result
from gaintuning_tf.noise.tensors import NoiseTensors, noise_of_batch, weights_of
from gaintuning_tf.support.processor import has_bfloat16
from gaintuning_tf.tuning.compiled import CompiledSteps, equal
from gaintuning_tf.tuning.defaults import PLAIN_STEPS, PRECISIONS, PRIOR, ROUNDED_BYTES, ROUNDS, STEPS
from gaintuning_tf.tuning.objective import FIRST_RESULT, RESULT_COPIES
from gaintuning_tf.tuning.rounds import IMPLAUSIBLE, TuningRun
from gaintuning_tf.tuning.steps import gain_steps
from gaintuning_tf.tuning.windows import step_seed


@dataclasses.dataclass(frozen=True)
class TuningHistory:
    """What happened while tuning.

    Attributes:
        risk: Risk estimate at each step, before the step's update, in squared units
            of the image: (steps,), or (images, steps) for gains of their own per image.
        risk_before: Held-out risk estimate of the gains at the start, () or (images,).
        risk_after: The same of the gains that were kept.
        seconds: Wall time, compilation included.
        interrupted: Whether Ctrl-C ended it.
        rounds: How many rounds of steps there were.
        further_seconds: What the rounds after the first took of `seconds`.
        precision: What the steps computed in, `"float32"` or `"bfloat16"`; all else is float32.
    """

    risk: np.ndarray
    risk_before: np.ndarray
    risk_after: np.ndarray
    seconds: float
    interrupted: bool
    rounds: int = 1
    further_seconds: float = 0.0
    precision: str = "float32"

    @property
    def before(self) -> np.ndarray:
        """Deprecated: `risk_before`."""
        return self._renamed("before")

    @property
    def after(self) -> np.ndarray:
        """Deprecated: `risk_after`."""
        return self._renamed("after")

    def _renamed(self, name):
        warnings.warn(f"TuningHistory.{name} is now risk_{name}", DeprecationWarning, stacklevel=3)
        return getattr(self, f"risk_{name}")


class GainTuner:
    """Optimise the gains of a denoiser on a noisy image, the weights frozen.

    Minimises `loss` over the gains g alone, `min_g SURE(f_g, y)` (Mohan et al.,
    "Adaptive denoising via GainTuning", NeurIPS 2021, eq. 4). The network runs in
    inference mode throughout: batch norm keeps its statistics, dropout is off.

    What it adds to the paper, by default:

    - a prior, `N(1, prior^2)` for each gain, whose weight against the image falls with the
      number of pixels: few pixels move the gains less;
    - Gauss-Newton steps within a trust region (`gauss_newton`), which need a fifth of
      the steps;
    - a contrast for networks with biases: before the first step, that at which the network
      sees the image is lowered as long as that lowers the risk (`contrast_search`), which
      brings noise stronger than in training into the trained range;
    - further rounds of steps, with a wider prior, for an image that the network is far from
      (`rounds`);
    - windows: a step sees as many pixels of a large image as fit into memory (`windows`);
    - the choice, at the end, of the gains with the lowest risk on probes that tuning has
      not seen (`selection`).

    The paper's plain method is `GainTuner(model, MonteCarloSURE(), prior=None)`.

    One tuner serves any number of images: the step is traced once, whatever their
    sizes; under XLA it is compiled once per size.

    Args:
        model: A denoiser (N, H, W, C) to the same shape: whatever `gaintune` takes. One
            without gains is copied and left untouched; the gains of one that has them are
            what is tuned.
        loss: A risk estimate such as `CoupledBootstrap` or `MonteCarloSURE`, see `RiskEstimate`;
            or a function of the same arguments.
        optimizer: Any Keras optimizer; a copy is used, with the plain gradient. By default
            Gauss-Newton steps or, without a prior, Adam with a learning rate of 3e-3; of both,
            the learning rate falls to zero along a half cosine over the steps of each call of `tune`.
        prior: Its standard deviation, or None.
        contrast: Whether to look for a better contrast; by default only with Gauss-Newton steps, and
            not where the network doubles its output with its input: then it knows noise of any strength.
        precision: `"bfloat16"`: steps compute in it between the first and the last convolution, and what is kept is
            decided in float32, as is the result. `"float32"`: they do not. `"auto"`: they do where
            `has_bfloat16` says that the hardware multiplies it, for networks and losses that allow it
            (`Objective.rounded`), and images of which a step keeps more than 0.2 GB.
        jit_compile: Whether XLA compiles the step. Off by default: on the CPU it was
            slower for both networks it was measured on, see
            docs/log/2026-11-23-xla-on-the-cpu.md.

    Attributes:
        loss: The loss, at the network's precision.
        optimizer: The copy of the optimizer.

    Raises:
        InputError: The model is not one image in, one of the same shape out, or has
            no convolution.

    Example:

    >>> from gaintuning_tf import CoupledBootstrap
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> tuner = GainTuner(model, CoupledBootstrap(0.1))
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.1, (1, 32, 32, 1)).astype("float32")
    >>> history = tuner.tune(noisy, steps=5, progress=False)
    >>> bool(history.risk_after <= history.risk_before), tuner.denoise(noisy).shape
    (True, (1, 32, 32, 1))
    """

    def __init__(
        self,
        model: NetworkLike,
        loss: Loss,
        optimizer: keras.optimizers.Optimizer | None = None,
        *,
        prior: float | None = PRIOR,
        contrast: bool | None = None,
        precision: str = "auto",
        jit_compile: bool = False,
    ):
        check_precision(precision)
        if prior is not None and not prior > 0:
            raise InputError(f"expected prior to be a positive number or None, received {prior!r}")
        network = network_of(model)
        # Who gives the bare model has normalised the images.
        if model is not network.model and not network.normalization.is_fixed:
            raise InputError(
                f"expected a network that takes images as they are, {network.name!r} normalises each by "
                f"{network.normalization}: gaintune() does so, or give GainTuner the network's `model` and images of "
                "which `Network.limits` are 0 and 1"
            )
        self._steps = gain_steps(network, loss, optimizer, prior=prior, contrast=contrast)
        self._network, self._precision = self._steps.objective.network, precision
        self._compiled = CompiledSteps(self._steps, jit_compile=jit_compile)
        # The noise that was last tuned on, and the seed of that: how the network sees images.
        self._shown = NoiseTensors(), 0
        self.loss, self.optimizer = self._steps.objective.loss, self._steps.optimizer

    @property
    def model(self) -> keras.Model:
        """The model with the gains."""
        return self._network.network.model

    @property
    def contrast(self) -> bool:
        """Whether a better contrast is looked for before the first step."""
        return self._steps.contrast

    def tune(
        self,
        image: ArrayLike | tf.Tensor,
        *,
        sigma: Noise | None = None,
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        progress: bool = True,
        seed: int = 0,
        window: int | None = None,
        mask: ArrayLike | None = None,
        doubt: ArrayLike = 0.0,
        whiten: bool = False,
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
            steps: Steps; by default 40 without a prior, else 8, and 8 or 16 more for an image that the network is
                far from: where these have lowered the risk by 3.5 % or more, beyond what fitting noise accounts for
                (`gauss_newton.freedom`), with a wider prior and longer steps.
            callbacks: Keras callbacks. A step is an epoch of one batch; `logs` has
                `loss`, the risk; further steps are further epochs. `model.stop_training = True` stops early.
            progress: Show a progress bar with the current risk on stderr.
            seed: Same seed, same machine: same gains.
            window: Evaluate the risk at each step on a random window of at most this
                many pixels squared instead of on the whole image, which bounds time
                and memory for large images; on several smaller ones with as many pixels together, one
                after the other, where the network would keep more than `objective.MEMORY` for it.
            mask: True where a pixel does not count, as in `numpy.ma`: (N, H, W) or (N, H, W, C), boolean. Such
                pixels are in no risk, but the network sees them: give them values like those around
                them. By default all count.
            doubt: Relative standard deviation of the noise's variance, where that is an estimate, a number or one per
                image: the risk is then no better known, however large the image, and the prior weighs more.
            whiten: Whether, without steps too, it is looked for how much noise is added to correlated noise before the
                network sees it (`NoiseTensors.shown`), as it is before the first step, and with gains from elsewhere.

        Returns:
            What happened. `KeyboardInterrupt` ends tuning early and is not raised.

        Raises:
            InputError: Wrong shape, wrong number of images, not finite, no sigma, noise
                that the loss is not for, or a mask that leaves nothing.
        """
        start = time.perf_counter()
        noisy = self._checked(image)
        noise = self._noise(sigma, noisy, weights_of(mask, noisy))
        noise = noise._replace(doubt=_doubts(doubt, noisy))
        rounds = ROUNDS if steps is None and self._steps.prior is not None and noise.known else 1
        steps = (PLAIN_STEPS if self._steps.prior is None else STEPS) if steps is None else steps
        if int(steps) != steps or steps < 0:
            raise InputError(f"expected steps to be a whole number of at least 0, received {steps!r}")
        with of_network(self.model.name, tf.errors.OpError):
            inputs = self._steps.unprepared(noisy, noise, self._steps.objective.windows(noisy, window))
            rounded = steps > 0 and self._rounds(int(inputs.pixels()) * len(noisy))
            run = TuningRun(self._compiled, inputs, int(steps), seed, whiten=whiten, rounded=rounded)
            before, after = run.rounds(rounds, callbacks, progress=progress)
        added = run.noise.whitening if np.any(run.noise.whitening) else ()
        self._shown = run.noise._replace(weights=(), doubt=(), whitening=added), seed
        if steps and equal(self._compiled.values(), run.start):
            warnings.warn(
                "tuning changed nothing: no gains with a lower risk were found", GainTuningWarning, stacklevel=2
            )
        if self.loss.needs_noise and np.any(after < -IMPLAUSIBLE * noise.standard_error(noisy)):
            message = "the risk estimate is negative: the noise is probably less than assumed"
            warnings.warn(message, GainTuningWarning, stacklevel=2)
        risk = np.stack(run.risks, -1) if run.risks else np.zeros((len(before), 0))
        if self._network.images is None:
            risk, before, after = risk[0], before[0], after[0]
        more = {"rounds": run.count, "further_seconds": run.further_seconds}
        more["precision"] = "bfloat16" if rounded else "float32"
        return TuningHistory(risk, before, after, time.perf_counter() - start, run.interrupted, **more)

    def denoise(self, image: ArrayLike | tf.Tensor, *, sigma: Noise | None = None) -> np.ndarray:
        """Denoise with the gains as they are; returns (N, H, W, C).

        After tuning on correlated noise: the mean over what `copies` gives.

        Args:
            image: (N, H, W, C).
            sigma: See `denoise_once`.
        """
        return mean_over(self.denoise_once(copy, sigma=sigma) for copy in self.copies(image))

    def denoise_once(self, image: ArrayLike | tf.Tensor, *, sigma: Noise | None = None) -> np.ndarray:
        """Denoise with the gains as they are, the image as it is; returns (N, H, W, C).

        Args:
            image: (N, H, W, C).
            sigma: Its noise, as for `tune`, for a network that takes the level; by default that of the last tuning.

        Raises:
            InputError: The network takes the level, and it is not known.
        """
        noisy = self._checked(image)
        return self._compiled.denoise(noisy, self._shown[0] if sigma is None else self._noise(sigma, noisy, ())).numpy()

    def copies(self, image: ArrayLike | tf.Tensor) -> Iterator[np.ndarray]:
        """Give the images as the network is to see them after the last tuning, (N, H, W, C) each.

        The image itself, if the noise was white, or nothing added to it was better; else noisier copies, in
        which it is white, see `NoiseTensors.shown`: the denoised image is the mean over them.

        Args:
            image: (N, H, W, C).
        """
        noisy = self._checked(image)
        noise, seed = self._shown
        for number in range(RESULT_COPIES if noise.is_whitened else 1):
            yield self._steps.objective.copy(noisy, noise, seed, number).numpy()

    def first_result(self, image: ArrayLike | tf.Tensor, noise: NoiseModel, *, seed: int = 0) -> FirstResult:
        """Denoise correlated noise before any tuning, and find how the network answers to such noise.

        The gains are as they are, see `noise.residual_variance.first_result`.

        Args:
            image: (1, H, W, C).
            noise: A first estimate of its noise.
            seed: That of the copies and of the probe.
        """
        noisy = self._checked(image)
        known = noise_of_batch(noise, 1, noisy.dtype)
        known = known if known.is_white else known._replace(whitening=tf.ones([1], noisy.dtype))
        once = functools.partial(self._compiled.denoise, noise=known)
        return first_result(once, noisy, noise, step_seed(seed, FIRST_RESULT))

    def reset(self) -> None:
        """Set the gains to one and the optimizer to its start, for the next image."""
        self._compiled.reset()
        self._shown = NoiseTensors(), 0

    def gains(self) -> list[np.ndarray]:
        """Copy the gains of each layer, in the order of `gain_layers`, and behind them the contrast."""
        return [value.numpy() for value in self._compiled.values()]

    def set_gains(self, values: Sequence[np.ndarray]) -> None:
        """Set the gains to what `gains` returned."""
        self._compiled.set_values(values)

    def _rounds(self, pixels):
        """Whether steps on so many pixels are to compute in bfloat16."""
        if self._precision == "float32":
            return False
        if self._precision == "auto":
            pays = pixels * self._network.network.bytes_per_pixel >= ROUNDED_BYTES and has_bfloat16()
            return pays and self._steps.objective.rounded is not None
        if self._steps.objective.rounded is None:
            raise InputError(
                "expected precision 'auto' or 'float32', received 'bfloat16': that is for Keras networks of three "
                f"convolutions or more that compute in float32, which {self.model.name!r} is not, or the loss takes "
                "differences too small for it"
            )
        return True

    def _checked(self, image):
        noisy = tf.convert_to_tensor(np.asarray(image), name="noisy")
        if noisy.dtype not in (tf.float16, tf.float32, tf.float64):
            raise InputError(f"expected a floating-point image, received {noisy.dtype.name}; gaintune() takes integers")
        self._network.network.check(noisy.shape)
        if self._network.images not in (None, noisy.shape[0]):
            raise InputError(f"the gains are for {self._network.images} images, received {noisy.shape[0]}")
        if not tf.reduce_all(tf.math.is_finite(noisy)):
            raise InputError("expected finite pixels, received NaN or infinite ones")
        return tf.cast(noisy, self._network.network.dtype)

    def _noise(self, sigma, noisy, weights) -> NoiseTensors:
        noise = self.loss.noise if sigma is None else sigma
        if noise is None:
            if self.loss.needs_noise or self._network.network.takes_level:
                raise InputError("expected the noise level: give sigma to the loss or to tune()")
            return NoiseTensors(weights=weights)
        if not isinstance(noise, (NoiseModel, NoiseLevel)):
            noise = GaussianNoise(noise)
        if isinstance(noise, NoiseModel):
            noise.check_images(tuple(noisy.shape))
        self.loss.check_noise(noise)
        return noise_of_batch(noise, noisy.shape[0], noisy.dtype, weights)


def check_precision(precision: str) -> None:
    """Refuse a precision that is none.

    Raises:
        InputError: It is not one of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise InputError(f"expected precision to be one of {', '.join(PRECISIONS)}, received {precision!r}")


def _doubts(doubt, noisy):
    """Turn the doubt of the noise into a tensor (1,) or (N,); an empty tuple if there is none."""
    found = np.atleast_1d(np.asarray(doubt, np.float64))
    if found.shape not in ((1,), (noisy.shape[0],)) or not np.all(found >= 0):
        raise InputError(f"expected doubt to be a number of at least 0, or one per image, received {doubt!r}")
    return tf.cast(found, noisy.dtype) if found.any() else ()


def mean_over(images: Iterable[np.ndarray]) -> np.ndarray:
    """Average images of one shape in the memory of two; a single one is returned as it is.

    Example:

    >>> mean_over(iter([np.ones(2), np.zeros(2)])).tolist()
    [0.5, 0.5]
    """
    total, count = None, 0
    for image in images:
        total, count = image if total is None else total + image, count + 1
    if total is None:
        raise ValueError("expected at least one image")
    return total if count == 1 else total / total.dtype.type(count)
