"""The whole way of an image, from noisy array to denoised array, in one call."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import weakref
from collections.abc import Sequence

import keras
import numpy as np

from gaintuning_tf import tiling
from gaintuning_tf.contrast import take_contrast, with_contrast
from gaintuning_tf.core import PRIOR
from gaintuning_tf.errors import InputError
from gaintuning_tf.gain_files import fingerprint
from gaintuning_tf.graph import as_keras_model
from gaintuning_tf.images import Layout, layout
from gaintuning_tf.loss_names import loss_named
from gaintuning_tf.noise import KINDS, GaussianNoise, NoiseModel, PoissonNoise, estimate_noise, stacked
from gaintuning_tf.padding import check_denoiser
from gaintuning_tf.pretrained import find_denoiser, load_denoiser
from gaintuning_tf.surgery import gain_layers, insert_gains, strip_gains
from gaintuning_tf.tuning import GainTuner, TuningHistory

# Beyond this side, tuning looks at random windows of this side: a thousand unknowns need no more pixels.
WINDOW = 512
# Beyond this many pixels, the denoised image is put together from tiles.
TILED_PIXELS = 1536 * 1536


@dataclasses.dataclass(frozen=True)
class GainTuningResult:
    """What `gaintune` found.

    Where an image has several frames (channels through a grey network, or a stack),
    `gains`, `history` and `noise` have one entry for each along a leading axis.

    Attributes:
        denoised: The image after tuning: shape, dtype and scale of the one passed.
        pretrained: The network's output before tuning, likewise.
        gains: By layer name, (channels,) or (frames, channels).
        history: `risk`, the estimate at each step, (steps,) or (frames, steps);
            `risk_before` and `risk_after`, held-out estimates at the start and of
            the gains that were kept; `seconds`; `interrupted`. Risks are mean squared
            errors in squared units of the image.
        contrast: At which the network sees the image, () or (frames,); 1 where nothing else was better.
        noise: The noise that was assumed, in the units of the image.
        model: The network with the tuned gains, at that contrast; for several frames, with gains of
            their own for each, to be called on all frames as one batch.
        layout: How the array became the network's input.
    """

    denoised: np.ndarray
    pretrained: np.ndarray
    gains: dict[str, np.ndarray]
    contrast: np.ndarray
    history: dict[str, np.ndarray]
    noise: NoiseModel
    model: keras.Model
    layout: Layout

    def plot(self):
        """A matplotlib figure: before and after tuning, their difference, and the risk.

        Needs the extra `report`.
        """
        from gaintuning_tf.figures import result_figure

        return result_figure(self)


def gaintune(
    image: np.ndarray,
    model: keras.Model | str,
    *,
    sigma: float | None = None,
    noise: str | NoiseModel = "gaussian",
    loss="sure",
    prior: float | None = PRIOR,
    contrast: bool | None = None,
    steps: int | None = None,
    axes: str | None = None,
    data_range: float | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> GainTuningResult:
    """Denoise one noisy image with a network adapted to it, no clean image needed.

    Tunes one gain per channel and convolution by minimising an unsupervised estimate
    of the mean squared error on this image alone (Mohan, Vincent, Manzorro, Crozier,
    Fernandez-Granda, Simoncelli, "Adaptive denoising via GainTuning", NeurIPS 2021), with what
    `GainTuner` adds to the paper. Of images larger than 512x512, each step sees a random window of that size.

    Args:
        image: Noisy; (H, W), (H, W, 1), (H, W, 3), or what `axes` describes; any
            integer or float dtype. Every frame of a stack, and every channel if the
            network is grey, is tuned by itself.
        model: A Keras denoiser for images in [0, 1] (subclassed and `tf_keras` models too),
            or what `load_denoiser` takes.
            It is never changed. If it has gains, tuning starts from them.
        sigma: Standard deviation of the noise in the units of the image: 25 for a
            uint8 image, 0.1 for floats in [0, 1]. Estimated from the image if absent.
        noise: `"gaussian"`, `"poisson"` (counts, or counts times any number), `"poisson-gaussian"` (a camera),
            each with parameters estimated from the image, or a model such as `PoissonNoise(2.0)` in the units
            of the image.
        loss: A name from `loss_names.LOSSES`, such as `"sure"` (of counts with Poisson noise
            alone, `CountSplitting`), `"blind-spot"`, `"noise-resampling"`, or a risk estimate such as
            `CoupledBootstrap(probes=2)`.
        prior: Standard deviation of the prior on the gains, see `GainTuner`; None for the paper's plain method,
            whose loss is `"monte-carlo-sure"`.
        contrast: Whether to look for a better contrast first, see `GainTuner`; by default with a prior.
        steps: Steps of optimisation; 0 for the network as it is.
        axes: A letter per axis, such as `"TYX"` or `"YXC"`.
        data_range: Value of the image that the network is to see as 1; see
            `gaintuning_tf.images.layout` for the default.
        seed: Same seed, same machine: same result.
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
    model = _loaded(find_denoiser(model)) if isinstance(model, (str, os.PathLike)) else model
    model, start_contrast = take_contrast(as_keras_model(model))
    check_denoiser(model)
    image = np.asarray(image)
    arrangement = layout(image, model.inputs[0].shape[-1], axes=axes, data_range=data_range)
    frames = arrangement.frames(image)
    models = _noise_of(frames, sigma, noise, arrangement)
    start = [gain.gain.numpy() for gain in gain_layers(model)]
    start = [*start, start_contrast] if start else []
    counts = all(isinstance(known, PoissonNoise) for known in models)
    denoiser = _denoiser_for(model, loss, counts, prior=prior, contrast=contrast)
    tuned = []
    for frame, known in zip(frames, models, strict=True):
        interrupted = bool(tuned) and tuned[-1].history.interrupted
        tuned.append(
            denoiser.tune(
                frame[None],
                start,
                sigma=known,
                steps=0 if interrupted else steps,
                seed=seed,
                callbacks=callbacks,
                progress=progress,
            )
        )
    return _result(arrangement, tuned, models, strip_gains(model))


@dataclasses.dataclass(frozen=True)
class _Frame:
    denoised: np.ndarray
    pretrained: np.ndarray
    gains: list[np.ndarray]
    history: TuningHistory


class _Denoiser:
    """One tuner for frame after frame, large ones in windows and tiles."""

    def __init__(self, tuner):
        self.tuner = tuner
        self._reach = None
        self._lock = threading.Lock()

    def tune(self, frame, start, **options):
        # The gains are the tuner's state: one image at a time, whichever thread asks.
        with self._lock:
            return self._tune(frame, start, **options)

    def _tune(self, frame, start, **options):
        self.tuner.reset()
        pretrained = self._denoise(frame)
        if start:
            self.tuner.set_gains(start)
        history = self.tuner.tune(frame, window=WINDOW, **options)
        unchanged = not start and history.risk.size == 0
        denoised = pretrained if unchanged else self._denoise(frame)
        return _Frame(denoised, pretrained, self.tuner.gains(), history)

    def _denoise(self, frame):
        if frame.shape[1] * frame.shape[2] <= TILED_PIXELS or None not in self.tuner.model.inputs[0].shape[1:3]:
            return self.tuner.denoise(frame)
        if self._reach is None:
            self._reach = tiling.reach(self.tuner.model)
        return tiling.denoise_tiled(self.tuner.denoise, frame, reach=self._reach)


# A tuner per model and loss, so that image after image finds its step compiled. Weak, and no
# value refers to its key: the tuner of a model goes with the model.
_denoisers: weakref.WeakKeyDictionary[keras.Model, dict] = weakref.WeakKeyDictionary()


def _denoiser_for(model, loss, counts, **options):
    # By its weights too: a model that was trained further needs a new copy.
    key = (fingerprint(model), loss, counts, *options.items())
    known = _denoisers.setdefault(model, {})
    if key not in known:
        known.clear()
        known[key] = _Denoiser(GainTuner(strip_gains(model), _loss(loss, counts), **options))
    return known[key]


@functools.lru_cache(maxsize=2)
def _loaded(path):
    return load_denoiser(path)


def _result(arrangement, tuned, models, base):
    several = len(tuned) > 1
    scale = arrangement.data_range
    together = np.stack if several else lambda values: np.asarray(values[0])
    *gains, contrast = [together([frame.gains[index] for frame in tuned]) for index in range(len(tuned[0].gains))]
    contrast = contrast[..., 0]
    model = insert_gains(base, images=len(tuned) if several else None)
    names = [gain.name for gain in gain_layers(model)]
    for gain, value in zip(gain_layers(model), gains, strict=True):
        gain.gain.assign(value)
    longest = max(frame.history.risk.size for frame in tuned)
    risks = [np.pad(f.history.risk, (0, longest - f.history.risk.size), constant_values=np.nan) for f in tuned]
    history = {
        "risk": together(risks) * scale**2,
        "risk_before": together([f.history.before for f in tuned]) * scale**2,
        "risk_after": together([f.history.after for f in tuned]) * scale**2,
        "seconds": together([f.history.seconds for f in tuned]),
        "interrupted": together([f.history.interrupted for f in tuned]),
    }
    return GainTuningResult(
        denoised=arrangement.image(np.concatenate([frame.denoised for frame in tuned])),
        pretrained=arrangement.image(np.concatenate([frame.pretrained for frame in tuned])),
        gains={
            name if names.count(name) == 1 else f"{name}#{i}": g
            for i, (name, g) in enumerate(zip(names, gains, strict=True))
        },
        contrast=contrast,
        history=history,
        noise=stacked([known.scaled(scale, arrangement.offset) for known in models]),
        model=with_contrast(model, contrast),
        layout=arrangement,
    )


def _noise_of(frames, sigma, noise, arrangement):
    """The noise of each frame, in the units of the network."""
    scale, offset = arrangement.data_range, arrangement.offset
    if isinstance(noise, NoiseModel):
        if sigma is not None:
            raise InputError("expected the noise level in `sigma` or in `noise`, received both")
        known = noise
    elif noise not in KINDS:
        raise InputError(f"expected noise to be one of {', '.join(KINDS)} or a noise model, received {noise!r}")
    elif sigma is None:
        # In the image's own units: a count is a whole number there.
        return [estimate_noise(frame * scale + offset, noise).scaled(1 / scale, -offset / scale) for frame in frames]
    elif noise != "gaussian":
        raise InputError(
            f"expected no sigma with {noise} noise: leave it out to have the noise estimated, or in Python pass a "
            "model such as PoissonGaussianNoise(gain, sigma)"
        )
    else:
        known = GaussianNoise(sigma)
    if known.images not in (1, len(frames)):
        raise InputError(f"expected one sigma, or one for each of {len(frames)} frames, received {known.images}")
    known = known.scaled(1 / scale, -offset / scale)
    return known.each(len(frames))


def _loss(loss, counts):
    return loss if callable(loss) else loss_named(loss, counts=counts)
