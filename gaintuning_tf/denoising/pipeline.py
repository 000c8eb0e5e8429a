"""The whole way of an image, from noisy array to denoised array, in one call."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from gaintuning_tf.denoising.frame_tuner import FrameTuner
from gaintuning_tf.denoising.network_choice import NetworkChoice, network_for
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images.array_layout import Layout, check_finite, layout, order_of
from gaintuning_tf.images.bad_pixels import MISSING, BadPixels, PixelRules, find_bad_pixels, whole_mask
from gaintuning_tf.losses.base import RiskEstimate
from gaintuning_tf.networks.network import NetworkLike, network_of
from gaintuning_tf.networks.pretrained import CHOSEN
from gaintuning_tf.noise.models import NoiseModel, stacked
from gaintuning_tf.noise.residuals import Residual, of_frames, output_words_of, worse_words
from gaintuning_tf.support.labelled_arrays import axes_said, values_of, with_labels
from gaintuning_tf.tuning.defaults import PRIOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True)
class GainTuningResult:
    """What `gaintune` found.

    Where an image has several frames (channels through a grey network, or a stack),
    `gains`, `history` and `noise` have one entry for each along a leading axis.

    Attributes:
        denoised: The image after tuning: shape, dtype and scale of the one passed; masked where that was, and a
            DataArray with its labels if that was one.
        pretrained: The network's output before tuning, likewise.
        gains: By layer name, (channels,) or (frames, channels).
        history: `risk`, the estimate at each step, (steps,) or (frames, steps);
            `risk_before` and `risk_after`, held-out estimates at the start and of
            the gains that were kept; `seconds`; `interrupted`; `rounds` of steps, and `further_seconds`, what those
            after the first took; `precision`, what steps computed in. Risks are mean squared
            errors in squared units of the image.
        contrast: At which the network sees the image, () or (frames,); 1 where nothing else was better.
        noise: The noise that was assumed, in the units of the image.
        network: The name of the network.
        make_model: Makes `model`.
        layout: How the array became the network's input.
        bad_pixels: Which pixels did not count, see `gaintuning_tf.images.BadPixels`.
        evidence: Of each frame what speaks for the noise that was found, see
            `gaintuning_tf.noise.NoiseEstimate.to_json`; empty where the noise was given.
        residuals: Of each frame what was taken out, beside the noise, see `gaintuning_tf.noise.Residual`.
        worse_than_input: Whether the risk is larger than the noise, () or (frames,): then the result is
            worse than the input.
        choice: Which network was chosen and why, where none was given.
        not_tuned: Of each frame why nothing was tuned, empty where there is no reason: noise that was to be
            found fits no model, see `gaintuning_tf.noise.NoiseEstimate.unfit`.
        output_far: Whether the network's output before tuning is far from the image, () or (frames,): then it takes
            another range, or returns the noise, see `gaintuning_tf.networks.Network`.
    """

    denoised: np.ndarray
    pretrained: np.ndarray
    gains: dict[str, np.ndarray]
    contrast: np.ndarray
    history: dict[str, np.ndarray]
    noise: NoiseModel
    network: str
    make_model: Callable[[], keras.Model]
    layout: Layout
    bad_pixels: BadPixels
    evidence: Sequence[dict[str, Any]] = ()
    residuals: Sequence[Residual] = ()
    worse_than_input: np.ndarray = dataclasses.field(default_factory=lambda: np.array(False))
    not_tuned: Sequence[str] = ()
    choice: NetworkChoice | None = None
    output_far: np.ndarray = dataclasses.field(default_factory=lambda: np.array(False))

    def __repr__(self) -> str:
        before, after = (np.mean(self.history[name]) for name in ("risk_before", "risk_after"))
        steps = np.atleast_2d(self.history["risk"]).shape[-1]
        image = f"{self.denoised.shape} {self.denoised.dtype}"
        return f"<GainTuningResult: {image}, {steps} steps, risk {before:.4g} -> {after:.4g}, by {self.network!r}>"

    @functools.cached_property
    def model(self) -> keras.Model:
        """The network with the tuned gains, at the contrast found: made when it is first asked for.

        For several frames it has gains of their own for each, to be called on all frames as one batch.
        """
        return self.make_model()

    def plot(self) -> Figure:
        """Draw a matplotlib figure: before and after tuning, their difference, and the risk.

        Needs the extra `report`.
        """
        from gaintuning_tf.denoising.result_figure import result_figure

        return result_figure(self)


def gaintune(
    image: np.ndarray,
    model: NetworkLike = "auto",
    *,
    sigma: float | None = None,
    noise: str | NoiseModel = "auto",
    loss: str | RiskEstimate | Callable[..., Any] = "sure",
    prior: float | None = PRIOR,
    contrast: bool | None = None,
    steps: int | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    data_range: float | None = None,
    mask: ArrayLike | None = None,
    nodata: float | None = None,
    nan: str = "error",
    hot: str = "replace",
    seed: int = 0,
    precision: str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> GainTuningResult:
    """Denoise one noisy image with a network adapted to it, no clean image needed.

    Tunes one gain per channel and convolution by minimising an unsupervised estimate
    of the mean squared error on this image alone (Mohan, Vincent, Manzorro, Crozier,
    Fernandez-Granda, Simoncelli, "Adaptive denoising via GainTuning", NeurIPS 2021), with what
    `GainTuner` adds to the paper. Of images larger than 512x512, each step sees as many pixels, at random places.

    Pixels that do not count are left out of the range, the noise and the risk, and their surroundings
    take their place for the network: masked ones, and areas of one value and hot or dead pixels, which are found, see
    `gaintuning_tf.images.find_bad_pixels`. Areas in which noise that is the same everywhere was clipped do
    not count for noise and risk either, and what clipping adds to their mean is taken from the result, see
    `gaintuning_tf.noise.clipping`. What was found is said in a `GainTuningWarning`. So is a result whose
    risk is larger than the noise: it is worse than the input. And noise with stripes or waves, which no model
    fits: then nothing is tuned, unless sigma or noise are given.

    Args:
        image: Noisy; (H, W), (H, W, 1), (H, W, 3), for a network of volumes (D, H, W), or what `axes` describes; any
            integer or float dtype. Every frame of a stack, and every channel if the
            network is grey, is tuned by itself. Of an `np.ma.MaskedArray`, masked pixels do not count. Of a DataArray
            of xarray, dimensions named y, x, c, t and z are the axes, and the result has its labels.
        model: A Keras denoiser for images in [0, 1] (subclassed and `tf_keras` models too),
            or what `load_denoiser` takes; or `"auto"`, `"best"` or `"fast"`: one of those that ship, see
            `choose_network`. One that takes another range, or returns the noise, as a
            `Network(model, normalize=..., predicts=...)`.
            It is never changed. If it has gains, tuning starts from them.
        sigma: Standard deviation of the noise in the units of the image: 25 for a
            uint8 image, 0.1 for floats in [0, 1]. Estimated from the image if absent.
        noise: `"auto"`, the simplest that the image does not contradict: white or correlated, the same
            everywhere or growing with the signal (`gaintuning_tf.noise.examine_noise`); with a sigma, white
            Gaussian. `"gaussian"`, `"poisson"` (counts, or counts times any number), `"poisson-gaussian"` (a camera),
            each with parameters estimated from the image, or a model such as `PoissonNoise(2.0)` in the units
            of the image.
        loss: A name from `names.LOSSES`, such as `"sure"` (of counts with Poisson noise
            alone, `CountSplitting`), `"blind-spot"`, `"noise-resampling"`, or a risk estimate such as
            `CoupledBootstrap(probes=2)`.
        prior: Standard deviation of the prior on the gains, see `GainTuner`; None for the paper's plain method,
            whose loss is `"monte-carlo-sure"`.
        contrast: Whether to look for a better contrast first, see `GainTuner`; by default with a prior and biases.
        steps: Steps of optimisation; 0 for the network as it is; by default see `GainTuner.tune`.
        axes: A letter per axis, such as `"TYX"` or `"YXC"`. To a network of three dimensions, `"ZYX"` is one volume and
            `"TZYX"` a movie of volumes; to others, every plane is an image.
        channel_axis: Number of the axis with the channels, as scikit-image has it, in place of `axes`: -1 for
            (H, W, C), 0 for (C, H, W). A third axis beside it is Z, a fourth T.
        data_range: Value of the image that the network is to see as 1; see
            `gaintuning_tf.images.array_layout.layout` for the default.
        mask: Not zero where a pixel does not count, of the image's shape, or (H, W) for every frame and channel;
            such pixels are in the result as they are.
        nodata: Value of pixels that are missing, which are in the result as they are.
        nan: `"error"`, or `"missing"`: NaN and infinite pixels are missing, too.
        hot: `"replace"`, or `"keep"`: hot and dead pixels are in the result as they are.
        seed: Same seed, same machine: same result.
        precision: What the steps compute in, `"float32"` or `"bfloat16"`; `"auto"`: bfloat16 where the hardware
            multiplies it and that saves time, see `GainTuner`.
        callbacks: Keras callbacks, see `GainTuner.tune`.
        progress: Show a progress bar on stderr.

    Returns:
        The result. Ctrl-C while tuning gives the result for the best gains so far.

    Raises:
        InputError: The image, the model or an option cannot be used.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> noisy = (128 + 25 * rng.standard_normal((64, 64))).clip(0, 255).astype("uint8")
    >>> result = gaintune(noisy, "unet-bf-natural", sigma=25, steps=3, progress=False)
    >>> result.denoised.dtype, result.denoised.shape
    (dtype('uint8'), (64, 64))
    """
    recipe = Recipe(sigma, noise, loss, prior, contrast, steps, seed, precision)
    rules = PixelRules(nodata, nan, hot)
    labelled, axes = image, axes_said(image, axes, channel_axis)
    image, mask = np.asanyarray(values_of(image)), values_of(mask, labelled)
    noisy = np.asarray(image)
    choice = None
    if isinstance(model, str) and model in CHOSEN:
        seen = np.ma.array(image, mask=np.ma.getmaskarray(image) | _mask_of(mask, noisy, axes))
        choice = network_for(seen, recipe, wanted=model, axes=axes, rules=rules)
    network = network_of(choice.name if choice else model)
    order = order_of(noisy, network.channels, axes=axes, dimensions=network.dimensions)
    missing = np.ma.getmaskarray(image) if np.ma.isMaskedArray(image) else np.zeros((), bool)
    if mask is not None:
        missing = missing | whole_mask(mask, order.axes, noisy.shape)
    masked = np.ma.array(noisy, mask=np.broadcast_to(missing, noisy.shape))
    check_finite(noisy, rules.missing(masked))
    bad = find_bad_pixels(masked, order, rules)
    _say(bad, noisy, hot)
    how = {"data_range": data_range, "from_zero": recipe.of_counts, "dimensions": network.dimensions}
    arrangement = layout(noisy, network.channels, axes=axes, bad=bad, **how)
    frames = arrangement.frames(bad.filled)
    masks = _masks(bad, order, len(frames))
    tuner = FrameTuner(network, recipe, scale=arrangement.data_range, offset=arrangement.offset, frames=len(frames))
    models = [tuner.noise(frame, number, masks[number]) for number, frame in enumerate(frames)]
    tuned = []
    for number, (frame, known) in enumerate(zip(frames, models, strict=True)):
        interrupted = bool(tuned) and tuned[-1].history.interrupted
        start, wanted = tuner.start(number), 0 if interrupted else steps
        options = {"mask": masks[number], "callbacks": callbacks, "progress": progress}
        tuned.append(tuner.tune(frame, known, start, steps=wanted, **options))

    def restored(name):
        array = arrangement.image(np.concatenate([getattr(frame, name) for frame in tuned]))
        array = bad.restored(array, noisy, hot)
        array = np.ma.array(array, mask=np.ma.getmaskarray(image)) if np.ma.isMaskedArray(image) else array
        return with_labels(array, labelled)

    evidence = [tuner.estimates[number].to_json() for number in sorted(tuner.estimates)]
    found = [tuner.judge(*each) for each in zip(frames, models, tuned, masks, strict=True)]
    not_tuned = [tuner.why_not_tuned(known) for known in models]
    _say_if_not_tuned(not_tuned)
    _say_if_far(found)
    _say_if_worse(found)
    result = _result(arrangement, tuned, models, tuner, restored, bad, evidence, found)
    return dataclasses.replace(result, not_tuned=not_tuned, choice=choice)


def _mask_of(mask, noisy, axes):
    """Give the mask of the whole image, before a network says what its frames are."""
    return False if mask is None else whole_mask(mask, order_of(noisy, 1, axes=axes).axes, noisy.shape)


def _say(bad, noisy, hot):
    """Warn of what was found without being asked for."""
    found = bad._replace(kinds=np.where(bad.kinds == MISSING, 0, bad.kinds))
    words = found.words(noisy, hot)
    if words:
        warnings.warn(words, GainTuningWarning, stacklevel=3)


def _say_if_not_tuned(reasons):
    """Warn of frames on which nothing was tuned, with the reason of the first."""
    frames = [number for number, reason in enumerate(reasons) if reason]
    if frames:
        words = of_frames(reasons[frames[0]], frames if len(reasons) > 1 else [])
        warnings.warn(words, GainTuningWarning, stacklevel=3)


def _say_if_far(found):
    """Warn of frames of which the network's own output is another image."""
    words = [one.output for one in found]
    if any(words):
        said = output_words_of(words, range(len(words))) if len(words) > 1 else words[0]
        warnings.warn(said, GainTuningWarning, stacklevel=3)


def _say_if_worse(found):
    """Warn of frames whose risk is larger than their noise."""
    worst = max(found, key=lambda one: one.risk if one.worse else -np.inf)
    if worst.worse:
        frames = [number for number, one in enumerate(found) if one.worse] if len(found) > 1 else []
        warnings.warn(worse_words(worst.risk, worst.variance, frames), GainTuningWarning, stacklevel=3)


def _masks(bad, order, count):
    """Give the mask of each frame, (H, W, C); None for those of which all pixels count."""
    if bad.mask is None:
        return [None] * count
    masks = order.frames(bad.mask)
    masks = masks if order.frame_axes.endswith("C") else masks[..., None]
    return [mask if mask.any() else None for mask in masks]


def _result(arrangement, tuned, models, tuner, restored, bad, evidence, found):
    several = len(tuned) > 1
    scale = arrangement.data_range
    together = np.stack if several else lambda values: np.asarray(values[0])
    *gains, contrast = [together([frame.gains[index] for frame in tuned]) for index in range(len(tuned[0].gains))]
    contrast = contrast[..., 0]
    lines = [frame.line for frame in tuned]
    longest = max(frame.history.risk.size for frame in tuned)
    risks = [np.pad(f.history.risk, (0, longest - f.history.risk.size), constant_values=np.nan) for f in tuned]
    history = {
        "risk": together(risks) * scale**2,
        "risk_before": together([f.history.risk_before for f in tuned]) * scale**2,
        "risk_after": together([f.history.risk_after for f in tuned]) * scale**2,
        "seconds": together([f.history.seconds for f in tuned]),
        "interrupted": together([f.history.interrupted for f in tuned]),
        "rounds": together([f.history.rounds for f in tuned]),
        "further_seconds": together([f.history.further_seconds for f in tuned]),
        "precision": together([f.history.precision for f in tuned]),
    }
    return GainTuningResult(
        denoised=restored("denoised"),
        pretrained=restored("pretrained"),
        gains=dict(zip(tuner.gain_names(), gains, strict=True)),
        contrast=contrast,
        history=history,
        noise=stacked([known.scaled(scale, arrangement.offset) for known in models]),
        network=tuner.network.model.name,
        make_model=functools.partial(tuner.whole_model, gains, contrast, lines, as_tuned=True),
        layout=arrangement,
        bad_pixels=bad,
        evidence=evidence,
        residuals=[one.residual for one in found],
        worse_than_input=np.asarray(together([np.asarray(one.worse) for one in found])),
        output_far=np.asarray(together([np.asarray(bool(one.output)) for one in found])),
    )
