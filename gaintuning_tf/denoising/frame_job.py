"""What becomes of one frame of a stack: its denoised picture and a row of figures, or the reason why not."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gaintuning_tf.denoising.frame_tuner import FrameTuner
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.array_layout import Layout, check_data_range, convert, nominal_range
from gaintuning_tf.images.bad_pixels import BadPixels, PixelRules, find_bad_pixels
from gaintuning_tf.images.frame_order import FrameOrder
from gaintuning_tf.noise.models import NoiseModel

if TYPE_CHECKING:
    import keras
    from numpy.typing import DTypeLike

    from gaintuning_tf.networks.network import Network


# What happens to a frame that cannot be denoised: passed on as it is, zeros, or the end of the run.
ON_FAILURE = ("pass", "blank", "stop")
# A frame of which more than this share is at the camera's limit has no noise to tell from its signal.
SATURATED = 0.9


# One noise for all frames is that of one of so many: the median of five is not moved by a
# frame or two of another kind.
NOISE_FRAMES = 5


@dataclasses.dataclass(frozen=True)
class FrameResult:
    """One frame, done.

    Attributes:
        number: Which.
        image: Denoised, (H, W) or (H, W, C), of volumes with a depth in front, in the output's dtype and the image's
            units.
        gains: Of each layer, (channels,), and behind them the contrast, (1,); None if it failed.
        row: Its figures, for JSON: `frame`, `failed` (the reason, or None), `seconds`, `warnings`, in words; if it did
            not fail, `noise` (`NoiseModel.parameters`), `contrast`, `risk` of each step, `risk_before` and
            `risk_after`, in units of the image; `rounds`, `further_seconds` and `precision`, see `TuningHistory`;
            `worse_than_input`, whether the latter risk is larger than `noise_variance`; `output_far`, what is said
            of a network whose output is another image, see `residuals.output_words`; `residual`, what was taken out,
            see `Residual.to_json`; `not_tuned`, why nothing was tuned, or None; and `bad_pixels`, how many do not
            count, by kind, and `constant_at`, the values of constant areas; for a network that takes the level of the
            noise `line`, see `TunedFrame`.
        pretrained: The network's output before tuning, as `image`; where asked for.
        mask: True where a pixel does not count, of the image's shape; None if all do.
    """

    number: int
    image: np.ndarray
    gains: list[np.ndarray] | None
    row: dict
    pretrained: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class FrameJob:
    """How the frames of a stack are done, but for the network. Can be sent to other processes.

    Attributes:
        recipe: How to tune.
        layout: Of one frame; its dtype is the output's.
        frames: How many the stack has.
        white: Value at which pixels are saturated, or None.
        on_failure: One of `ON_FAILURE`.
        keep_pretrained: Whether results have `pretrained`.
        rules: What is known of pixels that do not count.
    """

    recipe: Recipe
    layout: Layout
    frames: int = 1
    white: float | None = None
    on_failure: str = "pass"
    keep_pretrained: bool = False
    rules: PixelRules = dataclasses.field(default_factory=PixelRules)

    def tuner(self, model: Network | keras.Model | str | Path) -> FrameTuner:
        """Make a network ready.

        Raises:
            InputError: The model or the recipe cannot be used.
        """
        return FrameTuner(
            model, self.recipe, scale=self.layout.data_range, offset=self.layout.offset, frames=self.frames
        )

    def run(self, tuner: FrameTuner, number: int, image: np.ndarray, **options: Any) -> FrameResult:
        """Do frame `number`.

        Args:
            tuner: What `tuner` made.
            number: Which frame.
            image: It, as it came from the file; masked pixels of an `np.ma.MaskedArray` do not count.
            **options: `shared`, gains that are to be applied as they are; `previous`, gains to start from if they are
                better than the model's own: each in one row, see `flat`; `progress`, whether to show a bar;
                `callbacks`, see `GainTuner.tune`.

        Raises:
            InputError: It cannot be done, and `on_failure` is `"stop"`.
            KeyboardInterrupt: Ctrl-C.
        """
        start = time.perf_counter()
        with _warnings_kept() as warned:
            result = self._result(tuner, number, image, **options)
        row = {"seconds": round(time.perf_counter() - start, 3), "warnings": list(dict.fromkeys(warned))}
        result.row.update(row)
        return result

    def _result(self, tuner, number, image, **options):
        try:
            return self._tuned(tuner, image, _prepared(self, tuner, number, image), **options)
        except InputError as error:
            if self.on_failure == "stop":
                raise InputError(f"frame {number}: {error}") from error
            return self._failed(number, np.ma.getdata(image), str(error))

    def _tuned(self, tuner, image, prepared, *, shared=None, previous=None, progress=False, callbacks=()):
        number, frame, noise, mask = prepared.number, prepared.frame, prepared.noise, prepared.mask
        own, before = tuner.start(number), None
        if shared is not None or previous is not None:
            before = tuner.tune(frame, noise, own, mask=mask, steps=0).history.risk_before
        if shared is not None:
            tuned = tuner.tune(frame, noise, tuner.split(shared), mask=mask, steps=0)
        else:
            start = own if previous is None else _better(tuner, prepared, own, tuner.split(previous), before)
            tuned = tuner.tune(frame, noise, start, mask=mask, callbacks=callbacks, progress=progress)
        if tuned.history.interrupted:
            raise KeyboardInterrupt
        before = tuned.history.risk_before if before is None else before
        if not (np.isfinite(tuned.denoised).all() and np.isfinite([before, tuned.history.risk_after]).all()):
            raise InputError("the result is not finite")
        row = self._row(prepared, image, tuned, before)
        found = tuner.judge(frame, noise, tuned, mask)
        row |= {"noise_variance": found.variance, "worse_than_input": found.worse, "output_far": found.output}
        row |= {} if tuned.line is None else {"line": list(tuned.line)}
        row |= {"residual": found.residual.to_json(), "not_tuned": tuner.why_not_tuned(noise) or None}
        pretrained = self._restored(tuned.pretrained, image, prepared.bad) if self.keep_pretrained else None
        denoised = self._restored(tuned.denoised, image, prepared.bad)
        return FrameResult(number, denoised, tuned.gains, row, pretrained, prepared.bad.mask)

    def _restored(self, frames, image, bad):
        denoised = self.layout.image(frames)
        return denoised if bad.mask is None else bad.restored(denoised, self._as_output(image), self.rules.hot)

    def _as_output(self, image):
        """Convert a frame to the output's dtype: NaN is 0 where that has integers."""
        image, dtype = np.ma.getdata(image), self.layout.dtype
        return convert(np.nan_to_num(image) if dtype.kind in "iu" and image.dtype.kind == "f" else image, dtype)

    def _row(self, prepared, image, tuned, before):
        scale = self.layout.data_range
        known = prepared.noise.scaled(scale, self.layout.offset)
        return {
            "frame": prepared.number,
            "failed": None,
            "noise": known.parameters(),
            "contrast": float(tuned.gains[-1].reshape(())),
            "risk": [float(risk) * scale**2 for risk in tuned.history.risk],
            "risk_before": float(before) * scale**2,
            "risk_after": float(tuned.history.risk_after) * scale**2,
            "rounds": tuned.history.rounds,
            "further_seconds": round(tuned.history.further_seconds, 3),
            "precision": tuned.history.precision,
            "bad_pixels": prepared.bad.counts(),
            "constant_at": prepared.bad.constant_at(image),
        }

    def _failed(self, number, image, reason):
        blank = self.on_failure == "blank"
        passed = np.zeros(image.shape, self.layout.dtype) if blank else self._as_output(image)
        row = {"frame": number, "failed": reason, "instead": self.on_failure}
        return FrameResult(number, passed, None, row, passed if self.keep_pretrained else None)


@contextlib.contextmanager
def _warnings_kept():
    """Give a list that has what this package warns of within the block, in words: who has all frames says it once."""
    words: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GainTuningWarning)
            yield words
    finally:
        for one in caught:
            if issubclass(one.category, GainTuningWarning):
                words.append(str(one.message))
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


class _Prepared(NamedTuple):
    """A frame in the units of the network, and its noise."""

    number: int
    frame: np.ndarray
    noise: NoiseModel
    bad: BadPixels

    @property
    def mask(self):
        """Where a pixel does not count, of the frame's shape; None if all do."""
        return None if self.bad.mask is None else self.bad.mask.reshape(self.frame.shape)


def _better(tuner, prepared, own, previous, before):
    """Choose the previous frame's gains, unless they are worse here than the start of any frame: another scene."""
    frame, noise = prepared.frame, prepared.noise
    carried = tuner.tune(frame, noise, previous, mask=prepared.mask, steps=0).history.risk_before
    return previous if carried < before else own


def unusable(image: np.ndarray, white: float | None = None, missing: np.ndarray | None = None) -> str | None:
    """Say why a frame cannot be denoised; None if it can.

    Args:
        image: Any shape, integers or floats.
        white: Value at which pixels are saturated.
        missing: True where a pixel is missing, of the image's shape.

    Example:

    >>> unusable(np.zeros((4, 4)))
    'all pixels are 0'
    """
    image = np.ma.getdata(image) if missing is None else np.ma.getdata(image)[~missing]
    if not image.size:
        return "all pixels are missing"
    if image.dtype.kind == "f":
        bad = np.count_nonzero(~np.isfinite(image))
        if bad:
            return f"{bad} pixels are NaN or infinite; nan='missing', or --nan missing, leaves them out"
    lowest = image.min()
    if lowest == image.max():
        return f"all pixels are {lowest:g}"
    share = 0.0 if white is None else float(np.mean(image >= white))
    return f"{share:.0%} of the pixels are saturated, at {white:g}" if share > SATURATED else None


def shared_gains(
    job: FrameJob, tuner: FrameTuner, read: Callable[[int], np.ndarray], count: int, *, progress: bool = False
) -> tuple[np.ndarray, list[int], int]:
    """Tune one set of gains on `count` frames of the stack at once.

    The frames lie evenly over the stack. Where one cannot be used, the next one that can is taken.

    Args:
        job: How.
        tuner: What `job.tuner` made.
        read: The frame of a number.
        count: How many frames.
        progress: Whether to show a bar.

    Returns:
        The gains in one row, see `flat`, the numbers of the frames, and how many steps were taken.

    Raises:
        InputError: No frame can be used.
        KeyboardInterrupt: Ctrl-C.
    """
    usable = _evenly_spread(job, tuner, read, count)
    # What is tuned on noise that no model fits is for no frame.
    usable = [frame for frame in usable if not tuner.why_not_tuned(frame.noise)] or usable
    chosen = [frame.number for frame in usable]
    frames, models = np.stack([frame.frame for frame in usable]), [frame.noise for frame in usable]
    masks = [np.zeros(frame.frame.shape, bool) if frame.mask is None else frame.mask for frame in usable]
    mask = np.stack(masks) if any(frame.mask is not None for frame in usable) else None
    gains, history = tuner.tune_together(frames, models, tuner.start(chosen[0]), mask=mask, progress=progress)
    if history.interrupted:
        raise KeyboardInterrupt
    return flat(gains), chosen, len(history.risk)


def of_one_noise(job: FrameJob, tuner: FrameTuner, read: Callable[[int], np.ndarray]) -> FrameJob:
    """Estimate one noise for all frames, and tune on that.

    Of `NOISE_FRAMES` of them, evenly spread, it is that of the median variance.

    Args:
        job: How.
        tuner: What `job.tuner` made.
        read: The frame of a number.

    Returns:
        How, with the noise in the units of the stack, how sure it is, and why nothing is tuned if no model fits.

    Raises:
        InputError: No frame can be used.
    """
    usable = _evenly_spread(job, tuner, read, NOISE_FRAMES)
    usable.sort(key=lambda prepared: float(np.mean(prepared.noise.variance(prepared.frame))))
    noise = usable[len(usable) // 2].noise
    known = noise.scaled(job.layout.data_range, job.layout.offset)
    found = {"noise": known, "doubt": tuner.doubt(noise), "unfit": tuner.why_not_tuned(noise)}
    return dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, **found))


def _evenly_spread(job, tuner, read, count):
    """Prepare frames that lie evenly over the stack; where one cannot be used, the next one that can."""
    bounds = np.linspace(0, job.frames, min(count, job.frames) + 1).round().astype(int).tolist()
    usable, reason = [], None
    for first, end in itertools.pairwise(bounds):
        middle = (first + end) // 2
        for number in [*range(middle, end), *range(first, middle)]:
            try:
                usable.append(_prepared(job, tuner, number, read(number)))
                break
            except InputError as error:
                reason = error
    if not usable:
        raise InputError(f"no frame can be tuned on: {reason}")
    return usable


def _prepared(job, tuner, number, image):
    reason = unusable(image, job.white, job.rules.missing(image))
    if reason:
        raise InputError(reason)
    bad = find_bad_pixels(image, job.layout.order, job.rules)
    frame = job.layout.frames(bad.filled)[0]
    mask = None if bad.mask is None else bad.mask.reshape(frame.shape)
    return _Prepared(number, frame, tuner.noise(frame, number, mask), bad)


def flat(gains: Sequence[np.ndarray]) -> np.ndarray:
    """Put gains of layers and contrast into one row."""
    return np.concatenate([np.asarray(value, np.float32).reshape(-1) for value in gains])


class Frames(Protocol):
    """What `frame_job` asks of frames: a `Stack` has it, and so has a Dask array."""

    @property
    def order(self) -> FrameOrder:
        """Which frames there are."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """The dtype of each."""
        ...

    @property
    def path(self) -> Path | str:
        """What they are called in a message."""
        ...

    def extent(self, rules: PixelRules) -> tuple[float, float]:
        """Find the smallest and the largest value of the pixels that count; NaN if there is none."""
        ...


def frame_job(
    stack: Frames,
    recipe: Recipe,
    channels: int,
    *,
    data_range: float | None = None,
    dtype: DTypeLike | None = None,
    rules: PixelRules = PixelRules(),  # noqa: B008 - frozen
    **options: Any,
) -> FrameJob:
    """Find how the frames of a stack are done: in the range that `array_layout.layout` would find for the whole.

    Args:
        stack: Of which every frame is read once, if the range is not known without.
        recipe: How to tune.
        channels: Those that the network takes.
        data_range: As for `gaintune`.
        dtype: Of the output; by default the stack's.
        rules: What is known of pixels that do not count.
        **options: Of `FrameJob`.

    Raises:
        InputError: Nothing in the stack is finite, or the range or dtype cannot be used.
    """
    dtype = np.dtype(stack.dtype if dtype is None else dtype)
    if dtype.kind not in "iuf":
        raise InputError(f"expected an output of integers or floats, received dtype {dtype}")
    white = float(np.iinfo(stack.dtype).max) if stack.dtype.kind in "iu" else None
    if data_range is not None:
        offset, scale = 0.0, check_data_range(data_range)
    else:
        extent = (0.0, 255.0) if stack.dtype == np.uint8 else stack.extent(rules)
        if not all(map(math.isfinite, extent)):
            raise InputError(f"expected finite pixels that count, received none in {stack.path}")
        offset, scale = nominal_range(stack.dtype, *extent, from_zero=recipe.of_counts)
        # Cameras put 12 bits into 16: there, 4095 is white.
        if white is not None and stack.dtype.kind == "u" and offset == 0:
            white = min(white, scale)
    axes, shape = stack.order.frame_axes, stack.order.frame_shape
    layout = Layout(axes, shape, dtype, offset, scale, channels if "C" in axes else 1, stack.order.dimensions)
    return FrameJob(recipe, layout, stack.order.frame_count, white, rules=rules, **options)
