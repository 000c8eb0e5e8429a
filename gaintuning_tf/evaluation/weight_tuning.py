"""What gain tuning is compared with: the weights themselves tuned on the one noisy image."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.convolutions import convolutions, sublayers
from gaintuning_tf.gains.graphs.graph_network import GraphNetwork
from gaintuning_tf.gains.keras_types import as_array
from gaintuning_tf.gains.rewriting import Rewriter
from gaintuning_tf.gains.surgery import strip_gains
from gaintuning_tf.losses.base import Loss
from gaintuning_tf.networks.network import Network, NetworkLike, network_of
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel
from gaintuning_tf.noise.tensors import noise_of_batch, weights_of
from gaintuning_tf.tuning.compiled import CompiledSteps
from gaintuning_tf.tuning.defaults import PLAIN_STEPS, WINDOW
from gaintuning_tf.tuning.objective import Objective
from gaintuning_tf.tuning.rounds import TuningRun
from gaintuning_tf.tuning.steps import Steps
from gaintuning_tf.tuning.tunable_network import TunableNetwork

# Learning rates by what is tuned, for as few steps as gain tuning takes. Measured on a
# 128x128 crop of Set12 at sigma 30, PSNR before and after 40 steps: unet-bf-natural 27.10 dB;
# all weights 27.12 at the paper's 1e-5, 27.15 at 1e-4; last convolution 27.14 at 1e-4, 27.16
# at 1e-3; gains 27.11. unet-piecewise 23.66 dB; likewise 24.07, 24.75; 23.86, 24.22; gains
# 24.45.
LEARNING_RATES = {"all": 1e-4, "last": 1e-3}


class WeightTuner:
    """Tune weights of a denoiser on a noisy image, to see what gains are good for.

    Minimises `loss` over the weights w of a copy, `min_w SURE(f_w, y)`: the ablations "all
    parameters" and "last layer" of Mohan et al., "Adaptive denoising via GainTuning", NeurIPS
    2021, section 5. All else is the plain method of `GainTuner`, by the same objects: 40 steps,
    Adam with a rate that falls along a half cosine, windows of large images, and the choice
    on held-out probes of the weights of the lowest risk. The network runs in inference mode.

    Args:
        model: A denoiser (N, H, W, C) to the same shape; copied, never changed. Gains are left out.
        loss: A risk estimate such as `MonteCarloSURE`.
        which: `"all"` weights, scale and shift of norms included; or those of the `"last"` convolution. In a
            TensorFlow graph, these are kernels and biases of its convolutions.
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

    def __init__(self, model: NetworkLike, loss: Loss, which: str = "all", learning_rate: float | None = None):
        if which not in LEARNING_RATES:
            raise InputError(f"expected which in {tuple(LEARNING_RATES)}, received {which!r}")
        self._network = network_of(model)
        self.model = _copy(strip_gains(self._network.model))
        weights = _weights(self.model, which)
        start = [as_array(variable) for variable in weights]
        objective = Objective(TunableNetwork(Network(self.model), weights, initial=start), loss)
        rate = LEARNING_RATES[which] if learning_rate is None else float(learning_rate)
        steps = Steps(objective, keras.optimizers.Adam(rate), contrast=False, anneals=True)
        self._compiled = CompiledSteps(steps)

    def denoise(
        self,
        image: ArrayLike | tf.Tensor,
        *,
        sigma: float | np.ndarray | NoiseModel,
        steps: int | None = None,
        seed: int = 0,
        mask: ArrayLike | None = None,
    ) -> np.ndarray:
        """Tune the weights on `image`, from those of the model, and denoise it with them.

        Args:
            image: Noisy, (1, H, W, C), float32; in [0, 1] for a network trained on that.
            sigma: Standard deviation of its noise, in the same units, or a noise model such as `PoissonNoise`.
            steps: Steps, 40 by default.
            seed: Same seed, same machine: same result.
            mask: True where a pixel does not count, see `GainTuner.tune`.

        Returns:
            The denoised image, (1, H, W, C), float32.

        Raises:
            InputError: The loss is not for such noise.
            KeyboardInterrupt: Ctrl-C while tuning.
        """
        limits = self._network.limits(np.asarray(image), None if mask is None else np.asarray(mask))
        noisy = tf.convert_to_tensor(limits.seen(np.asarray(image, np.float32)))
        way, network = self._compiled.steps, self._compiled.steps.objective.network.network
        network.check(noisy.shape)
        model = limits.noise(sigma if isinstance(sigma, NoiseModel) else GaussianNoise(sigma))
        way.objective.loss.check_noise(model)
        model.check_images(tuple(noisy.shape))
        noise = noise_of_batch(model, len(noisy), tf.float32, weights_of(mask, noisy))
        inputs = way.unprepared(noisy, noise, way.objective.windows(noisy, WINDOW))
        self._compiled.reset()
        run = TuningRun(self._compiled, inputs, PLAIN_STEPS if steps is None else steps, seed)
        run.rounds(1)
        if run.interrupted:
            raise KeyboardInterrupt
        return limits.image(self._compiled.denoise(noisy, run.noise).numpy())


def _copy(model):
    rewriter = Rewriter()
    copy = rewriter.rewrite(model)
    rewriter.copy_variables()
    return copy


def _weights(model, which):
    """List the variables to tune."""
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
    """List kernels and biases of some of a graph's convolutions, each once, without those that the graph computes."""
    names = [name for found in graph.convolutions[which] for name in (found.kernel, found.bias)]
    return [graph.constants[name] for name in dict.fromkeys(names) if name in graph.constants]
