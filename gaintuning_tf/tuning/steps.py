"""Steps of tuning: what is prepared once, a step down, and what a further round may do. Pure functions.

The loop in Python (`rounds`) and that in a graph (`gaintuning_tf.serving.tuning_in_graph`)
call the same ones, so that the two agree. Nothing here changes a variable.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from gaintuning_tf.gains.keras_types import as_array
from gaintuning_tf.losses.base import Loss
from gaintuning_tf.networks.network import NetworkLike, network_of
from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.tuning import gauss_newton, selection
from gaintuning_tf.tuning.contrast_search import is_homogeneous, lowest_contrast
from gaintuning_tf.tuning.crop_derivatives import PerCropNetwork
from gaintuning_tf.tuning.defaults import ADAM_RATE, PRIOR, RATE, WIDE_LIMIT, WIDE_PRIOR
from gaintuning_tf.tuning.objective import Objective
from gaintuning_tf.tuning.round_inputs import RiskSlope, RoundInputs, StepLimits
from gaintuning_tf.tuning.selection import BestSoFar
from gaintuning_tf.tuning.stateless_optimizer import stateless
from gaintuning_tf.tuning.tunable_network import Values, with_tunable_gains
from gaintuning_tf.tuning.windows import Integer, Windows, step_seed

# A network is asked about its biases with an image of this side, in pixels. Biases show
# in an image of any size; this one is small, and no network that halves it needs
# padding.
PROBE_SIDE, VOLUME_PROBE_SIDE = 64, 16

# How white correlated noise may be made: shares of its strongest frequency. The first is
# nearly always best; another must lower the risk by WHITENING_MARGIN of the noise's
# variance, which is less than an estimate of the noise is off
# (docs/log/2026-11-26-noise-added-to-make-noise-white.md).
WHITENINGS, WHITENING_MARGIN = (1.0, 0.5, 0.0), 0.05

State = Sequence[tf.Tensor]


class Steps:
    """The way down an objective, from one set of values to the next.

    Args:
        objective: What is minimised.
        optimizer: A Keras optimizer, of which a copy is used, with the plain gradient; by
            default Gauss-Newton steps or, without a prior, Adam.
        prior: Standard deviation of the prior on gains about one, for Gauss-Newton steps;
            None for none.
        contrast: Whether to look for the contrast of the lowest risk before the first step;
            by default only with Gauss-Newton steps, for a network with biases.
        anneals: Whether the learning rate falls to zero along a half cosine; by default
            where no optimizer was given.
        plain: The network as it was before gains were inserted, for Gauss-Newton steps; it is
            not kept. By default the gains are taken out again.

    Attributes:
        objective: What is minimised.
        optimizer: The copy.
        prior: The prior, None where an optimizer was given.
        contrast: Whether a contrast is looked for.
        anneals: Whether the learning rate falls.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer | None = None,
        *,
        prior: float | None = PRIOR,
        contrast: bool | None = None,
        anneals: bool | None = None,
        plain: keras.Model | None = None,
    ):
        self.objective = objective
        self.prior = prior if optimizer is None else None
        self.anneals = optimizer is None if anneals is None else anneals
        if optimizer is None:
            optimizer = keras.optimizers.Adam(ADAM_RATE) if prior is None else keras.optimizers.SGD(RATE)
        self._network = objective.network
        self._per_crop = None if self.prior is None else PerCropNetwork(self._network, plain)
        self.contrast = self._level_matters() if contrast is None else contrast
        self.optimizer = stateless(optimizer)
        self.optimizer.build(self._network.tuned)
        self._initial_state = [as_array(v) for v in self.optimizer.variables]

    def initial(self) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Make the values and the optimizer's state before the first step: constants."""
        pairs = ((self._network.variables, self._network.initial), (self.optimizer.variables, self._initial_state))
        values, state = ([tf.constant(c, v.dtype) for v, c in zip(*pair, strict=True)] for pair in pairs)
        return values, state

    def unprepared(self, noisy: tf.Tensor, noise: NoiseTensors, windows: Windows) -> RoundInputs:
        """Make the inputs of a round without steps, but for the reference, see `Objective.with_reference`.

        Args:
            noisy: (N, ..., C).
            noise: What is known of its noise.
            windows: What is seen of the images.
        """
        limits = StepLimits(tf.constant(self.prior or 1.0, tf.float64), tf.constant(gauss_newton.LIMIT, tf.float64))
        gains = sum(variable.shape[-1] for variable in self._network.tuned) if self._per_crop else 0
        curvature = tf.zeros([self._network.groups, 0, gains])
        image: Any = noisy  # for TensorFlow's stubs know no slices with an ellipsis
        return RoundInputs(noisy, noise, image[..., :0], curvature, windows, limits)

    def prepare(
        self, values: Values, noisy: tf.Tensor, noise: NoiseTensors, seed: Integer, windows: Windows
    ) -> tuple[Values, RoundInputs, tf.Tensor, tf.Tensor]:
        """Find what the steps of a first round need.

        Args:
            values: See `TunableNetwork`.
            noisy: (N, ..., C).
            noise: What is known of its noise.
            seed: That of the whole tuning, ().
            windows: What a step sees of the images.

        Returns:
            The values with the contrast of the lowest risk, the `RoundInputs`, and the
            held-out risk of the values as they were, (groups,), as the images are and as they
            are seen.
        """
        inputs, plain = self.whiten(values, self.unprepared(noisy, noise, windows), seed)
        inputs = self.objective.with_reference(values, inputs)
        values, risk = self._at_best_contrast(values, inputs, seed)
        return values, self._with_curvature(values, inputs, seed), risk if plain is None else plain, risk

    def whiten(self, values: Values, inputs: RoundInputs, seed: Integer) -> tuple[RoundInputs, tf.Tensor | None]:
        """Choose how much noise is added to correlated noise before the network sees it, by the risk.

        Args:
            values: See `TunableNetwork`.
            inputs: What is looked at; for white noise returned as they are.
            seed: That of the whole tuning, ().

        Returns:
            The inputs, their noise with the `whitening` of the lowest risk for each group; and the
            held-out risk without any, (groups,), None for white noise.
        """
        if inputs.noise.is_white:
            return inputs, None

        def at(share):
            whitening = tf.fill([self._network.groups], tf.cast(share, inputs.noisy.dtype))
            return inputs._replace(noise=inputs.noise._replace(whitening=whitening))

        risks = tf.map_fn(
            lambda share: self.objective.held_out(values, at(share), seed),
            tf.constant(WHITENINGS, tf.float64),
            fn_output_signature=tf.TensorSpec([self._network.groups], tf.float64),
            parallel_iterations=1,
        )
        groups = tf.zeros([self._network.groups], tf.float64)
        margin = WHITENING_MARGIN * self.objective.noise_variance(inputs.noisy, inputs.noise, groups)
        handicaps = tf.stack([tf.zeros_like(margin)] + [margin] * (len(WHITENINGS) - 1))
        best = tf.gather(tf.constant(WHITENINGS, inputs.noisy.dtype), tf.argmin(risks + handicaps, 0))
        return inputs._replace(noise=inputs.noise._replace(whitening=best)), risks[-1]

    def widen(self, values: Values, inputs: RoundInputs, seed: Integer) -> RoundInputs:
        """Make the inputs of a further round from these values: the curvature there, a wider prior and longer steps.

        Args:
            values: Those that were kept.
            inputs: Those of the round before.
            seed: That of the whole tuning, ().
        """
        prior = tf.maximum(inputs.limits.prior, WIDE_PRIOR)
        limits = StepLimits(prior, tf.constant(WIDE_LIMIT, tf.float64))
        return self._with_curvature(values, inputs, seed)._replace(limits=limits)

    def one_step(
        self,
        best: BestSoFar,
        values: Values,
        state: State,
        inputs: RoundInputs,
        seed: tf.Tensor,
        *,
        rounded: bool = False,
    ) -> tuple[BestSoFar, Values, State, tf.Tensor]:
        """Take a step down on random windows.

        Args:
            best: Where the risk was lowest so far.
            values: See `TunableNetwork`.
            state: The values of the optimizer's variables.
            inputs: What is looked at.
            seed: That of the step, two integers.
            rounded: Whether in bfloat16, see `Objective.rounded`.

        Returns:
            `best`, values and state after it, and the risk before it, (groups,).
        """
        slope = self.objective.slope(values, inputs, seed, rounded=rounded)
        after, state = self._stepped(values, state, slope, inputs)
        return selection.remember(best, values, slope.risk), after, state, slope.risk

    def annealed(self, state: State, number: Integer, steps: Integer) -> State:
        """Set the learning rate in the state for step `number` of `steps`: it falls, unless the caller chose it."""
        if not self.anneals:
            return state
        rate = selection.annealed(self.first_rate, number, steps)
        place = self._place_of_rate()
        return [tf.cast(rate, value.dtype) if i == place else value for i, value in enumerate(state)]

    @property
    def first_rate(self) -> float:
        """The learning rate of the first step."""
        return float(self._initial_state[self._place_of_rate()])

    def optimism(self, inputs: RoundInputs, steps: Integer) -> tf.Tensor:
        """Estimate by how much a round lowers the risk estimate by fitting the noise alone, (groups,): see `freedom`.

        Args:
            inputs: Those of the round.
            steps: Its steps: the pixels are those that they have seen, of correlated ones as many
                as they are worth.
        """
        groups = tf.zeros([self._network.groups], tf.float64)
        variance = self.objective.noise_variance(inputs.noisy, inputs.noise, groups)
        damping = gauss_newton.damping(variance, self._effective_pixels(inputs), inputs.limits.prior)
        freedom = gauss_newton.freedom(inputs.curvature, damping)
        image = tf.reduce_prod(tf.cast(tf.shape(inputs.noisy)[1:], tf.float64))
        seen = tf.minimum(image, tf.cast(steps, tf.float64) * tf.cast(inputs.pixels(), tf.float64))
        return 2 * variance * freedom / self.objective.effective(inputs, seen)

    def _effective_pixels(self, inputs):
        return self.objective.effective(inputs, inputs.pixels())

    def _stepped(self, values, state, slope: RiskSlope, inputs) -> tuple[Values, State]:
        """Find the values and the state after the step."""
        tuned, contrast = list(values[:-1]), values[-1]
        gradients = slope.gradients
        if self._per_crop:
            damping = gauss_newton.damping(slope.variance, self._effective_pixels(inputs), inputs.limits.prior)
            flat, deviation = self._network.flat(gradients), self._network.flat(tuned) - 1
            step = gauss_newton.newton_step(inputs.curvature, flat, deviation, damping, inputs.limits.limit)
            gradients = self._network.split(-step)
        applied: Any = self.optimizer.stateless_apply(state, gradients, tuned)
        tuned, state = applied
        return [*tuned, contrast], state

    def _with_curvature(self, values, inputs, seed):
        if not self._per_crop:
            return inputs
        line = inputs.noise.seen_line(inputs.noisy) if self._network.network.takes_level else None
        derivative = functools.partial(self._per_crop.derivative, values, line)
        # What the network sees: the image, noise added if its own is correlated.
        seen = inputs.noise.shown(tf.identity, inputs.noisy, step_seed(seed, gauss_newton.STREAM))(inputs.noisy)
        fixed = self._network.network.fixed_sides
        samples = gauss_newton.curvature_samples(derivative, seen, self._network.images, seed, fixed)
        return inputs._replace(curvature=samples)

    def _at_best_contrast(self, values, inputs, seed):
        """Find the values with the contrast of the lowest risk, and the risk at the first contrast."""
        if not self.contrast:
            return values, self.objective.held_out(values, inputs, seed)
        *tuned, start = values
        best, first = lowest_contrast(lambda s: self.objective.held_out([*tuned, s], inputs, seed), start)
        return [*tuned, best], first

    def _level_matters(self):
        """Whether to look for a contrast: with biases, a network knows noise of some strengths only."""
        if self.prior is None:
            return False
        batch, *size, channels = self._network.network.model.inputs[0].shape
        own = VOLUME_PROBE_SIDE if len(size) == 3 else PROBE_SIDE
        shape = (batch or self._network.groups, *(side or own for side in size), channels)
        return not is_homogeneous(self._network.network, shape)

    def _place_of_rate(self):
        rate = self.optimizer._learning_rate
        return next(i for i, variable in enumerate(self.optimizer.variables) if variable is rate)


def gain_steps(
    model: NetworkLike, loss: Loss, optimizer: keras.optimizers.Optimizer | None = None, **options: Any
) -> Steps:
    """Make the steps that tune the gains of a network by a loss.

    Args:
        model: Whatever `network_of` takes; never changed.
        loss: A `RiskEstimate`, or a plain function.
        optimizer: See `Steps`.
        **options: Those of `Steps`.
    """
    network = network_of(model)
    return Steps(Objective(with_tunable_gains(network), loss), optimizer, plain=network.model, **options)
