"""One frame through one network: its noise, the tuning, and the denoised frame."""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from gaintuning_tf.denoising.recipe import Recipe, as_loss
from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.gains.contrast import CENTRE, with_contrast
from gaintuning_tf.gains.gain_files import fingerprint
from gaintuning_tf.gains.normalization_layers import with_known_noise, with_normalization
from gaintuning_tf.gains.surgery import gain_layers, gain_names, insert_gains, strip_gains, with_gains
from gaintuning_tf.losses.base import as_risk_estimate
from gaintuning_tf.networks import tiles, volume_tiles
from gaintuning_tf.networks.memory import COPIES
from gaintuning_tf.networks.network import Limits, network_of
from gaintuning_tf.noise.automatic import (
    SMALLEST,
    NoiseEstimate,
    correlation_between_channels,
    examine_noise,
    is_refined,
)
from gaintuning_tf.noise.clipping import has_clipped_mean, is_clipped_as_often, unclipped, without_clipped
from gaintuning_tf.noise.correlation import text_of
from gaintuning_tf.noise.details import depth_correlation, depth_words, detail_level, side_by_side
from gaintuning_tf.noise.estimation import estimate_noise
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonNoise, stacked
from gaintuning_tf.noise.residual_variance import refined_by
from gaintuning_tf.noise.residuals import Residual, examine_residual, exceeds_noise, mean_variance, output_words
from gaintuning_tf.support.phases import phase
from gaintuning_tf.tuning.defaults import WINDOW
from gaintuning_tf.tuning.tuner import GainTuner, TuningHistory, mean_over

if TYPE_CHECKING:
    from gaintuning_tf.networks.network import Network


# Estimates of correlated noise that agree by chance are not as sure as that: the levels of
# real images were off by this much and more
# (docs/log/2026-11-26-tuning-under-an-estimate-of-correlated-noise.md).
LEAST_DOUBT = 0.1
# A sigma whose square differs by more than a factor of two from the level of the finest
# details is not that of white noise in this image; upwards texture may be the reason, and
# it has to be twice as far.
UNLIKE = 2**0.5
# Beyond this many pixels, the denoised image is put together from tiles, so that memory
# does not grow with the image.
TILED_PIXELS = 1536 * 1536


class Judgement(NamedTuple):
    """What a result looks like beside its input, in units of the image.

    Attributes:
        residual: What was taken out.
        risk: The estimated mean squared error of the result.
        variance: The mean variance of the noise, which is the mean squared error of the input.
        worse: Whether the risk is larger, beyond chance; False of a loss that does not estimate the
            error, see `RiskEstimate.noise_factor`.
        output: That the network's output before tuning is far from the frame, and which option helps; empty
            if it is not.
    """

    residual: Residual
    risk: float
    variance: float
    worse: bool
    output: str


@dataclasses.dataclass(frozen=True)
class TunedFrame:
    """What tuning made of one frame, in the units of the frame.

    Attributes:
        denoised: After tuning, (1, H, W, C) float32, of a volume (1, D, H, W, C).
        pretrained: The network's output before tuning, likewise.
        gains: As `GainTuner.gains` has them: of each layer, and the contrast.
        history: What happened.
        line: That of the variance, slope and intercept, in units of what the network's model takes; None where it
            does not take the level of the noise.
    """

    denoised: np.ndarray
    pretrained: np.ndarray
    gains: list[np.ndarray]
    history: TuningHistory
    line: tuple[float, float] | None = None


class FrameTuner:
    """A network and a recipe, ready for frame after frame of one image.

    Args:
        model: As for `gaintune`.
        recipe: How to tune.
        scale: Difference of values of the image that is 1 to the network.
        offset: Value of the image that is 0 to the network.
        frames: Their number, which noise with parameters of its own for each must have.

    Attributes:
        network: The network; with gains if it had some.
        start_values: Gains and contrast that it came with, of each layer (1, channels) or (frames, channels).
        estimates: By number of the frame, what was found of noise that was not given: the last `noise` of each.

    Raises:
        InputError: The model or an option cannot be used.
    """

    def __init__(
        self, model: Network | keras.Model | str | Path, recipe: Recipe, *, scale: float, offset: float, frames: int = 1
    ):
        self.network = network_of(model)
        self.recipe, self.scale, self.offset = recipe, scale, offset
        self.start_values = _start(self.network, frames)
        self.estimates: dict[int, NoiseEstimate] = {}
        self._doubts: dict[NoiseModel, float] = {}
        self._unfit: dict[NoiseModel, str] = {}
        self._given = recipe.given_noise(scale, offset, frames)
        known = self._given[0] if self._given else None
        if known is None and recipe.noise == "poisson":
            known = PoissonNoise(1.0).scaled(1, -offset)  # with a black level it is a camera's
        self._counts = self._of_counts(known)

    @functools.cached_property
    def denoiser(self) -> _Denoiser:
        """The compiled tuner, shared by all with this model and this kind of tuning."""
        return self._denoiser(self._counts)

    def _denoiser(self, counts):
        recipe = self.recipe
        options = {"prior": recipe.prior, "contrast": recipe.contrast, "precision": recipe.precision}
        return _denoiser_for(self.network.model, recipe.loss, counts, **options)

    def noise(self, frame: np.ndarray, number: int = 0, mask: np.ndarray | None = None) -> NoiseModel:
        """Find the noise of frame `number`, (H, W, C), in the units of the network: the one given, or estimated.

        The level of correlated and of Gaussian noise is estimated once more from a first result, except where the
        result is the network's as it is: the level then stands beside it, and changes nothing in it.

        Args:
            frame: The frame.
            number: Which it is.
            mask: True where a pixel does not count, of its shape.

        Raises:
            InputError: It cannot be estimated.
        """
        phase("looking at the noise")
        if frame.ndim == 4 and not number:
            self._doubt_depth(frame, mask)
        if self._given:
            if self.recipe.sigma is not None and not number:
                self._doubt_sigma(frame, float(np.mean(self.recipe.sigma)), mask)
            return self._given[number]
        # In the image's own units: a count is a whole number there.
        kind = self.recipe.kind
        assert isinstance(kind, str), "a model would have been given"
        image = frame * self.scale + self.offset
        if kind == "auto" and min(frame.shape[-3:-1]) < SMALLEST:
            kind = "gaussian"  # there is too little to see more
        if kind == "auto":
            return self._examined(frame, image, number, mask)
        return estimate_noise(image, kind, mask=mask).scaled(1 / self.scale, -self.offset / self.scale)

    def _doubt_sigma(self, frame, given, mask):
        """Warn where the sigma that was given is plainly not that of the frame."""
        if min(frame.shape[-3:-1]) < SMALLEST:
            return
        try:
            inside = without_clipped(frame, given / self.scale, mask)
            values, masked = np.asarray(side_by_side(frame), np.float64), side_by_side(inside)
            level, between = detail_level(values, masked)[0], correlation_between_channels(values, masked)
        except InputError:
            return  # an image without noise: that sigma was given is all there is
        found = level**0.5 * self.scale
        if between is not None:
            warnings.warn(
                f"sigma {given:.4g} was given, and taken for noise of its own in each channel; that of the image is "
                f"{text_of(between)}; without sigma, it is estimated",
                GainTuningWarning,
                stacklevel=5,
            )
        elif not given / UNLIKE < found < 2 * UNLIKE * given:
            warnings.warn(
                f"sigma {given:.4g} was given, the finest details of the image hold noise of {found:.4g}: the noise is "
                f"{'correlated or weaker' if found < given else 'stronger'}; without sigma, it is estimated",
                GainTuningWarning,
                stacklevel=5,
            )

    def _doubt_depth(self, volume, mask):
        """Warn where the noise of a volume goes on from plane to plane, of which there is no model."""
        words = depth_words(depth_correlation(volume, mask))
        if words:
            warnings.warn(words, GainTuningWarning, stacklevel=5)

    def _examined(self, frame, image, number, mask):
        """Find noise of any kind, and its level once more with the network's help, unless nothing is tuned."""
        found = examine_noise(image, mask)
        first = noise = found.noise.scaled(1 / self.scale, -self.offset / self.scale)
        if is_refined(first) and self._level_matters:
            noise, doubt = self._refined(frame, first, _counted(frame, first, mask))
            if first.correlation is not None:
                self._doubts[noise] = max(doubt, LEAST_DOUBT)
            if noise is not first or first.correlation is not None:
                found = dataclasses.replace(found, noise=noise.scaled(self.scale, self.offset), uncertainty=doubt)
        self.estimates[number] = found
        self._unfit[noise] = found.unfit
        return noise

    @property
    def _level_matters(self):
        """Whether results depend on the level of the noise: not those of the network as it is, which sees the image."""
        return self.recipe.steps != 0 or bool(self.start_values)

    def doubt(self, noise: NoiseModel) -> float:
        """Say how sure a noise is, given or found: the relative standard deviation of its variance.

        Args:
            noise: As `noise` returned it.
        """
        return self._doubts.get(noise, self.recipe.doubt)

    def why_not_tuned(self, noise: NoiseModel) -> str:
        """Say why nothing is tuned under a noise that was given or found: no model fits; empty if it is tuned.

        Args:
            noise: As `noise` returned it.
        """
        unfit = self._unfit.get(noise, self.recipe.unfit)
        return unfit if unfit and self.recipe.steps != 0 and self.denoiser.tuner.loss.needs_noise else ""

    def _refined(self, frame, noise, mask):
        """Estimate the level of noise once more; returns it and its uncertainty."""
        limits = self._limits(frame, mask)
        known = limits.noise(noise)
        found, doubt = self.denoiser.refined_noise(limits.seen(frame), known, mask, self.recipe.seed)
        return (noise if found is known else limits.noise_of_image(found)), doubt

    def _limits(self, frame, mask):
        return self.network.limits(frame, mask, scale=self.scale, offset=self.offset)

    def without_gains(self) -> keras.Model:
        """Make a model of the network without gains, contrast or what finds the limits of images."""
        return strip_gains(self.network.model)

    def whole_model(
        self,
        gains: Sequence[np.ndarray],
        contrast: np.ndarray,
        lines: Sequence[tuple[float, float] | None] = (),
        *,
        as_tuned: bool = False,
    ) -> keras.Model:
        """Make one Keras model of the network with gains, at a contrast: of frames in [0, 1].

        Args:
            gains: Of each layer (channels,) or (frames, channels).
            contrast: () or (frames,).
            lines: `TunedFrame.line` of each frame, for a model that knows the level of the noise.
            as_tuned: Whether its weights are those that the network had when it was tuned, whatever has become of it.
        """
        model = with_gains(strip_gains(self.denoiser.tuner.model) if as_tuned else self.without_gains(), gains)
        if lines and lines[0] is not None:
            model = with_known_noise(model, *_at_contrast(np.array(lines), np.atleast_1d(contrast)))
        model = with_contrast(model, contrast)
        return with_normalization(model, self.network.normalization.of_frames(self.scale, self.offset))

    def gain_names(self) -> list[str]:
        """Name each layer of gains."""
        return gain_names(self.denoiser.tuner.model)

    def sizes(self) -> list[int]:
        """Count the gains of each layer, and behind them 1 for the contrast."""
        return [value.size for value in self.denoiser.tuner.gains()]

    def split(self, row: np.ndarray) -> list[np.ndarray]:
        """Split gains and contrast in one row into a list of those of each layer."""
        return np.split(row, np.cumsum(self.sizes())[:-1])

    def start(self, number: int = 0) -> list[np.ndarray]:
        """Give the gains and contrast that the model came with, for frame `number`; empty if it had none."""
        return [value[number if len(value) > 1 else 0] for value in self.start_values]

    def tune(
        self,
        frame: np.ndarray,
        noise: NoiseModel,
        start: Sequence[np.ndarray] = (),
        *,
        mask: np.ndarray | None = None,
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        progress: bool = False,
    ) -> TunedFrame:
        """Tune on one frame.

        Args:
            frame: (H, W, C) or (D, H, W, C), 0 to 1.
            noise: Its noise in the same units.
            start: Gains and contrast to start from; ones if empty.
            mask: True where a pixel does not count, of the frame's shape.
            steps: By default the recipe's; none where `why_not_tuned` has a reason: then the network sees the image
                with noise added that makes correlated noise white, if that is better.
            callbacks: See `GainTuner.tune`.
            progress: Whether to show a bar.
        """
        limits, inside = self._limits(frame, mask), _counted(frame, noise, mask)
        known, unfit = limits.noise(noise), bool(self.why_not_tuned(noise))
        seen = None if inside is None else inside[None]
        options = self._options(known, 0 if unfit else steps, seen, callbacks, progress)
        # What is known of the noise is at least shown to the network.
        options |= {"doubt": self.doubt(noise), "whiten": unfit}
        denoiser = self._denoiser(self._of_counts(noise))
        tuned = denoiser.tune(limits.seen(frame)[None], start, **options)
        tuned = _in_frame(dataclasses.replace(tuned, line=self._line(known)), limits)
        as_it_is = unfit or not self._level_matters
        return tuned if as_it_is or not isinstance(noise, GaussianNoise) else _unclipped(tuned, frame, noise, mask)

    def _line(self, noise):
        if not self.network.takes_level:
            return None
        slope, intercept = noise.level(1)
        return float(slope[0]), float(intercept[0])

    def tune_together(
        self,
        frames: np.ndarray,
        noise: Sequence[NoiseModel],
        start: Sequence[np.ndarray] = (),
        *,
        mask: np.ndarray | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        progress: bool = False,
    ) -> tuple[list[np.ndarray], TuningHistory]:
        """Tune one set of gains on several frames (N, H, W, C), each with its noise, unless no model fits any.

        Returns:
            Gains and contrast, and the `TuningHistory`: its risks are in units of what the network's `model` takes,
            where frames have limits of their own.
        """
        masks = [None] * len(frames) if mask is None else mask
        limits = [self._limits(*pair) for pair in zip(frames, masks, strict=True)]
        mask = _of_all([_counted(*each) for each in zip(frames, noise, masks, strict=True)], frames.shape[1:])
        frames = np.stack([each.seen(frame) for each, frame in zip(limits, frames, strict=True)])
        known = stacked([each.noise(one) for each, one in zip(limits, noise, strict=True)])
        steps = 0 if all(map(self.why_not_tuned, noise)) else None
        doubts = [self.doubt(one) for one in noise]
        options = {"doubt": doubts, **self._options(known, steps, mask, callbacks, progress)}
        return self._denoiser(self._of_counts(known)).gains(frames, start, **options)

    def judge(
        self, frame: np.ndarray, noise: NoiseModel, tuned: TunedFrame, mask: np.ndarray | None = None
    ) -> Judgement:
        """Compare what became of a frame with the noise that was assumed, and with the frame as it was.

        Args:
            frame: (H, W, C), in the units of the network.
            noise: Its noise in the same units.
            tuned: What `tune` made of it.
            mask: True where a pixel does not count, of the frame's shape.
        """
        mask = _counted(frame, noise, mask)
        image, denoised = (self._as_image(one) for one in (frame, tuned.denoised[0]))
        known, risk = noise.scaled(self.scale, self.offset), float(tuned.history.risk_after) * self.scale**2
        loss = as_risk_estimate(as_loss(self.recipe.loss, counts=self._of_counts(noise)))
        factor = loss.criterion.noise_factor
        worse = factor is not None and exceeds_noise(risk, known, image, mask, factor=factor)
        residual = examine_residual(image, denoised, known, mask)
        variance = mean_variance(known, image, mask)
        pretrained = self.scale * tuned.pretrained[0].astype(np.float64) + self.offset
        return Judgement(residual, risk, variance, worse, output_words(image, pretrained, variance, mask))

    def _of_counts(self, noise):
        """Whether what the network sees has the noise of counts alone, which can be split: correlated counts cannot."""
        # Counts less a lower limit are no counts.
        fixed = self.network.normalization.is_fixed
        return fixed and isinstance(noise, PoissonNoise) and noise.correlation is None

    def _as_image(self, frame):
        """Bring a frame into the units of the image: of volumes in 32 bits, which are many."""
        image = frame.astype(np.float32 if frame.ndim == 4 else np.float64)
        return self.scale * image + self.offset

    def _options(self, noise, steps, mask, callbacks, progress):
        steps = self.recipe.steps if steps is None else steps
        options = {"sigma": noise, "steps": steps, "seed": self.recipe.seed}
        options |= {"callbacks": callbacks, "progress": progress}
        return options if mask is None else {**options, "mask": mask}


def _at_contrast(lines, contrast):
    """Take lines of a variance (frames, 2) to what is seen at a contrast: `A slope, A^2 intercept - A B slope`."""
    slope, intercept = lines[:, 0], lines[:, 1]
    moved = CENTRE * (1 - contrast)
    return contrast * slope, contrast**2 * intercept - contrast * moved * slope


def _counted(frame, noise, mask):
    """Leave out where noise that is the same everywhere reaches an end at which the frame is clipped."""
    return without_clipped(frame, float(np.mean(noise.sigma)), mask) if isinstance(noise, GaussianNoise) else mask


def _unclipped(tuned, frame, noise, mask):
    """Take from the result what clipping has added to the mean of the noise, where it is as that is taken to be."""
    denoised, level = tuned.denoised[0], float(np.mean(noise.sigma))
    found = unclipped(denoised, frame, level, mask)
    is_in_it = has_clipped_mean(denoised, frame, found) and is_clipped_as_often(found, frame, level, mask)
    return dataclasses.replace(tuned, denoised=found[None]) if is_in_it else tuned


def _of_all(masks, shape):
    """Stack the masks of frames, some of which may have none; None if none has."""
    if all(mask is None for mask in masks):
        return None
    return np.stack([np.zeros(shape, bool) if mask is None else mask for mask in masks])


def _in_frame(tuned, limits):
    """Take a result from the units of the network's model to those of the frame."""
    if limits == Limits():
        return tuned
    risks = {name: getattr(tuned.history, name) * limits.span**2 for name in ("risk", "risk_before", "risk_after")}
    history = dataclasses.replace(tuned.history, **risks)
    denoised, pretrained = limits.image(tuned.denoised), limits.image(tuned.pretrained)
    return dataclasses.replace(tuned, denoised=denoised, pretrained=pretrained, history=history)


class _Denoiser:
    """One tuner for frame after frame, large ones in windows and tiles."""

    def __init__(self, tuner):
        self.tuner = tuner
        # Of the copy that has the gains, which sees as far as the network.
        self._network = network_of(tuner.model)
        self._lock = threading.Lock()

    def tune(self, frame, start, **options):
        # The gains are the tuner's state: one image at a time, whichever thread asks.
        with self._lock:
            return self._tune(frame, start, **options)

    def _tune(self, frame, start, **options):
        self.tuner.reset()
        phase("denoising before tuning")
        pretrained = self._denoise(frame, sigma=options["sigma"])
        if start:
            self.tuner.set_gains(start)
        history = self.tuner.tune(frame, window=WINDOW, **options)
        unchanged = not start and history.risk.size == 0 and not options["whiten"]
        phase("denoising")
        denoised = pretrained if unchanged else self._denoise(frame)
        return TunedFrame(denoised, pretrained, self.tuner.gains(), history)

    def gains(self, frames, start, **options):
        """Tune one set of gains on all frames."""
        with self._lock:
            self.tuner.reset()
            if start:
                self.tuner.set_gains(start)
            history = self.tuner.tune(frames, window=WINDOW, **options)
            return self.tuner.gains(), history

    def refined_noise(self, frame, noise, mask, seed):
        """Estimate the level of noise (H, W, C) once more; returns the model and its uncertainty."""
        with self._lock:
            self.tuner.reset()
            first = functools.partial(self.tuner.first_result, noise=noise, seed=seed)
            return refined_by(first, frame, noise, mask)

    def _denoise(self, frame, **known):
        once = functools.partial(self.tuner.denoise_once, **known)
        if frame.ndim == 5:
            return self._denoise_volume(frame, once, known)
        network = self._network
        # A network of fixed size sees tiles of that size, one after the other.
        if frame.shape[1] * frame.shape[2] <= TILED_PIXELS or any(network.fixed_sides):
            return self.tuner.denoise(frame, **known)
        how = {"receptive_field": network.receptive_field, "multiple": network.multiple}
        return mean_over(tiles.denoise_tiled(once, copy, **how) for copy in self.tuner.copies(frame))

    def _denoise_volume(self, frame, once, known):
        network = self._network
        fitting = volume_tiles.voxels_that_fit(network.bytes_per_pixel, COPIES) / len(frame)
        if math.prod(frame.shape[1:4]) <= fitting or any(network.fixed_sides):
            return self.tuner.denoise(frame, **known)
        how = {"receptive_field": network.receptive_field, "alignment": network.stride, "voxels": fitting}
        blocks = (volume_tiles.denoise_in_blocks(once, copy, **how) for copy in self.tuner.copies(frame))
        return mean_over(blocks)


# A tuner per model and loss, so that image after image finds its step compiled. Weak, and no
# value refers to its key: the tuner of a model goes with the model.
_denoisers: weakref.WeakKeyDictionary[keras.Model, dict] = weakref.WeakKeyDictionary()


def _denoiser_for(model, loss, counts, **options):
    # By its weights too: a model that was trained further needs a new copy.
    key = (fingerprint(model), loss, counts, *options.items())
    known = _denoisers.setdefault(model, {})
    if key not in known:
        # Frames of one image may be of counts or not; more than these are not kept.
        while len(known) >= 2:
            known.pop(next(iter(known)))
        known[key] = _Denoiser(GainTuner(strip_gains(model), as_loss(loss, counts=counts), **options))
    return known[key]


def _start(network, frames):
    """List the gains of each layer and the contrast that the model has: one for all frames, or one for each."""
    layers, contrast = gain_layers(network.model), network.contrast.reshape(-1, 1)
    if not layers and np.all(contrast == 1):
        return []
    images = layers[0].images if layers else None
    if images not in (None, frames):
        raise InputError(f"the model has gains for each of {images} frames, the image has {frames}")
    # A network without gains may have a contrast, as one has into which they were folded.
    values = [
        np.asarray(keras.ops.convert_to_numpy(layer.gain))
        for layer in layers or gain_layers(insert_gains(network.model))
    ]
    return [*(value if images else value[None] for value in values), contrast]
