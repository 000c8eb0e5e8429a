"""The loop in Python: rounds of steps, and which values are kept after each.

A first round is for a network near the image. Where it has lowered the risk by much, the
network was far, and a further one may go further: from the values that were kept, with the
curvature there, a wider prior and longer steps.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.support.interruption import CtrlC
from gaintuning_tf.support.phases import first_is_done, phase
from gaintuning_tf.tuning import selection
from gaintuning_tf.tuning.compiled import CompiledSteps, equal
from gaintuning_tf.tuning.round_inputs import RoundInputs
from gaintuning_tf.tuning.windows import step_seed

# A group needs more, that is, a further round, where one has lowered its risk by this
# share beyond what fitting the noise accounts for: the network was far from the image
# (docs/log/2026-11-25-further-rounds-for-networks-far-from-the-image.md, of fewer steps
# docs/log/2026-11-27-fewer-steps-crops-and-probes.md).
NEEDS_MORE = 0.035
# A risk that lies so many standard errors below zero is not that of this noise: more
# steps lower it and not the error
# (docs/log/2026-11-26-further-rounds-where-the-risk-is-wrong.md).
IMPLAUSIBLE = 3


class TuningRun:
    """One tuning of the values of a network on one batch of images.

    Args:
        compiled: The steps, and the variables that they change.
        inputs: What is looked at, not yet prepared.
        steps: The steps of each round.
        seed: The seed of the whole tuning.
        whiten: Whether it is looked for how the network is to see correlated noise without steps, too.
        rounded: Whether steps compute in bfloat16, see `Objective.rounded`; all else is decided in float32.

    Attributes:
        start: The values at the start.
        risks: At each step, by group; NaN for groups that have no further round.
        interrupted: Whether Ctrl-C ended it.
        count: How many rounds there were.
        further_seconds: What those after the first took, wall time.
    """

    def __init__(
        self,
        compiled: CompiledSteps,
        inputs: RoundInputs,
        steps: int,
        seed: int,
        *,
        whiten: bool = False,
        rounded: bool = False,
    ):
        self._compiled, self._functions = compiled, compiled.functions(inputs.noise)
        self._step_function = self._functions.rounded_step if rounded else self._functions.step
        self._inputs, self._steps, self._whiten = inputs, steps, whiten
        self._seed = tf.constant(int(seed) % 2**63, tf.int64)
        self._best = compiled.nothing_seen()
        self._mean_risk = math.nan
        self._stopped = False
        self._ctrl_c = CtrlC()
        self.start = self._best.values
        self.risks: list[np.ndarray] = []
        self.interrupted = False
        self.count, self.further_seconds = 1, 0.0
        self._ahead: dict[Callable, Future] = {}

    def rounds(
        self, most: int, callbacks: Iterable[keras.callbacks.Callback] = (), *, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run one round, then further ones for the groups that still gain.

        The variables then have the values that were kept, group by group.

        Args:
            most: The largest number of rounds.
            callbacks: Keras callbacks: a step is an epoch of one batch.
            progress: Whether to show a bar.

        Returns:
            The held-out risk before, and of the values that were kept, (groups,) each.
        """
        model, optimizer = self._compiled.model, self._compiled.steps.optimizer
        phase("")
        bar = tqdm(total=self._steps, desc="tuning", unit="step", disable=not progress, leave=False, smoothing=0)
        with _optimizer_of(model, optimizer), self._ctrl_c, bar, self._traced_ahead():
            listeners = keras.callbacks.CallbackList(
                list(callbacks), model=model, epochs=self._steps, steps=1, verbose=0
            )
            listeners.on_train_begin()
            before, at_contrast, after = self._first_round(listeners, bar)
            if most > 1 and not self._stopped:
                began = time.perf_counter()
                after = self._further_rounds(most - 1, at_contrast, after, listeners, bar)
                self.further_seconds = time.perf_counter() - began if self.count > 1 else 0.0
            listeners.on_train_end({"loss": self._mean_risk} if self.risks else {})
        return before.numpy(), after.numpy()

    @contextlib.contextmanager
    def _traced_ahead(self):
        """Trace what is called later while what is called first runs: TensorFlow leaves Python alone meanwhile.

        Whoever needs a function that is being traced waits for it, and gets its errors by tracing it again.
        """
        later = (self._functions.prepare, self._step_function, self._functions.held_out) if self._steps else ()
        with ThreadPoolExecutor(1, "tracing") as ahead:
            for function in later:
                if not function.experimental_get_tracing_count():
                    self._ahead[function] = ahead.submit(function.get_concrete_function)
            yield

    def _first_round(self, listeners, bar):
        """Take the steps of a round; returns the held-out risk before, at the contrast found, and of what was kept."""
        risks = self._run_steps(listeners, bar, prepare=self._prepare)
        if risks is None:
            risks = self._unprepared()
        as_it_is, seen = risks
        self._show(bar, "choice", self._functions.held_out)
        at_contrast, after = self._keep_best(self.start, seen)
        return at_contrast if as_it_is is None else as_it_is, at_contrast, after

    def _unprepared(self):
        """Find the reference without steps, and where gains came from elsewhere, how the image is seen with them."""
        as_it_is, noise = None, self._inputs.noise
        if not self._whiten and equal(self.start, self._compiled.steps.initial()[0]):
            # The network as it is sees the image as it is: one copy says what all would.
            self._inputs = self._inputs._replace(noise=noise._replace(whitening=()))
            self._functions = self._compiled.functions(self._inputs.noise)
        elif not noise.is_white:
            self._inputs, as_it_is = self._functions.whiten(self.start, self._inputs, self._seed)
        self._inputs = self._compiled.steps.objective.with_reference(self.start, self._inputs)
        return as_it_is, None

    def _further_rounds(self, most, base, after, listeners, bar):
        """Go on with the groups that still gain; returns the held-out risk of what was kept."""
        optimism = self._optimism()
        error = self._compiled.steps.objective.standard_error(self._inputs)
        more = _needs_more(base, after, optimism, error)
        for _ in range(most):
            if self._stopped or not tf.reduce_any(more):
                break
            self.count += 1
            bar.total += self._steps
            start, base, known = self._compiled.values(), after, optimism
            self._run_steps(listeners, bar, prepare=self._widen, groups=more.numpy())
            _, found = self._keep_best(start, base)
            optimism = self._optimism()
            kept = more & (found < base - (optimism - known)) & _is_plausible(found, error)
            self._compiled.set_values(selection.choose(kept, self._compiled.values(), start))
            after = tf.where(kept, found, base)
            more = kept & _needs_more(base, after, optimism - known, error)
        return after

    @property
    def noise(self) -> NoiseTensors:
        """What is known of the noise, and how much is added to it for the network to see."""
        return self._inputs.noise

    def _prepare(self, bar):
        """Set the contrast, and find what all steps need; returns held-out risks of the start, as it is and as seen."""
        given = self._inputs
        self._show(bar, "contrast" if self._compiled.steps.contrast else "preparation", self._functions.prepare)
        values, self._inputs, as_it_is, seen = self._functions.prepare(
            self.start, given.noisy, given.noise, self._seed, given.windows
        )
        self._compiled.set_values([*self.start[:-1], values[-1]])
        return as_it_is, seen

    def _widen(self, bar):
        """Let the values go further from where they are."""
        self._show(bar, "a further round", self._functions.widen)
        self._inputs = self._functions.widen(self._compiled.values(), self._inputs, self._seed)
        self._best = self._compiled.nothing_seen()

    def _optimism(self):
        return self._functions.optimism(self._inputs, tf.constant(self._steps, tf.int64))

    def _run_steps(self, listeners, bar, *, prepare, groups=True):
        """Take the steps of a round, fewer if interrupted or stopped; returns what `prepare` does."""
        compiled, prepared = self._compiled, None
        compiled.model.stop_training = False
        try:
            if self._steps:
                prepared = prepare(bar)
            for number in range(self._steps):
                if self._ctrl_c.pressed:
                    break
                compiled.set_learning_rate(number, self._steps)
                if not number:
                    self._show(bar, "steps", self._step_function)
                risk = self._step(listeners, groups)
                bar.set_postfix(risk=f"{risk:.3g}", refresh=False)
                bar.update()
                if not number:
                    first_is_done(bar)
                self._stopped = compiled.model.stop_training or not math.isfinite(risk)
                if self._stopped:
                    break
        except KeyboardInterrupt:
            # A callback's, or in another thread than the main one: else it is asked for.
            self.interrupted = True
        finally:
            compiled.set_learning_rate(0, 1)
        self.interrupted = self.interrupted or self._ctrl_c.pressed
        self._stopped = self._stopped or self.interrupted
        return prepared

    def _step(self, listeners, groups):
        number = len(self.risks)
        listeners.on_epoch_begin(number)
        listeners.on_train_batch_begin(0)
        seed = step_seed(self._seed, self._compiled.done)
        self._best, risk = self._step_function(self._best, self._inputs, seed)
        self._compiled.done += 1
        self.risks.append(np.where(groups, risk.numpy(), np.nan))
        self._mean_risk = float(np.mean(self.risks[-1][groups]))
        listeners.on_train_batch_end(0, {"loss": self._mean_risk})
        listeners.on_epoch_end(number, {"loss": self._mean_risk})
        return self._mean_risk

    def _keep_best(self, start, before):
        """Set the values to the best candidate; returns the held-out risks before any gain moved, and of it."""
        candidates = [start]
        if self.risks:
            found = selection.candidates(start, self._best.values, self._compiled.values())
            # A candidate that is the start itself has its risk, and would not win.
            candidates += [values for values in found if not equal(values, start)]
        risks = [] if before is None else [before]
        risks += [self._functions.held_out(values, self._inputs, self._seed) for values in candidates[len(risks) :]]
        kept, lowest = selection.keep_best(candidates, risks)
        self._compiled.set_values(kept)
        # The second is the contrast alone, if one was found.
        only_contrast = len(candidates) > 1 and equal(candidates[1][:-1], start[:-1])
        return risks[1] if only_contrast else risks[0], lowest

    def _show(self, bar, words, function=None):
        """Name on the bar what begins now; the tracing of a function that is called then is named, too."""
        if function is not None and not self._is_traced(function):
            bar.set_description(f"tracing, {words}")
            phase(f"tracing, {words}", shown=False)
            function.get_concrete_function()
        bar.set_description(words)
        phase(words, shown=False)

    def _is_traced(self, function):
        # A function counts as traced from when its tracing begins.
        ahead = self._ahead.get(function)
        return bool(function.experimental_get_tracing_count()) and (ahead is None or ahead.done())


@contextlib.contextmanager
def _optimizer_of(model, optimizer):
    """For a while, `model.optimizer` is the tuning's: callbacks read and set the learning rate there."""
    previous = getattr(model, "optimizer", None)
    model.optimizer = optimizer
    try:
        yield
    finally:
        model.optimizer = previous


def _needs_more(base, after, optimism, error):
    """Whether the risk fell by so much that more is to be gained, by group: a share of it, or of its standard error."""
    return _is_plausible(after, error) & (base - after - optimism > NEEDS_MORE * tf.maximum(base, error))


def _is_plausible(risk, error):
    """Whether the risk lies within its standard errors of zero or above: else the noise is less than was said."""
    return risk > -IMPLAUSIBLE * error
