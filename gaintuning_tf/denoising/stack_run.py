"""Stacks from file to file, frame by frame, in memory that does not grow with their length."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from gaintuning_tf.denoising.frame_job import ON_FAILURE, FrameResult, frame_job, of_one_noise, shared_gains
from gaintuning_tf.denoising.frame_tuner import FrameTuner
from gaintuning_tf.denoising.network_choice import network_for_stack
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.denoising.run_settings import run_settings
from gaintuning_tf.denoising.stack_record import StackRecord
from gaintuning_tf.denoising.stack_scores import scores_for
from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.gains import gain_files
from gaintuning_tf.images.array_layout import Layout
from gaintuning_tf.images.bad_pixels import PixelRules, words_of
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.stack_files import Stack, open_stack
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.networks.pretrained import CHOSEN
from gaintuning_tf.noise.models import NoiseModel
from gaintuning_tf.noise.residuals import of_frames, output_words_of, worse_words
from gaintuning_tf.support.phases import first_is_done, unheard
from gaintuning_tf.tuning.defaults import PRIOR

if TYPE_CHECKING:
    import keras
    from distributed import Client
    from numpy.typing import ArrayLike, DTypeLike

    from gaintuning_tf.losses.base import RiskEstimate
    from gaintuning_tf.networks.network import Network


@dataclasses.dataclass(frozen=True)
class StackResult:
    """What `denoise_stack` did.

    Attributes:
        output: The denoised stack.
        layout: Of one frame: how it became the network's input, and the output's dtype.
    """

    output: Path
    layout: Layout
    _tuner: FrameTuner
    _record: StackRecord
    _hot: str = "replace"

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"<StackResult: {self.output}, {len(self.rows)} frames{failed}>"

    @property
    def rows(self) -> list[dict]:
        """For each frame its figures, see `frame_job.FrameResult`."""
        return [self._record.rows[number] for number in sorted(self._record.rows)]

    @property
    def tuned_on(self) -> list[int] | None:
        """With gains that all frames share, the frames that they were tuned on."""
        return self._record.shared["tuned_on"] if self._record.shared else None

    @property
    def steps(self) -> int:
        """Steps of tuning: of the gains that all frames share, or the most of any frame."""
        shared = self._record.shared
        return shared["steps"] if shared else max(len(row.get("risk", ())) for row in self.rows)

    @property
    def failed(self) -> dict[int, str]:
        """By the number of the frame, why it could not be denoised."""
        return {row["frame"]: row["failed"] for row in self.rows if row["failed"]}

    def bad_pixels(self) -> str:
        """Say in one line which pixels of all frames do not count, and what became of them; empty if all do."""
        known = [row for row in self.rows if not row["failed"]]
        counts: dict[str, int] = {}
        for row in known:
            for kind, number in row["bad_pixels"].items():
                counts[kind] = counts.get(kind, 0) + number
        values = sorted({value for row in known for value in row["constant_at"]})
        pixels = math.prod(self.layout.shape) * len(known)
        return words_of(counts, pixels, self._hot, values if len(values) <= 2 else ())

    def worse(self) -> str:
        """Say in one line which frames are worse than they were, and what to look at; empty if none is."""
        rows = [row for row in self.rows if row.get("worse_than_input")]
        if not rows:
            return ""
        worst = max(rows, key=lambda row: row["risk_after"])
        return worse_words(worst["risk_after"], worst["noise_variance"], [row["frame"] for row in rows])

    def not_tuned(self) -> str:
        """Say in one line on which frames nothing was tuned, and why; empty if there is none."""
        rows = [row for row in self.rows if row.get("not_tuned")]
        return of_frames(rows[0]["not_tuned"], [row["frame"] for row in rows]) if rows else ""

    def output_far(self) -> str:
        """Say in one line of which frames the network's own output is another image; empty if of none."""
        rows = self.rows
        return output_words_of([row.get("output_far", "") for row in rows], [row["frame"] for row in rows])

    def warned(self) -> list[str]:
        """List what frames were warned of while they were tuned, once each, and of which frames it is."""
        # Numbers differ from frame to frame: those of the first stand for all.
        frames: dict[str, list[int]] = {}
        words: dict[str, str] = {}
        for row in self.rows:
            for text in row.get("warnings", ()):
                kind = re.sub(r"[\d.]+", "0", text)
                words.setdefault(kind, text)
                frames.setdefault(kind, []).append(row["frame"])
        return [of_frames(words[kind], numbers) for kind, numbers in frames.items()]

    def column(self, name: str) -> list:
        """List one figure of all frames, such as `"risk_after"`: None for those that failed."""
        return [row.get(name) for row in self.rows]

    def gains(self, number: int) -> list[np.ndarray]:
        """Read the gains of a frame by layer, in the order of the network, and behind them the contrast, (1,).

        Raises:
            IndexError: There is no frame of that number.
        """
        if number not in self._record.rows:
            raise IndexError(f"expected the number of a frame from 0 to {len(self.rows) - 1}, received {number}")
        return self._tuner.split(self._record.gains(number))

    def model(self, number: int) -> keras.Model:
        """Make a Keras model of the network with the gains of a frame, at its contrast."""
        *gains, contrast = self.gains(number)
        line = self._record.rows[number].get("line")
        return self._tuner.whole_model(gains, contrast, [line] if line else ())

    def save_gains(self, path: str | Path) -> None:
        """Write the gains of all frames as `gain_files.save_gains` does: a row for each frame, ones if it failed."""
        table = np.stack([self._record.gains(row["frame"]) for row in self.rows])
        *gains, contrast = np.split(table, np.cumsum(self._tuner.sizes())[:-1], axis=1)
        gains = gains if len(table) > 1 else [value[0] for value in gains]
        gain_files.save_gains(self._tuner.whole_model(gains, contrast[:, 0]), path)

    def gain_names(self) -> list[str]:
        """Name the layers of `gains`."""
        return self._tuner.gain_names()


def denoise_stack(
    source: str | Path | Stack,
    output: str | Path,
    model: Network | keras.Model | str | Path,
    *,
    sigma: float | None = None,
    noise: str | NoiseModel = "auto",
    loss: str | RiskEstimate | Callable[..., Any] = "sure",
    prior: float | None = PRIOR,
    contrast: bool | None = None,
    steps: int | None = None,
    axes: str | None = None,
    data_range: float | None = None,
    seed: int = 0,
    precision: str = "auto",
    one_noise: bool = False,
    share_gains: int | None = None,
    warm_start: bool = False,
    on_failure: str = "pass",
    mask: ArrayLike | str | Path | None = None,
    nodata: float | None = None,
    nan: str = "error",
    hot: str = "replace",
    dtype: DTypeLike | None = None,
    gains: str | Path | None = None,
    reference: str | Path | Stack | None = None,
    restart: bool = False,
    client: Client | None = None,
    listeners: Sequence[Callable[[FrameResult, np.ndarray], None]] = (),
    progress: bool = True,
) -> StackResult:
    """Denoise a stack of any length from file to file, each frame as `gaintune` would within the whole.

    Interrupted, by Ctrl-C, a crash or `kill -9`, the same call continues after the last frame that was done, to the
    same result bit for bit. A frame that cannot be denoised (NaN, all of one value, saturated, or its
    tuning fails) does not end the run. Pixels that do not count are found in each frame, as `gaintune` finds them.

    Args:
        source: Path of an image file, or a stack that is open, see `stack_files.open_stack`.
        output: Path of the denoised stack; its suffix says the format.
        model: As for `gaintune`, and so are `sigma`, `noise`, `loss`, `prior`, `contrast`, `steps`, `data_range`,
            `seed` and `precision`.
        axes: A letter per axis, such as `"TYX"`; by default what the file says.
        one_noise: Whether to estimate the noise once for all frames: of five of them, evenly spaced, the one of the
            median variance has it. By default each frame has its own estimate.
        share_gains: Tune one set of gains on this many frames, evenly spaced, and apply it to all.
        warm_start: Start each frame from the gains of the one before where they are better than the network's own.
        on_failure: What to write for a frame that cannot be denoised: `"pass"`, the frame as it is, NaN as 0 where
            the output has integers; `"blank"`, zeros; `"stop"`: end the run, to be continued.
        mask: As for `gaintune`, and so are `nodata`, `nan` and `hot`; or the path of an image file. Infinite pixels and
            NaN that are missing are 0 where the output has integers.
        dtype: Of the output; by default the input's.
        gains: Path to write the gains of all frames to, see `save_gains`.
        reference: The clean stack, likewise: the rows then have `mse`, mean squared errors of the noisy, pretrained and
            tuned frame.
        restart: Forget what an interrupted run has done.
        client: A `distributed.Client`, to have the frames done by its workers.
        listeners: Called for each frame that is done now with its `FrameResult` and the noisy frame.
        progress: Show progress bars on stderr: over frames, and over the steps of the current one.

    Returns:
        The result; the denoised frames are in the file.

    Raises:
        InputError: An argument cannot be used, no frame could be denoised, or one of them and `on_failure` is
            `"stop"`; what was interrupted had other settings; or another process is at it.
        KeyboardInterrupt: Ctrl-C. What is done is kept.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> clean = np.full((3, 32, 32), 128.0)
    >>> noisy = (clean + np.random.default_rng(0).normal(0, 25, clean.shape)).clip(0, 255).astype("uint8")
    >>> np.save(folder / "noisy.npy", noisy)
    >>> result = denoise_stack(folder / "noisy.npy", folder / "clean.tif", "unet-bf-natural", axes="TYX", steps=1,
    ...                        progress=False)
    >>> [row["failed"] for row in result.rows], sorted(file.name for file in folder.iterdir())
    ([None, None, None], ['clean.tif', 'noisy.npy'])
    """
    if on_failure not in ON_FAILURE:
        raise InputError(f"expected on_failure to be one of {', '.join(ON_FAILURE)}, received {on_failure!r}")
    if share_gains is not None and (warm_start or share_gains < 1):
        what = "no warm_start with share_gains" if warm_start else f"share_gains of at least 1, received {share_gains}"
        raise InputError(f"expected {what}")
    if warm_start and client is not None:
        raise InputError("expected no client with warm_start: each frame waits for the one before")
    if one_noise and (sigma is not None or not isinstance(noise, str)):
        raise InputError("expected one_noise where noise is estimated, received the noise")
    recipe, rules = Recipe(sigma, noise, loss, prior, contrast, steps, seed, precision), PixelRules(nodata, nan, hot)
    if isinstance(mask, (str, Path)):
        mask = load_image(mask)
    # Loaded once for the whole run: the file may change meanwhile.
    network = network_of(_chosen(model, source, recipe, rules, axes, mask))
    with contextlib.ExitStack() as opened:
        frames = {"model_channels": network.channels, "dimensions": network.dimensions}
        stack = opened.enter_context(open_stack(source, axes=axes, mask=mask, **frames))
        scores = opened.enter_context(scores_for(reference, stack, **frames))
        how = {"on_failure": on_failure, "keep_pretrained": reference is not None, "rules": rules}
        job = frame_job(stack, recipe, network.channels, data_range=data_range, dtype=dtype, **how)
        tuner = job.tuner(network)
        more = {"reference": scores.identity(), "share_gains": share_gains, "warm_start": warm_start}
        more |= {"one_noise": True} if one_noise else {}
        settings = run_settings(stack, tuner, job, data_range, **more)
        record = StackRecord(
            output,
            stack,
            job.layout.dtype,
            settings,
            on_failure=on_failure,
            numbers=sum(tuner.sizes()),
            restart=restart,
        )
        opened.enter_context(record)
        if one_noise:
            job = of_one_noise(job, tuner, stack.masked)
            tuner = job.tuner(network)
        _Run(stack, job, tuner, record, scores, listeners, progress).all(network, share_gains, warm_start, client)
        result = StackResult(Path(output), job.layout, tuner, record, hot)
        if len(result.failed) == stack.frame_count:
            record.discard()
            raise InputError(f"no frame of {stack.path} could be denoised; the first: {result.failed[0]}")
        if gains:
            result.save_gains(gains)
        record.commit()
    said = (result.bad_pixels(), result.not_tuned(), result.output_far(), result.worse(), *result.warned())
    for found in filter(None, said):
        warnings.warn(found, GainTuningWarning, stacklevel=2)
    return result


class _Run:
    """One call of `denoise_stack`: its loop."""

    def __init__(self, stack, job, tuner, record, scores, listeners, progress):
        self.stack, self.job, self.tuner, self.record = stack, job, tuner, record
        self.scores, self.listeners, self.progress = scores, listeners, progress

    def all(self, network, share_gains, warm_start, client):
        todo = self.record.todo
        bar = tqdm(
            total=self.stack.frame_count,
            initial=self.stack.frame_count - len(todo),
            desc="frames",
            unit="frame",
            disable=not self.progress,
            smoothing=0,
        )
        with unheard(), bar:
            if share_gains and todo and not self.record.shared:
                found = shared_gains(self.job, self.tuner, self.stack.masked, share_gains, progress=self.progress)
                self.record.keep_shared(*found)
            shared = self.record.gains(None) if share_gains and todo else None
            if client is None:
                results = self._here(todo, shared, warm_start)
            else:
                from gaintuning_tf.denoising.cluster_frames import results_of
                from gaintuning_tf.denoising.shipped_network import ShippedNetwork

                results = results_of(client, ShippedNetwork.of(network), self.job, todo, self.stack.masked, shared)
            # Closed here, also when interrupted: what waits is taken back from the workers while there still are any.
            with contextlib.closing(results):
                for number, result in enumerate(results):
                    self._keep(result)
                    after = result.row.get("risk_after")
                    bar.set_postfix({} if after is None else {"risk": f"{after:.3g}"}, refresh=False)
                    bar.update()
                    if not number:
                        first_is_done(bar)

    def _here(self, todo, shared, warm_start):
        for number in todo:
            before = self.record.rows.get(number - 1) if warm_start else None
            previous = self.record.gains(number - 1) if before and not before["failed"] else None
            yield self.job.run(
                self.tuner,
                number,
                self.stack.masked(number),
                shared=shared,
                previous=previous,
                progress=self.progress,
            )

    def _keep(self, result):
        noisy = self.stack.frame(result.number)
        self.scores.add(result, noisy)
        self.record.keep(result)
        for listener in self.listeners:
            listener(result, noisy)


def _chosen(model, source, recipe, rules, axes, mask):
    """Choose among the networks that ship, if that is asked for."""
    if not (isinstance(model, str) and model in CHOSEN):
        return model
    with open_stack(source, axes=axes, mask=mask) as stack:
        return network_for_stack(stack, recipe, wanted=model, rules=rules).name
