"""The loop of `GainTuner.tune`: rounds of steps, and which gains are kept after each.

A first round is for a network near the image. Where it has lowered the risk by much, the network was far, and
a further one may go further: from the gains that were kept, with the curvature there, a wider prior and longer steps.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from gaintuning_tf.tuning import selection, windows

FAR = 0.05
# A risk that lies so many standard errors below zero is not that of this noise: more
# steps lower it and not the error
# (docs/log/2026-11-26-further-rounds-where-the-risk-is-wrong.md).
UNSOUND = 3


class Run:
    """One call of `GainTuner.tune`.

    Args:
        tuner: Its variables are the gains and the optimiser's state.
        functions: What it runs, compiled.
        scene: What it looks at, not yet prepared.
        steps: Of each round.
        seed: Of the whole tuning.

    Attributes:
        start: The gains at the start.
        risks: At each step, by row; NaN for rows that have no further round.
        mean: Of the last of them.
        interrupted: Whether Ctrl-C ended it.
    """

    def __init__(self, tuner, functions, scene, steps, seed):
        self.tuner, self.functions, self.scene = tuner, functions, scene
        self.total, self.seed = steps, int(seed) % 2**63
        self.search = tuner._search()
        self.start = self.search.best
        self.risks, self.mean = [], None
        self.interrupted = self.stopped = False

    def rounds(self, most, listeners, progress):
        """A round of steps, and further ones of rows that are far; the held-out risks of the start and of what is kept.

        The gains of the tuner are those kept, row by row.
        """
        listeners.on_train_begin()
        with tqdm(total=self.total, desc="tuning", unit="step", disable=not progress, leave=False) as bar:
            before = self._steps(listeners, bar, prepare=self._prepare)
            if before is None:
                self.scene = self.tuner.referenced(self.start, self.scene)
            base, after = self._keep_best(self.start, before)
            before = base if before is None else before
            further = most - 1 and not self.stopped
            optimism = self._optimism() if further else 0
            chance = self.tuner.chance(self.scene) if further else 0
            far = further and _is_far(base, after, optimism, chance)
            for _ in range(most - 1):
                if self.stopped or not tf.reduce_any(far):
                    break
                bar.total += self.total
                start, base, known = self.tuner._gains(), after, optimism
                self._steps(listeners, bar, prepare=self._widen, rows=far.numpy())
                _, found = self._keep_best(start, base)
                optimism = self._optimism()
                kept = far & (found < base - (optimism - known)) & _is_sound(found, chance)
                self._set(selection.choose(kept, self.tuner._gains(), start))
                after = tf.where(kept, found, base)
                far = kept & _is_far(base, after, optimism - known, chance)
        listeners.on_train_end({"loss": self.mean} if self.risks else {})
        return before.numpy(), after.numpy()

    def _prepare(self):
        """Set the contrast, and find what all steps need; the held-out risk of the start."""
        scene = self.scene
        gains, self.scene, before = self.functions.prepare(
            self.start, scene.noisy, scene.noise, tf.constant(self.seed, tf.int64), scene.windows
        )
        self.tuner._variables[-1].assign(gains[-1])
        return before

    def _widen(self):
        """Let the gains go further from where they are."""
        self.scene = self.functions.widen(self.tuner._gains(), self.scene, tf.constant(self.seed, tf.int64))
        self.search = self.tuner._search()

    def _optimism(self):
        return self.functions.optimism(self.scene, tf.constant(self.total, tf.int64))

    def _steps(self, listeners, bar, *, prepare, rows=True):
        """What `prepare` gives, and the steps; they end early where they are interrupted or stopped."""
        tuner = self.tuner
        tuner.model.stop_training = False
        learning_rate = float(tuner.optimizer.learning_rate)
        prepared = None
        try:
            if self.total:
                prepared = prepare()
            for number in range(self.total):
                if tuner._anneals:
                    tuner.optimizer.learning_rate = float(selection.annealed(learning_rate, number, self.total))
                risk = self._step(listeners, rows)
                bar.set_postfix(risk=f"{risk:.3g}", refresh=False)
                bar.update()
                self.stopped = tuner.model.stop_training or not math.isfinite(risk)
                if self.stopped:
                    break
        except KeyboardInterrupt:
            self.interrupted = self.stopped = True
        finally:
            if tuner._anneals:
                tuner.optimizer.learning_rate = learning_rate
        return prepared

    def _step(self, listeners, rows):
        number = len(self.risks)
        listeners.on_epoch_begin(number)
        listeners.on_train_batch_begin(0)
        seed = windows.step_seed(self.seed, self.tuner._steps_done)
        self.search, risk = self.functions.step(self.search, self.scene, seed)
        self.tuner._steps_done += 1
        self.risks.append(np.where(rows, risk.numpy(), np.nan))
        self.mean = float(np.mean(self.risks[-1][rows]))
        listeners.on_train_batch_end(0, {"loss": self.mean})
        listeners.on_epoch_end(number, {"loss": self.mean})
        return self.mean

    def _keep_best(self, start, before):
        """Set the gains to the best candidate; the held-out risks before any gain moved, and of it."""
        candidates = [start]
        if self.risks:
            found = selection.candidates(start, self.search.best, self.tuner._gains())
            # A candidate that is the start itself has its risk, and would not win.
            candidates += [gains for gains in found if not equal(gains, start)]
        risks = [] if before is None else [before]
        risks += [self._held_out(gains) for gains in candidates[len(risks) :]]
        kept, lowest = selection.keep_best(candidates, risks)
        self._set(kept)
        # The second is the contrast alone, if one was found.
        only_contrast = len(candidates) > 1 and equal(candidates[1][:-1], start[:-1])
        return risks[1] if only_contrast else risks[0], lowest

    def _held_out(self, gains):
        return self.functions.held_out(gains, self.scene, tf.constant(self.seed, tf.int64))

    def _set(self, gains):
        for variable, value in zip(self.tuner._variables, gains, strict=True):
            variable.assign(value)


def _is_far(base, after, optimism, chance):
    """Whether the risk fell by so much that more is to be gained, by row: a share of it, or of its standard error."""
    return _is_sound(after, chance) & (base - after - optimism > FAR * tf.maximum(base, chance))


def _is_sound(risk, chance):
    """Whether the risk is not below zero by more than chance: else the noise is less than was said, and it misleads."""
    return risk > -UNSOUND * chance


def equal(gains, others):
    """Whether two lists of gains are the same number by number."""
    return all(np.array_equal(one, other) for one, other in zip(gains, others, strict=True))
