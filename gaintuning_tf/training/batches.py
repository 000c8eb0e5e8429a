"""Training batches: crops of images and the noise drawn on them, each batch a function of its number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.training.camera_noise import draw_camera_noise

if TYPE_CHECKING:
    import tensorflow as tf

NOISES = ("gaussian", "poisson", "poisson-gaussian", "camera", "none")
OBJECTIVES = ("supervised", "blind-spot", "masking", "sure")
MASKED = 1 / 64  # share of the pixels that masking hides in each crop
# Below this standard deviation all crops weigh the same, and at the second they weigh one, on the 0-255 scale.
LEVELLED, MIDDLE = 4.0, 30.0


@dataclasses.dataclass(frozen=True)
class DrawnNoise:
    """Noise whose strength is drawn anew for each crop.

    Gaussian: `y = x + sigma * n`. Poisson: `y = Poisson(dose * x) / dose`, so that the mean of y is x and
    its variance x / dose. Poisson-Gaussian: their sum, `y = Poisson(dose * x) / dose + sigma * n`. Camera: a
    mixture of Gaussian noise as above with noise that is correlated, signal-dependent or both, and in colour
    has a covariance between channels, all drawn for each crop by `camera_noise.draw_camera_noise`.

    Attributes:
        kind: One of `NOISES`; `"none"` leaves the crops as they are.
        sigma: Lowest and highest standard deviation, on the 0-255 scale; drawn uniformly. For camera noise
            that at mid-grey.
        dose: Lowest and highest dose, in counts per pixel where the image is 1; drawn uniformly in its logarithm.
        white: Share of the crops that get white Gaussian noise, where the kind is `"camera"`.

    Raises:
        InputError: The kind is unknown, a range is not one, or the share is not between 0 and 1.

    Example:

    >>> noise = DrawnNoise("poisson", dose=(4, 4))
    >>> noisy, _ = noise.draw(np.random.default_rng(0), np.full((100, 100, 1), 0.5, "float32"))
    >>> sorted(set(noisy.ravel().tolist()))[:3]
    [0.0, 0.25, 0.5]
    """

    kind: str = "gaussian"
    sigma: tuple[float, float] = (0.0, 55.0)
    dose: tuple[float, float] = (1.0, 10.0)
    white: float = 0.5

    def __post_init__(self):
        if self.kind not in NOISES:
            raise InputError(f"expected noise in {', '.join(NOISES)}, received {self.kind!r}")
        for name, least in (("sigma", 0.0), ("dose", 1e-6)):
            value = getattr(self, name)
            if len(value) != 2 or not least <= value[0] <= value[1] < np.inf:
                raise InputError(
                    f"expected {name} to be two numbers, lowest and highest, from {least:g} on, received {list(value)}"
                )

        if not (isinstance(self.white, (int, float)) and 0 <= self.white <= 1):
            raise InputError(f"expected white to be a share, from 0 to 1, received {self.white!r}")

    def draw(self, rng: np.random.Generator, clean: np.ndarray) -> tuple[np.ndarray, float]:
        """Draw the noisy crop, float32, and the standard deviation of its Gaussian part, in units of the crop.

        That of camera noise is of mid-grey.
        """
        if self.kind == "none":
            return clean, 0.0
        if self.kind == "camera":
            return self._draw_camera(rng, clean)
        noisy, sigma = clean, 0.0
        if "poisson" in self.kind:
            low, high = np.log(self.dose)
            dose = np.exp(rng.uniform(low, high))
            noisy = rng.poisson(dose * np.maximum(clean, 0)).astype(np.float32) / np.float32(dose)
        if "gaussian" in self.kind:
            sigma = rng.uniform(*self.sigma) / 255
            noisy = noisy + np.float32(sigma) * rng.standard_normal(clean.shape, np.float32)
        return noisy, sigma

    def _draw_camera(self, rng, clean):
        if rng.random() < self.white:
            return dataclasses.replace(self, kind="gaussian").draw(rng, clean)
        sigma = rng.uniform(*self.sigma) / 255
        return draw_camera_noise(rng, sigma, clean.shape[-1]).sample(clean, rng), sigma

    def words(self) -> str:
        """Say in the words of a model card what is drawn.

        Example:

        >>> DrawnNoise("poisson-gaussian", sigma=(1, 5)).words()
        'Poisson, dose 1 to 10 counts per pixel; Gaussian, sigma 1 to 5 (of 255)'
        """
        gaussian = f"Gaussian, sigma {self.sigma[0]:g} to {self.sigma[1]:g} (of 255)"
        poisson = f"Poisson, dose {self.dose[0]:g} to {self.dose[1]:g} counts per pixel"
        return {
            "gaussian": gaussian,
            "poisson": poisson,
            "poisson-gaussian": f"{poisson}; {gaussian}",
            "camera": f"{gaussian}: white on {self.white:.0%} of the crops, correlated, signal-dependent or both on "
            "the rest",
            "none": "of the images",
        }[self.kind]


@dataclasses.dataclass(frozen=True)
class Batches:
    """The batches of a training run: `batches[k]` depends on `seed` and k alone.

    So a training that is resumed at batch k sees what an uninterrupted one would have seen, under any of
    Keras's backends. Each crop is taken uniformly over the images, then over positions, turned by one of the
    eight symmetries of the square, of volumes also upside down or not, and gets its noise. What a batch holds is
    the objective's:

    - `"supervised"`: (noisy, clean), with `sigma_weighting` (noisy, clean, weights (N, 1, 1)).
    - `"blind-spot"`: (noisy, noisy), for a network that does not see the pixel it predicts (Laine et al.,
      "High-quality self-supervised deep image denoising", NeurIPS 2019).
    - `"masking"`: (masked, noisy, weights): a 64th of the pixels take the value of a random neighbour within
      5x5, of volumes in its plane, and the loss counts there alone (Krull et al., "Noise2Void", CVPR 2019;
      Batson and Royer, "Noise2Self", ICML 2019).
    - `"sure"`: (noisy, probe and sigma as channels behind each other), see `stein_risk_model.RiskMinimised`.

    Attributes:
        images: Arrays (H, W, C), or volumes (D, H, W, C), with sides of at least `crop`: integers, whose largest
            value is taken as 1, or floats, as they are.
        crop: Side of the square crops, pixels.
        batch: Crops per batch.
        noise: What is drawn on the images.
        objective: One of `OBJECTIVES`.
        targets: For `"supervised"`: the clean images that belong to `images`, if those are noisy already.
        sigmas: For `"sure"`, if `images` are noisy already: the standard deviation of each image's noise, as a
            fraction of its full scale.
        seed: Seed of all random choices.
        sigma_weighting: For `"supervised"`: crops with noise of standard deviation s weigh `1 / s` to this power
            (about: `(s^2 + 4^2)^(-p / 2)`, on the 0-255 scale, one at 30). A squared error grows by about
            s^1.2, so that without, networks learn what matters at high noise alone.
        crop_depth: Depth of the crops of volumes; by default as `crop`.

    Raises:
        InputError: An image is smaller than the crop, the pairs do not match, or the objective is not one for
            the noise.

    Example:

    >>> batches = Batches([np.full((40, 40, 1), 128, "uint8")], crop=32, batch=4, noise=DrawnNoise(sigma=(25, 25)))
    >>> noisy, clean = batches[7]
    >>> noisy.shape, round(float((noisy - clean).std() * 255))
    ((4, 32, 32, 1), 25)
    """

    images: Sequence[np.ndarray]
    crop: int
    batch: int
    noise: DrawnNoise = DrawnNoise()
    objective: str = "supervised"
    targets: Sequence[np.ndarray] | None = None
    sigmas: Sequence[float] | None = None
    seed: int = 0
    sigma_weighting: float = 0.0
    crop_depth: int | None = None

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise InputError(f"expected objective in {', '.join(OBJECTIVES)}, received {self.objective!r}")
        check_objective(self.objective, self.noise.kind)
        self._check_sides()
        if self.objective == "supervised" and self.noise.kind == "none" and self.targets is None:
            raise InputError("expected clean images that belong to the noisy ones: nothing to learn without")
        if self.targets is not None:
            _check_pairs(self.images, self.targets)

    def _check_sides(self):
        least = min(min(image.shape[-3:-1]) for image in self.images)
        if least < self.crop:
            raise InputError(
                f"expected images of at least {self.crop}x{self.crop} pixels, the crop, received one with a side of "
                f"{least}; train with smaller crops, or leave it out"
            )
        depth = min((len(image) for image in self.images if image.ndim == 4), default=self._depth)
        if depth < self._depth:
            raise InputError(
                f"expected volumes of at least {self._depth} planes, the depth of the crops, received one of {depth}; "
                "train with flatter crops, --crop-depth, or leave it out"
            )

    @property
    def _depth(self):
        return self.crop if self.crop_depth is None else self.crop_depth

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng([self.seed, number])
        crops = [self._crop(rng) for _ in range(self.batch)]
        return tuple(np.stack(part) for part in zip(*crops, strict=True))

    def weights(self, sigma: Any) -> tuple[Any, ...]:
        """Weigh crops by their noise, see `sigma_weighting`.

        Args:
            sigma: Standard deviations as fractions of the full scale, (N, 1, 1, 1) or one: an array of NumPy or JAX.

        Returns:
            Nothing without a weighting, else the weights, (N, 1, 1) or one.
        """
        if not self.sigma_weighting:
            return ()
        relative = ((255 * sigma) ** 2 + LEVELLED**2) / (MIDDLE**2 + LEVELLED**2)
        return ((relative ** (-self.sigma_weighting / 2))[..., 0],)

    def _crop(self, rng):
        which = rng.integers(len(self.images))
        image = self.images[which]
        sizes = (self._depth, self.crop, self.crop)[-(image.ndim - 1) :]
        starts = [rng.integers(side - size + 1) for side, size in zip(image.shape[:-1], sizes, strict=True)]
        place = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        turn = rng.integers(8 if image.ndim == 3 else 16)

        def cut(whole):
            return _symmetry(unit(whole[place]), turn)

        clean = cut(image if self.targets is None else self.targets[which])
        noisy, sigma = self.noise.draw(rng, clean if self.targets is None else cut(image))
        if self.objective == "supervised":
            return noisy, clean, *self.weights(np.full((1,) * clean.ndim, sigma, np.float32))
        if self.objective == "masking":
            return _masked(rng, noisy)
        if self.objective == "sure":
            sigma = sigma if self.sigmas is None else self.sigmas[which]
            probe = rng.standard_normal(noisy.shape, np.float32)
            return noisy, np.concatenate([probe, np.full_like(noisy, sigma)], axis=-1)
        return noisy, noisy

    def between(self, first: int, last: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Make the batches from number `first` until before number `last`."""
        return (self[number] for number in range(first, last))

    def as_dataset(self, first: int, last: int) -> tf.data.Dataset:
        """Give the same as a `tf.data.Dataset`, drawn ahead of their use by other threads."""
        import tensorflow as tf

        like = [tf.TensorSpec(part.shape, part.dtype) for part in self[first]]

        def draw(number):
            parts = tf.numpy_function(lambda k: self[int(k)], [number], [spec.dtype for spec in like], stateful=False)
            return tuple(tf.ensure_shape(part, spec.shape) for part, spec in zip(parts, like, strict=True))

        numbers = tf.data.Dataset.range(first, last)
        return numbers.map(draw, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def check_objective(objective: str, noise: str) -> None:
    """Refuse an objective that camera noise would mislead.

    A network with a blind spot, and one that masking trains, would predict noise from its neighbours, and
    Stein's risk takes the noise to be white, of one level.

    Raises:
        InputError: The noise is `"camera"` and the objective learns from noisy images alone.

    Example:

    >>> check_objective("supervised", "camera")
    """
    if noise == "camera" and objective != "supervised":
        raise InputError(
            f"expected the objective supervised with the noise camera, received {objective!r}, which takes noise to be "
            "independent from pixel to pixel; give clean images and --objective supervised, or draw --noise gaussian"
        )


def _check_pairs(images, targets):
    shapes, others = [image.shape for image in images], [image.shape for image in targets]
    if shapes != others:
        number = next((i for i, (a, b) in enumerate(zip(shapes, others, strict=False)) if a != b), None)
        found = (
            f"{len(shapes)} and {len(others)} images"
            if number is None
            else f"shapes {shapes[number]} and {others[number]} at number {number}"
        )
        raise InputError(f"expected a clean image of the same shape for each noisy one, received {found}")


def unit(values: np.ndarray) -> np.ndarray:
    """Make values float32, with the full scale of integers as one.

    Example:

    >>> unit(np.array([0, 255], "uint8")).tolist()
    [0.0, 1.0]
    """
    if values.dtype.kind in "iu":
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return values.astype(np.float32)


def _symmetry(crop, which):
    """One of the eight symmetries of the square, applied to a crop (S, S, C) or (D, S, S, C), from 8 on upside down."""
    crop = crop[::-1] if which >= 8 else crop
    crop = crop.swapaxes(-3, -2) if which % 8 >= 4 else crop
    return np.ascontiguousarray(np.rot90(crop, which % 4, axes=(-3, -2)))


def _masked(rng, noisy):
    """Hide some pixels; returns the masked crop, the crop, and a weight that is zero but at those pixels."""
    if noisy.ndim == 4:
        planes = [_masked(rng, plane) for plane in noisy]
        masked, noisy, weights = (np.stack(part) for part in zip(*planes, strict=True))
        return masked, noisy, weights
    side = noisy.shape[0]
    count = max(1, round(MASKED * side * side))
    rows, columns = np.divmod(rng.choice(side * side, count, replace=False), side)
    # Any of the 24 neighbours within 5x5, never the pixel itself.
    neighbour = rng.integers(24, size=count)
    neighbour += neighbour >= 12
    other_rows = _inside(rows, neighbour // 5 - 2, side)
    other_columns = _inside(columns, neighbour % 5 - 2, side)
    masked, weights = noisy.copy(), np.zeros((side, side), np.float32)
    masked[rows, columns] = noisy[other_rows, other_columns]
    weights[rows, columns] = side * side / count
    return masked, noisy, weights


def _inside(centre, step, side):
    """Compute `centre + step`, or step to the other side where that lies outside: never the centre itself."""
    index = centre + step
    return np.where((index < 0) | (index >= side), centre - step, index)
