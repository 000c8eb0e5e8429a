"""Noise models, and their estimation from one image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.correlation import checked_correlation, coloured_noise, joined_correlations, text_of

KINDS = ("auto", "gaussian", "poisson", "poisson-gaussian")


class NoiseLevel(NamedTuple):
    """The variance of noise as a line of the clean value, `v = slope * value + intercept`, for each image.

    Arrays of NumPy or tensors: this is how noise enters a compiled graph.

    Attributes:
        slope: (N,), in units of the image.
        intercept: (N,), in their square; negative where there is a black level.

    Example:

    >>> level = PoissonGaussianNoise(gain=2.0, sigma=3.0).level(1)
    >>> level.variance(np.full((1, 2, 2, 1), 8.0))[0, 0, 0, 0].item()
    25.0
    """

    slope: Any
    intercept: Any

    def variance(self, images: Any) -> Any:
        """Evaluate the line at each pixel of `images` (N, ..., C), not cut off at zero: noisy ones do not bias it."""
        return along_images(self.slope, images) * images + along_images(self.intercept, images)

    def for_images(self, images: int) -> NoiseLevel:
        """Give the same with a number for each image of a batch, (images,) each.

        Raises:
            InputError: It is of another number of images.
        """
        if any(np.shape(part) not in ((), (1,), (images,)) for part in self):
            raise InputError(f"expected the noise of one image or of each of {images}, received {self}")
        return NoiseLevel(*(np.broadcast_to(part, (images,)).copy() for part in self))


class NoiseModel:
    """Noise whose variance is a line of the clean image, of independent pixels or with a correlation.

    `y = gain * Poisson((x - offset) / gain) + offset + sigma * n` with `n ~ N(0, 1)`, of which
    each model has the parts that its name says (Foi, Trimeche, Katkovnik, Egiazarian, "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008).

    With a correlation, `y = x + s(x) (k * w)`, w white and normal, `s^2` the same line and k the filter
    of `correlation.correlation_filter` (Makinen, Azzari, Foi, "Collaborative filtering of correlated
    noise", IEEE TIP 2020). Counts that are correlated have no distribution that all agree on: the
    normal one stands for them.

    Attributes:
        correlation: Autocovariance over variance, (2r+1, 2r+1), or (2r+1, 2r+1, C, C) with covariances between
            channels: see `correlation.checked_correlation`. None for white noise. One for each
            image of a batch has an axis in front.

    Example, that of every model:

    >>> noise = PoissonGaussianNoise(gain=2.0, sigma=3.0)
    >>> noise.variance(np.array([8.0])).tolist(), noise.scaled(10).variance(np.array([80.0])).tolist()
    ([25.0], [2500.0])
    """

    correlation: np.ndarray | None = None

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same kind and has the same parameters, number by number."""
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, name), getattr(other, name)) for name in _names(self))
        return all((one is None) == (two is None) and np.array_equal(one, two) for one, two in pairs)

    def __hash__(self) -> int:
        """Give equal models the same number."""
        parts = (getattr(self, name) for name in _names(self))
        # Zero is added, for minus zero is equal to zero.
        numbers = (None if part is None else np.asarray(part, np.float64) + 0.0 for part in parts)
        return hash((type(self), *(part if part is None else (part.shape, part.tobytes()) for part in numbers)))

    def scaled(self, factor: float, shift: float = 0.0) -> NoiseModel:
        """Find the noise of `factor * image + shift`."""
        raise NotImplementedError

    def _parts(self):
        """Gain, sigma and offset."""
        raise NotImplementedError

    @property
    def images(self) -> int:
        """The number of images whose noise this is: 1 for numbers, which hold for any."""
        each = self.correlation is not None and self.correlation.ndim in (3, 5)
        correlations = len(self.correlation) if self.correlation is not None and each else 1
        return max(correlations, *(np.size(part) for part in self._parts()))

    def variance(self, image: np.ndarray) -> np.ndarray:
        """Compute the variance of the noise of each pixel of the clean `image`, of its shape, in its units squared.

        Args:
            image: (N, ..., C), or any shape if the parameters are numbers.
        """
        gain, sigma, offset = (along_images(part, image) for part in self._parts())
        return gain * np.maximum(image - offset, 0) + np.square(sigma) * np.ones_like(image, dtype=float)

    def sample(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a noisy image: the shape of `clean`, and its dtype if that is a floating-point one, not clipped.

        Args:
            clean: (N, ..., C), or any shape if the parameters are numbers. Where it is below the
                black level, no electron arrives. With a correlation (N, H, W, C) or (N, D, H, W, C), the planes
                of volumes independent of each other; or if the parameters are numbers (H, W) or (H, W, C).
            rng: Where the random numbers come from.

        Raises:
            InputError: There is a correlation, and `clean` has other axes.
        """
        clean = np.asarray(clean)
        if self.correlation is not None:
            noisy = clean + np.sqrt(self.variance(clean)) * self._coloured(clean.shape, rng)
            return noisy.astype(clean.dtype if clean.dtype.kind == "f" else np.float64)
        gain, sigma, offset = (along_images(np.asarray(part, np.float64), clean) for part in self._parts())
        noisy = clean.astype(np.float64)
        if np.any(gain > 0):
            unit = np.where(gain > 0, gain, 1)
            counts = rng.poisson(np.maximum(clean - offset, 0) / unit)
            noisy = np.where(gain > 0, unit * counts + offset, noisy)
        if np.any(sigma > 0):
            noisy = noisy + sigma * rng.standard_normal(clean.shape)
        return noisy.astype(clean.dtype if clean.dtype.kind == "f" else np.float64)

    def level(self, images: int) -> NoiseLevel:
        """Give the line of the variance for each image of a batch of `images`, (images,) float64.

        Raises:
            InputError: The parameters are for another number of images.
        """
        gain, sigma, offset = (np.asarray(part, np.float64) for part in self._parts())
        return NoiseLevel(gain, np.square(sigma) - gain * offset).for_images(images)

    def each(self, images: int) -> list[NoiseModel]:
        """Make a model of its own for each image of a batch of `images`.

        Example:

        >>> [model.sigma for model in GaussianNoise(np.array([1.0, 2.0])).each(2)]
        [1.0, 2.0]
        """
        names = [name for name in _names(self) if name != "correlation"]
        parts = {name: np.broadcast_to(getattr(self, name), (images,)) for name in names}
        correlations = self.correlations(images)
        own = [{name: float(part[i]) for name, part in parts.items()} for i in range(images)]
        kind: Any = type(self)  # which has these parameters, the base none
        return [kind(**part, correlation=one) for part, one in zip(own, correlations, strict=True)]

    def correlations(self, images: int) -> list[np.ndarray | None]:
        """List the correlation of each image of a batch of `images`, None for white noise.

        Raises:
            InputError: It is that of another number of images.
        """
        found = self.correlation
        if found is None or found.ndim in (2, 4):
            return [found] * images
        if len(found) not in (1, images):
            raise InputError(f"expected the correlation of one image or of each of {images}, received {len(found)}")
        return list(np.broadcast_to(found, (images, *found.shape[1:])))

    def check_images(self, shape: Sequence[int | None]) -> None:
        """Refuse images that such noise cannot be on.

        Args:
            shape: (N, ..., C).

        Raises:
            InputError: It is of another number of images, or its correlation of other axes or channels.
        """
        if self.images not in (1, shape[0]):
            raise InputError(f"expected one noise for all images, or one per image of {shape[0]}, received {self}")
        if self.correlation is not None and len(shape) not in (4, 5):
            raise InputError(
                f"expected images (N, H, W, C), or volumes, with correlated noise, received shape {tuple(shape)}"
            )
        lags = np.shape(cast(Any, self.correlation))
        channels = lags[-1] if len(lags) > 3 else shape[-1]
        if channels != shape[-1]:
            raise InputError(
                f"expected a correlation between the {shape[-1]} channels of the image, received one of {channels}"
            )

    def as_camera(self) -> PoissonGaussianNoise:
        """Write the noise as that of a camera, of which every model here is a case.

        Example:

        >>> PoissonNoise(2.0).as_camera()
        PoissonGaussianNoise(gain=2.0, sigma=0.0, offset=0.0, correlation=None)
        """
        return PoissonGaussianNoise(*self._parts(), correlation=self.correlation)

    def parameters(self) -> dict[str, Any]:
        """Give all parameters by name, and `noise_text`, the noise in words: numbers, lists and None, for JSON.

        Example:

        >>> GaussianNoise(2.0).parameters()
        {'sigma': 2.0, 'correlation': None, 'noise_text': 'white'}
        """
        parts = {name: getattr(self, name) for name in _names(self)}
        found = {name: part if part is None else np.asarray(part, np.float64).tolist() for name, part in parts.items()}
        return {**found, "noise_text": self.text()}

    def text(self) -> str:
        """Put into words what kind of noise it is.

        Example:

        >>> PoissonNoise(2.0, [[0.3, 1.0, 0.3]]).text()
        'signal-dependent, correlated over 1 pixel: 0.30'
        """
        grows = "signal-dependent, " if np.any(np.asarray(self._parts()[0]) > 0) else ""
        return grows + text_of(self.correlation)

    def _coloured(self, shape, rng):
        """Draw correlated noise of variance one."""
        found = cast(np.ndarray, self.correlation)
        if found.ndim in (2, 4):
            return coloured_noise(found, shape, rng)
        each = self.correlations(shape[0])
        return np.stack([coloured_noise(cast(np.ndarray, one), shape[1:], rng) for one in each])


# Equality is that of the base: a dataclass would ask whether an array is true.
@dataclasses.dataclass(frozen=True, eq=False)
class GaussianNoise(NoiseModel):
    """Additive Gaussian noise, `y = x + sigma * n` with `n ~ N(0, 1)` for each pixel, or correlated.

    Attributes:
        sigma: Standard deviation, in the units of the image; one number, or one for
            each image of a batch.
        correlation: Autocovariance over variance, None for white noise: see `NoiseModel`.

    Raises:
        InputError: `sigma` is not a positive finite number, or `correlation` is none.

    Example:

    >>> GaussianNoise(25.0).scaled(1 / 255).sigma  # doctest: +ELLIPSIS
    0.098...
    """

    sigma: float | np.ndarray
    correlation: np.ndarray | None = None

    def __post_init__(self):
        _check(self, "sigma")
        _check_correlation(self)

    def scaled(self, factor: float, shift: float = 0.0) -> GaussianNoise:
        """Find the noise of `factor * image + shift`."""
        return GaussianNoise(self.sigma * factor, self.correlation)

    def _parts(self):
        return 0.0, self.sigma, 0.0


# Equality is that of the base: a dataclass would ask whether an array is true.
@dataclasses.dataclass(frozen=True, eq=False)
class PoissonNoise(NoiseModel):
    """Shot noise, `y = gain * Poisson(x / gain)`: the noise of counting.

    Attributes:
        gain: What one count adds to the image, in the units of the image: 1 for an image of
            counts, `1 / dose` for counts divided by the dose. One number, or one for each image.
        correlation: Autocovariance over variance, None for white noise: see `NoiseModel`.

    Raises:
        InputError: `gain` is not a positive finite number, or `correlation` is none.

    Example:

    >>> noisy = PoissonNoise(0.1).sample(np.full((64, 64), 0.5), np.random.default_rng(0))
    >>> round(float(noisy.mean()), 1), round(float(noisy.var()), 2)
    (0.5, 0.05)
    """

    gain: float | np.ndarray
    correlation: np.ndarray | None = None

    def __post_init__(self):
        _check(self, "gain")
        _check_correlation(self)

    def scaled(self, factor: float, shift: float = 0.0) -> PoissonNoise | PoissonGaussianNoise:
        """Find the noise of `factor * image + shift`; with a shift it has a black level and is the other model."""
        if np.any(shift):
            return PoissonGaussianNoise(self.gain * factor, 0.0, shift, self.correlation)
        return PoissonNoise(self.gain * factor, self.correlation)

    def _parts(self):
        return self.gain, 0.0, 0.0


# Equality is that of the base: a dataclass would ask whether an array is true.
@dataclasses.dataclass(frozen=True, eq=False)
class PoissonGaussianNoise(NoiseModel):
    """Shot noise and read-out noise of a camera, `y = gain * Poisson((x - offset) / gain) + offset + sigma * n`.

    Attributes:
        gain: What one electron adds to the image, in its units; at least 0, which is no shot noise.
        sigma: Standard deviation of the read-out noise in the same units; at least 0.
        offset: The black level: what the image is where no light falls, in the same units.
            Each is one number, or one for each image of a batch.
        correlation: Autocovariance over variance, None for white noise: see `NoiseModel`.

    Raises:
        InputError: One of them is not such a number, gain and sigma are both zero, or
            `correlation` is none.

    Example:

    >>> PoissonGaussianNoise(gain=2.0, sigma=5.0, offset=100.0).variance(np.array([100.0, 150.0])).tolist()
    [25.0, 125.0]
    """

    gain: float | np.ndarray
    sigma: float | np.ndarray
    offset: float | np.ndarray = 0.0
    correlation: np.ndarray | None = None

    def __post_init__(self):
        _check(self, "gain", least=0)
        _check(self, "sigma", least=0)
        _check(self, "offset", least=-np.inf)
        if not np.all(np.asarray(self.gain) + np.asarray(self.sigma) > 0):
            raise InputError(f"expected gain or sigma to be positive, received both zero: {self}")
        _check_correlation(self)

    def scaled(self, factor: float, shift: float = 0.0) -> PoissonGaussianNoise:
        """Find the noise of `factor * image + shift`."""
        offset = self.offset * factor + shift
        return PoissonGaussianNoise(self.gain * factor, self.sigma * factor, offset, self.correlation)

    def _parts(self):
        return self.gain, self.sigma, self.offset


# What `sigma` and `noise` take: a number, or one for each image, is the standard deviation
# of Gaussian noise.
Noise: TypeAlias = float | np.ndarray | NoiseModel | NoiseLevel


def stacked(models: Sequence[NoiseModel]) -> NoiseModel:
    """Join the models of the images of a batch; a single one is returned as it is.

    Models of several kinds become cameras', of which the others are. A correlation that all
    have is kept as one; else there is one for each image.

    Example:

    >>> stacked([PoissonNoise(1.0), PoissonNoise(2.0)]).gain.tolist()
    [1.0, 2.0]
    """
    if len(models) == 1:
        return models[0]
    if len({type(model) for model in models}) > 1:
        models = [model.as_camera() for model in models]
    kind: Any = type(models[0])  # which has these parameters, the base none
    names = [name for name in _names(kind) if name != "correlation"]
    parts = {name: np.array([getattr(model, name) for model in models]) for name in names}
    return kind(**parts, correlation=joined_correlations([model.correlation for model in models]))


def _names(model: Any) -> list[str]:
    """List the names of the parameters of a model or of a kind of models: each is a dataclass."""
    return [field.name for field in dataclasses.fields(model)]


def _check_correlation(noise):
    object.__setattr__(noise, "correlation", checked_correlation(noise.correlation))


def _check(noise, name, least=None):
    """Refuse a parameter that is no number or array of them; above zero, or at least `least`."""
    given = getattr(noise, name)
    value = np.asarray(given)
    if value.ndim:
        object.__setattr__(noise, name, value)
    if (
        value.dtype.kind in "fiu"
        and np.isfinite(value).all()
        and ((value > 0) if least is None else (value >= least)).all()
    ):
        return
    kind = "a positive number" if least is None else f"a number of at least {least}" if least == 0 else "a number"
    raise InputError(f"expected {name} to be {kind}, in the units of the image, received {given}")


def along_images(parameter: Any, images: Any) -> Any:
    """Make a parameter for each image (N,) broadcast over the images (N, ..., C); a number stays as it is."""
    if getattr(parameter, "shape", ()) in ((), None):
        return parameter
    return parameter[(slice(None), *(None,) * (len(images.shape) - 1))]
