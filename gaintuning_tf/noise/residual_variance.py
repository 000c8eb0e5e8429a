"""The level of noise once more, from what a first result left of it and what that took out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise

# A line of the variance is fitted to groups of pixels of so many levels of brightness.
_GROUPS = 16


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
    return found, abs(after / before - 1) / 2


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
