"""One run over the frames of an array: watched while it goes on, and stopped from another thread."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.bad_pixels import words_of
from gaintuning_tf.networks.pretrained import CHOSEN
from gaintuning_tf.noise.residuals import worse_words
from gaintuning_tf.viewer.layer_frames import LayerFrames

if TYPE_CHECKING:
    from gaintuning_tf.viewer.request import Request


class Stopped(Exception):
    """Says that a run was stopped before it had anything to keep."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        words: What is done now.
        share: Of the whole, 0 to 1.
    """

    words: str = ""
    share: float = 0.0


class Done(NamedTuple):
    """A frame that is done.

    Attributes:
        shape: Of the whole result, of the array's shape; for one frame with 1 where frames are numbered.
        index: Where in that the frame is.
        part: The frame, denoised; float32 where the array has integers.
    """

    shape: tuple[int, ...]
    index: tuple
    part: np.ndarray


class Run:
    """The frames of an array denoised one after the other.

    Iterating does the work and gives each frame once it is done. Meanwhile `stop` may be called from another thread:
    then the run ends after the step that it is in, and what is done is kept.

    Args:
        request: What is asked for.
        data: The array, read frame by frame.
        axes: A letter per axis.
        at: Where in the array the one frame is that is wanted; all frames by default.
        name: What the array is called in a message.
        report: Called with how far it is.
        stop: Set where it is to end, as `stop` does.

    Attributes:
        frame_axes: The axes of a frame; empty before the network is known.
        network: Name of the network, and why it was chosen if it was.
        rows: Of each frame that is done its figures, see `FrameResult`.
        gains: Of each frame that is done; None where it could not be denoised.
        wanted: How many frames there are to do, once the network is known.
        stopped: Whether it was stopped.

    Raises:
        InputError: The request or the array cannot be used.
    """

    def __init__(
        self,
        request: Request,
        data: Any,
        axes: str,
        *,
        at: Sequence[int] | None = None,
        name: str = "the layer",
        report: Callable[[Progress], None] = lambda progress: None,
        stop: threading.Event | None = None,
    ):
        request.check()
        self._request, self._at, self._report = request, at, report
        self._frames = LayerFrames(data, axes, name=name)
        self._stop = stop or threading.Event()
        self._tuner: Any = None
        self._pixels = 0
        self.frame_axes, self.network = "", str(request.network)
        self.rows: list[dict] = []
        self.gains: list[Any] = []
        self.wanted = 0
        self.stopped = False

    def stop(self) -> None:
        """End the run after the step that it is in."""
        self._stop.set()

    def __iter__(self) -> Iterator[Done]:
        """Do the work.

        Raises:
            InputError: The network, the noise or the one frame cannot be used.
            Stopped: `stop` was called before the first frame.
        """
        frames, job = self._prepared()
        for number in range(self.wanted):
            if self._stop.is_set():
                self.stopped = True
                break
            result = job.run(self._tuner, number, frames.frame(number), callbacks=[self._watch(number, frames)])
            self.rows.append(result.row)
            self.gains.append(result.gains)
            self._pixels = result.image.size
            self._say("", number + 1, frames)
            yield Done(frames.shape, frames.order.index(number), frames.order.part(result.image))
        if not self.rows:
            raise Stopped

    def _prepared(self):
        """Load what is needed, and find how the frames are done."""
        self._report(Progress("importing TensorFlow"))
        from gaintuning_tf.denoising.frame_job import frame_job

        frames, recipe = self._frames, self._request.recipe()
        frames.reading = self._read
        chosen = self._chosen(recipe)
        self._report(Progress(f"loading {chosen}"))
        network = self._request.load(chosen)
        self._check_stop()
        frames = frames.seen_by(None, network.channels, dimensions=network.dimensions)
        self.frame_axes = frames.order.frame_axes
        frames = frames if self._at is None else frames.only(self._at)
        self.wanted = frames.order.frame_count
        failing = "stop" if self.wanted == 1 else "pass"
        # Of few counts, whole numbers would be coarser than what is left of the noise.
        dtype = frames.dtype if frames.dtype.kind == "f" else np.dtype(np.float32)
        job = frame_job(frames, recipe, network.channels, dtype=dtype, on_failure=failing)
        self._tuner = job.tuner(network)
        self._check_stop()
        return frames, job

    def _chosen(self, recipe):
        """Choose the network where that is asked for."""
        if str(self._request.network) not in CHOSEN:
            return self._request.network
        from gaintuning_tf.denoising.network_choice import network_for_stack

        self._report(Progress("choosing a network by the noise"))
        stack: Any = self._frames
        choice = network_for_stack(stack, recipe, wanted=str(self._request.network))
        self.network = f"{choice.name} ({choice.why})"
        return choice.name

    def _check_stop(self):
        if self._stop.is_set():
            self.stopped = True
            raise Stopped

    def _read(self, number):
        self._check_stop()
        self._report(Progress(f"looking for the range of values: {_of(number, self._frames)}"))

    def _watch(self, number, frames):
        """Make a callback of Keras's that says each step, and ends the tuning where that is asked for."""
        from keras.callbacks import LambdaCallback

        def step(epoch, logs=None):
            steps = watching.params["epochs"]
            within = f"step {epoch % steps + 1} of {steps}" + (f", round {epoch // steps + 1}" * (epoch >= steps))
            self._say(within, number + min((epoch + 1) / steps, 0.95), frames)
            if self._stop.is_set():
                self.stopped = watching.model.stop_training = True

        watching: Any = LambdaCallback(on_epoch_end=step)
        self._say("finding the noise, compiling", number, frames)
        return watching

    def _say(self, words, done, frames):
        count = frames.order.frame_count
        here = _of(min(int(done), count - 1), frames)
        self._report(Progress(": ".join(filter(None, (here, words))), done / count))

    def save_gains(self, path: str | Path) -> None:
        """Write the gains that were found, of every frame that is done, see `gain_files.save_gains`.

        Raises:
            InputError: There are none, for no frame could be denoised.
        """
        from gaintuning_tf.gains.gain_files import save_gains

        tuned = [(row, gains) for row, gains in zip(self.rows, self.gains, strict=True) if gains is not None]
        if not tuned:
            raise InputError("there are no gains to save: no frame was denoised")
        together = np.stack if len(tuned) > 1 else lambda values: np.asarray(values[0])
        *gains, contrast = [together(values) for values in zip(*(gains for _, gains in tuned), strict=True)]
        lines = [row.get("line") for row, _ in tuned]
        save_gains(self._tuner.whole_model(gains, contrast[..., 0], lines), path)

    @property
    def noise(self) -> str:
        """Say what noise the first frame has, and whether that was found or given; empty before it is known."""
        rows = self._tuned
        if not rows:
            return ""
        found = self._tuner.estimates.get(rows[0]["frame"])
        level = _level(rows[0]["noise"])
        return f"{level} ({found.words})" if found else f"{level} ({self._source})"

    @property
    def _source(self):
        return "given" if self._request.sigma is not None else "estimated"

    @property
    def _tuned(self):
        return [row for row in self.rows if not row["failed"]]

    @property
    def summary(self) -> list[str]:
        """Say what was done, a line for each thing."""
        if not self.rows:
            return ["stopped before the first step: nothing is changed"] if self.stopped else []
        lines = [*self._stopped_words(), *self._risk_words()]
        lines += [f"Noise: {self.noise}."] if self.noise else []
        lines.append(f"Network: {self.network}.")
        return lines + self._doubts()

    def _stopped_words(self):
        if not self.stopped:
            return []
        steps, count = self._steps(self.rows[-1]), len(self.rows)
        return [f"Stopped: {count} of {self.wanted} frames, the last after {steps} steps; the others are empty."] * (
            self.wanted > 1
        ) or [f"Stopped after {steps} steps: the best so far."]

    @staticmethod
    def _steps(row):
        return len(row.get("risk", ()))

    def _risk_words(self):
        rows = self._tuned
        if not rows:
            return []
        means = [float(np.mean([row[name] for row in rows])) for name in _RISKS]
        if min(means) <= 0:
            return [f"Estimated squared error by tuning: {means[1]:.4g} to {means[2]:.4g}."]
        noisy, before, after = (math.sqrt(mean) for mean in means)
        steps = max(self._steps(row) for row in rows)
        tuned = f" network alone {before:.4g}," if steps else ""
        return [f"Estimated RMS error: noisy {noisy:.4g},{tuned} denoised {after:.4g} ({steps} steps)."]

    def _doubts(self):
        """List what is not as one may think, each once, with the number of the first frame that it is true of."""
        found: dict[str, int] = {}
        for row in self.rows:
            for words in _doubts_of(row, self._pixels):
                found.setdefault(words, row["frame"])
        several = self.wanted > 1
        return [
            f"Frame {number}: {words}." if several else f"{words[0].upper()}{words[1:]}."
            for words, number in found.items()
        ]


# In the order in which they are said.
_RISKS = ("noise_variance", "risk_before", "risk_after")


def _doubts_of(row, size):
    if row["failed"]:
        return [f"not denoised, {row['failed']}"]
    words = [row["not_tuned"], row["output_far"]]
    words += [worse_words(row["risk_after"], row["noise_variance"])] if row["worse_than_input"] else []
    words += [words_of(row["bad_pixels"], size, "replace", row["constant_at"])] if row["bad_pixels"] else []
    return [each for each in words if each]


def _of(number, frames):
    count = frames.order.frame_count
    return f"frame {number + 1} of {count}" if count > 1 else ""


def found_noise(frames: LayerFrames, at: Sequence[int]) -> str:
    """Look at the noise of one frame, as a run would with `noise="auto"`, and say what it is.

    The level is a first estimate: a run finds it once more with the network's help.

    Args:
        frames: Those of a layer.
        at: Where in its array the frame is.

    Raises:
        InputError: There is no noise to be found.

    Example:

    >>> data = np.random.default_rng(0).normal(100, 5, (2, 256, 256))
    >>> found_noise(LayerFrames(data, "TYX"), (1, 0, 0))
    'sigma 5.092: white, the same everywhere'
    """
    from gaintuning_tf.noise.automatic import examine_noise

    found = examine_noise(frames.only(at).frame(0))
    return f"{_level(found.noise.parameters())}: {found.words}"


def _level(parameters):
    names = [name for name in ("sigma", "gain", "offset") if parameters.get(name) is not None]
    return ", ".join(f"{name} {np.mean(parameters[name]):.4g}" for name in names)
