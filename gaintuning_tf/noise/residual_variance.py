"""The level of noise once more, from what a first result left of it and what that took out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise import draws
from gaintuning_tf.noise.details import detail_level, side_by_side
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise
from gaintuning_tf.noise.tensors import noise_of_batch

# A line of the variance is fitted to groups of pixels of so many levels of brightness.
_GROUPS = 16
# A first result is the mean over so many copies, and differences are of so many standard
# deviations of the noise (docs/log/2026-11-26-noise-from-the-residual.md).
_COPIES, _WIDTH = 2, 0.3
# The level of white noise is believed of a denoiser that leaves no more than LEFT of the variance
# in the quietest places: one that leaves more calls its leftovers structure. Structure only adds
# to the first estimate, by a third at most in what was measured, and takes little from it
# (docs/log/2026-11-28-the-level-of-white-noise-once-more.md).
LEFT, LEAST, MOST = 0.004, 0.65, 1.04
# Of an image of more pixels than LARGE, parts with such sides are looked at: the noise is
# known well enough from them.
LARGE, PART = 1536 * 1536, 512
# The level of white noise is one number, and known from less.
WHITE_LARGE, WHITE_PART = 256 * 256, 128
# Of a volume of more voxels than the cube of this, parts with such sides.
VOLUME_PART = 64


class FirstResult(NamedTuple):
    """What a denoiser f made of (a part of) a noisy image y, and how it answers to noise.

    Attributes:
        denoised: f(y), (H, W, C), or of a volume.
        residual: y - f(y), likewise.
        probe: b, noise of the first estimate's covariance, likewise.
        response: J b, J the derivative of f, likewise.
        mask: True where a pixel does not count, likewise; None if all do.
    """

    denoised: np.ndarray
    residual: np.ndarray
    probe: np.ndarray
    response: np.ndarray
    mask: np.ndarray | None = None


def refined_noise(noise: NoiseModel, results: Sequence[FirstResult]) -> tuple[NoiseModel, float]:
    """Estimate the level of noise from the residual of a first result, corrected for what the denoiser takes out.

    The residual r = e - d, d = f(y) - x the error, has not all of the noise e:
    `E r r^T = S - E[e d^T] - E[d e^T] + E[d d^T]`. Stein's identity gives `E[e d^T] = S J^T`; for the
    estimator of least mean square error the covariance of the error is that, too (Tweedie's formula to
    second order: Meng, Song, Li, Ermon, "Estimating high order gradients of the data distribution by
    denoising", NeurIPS 2021), so that

        S = E r r^T + S J^T,

    of which the diagonal is taken, the second term from probes: `b (J b)` with b of the covariance S. It needs
    no flat places, and structure enters only where f loses it. The correlation stays as it was: there,
    flat places were nearer in what was measured (docs/log/2026-11-26-noise-from-the-residual.md).

    Of white noise the first estimate is kept where the denoiser is far from that of least error: where it leaves noise
    in the quietest places, or the second is further from the first than structure explains.

    Args:
        noise: The first estimate, of one image.
        results: Of parts of the image, or of all of it, in the units of `noise`.

    Returns:
        The model, with the same correlation, and with a line of the variance if it had one and that
        still grows; and the relative uncertainty of its variance: half of how far the first estimate was off.

    Example:

    >>> noise = np.random.default_rng(0).normal(0, 5, (256, 256, 1))
    >>> none = np.zeros_like(noise)
    >>> first = FirstResult(100 + none, noise, noise, none)  # of a denoiser that takes all out: its error is zero
    >>> found, doubt = refined_noise(GaussianNoise(6.0), [first])
    >>> round(found.sigma, 1), round(doubt, 2)
    (5.0, 0.15)
    """
    values = np.concatenate([result.denoised[_counted(result)] for result in results])
    squares = np.concatenate([(np.square(r.residual) + r.probe * r.response)[_counted(r)] for r in results])
    if not squares.mean() > 0:
        # A denoiser that answers to noise the wrong way says nothing of its level.
        return noise, 1.0
    found = _model(noise, *_line(noise, values, squares))
    before, after = (float(np.mean(model.variance(values))) for model in (noise, found))
    if noise.correlation is None and not (LEAST < after / before < MOST and _is_clean(results, before)):
        return noise, 1.0
    return found, abs(after / before - 1) / 2


def _is_clean(results, variance):
    """Whether next to nothing of white noise is left in the quietest places of what a denoiser made."""
    try:
        levels = [detail_level(side_by_side(one.denoised), side_by_side(one.mask))[0] for one in results]
    except InputError:
        return True  # without any details, nothing is left of it
    return max(levels) < LEFT * variance


def first_result(
    denoise: Callable[[tf.Tensor], tf.Tensor], noisy: tf.Tensor, noise: NoiseModel, seed: draws.Seed
) -> FirstResult:
    """Denoise before any tuning, and find how the denoiser answers to such noise.

    If the noise is correlated, it sees copies to which what makes the noise white is added, see `NoiseTensors.shown`:
    good enough to estimate the noise once more, see `refined_noise`.

    Args:
        denoise: Images (1, H, W, C) to the same shape, wherever it runs; called for each copy.
        noisy: (1, H, W, C).
        noise: A first estimate of its noise, in the same units.
        seed: Two integers, for the copies and the probe.

    Example:

    >>> noisy = tf.random.stateless_normal((1, 256, 256, 1), (0, 1))
    >>> first = first_result(lambda images: images / 2, noisy, GaussianNoise(1.0), (0, 2))
    >>> round(float(np.mean(first.probe * first.response)), 1)  # the derivative of a half
    0.5
    """
    known = noise_of_batch(noise, 1, noisy.dtype)
    known = known if known.is_white else known._replace(whitening=tf.ones([1], noisy.dtype))
    # The probe has the noise's own level, and the difference the width of the loss's.
    probe = known.probe(noisy, seed)
    seen = known.shown(denoise, noisy, seed, _COPIES)
    step = _WIDTH * probe
    denoised, above, below = (seen(part) for part in (noisy, noisy + step, noisy - step))
    parts = (denoised, noisy - denoised, probe, (above - below) / (2 * _WIDTH))
    return FirstResult(*(part.numpy()[0].astype(np.float64) for part in parts))


def refined_by(
    first: Callable[[np.ndarray], FirstResult],
    frame: np.ndarray,
    noise: NoiseModel,
    mask: np.ndarray | None = None,
    *,
    whole: bool = False,
) -> tuple[NoiseModel, float]:
    """Estimate the level of noise once more, see `refined_noise`.

    Args:
        first: The first result of (a part of) the frame, (1, h, w, C).
        frame: (H, W, C), or a volume; of a large one parts in its corners and middle are looked at.
        noise: A first estimate of its noise, in the same units.
        mask: True where a pixel does not count, of the frame's shape.
        whole: Whether it must be looked at as a whole, for a denoiser of one size.

    Returns:
        The model, and the relative uncertainty of its variance.
    """
    sizes = (WHITE_LARGE, WHITE_PART) if noise.correlation is None else (LARGE, PART)
    parts = [np.s_[:, :]] if whole else _parts(frame.shape[:-1], *sizes)
    results = [first(frame[part][None])._replace(mask=None if mask is None else mask[part]) for part in parts]
    return refined_noise(noise, results)


def _parts(sides, large, part):
    """Cut out what is looked at: the whole, or of a large frame parts in its corners and middle."""
    volume = len(sides) == 3
    if math.prod(sides) <= (VOLUME_PART**3 if volume else large):
        return [(slice(None),) * len(sides)]
    parts = [min(VOLUME_PART, side) for side in sides] if volume else [min(part, *sides)] * 2
    places = [(0, 0, 1), (0, 1, 0), (0.5, 0.5, 0.5), (1, 0, 0), (1, 1, 1)]
    if not volume:
        places = [(0, 0), (0, 1), (0.5, 0.5), (1, 0), (1, 1)]
    starts = [[int(p * (side - part)) for p, side, part in zip(place, sides, parts, strict=True)] for place in places]
    return [tuple(slice(at, at + part) for at, part in zip(start, parts, strict=True)) for start in starts]


def _counted(result):
    return np.ones(result.residual.shape, bool) if result.mask is None else ~result.mask


def _line(noise, values, squares):
    """Slope and intercept of the variance; the slope is zero for Gaussian noise, and where it does not grow."""
    if isinstance(noise, GaussianNoise):
        return 0.0, float(squares.mean())
    groups = np.array_split(np.argsort(values, kind="stable"), _GROUPS)
    means = np.array([[values[group].mean(), squares[group].mean()] for group in groups])
    # The uncertainty of a variance is proportional to it.
    weights = 1 / np.maximum(means[:, 1], means[:, 1].mean() / 10)
    slope, intercept = np.polyfit(means[:, 0], means[:, 1], 1, w=weights)
    return (float(slope), float(intercept)) if slope > 0 else (0.0, float(squares.mean()))


def _model(noise, slope, intercept):
    if slope == 0:
        return GaussianNoise(intercept**0.5, correlation=noise.correlation)
    sigma, offset = max(intercept, 0) ** 0.5, max(-intercept, 0) / slope
    return PoissonGaussianNoise(slope, sigma, offset, correlation=noise.correlation)
