"""What a denoiser took out, beside what the noise model says, and whether the risk is larger than the noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaintuning_tf.noise.correlation import effective_share
from gaintuning_tf.noise.details import side_by_side
from gaintuning_tf.noise.models import NoiseModel

# Brightness is looked at in at most so many groups, none of fewer pixels: their variance
# is then known to a tenth.
GROUPS, SMALLEST_GROUP = 8, 200
# A risk is larger than the noise where it exceeds it by more standard errors than this.
STANDARD_ERRORS = 4
# More frames than these are not listed one by one: the line would be long.
_LISTED = 5
_ADVICE = (
    "check that the network takes images of this range and returns the image, not the noise, that the noise is what "
    "was assumed, and that outliers and missing pixels are left out (--mask, --nodata)"
)
# An output is far from the image if their mean squared difference is more than this many
# times the variance of the noise, and more than this share of the variance of the image:
# a denoiser takes out about the noise, and of a nearly clean image more than the noise,
# but never half of the image.
TIMES_NOISE, SHARE_OF_IMAGE = 4, 0.5
# Noise that is returned has the noise's own strength, to this factor of the variance.
LIKE_NOISE = 4
_RANGE = (
    "if it does not take 0 to 1, say what its numbers mean, Network(model, normalize=...) or --normalize: 0..255, "
    "-1..1, percentiles (CSBDeep), mean-std:MEAN:STD (Noise2Void), standardize; and if it returns the noise, "
    "predicts='noise' or --predicts noise"
)
_NOISE = "it seems to return the noise: say so, Network(model, predicts='noise') or --predicts noise"


@dataclasses.dataclass(frozen=True)
class Residual:
    """What a denoiser f took out of an image, `y - f(y)`, beside the noise that it was told.

    A good denoiser takes out most of the noise and nothing else: a mean near zero, a variance a
    little below the noise's, at any brightness, and the noise's correlation.

    Attributes:
        mean: In units of the image; far from zero, the brightness was changed.
        variance: The mean square over the variance of the noise; None of an image below its black level.
        by_brightness: The same of groups of pixels, (brightness, ratio) from dark to bright, of those
            above the black level.
        correlation: Of a pixel with the one below, and with the one to the right, over the mean square.
        expected: The same of the noise.
    """

    mean: float
    variance: float | None
    by_brightness: Sequence[tuple[float, float]]
    correlation: tuple[float, float]
    expected: tuple[float, float]

    @property
    def words(self) -> str:
        """Put it into one line.

        Example:

        >>> found = Residual(0.0213, 0.934, [(10.0, 0.91), (90.0, 0.96)], (0.02, 0.581), (0.0, 0.61))
        >>> print(found.words)
        mean 0.0213, variance 0.93 of the noise's (0.91 to 0.96 from dark to bright), neighbours
        correlated by 0.58 (noise: 0.61)
        """
        # Of the two axes that along which the noise is correlated more, or else the residual.
        axis = max((0, 1), key=lambda one: (round(abs(self.expected[one]), 2), abs(self.correlation[one])))
        return (
            f"mean {self.mean:.3g}, {self._variance_words()}, neighbours correlated by "
            f"{self.correlation[axis]:.2f} (noise: {self.expected[axis]:.2f})"
        )

    def _variance_words(self):
        if self.variance is None or not self.by_brightness:
            return "below the black level, where no noise is expected"
        dark, bright = self.by_brightness[0][1], self.by_brightness[-1][1]
        return f"variance {self.variance:.2f} of the noise's ({dark:.2f} to {bright:.2f} from dark to bright)"

    def to_json(self) -> dict[str, Any]:
        """Give it as what JSON knows."""
        fields = dataclasses.asdict(self)
        pairs = [list(pair) for pair in self.by_brightness]
        lags = {name: list(fields[name]) for name in ("correlation", "expected")}
        return {"words": self.words, **fields, **lags, "by_brightness": pairs}


def examine_residual(
    noisy: np.ndarray, denoised: np.ndarray, noise: NoiseModel, mask: np.ndarray | None = None
) -> Residual:
    """Compare what was taken out of an image with the noise that it was taken for.

    Args:
        noisy: (H, W, C), or a volume (D, H, W, C), of which the planes are looked at, 32 of them or all.
        denoised: Likewise, in the same units.
        noise: Of one image, in these units.
        mask: True where a pixel does not count, of the same shape.

    Returns:
        The comparison.

    Example:

    >>> from gaintuning_tf.noise.models import GaussianNoise
    >>> clean = np.full((128, 128, 1), 100.0)
    >>> noisy = GaussianNoise(5.0).sample(clean, np.random.default_rng(0))
    >>> found = examine_residual(noisy, clean, GaussianNoise(5.0))
    >>> round(found.variance, 1), len(found.by_brightness)
    (1.0, 8)
    """
    noisy, denoised, mask = (side_by_side(part) for part in (noisy, denoised, mask))
    rest = np.asarray(noisy, np.float64) - denoised
    counted = np.ones(rest.shape, bool) if mask is None else ~mask
    values, brightness = rest[counted], np.asarray(denoised, np.float64)[counted]
    lags = _lags(rest, counted, float(np.mean(np.square(values))))
    variance = _ratio(values, mean_variance(noise, noisy, mask))
    by_brightness = _by_brightness(values, brightness, noise)
    return Residual(float(values.mean()), variance, by_brightness, lags, _expected(noise))


def mean_variance(noise: NoiseModel, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Compute the mean variance of the noise of an image: that of its line at the mean of the noisy pixels.

    Args:
        noise: Of one image.
        image: Noisy, any shape.
        mask: True where a pixel does not count, of its shape.

    Example:

    >>> from gaintuning_tf.noise.models import PoissonNoise
    >>> mean_variance(PoissonNoise(2.0), np.array([0.0, 4.0, 99.0]), np.array([False, False, True]))
    4.0
    """
    counted = np.asarray(image, np.float64)
    return _variance(noise, float((counted if mask is None else counted[~mask]).mean()))


def exceeds_noise(
    risk: float, noise: NoiseModel, image: np.ndarray, mask: np.ndarray | None = None, *, factor: float = 1.0
) -> bool:
    """Tell whether a risk is larger than the noise: then the result is worse than the input.

    The mean squared error of the input is the variance of its noise. The risk of what changes nothing is
    that, too, but for the chance of one probe of the divergence, `2 v b.b / n` with the relative
    standard error `2 sqrt(2 / n)` of n independent pixels: so much more is no sign of harm, four times over.

    Args:
        risk: An estimate of the mean squared error of the result.
        noise: That of the image, in the same units.
        image: Noisy, any shape.
        mask: True where a pixel does not count, of its shape.
        factor: The variance that the risk is at over that of the image: see `RiskEstimate.noise_factor`.

    Example:

    >>> from gaintuning_tf.noise.models import GaussianNoise
    >>> [exceeds_noise(risk, GaussianNoise(2.0), np.zeros((64, 64))) for risk in (3.0, 4.1, 5.0)]
    [False, False, True]
    """
    pixels = np.size(image) if mask is None else np.count_nonzero(~mask)
    chance = STANDARD_ERRORS * 2 * (2 / (pixels * effective_share(noise.correlations(1)[0]))) ** 0.5
    return bool(risk > factor * mean_variance(noise, image, mask) * (1 + chance))


def worse_words(risk: float, variance: float, frames: Sequence[int] = ()) -> str:
    """Say that a result is worse than its input, and what to look at.

    Args:
        risk: The risk, of several frames the largest.
        variance: The variance of the noise there.
        frames: Which frames it is, of several.

    Example:

    >>> print(worse_words(900.0, 400.0, [3, 7]))  # doctest: +ELLIPSIS
    frames 3, 7: the result is estimated to be worse than the input, a squared error of 900 where that has 400: check
    that the network takes images of this range ...
    """
    words = (
        f"the result is estimated to be worse than the input, a squared error of {risk:.4g} where that has "
        f"{variance:.4g}: {_ADVICE}"
    )
    return of_frames(words, frames)


def of_frames(words: str, frames: Sequence[int]) -> str:
    """Put in front of a sentence of which frames it is: the first five, and how many more.

    Example:

    >>> of_frames("nothing was tuned", [2, 3, 5, 7, 11, 13]), of_frames("nothing was tuned", [])
    ('frames 2, 3, 5, 7, 11 and 1 more: nothing was tuned', 'nothing was tuned')
    """
    listed = ", ".join(map(str, frames[:_LISTED]))
    more = f" and {len(frames) - _LISTED} more" if len(frames) > _LISTED else ""
    return f"frame{'s' * (len(frames) > 1)} {listed}{more}: {words}" if frames else words


def output_words(noisy: np.ndarray, output: np.ndarray, variance: float, mask: np.ndarray | None = None) -> str:
    """Say in one line that a network's output is far from the image, and which option helps; empty if it is not.

    Args:
        noisy: The image, any shape.
        output: What the network makes of it before any tuning, in the same units.
        variance: The mean variance of the noise.
        mask: True where a pixel does not count, of its shape.

    Example:

    >>> image = np.linspace(0, 1, 1000)
    >>> output_words(image, 0.9 * image + 0.05, 0.01)
    ''
    >>> output_words(image, 255 * image, 0.01).partition(":")[0]
    "the network's output is far from the image, by 147 where the noise is 0.1"
    """
    counted = ... if mask is None else ~mask
    given, found = (np.asarray(one, np.float64)[counted] for one in (noisy, output))
    apart, shift = np.mean(np.square(given - found)), abs(np.mean(given - found))
    # A bright image of weak contrast: the brightness alone is more than the noise accounts for.
    moved = shift > max(variance**0.5, SHARE_OF_IMAGE * float(given.std()))
    if not moved and apart <= max(TIMES_NOISE * variance, SHARE_OF_IMAGE * float(given.var())):
        return ""
    advice = _NOISE if _is_like_noise(found, variance) else _RANGE
    distance = f"by {apart**0.5:.3g} where the noise is {variance**0.5:.3g}"
    return f"the network's output is far from the image, {distance}: {advice}"


def output_words_of(words: Sequence[str], frames: Sequence[int]) -> str:
    """Say the same of several frames: what is said of the first of them.

    Args:
        words: What `output_words` says of each frame.
        frames: Their numbers.

    Example:

    >>> output_words_of(["", "it is far", "it is far"], [3, 4, 5])
    'frames 4, 5: it is far'
    """
    said = [(number, line) for number, line in zip(frames, words, strict=True) if line]
    if not said:
        return ""
    return of_frames(said[0][1], [number for number, _ in said])


def _is_like_noise(output, variance):
    """Whether an output has the strength of the noise, about zero."""
    power = float(np.mean(np.square(output)))
    strong = variance / LIKE_NOISE <= power <= variance * LIKE_NOISE
    return strong and float(np.mean(output)) ** 2 < power / LIKE_NOISE


def _by_brightness(values, brightness, noise):
    """List brightness and ratio of groups of pixels, from dark to bright."""
    count = int(np.clip(len(values) // SMALLEST_GROUP, 1, GROUPS))
    found = []
    for group in np.array_split(np.argsort(brightness, kind="stable"), count):
        mean = float(brightness[group].mean())
        ratio = _ratio(values[group], _variance(noise, mean))
        found += [] if ratio is None else [(mean, ratio)]
    return found


def _variance(noise, value):
    slope, intercept = noise.level(1)
    return max(float(slope[0]) * value + float(intercept[0]), 0.0)


def _ratio(values, variance):
    # Below the black level there is no noise to compare with.
    return float(np.mean(np.square(values)) / variance) if variance > 0 else None


def _lags(rest, counted, power):
    """Correlate each pixel with that below and that to the right, where both count."""
    rest = np.where(counted, rest, 0)
    found = []
    for axis in (0, 1):
        one, other = (np.take(rest, range(*ends), axis) for ends in ((0, rest.shape[axis] - 1), (1, rest.shape[axis])))
        both = np.take(counted, range(rest.shape[axis] - 1), axis) & np.take(counted, range(1, rest.shape[axis]), axis)
        pairs = np.count_nonzero(both)
        found.append(float(np.sum(one * other) / pairs / power) if pairs and power > 0 else 0.0)
    return tuple(found)


def _expected(noise):
    correlation = noise.correlations(1)[0]
    if correlation is None:
        return 0.0, 0.0
    grey = np.diagonal(correlation, axis1=-2, axis2=-1).mean(-1) if correlation.ndim == 4 else correlation
    rows, columns = (side // 2 for side in grey.shape)
    return (
        float(grey[rows + 1, columns]) if rows else 0.0,
        float(grey[rows, columns + 1]) if columns else 0.0,
    )
