"""What gain tuning is compared with: the weights themselves tuned on the one noisy image."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.convolutions import convolutions, sublayers
from gaintuning_tf.gains.graph_models import as_keras_model
from gaintuning_tf.gains.graph_network import GraphNetwork
from gaintuning_tf.gains.rewriting import Rewriter
from gaintuning_tf.gains.surgery import strip_gains
from gaintuning_tf.losses.base import as_risk_estimate
from gaintuning_tf.networks import sizes
from gaintuning_tf.noise.models import GaussianNoise, NoiseLevel, NoiseModel
from gaintuning_tf.tuning import selection, windows
from gaintuning_tf.tuning.defaults import PLAIN_STEPS, WINDOW

# Learning rates by what is tuned, for as few steps as gain tuning takes. Measured on a 128x128 crop of Set12 at sigma
# 30, PSNR before and after 40 steps: unet-bf-natural 27.10 dB; all weights 27.12 at the paper's 1e-5, 27.15 at 1e-4;
# last convolution 27.14 at 1e-4, 27.16 at 1e-3; gains 27.11. unet-piecewise 23.66 dB; likewise 24.07, 24.75; 23.86,
# 24.22; gains 24.45.
LEARNING_RATES = {"all": 1e-4, "last": 1e-3}


class WeightTuner:
    """Tune weights of a denoiser on a noisy image, to see what gains are good for.

    Minimises `loss` over the weights w of a copy, `min_w SURE(f_w, y)`: the ablations "all parameters" and "last
    layer" of Mohan et al., "Adaptive denoising via GainTuning", NeurIPS 2021, section 5. All else is as in the plain
    method of `GainTuner.tune`: 40 steps, Adam with a rate that falls along a half cosine, windows of large images, and
    the choice on held-out probes of the start, the last step, or where the running average of the risk was lowest. The
    network runs in inference mode.

    Args:
        model: A denoiser (N, H, W, C) to the same shape; copied, never changed. Gains are left out.
        loss: A risk estimate such as `MonteCarloSURE`.
        which: `"all"` weights, scale and shift of norms included; or those of the `"last"` convolution. Of a
            TensorFlow graph, kernels and biases of its convolutions.
        learning_rate: At the start; by default 1e-4 for all weights, ten times the paper's, which is too slow for
            this few steps, and 1e-3 for the last convolution's.

    Attributes:
        model: The copy.

    Raises:
        InputError: The model cannot be copied, computes in less than float32, or has no such weights.

    Example:

    >>> from gaintuning_tf import MonteCarloSURE
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> tuner = WeightTuner(model, MonteCarloSURE(), which="all")
    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((1, 32, 32, 1), "float32")
    >>> tuner.denoise(noisy, sigma=0.1, steps=5).shape
    (1, 32, 32, 1)
    """

    def __init__(self, model: keras.Model, loss, which: str = "all", learning_rate: float | None = None):
        if which not in LEARNING_RATES:
            raise InputError(f"expected which in {tuple(LEARNING_RATES)}, received {which!r}")
        model = as_keras_model(model)
        sizes.check_denoiser(model)
        self.model = _copy(strip_gains(model))
        self._variables = _weights(self.model, which)
        self._start = [keras.ops.convert_to_numpy(variable) for variable in self._variables]
        self.loss = as_risk_estimate(loss)
        if self.loss.uses_reference:
            raise InputError(f"tuning weights expects a loss of the noisy image alone, received {type(loss).__name__}")
        self.learning_rate = LEARNING_RATES[which] if learning_rate is None else float(learning_rate)
        self._optimizer = keras.optimizers.Adam(self.learning_rate)
        self._optimizer.build(self._variables)
        self._optimizer_start = [keras.ops.convert_to_numpy(variable) for variable in self._optimizer.variables]
        self._multiple = sizes.size_multiple(self.model)
        # Without signatures, for the noise may be of any kind.
        self._run_step = tf.function(self._step, autograph=False, reduce_retracing=True)
        self._run_risk = tf.function(self._risk, autograph=False, reduce_retracing=True)
        self._run_denoise = tf.function(self._denoise, autograph=False, reduce_retracing=True)

    def denoise(self, image, *, sigma, steps: int | None = None, seed: int = 0) -> np.ndarray:
        """Tune the weights on `image`, from those of the model, and denoise it with them.

        Args:
            image: Noisy, (1, H, W, C), float32; in [0, 1] for a network trained on that.
            sigma: Standard deviation of its noise, in the same units, or a noise model such as `PoissonNoise`.
            steps: Steps, 40 by default.
            seed: Same seed, same machine: same result.

        Returns:
            The denoised image, (1, H, W, C), float32.

        Raises:
            InputError: The loss is not for such noise.
        """
        self.loss.check_noise(sigma)
        noisy = tf.convert_to_tensor(image, tf.float32)
        sizes.check_size(self.model, noisy.shape)
        self._set(self._start)
        for variable, value in zip(self._optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)
        if isinstance(sigma, NoiseModel) and not isinstance(sigma, GaussianNoise):
            noise = NoiseLevel(*(tf.cast(part, tf.float32) for part in sigma.level(noisy.shape[0])))
        else:
            level = sigma.sigma if isinstance(sigma, GaussianNoise) else sigma
            noise = tf.fill([noisy.shape[0]], tf.cast(level, tf.float32))
        self._set(self._tuned(noisy, noise, PLAIN_STEPS if steps is None else steps, int(seed)))
        return self._run_denoise(noisy).numpy()

    def _tuned(self, noisy, sigma, steps, seed):
        size = windows.window_size(noisy, WINDOW)
        found = selection.start(self._values(), 1)
        for number in range(steps):
            self._optimizer.learning_rate = float(selection.annealed(self.learning_rate, number, steps))
            values = self._values()
            risk = self._run_step(noisy, sigma, windows.step_seed(seed, number), size)
            found = selection.remember(found, values, risk)
            if not np.isfinite(risk.numpy()).all():
                break
        candidates = [[tf.convert_to_tensor(value) for value in self._start], found.best, self._values()]

        def risk_of(weights, stream):
            return self._run_risk(weights, noisy, sigma, stream, size)

        risks = [selection.held_out(risk_of, weights, seed) for weights in candidates]
        return selection.keep_best(candidates, risks)[0]

    def _step(self, noisy, sigma, seed, size):
        variables = [variable.value for variable in self._variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            risk = self.loss(self._denoise, windows.random_window(noisy, seed, size), sigma, seed=seed)
            total = tf.reduce_sum(risk)
        gradients = tape.gradient(total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        self._optimizer.apply(gradients, self._variables)
        return tf.reduce_mean(risk, keepdims=True)

    def _risk(self, weights, noisy, sigma, seed, size):
        with keras.StatelessScope(list(zip(self._variables, weights, strict=True))):
            risk = self.loss(self._denoise, windows.random_window(noisy, seed, size), sigma, seed=seed)
        return tf.reduce_mean(risk, keepdims=True)

    def _denoise(self, noisy):
        padded = sizes.pad_symmetric(noisy, self._multiple)
        return sizes.crop_like(self.model(padded, training=False), noisy)

    def _values(self):
        return [tf.convert_to_tensor(variable.value) for variable in self._variables]

    def _set(self, values):
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)


def _copy(model):
    rewriter = Rewriter()
    copy = rewriter.rewrite(model)
    rewriter.copy_variables()
    return copy


def _weights(model, which):
    """The variables to tune."""
    for layer in model._flatten_layers():
        layer.trainable = True  # whatever the user froze
    graphs = sublayers(model, GraphNetwork)
    layers = convolutions(model)
    for layer in [*layers, *graphs]:
        if layer.compute_dtype != "float32":
            # The probe of a risk estimate would drown in the rounding.
            raise InputError(f"tuning weights expects a float32 network, {layer.name!r} computes {layer.compute_dtype}")
    if which == "last":
        inside = [] if layers or not graphs else _of_graph(graphs[-1], slice(-1, None))
        found = layers[-1].trainable_variables if layers else inside
    else:
        found = [*model.trainable_variables, *(v for graph in graphs for v in _of_graph(graph, slice(None)))]
    if not found:
        raise InputError(f"tuning weights expects a network with weights, {model.name!r} has none to tune")
    return found


def _of_graph(graph, which):
    """Kernels and biases of some of a graph's convolutions, each once; arrays that the graph computes have none."""
    names = [name for found in graph.convolutions[which] for name in (found.kernel, found.bias)]
    return [graph.constants[name] for name in dict.fromkeys(names) if name in graph.constants]
