"""Training batches that are made on the accelerator, under JAX: crops, symmetries and noise."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.support.extras import required
from gaintuning_tf.training import camera_noise
from gaintuning_tf.training.batches import Batches, DrawnNoise, unit

# Each crop with correlated noise takes its filter from a table of so many: drawing filters one by one is
# for the host, and no two crops of a batch are likely to share one.
FILTERS = 4096


@dataclasses.dataclass(frozen=True)
class JaxBatches:
    """What `Batches` draws for the objective supervised, with other random numbers, as arrays on the device.

    All images lie in one buffer there; batch k is one call of a compiled function of the seed and k. An accelerator
    would wait for batches that NumPy makes: a step of 64 crops of 128x128 takes it 12 ms.

    Attributes:
        batches: What to draw. Only its objective supervised is made here, from clean images.

    Raises:
        InputError: JAX is not installed, or the batches are of another objective or of pairs.

    Example:

    >>> batches = Batches([np.full((40, 40, 1), 128, "uint8")], crop=32, batch=4, noise=DrawnNoise(sigma=(25, 25)))
    >>> noisy, clean = JaxBatches(batches)[7]
    >>> noisy.shape, round(float((noisy - clean).std() * 255))
    ((4, 32, 32, 1), 25)
    """

    batches: Batches

    def __post_init__(self):
        required("jax", "batches made on the device", "jax")
        if self.batches.objective != "supervised" or self.batches.targets is not None:
            raise InputError(
                "expected the objective supervised and clean images alone for batches made on the device, received "
                f"{self.batches.objective!r}{' and pairs' if self.batches.targets is not None else ''}; leave out "
                "--batches device"
            )
        if any(image.ndim != 3 for image in self.batches.images):
            raise InputError(
                "expected images for batches made on the device, received volumes; leave out --batches device"
            )

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        return self._made(number)

    def between(self, first: int, last: int) -> Iterator[tuple[Any, ...]]:
        """Make the batches from number `first` until before number `last`."""
        return (self[number] for number in range(first, last))

    @functools.cached_property
    def _made(self):
        import jax

        batches = self.batches
        images = _buffer(batches.images)
        channels = batches.images[0].shape[-1]
        draw = _camera(batches.seed, channels) if batches.noise.kind == "camera" else None

        @jax.jit
        def made(number, images):
            key = jax.random.fold_in(jax.random.PRNGKey(batches.seed), number)
            crops, noise = jax.random.split(key)
            clean = _crops(crops, images, batches.crop, batches.batch)
            noisy, sigma = _noisy(noise, clean, batches.noise, draw)
            return (noisy, clean, *batches.weights(sigma))

        return lambda number: made(number, images)


def _buffer(images: Sequence[np.ndarray]):
    """Put all pixels behind each other, with where each image begins and its sides."""
    import jax.numpy as jnp

    channels = images[0].shape[-1]
    plain = all(image.dtype == np.uint8 for image in images)
    pixels = np.concatenate([(image if plain else unit(image)).reshape(-1, channels) for image in images])
    sides = np.array([image.shape[:2] for image in images])
    first = np.concatenate([[0], np.cumsum(sides.prod(axis=1))[:-1]])
    return {"pixels": jnp.asarray(pixels), "sides": jnp.asarray(sides), "first": jnp.asarray(first)}


def _crops(key, images, crop, batch):
    """Cut crops, each turned by one of the eight symmetries of the square."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(key, 4)
    which = jax.random.randint(keys[0], (batch,), 0, len(images["sides"]))
    corner = jax.random.uniform(keys[1], (batch, 2)) * (images["sides"][which] - crop + 1)
    corner = jnp.minimum(corner.astype(jnp.int32), images["sides"][which] - crop)
    flipped = jax.random.bernoulli(keys[2], shape=(batch, 2, 1, 1))
    transposed = jax.random.bernoulli(keys[3], shape=(batch, 1, 1, 1))
    grid = jnp.stack(jnp.meshgrid(jnp.arange(crop), jnp.arange(crop), indexing="ij"))[None]
    grid = jnp.where(transposed, grid[:, ::-1], grid)
    row, column = jnp.moveaxis(jnp.where(flipped, crop - 1 - grid, grid) + corner[..., None, None], 1, 0)
    wide = images["sides"][which, 1][:, None, None]
    pixels = images["pixels"][images["first"][which][:, None, None] + row * wide + column]
    return pixels.astype(jnp.float32) / 255 if pixels.dtype == jnp.uint8 else pixels


def _noisy(key, clean, noise: DrawnNoise, camera):
    """Draw the noise of each crop; returns the noisy crops and the standard deviations (N, 1, 1, 1)."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(key, 5)
    shape = (len(clean), 1, 1, 1)
    low, high = (value / 255 for value in noise.sigma)
    sigma = jax.random.uniform(keys[0], shape, minval=low, maxval=high)
    if noise.kind == "poisson":
        sigma = jnp.zeros(shape)
    if noise.kind == "camera":
        white = jax.random.bernoulli(keys[1], noise.white, shape)
        return clean + sigma * jnp.where(white, jax.random.normal(keys[2], clean.shape), camera(keys[3], clean)), sigma
    noisy = clean
    if "poisson" in noise.kind:
        dose = jnp.exp(jax.random.uniform(keys[3], shape, minval=np.log(noise.dose[0]), maxval=np.log(noise.dose[1])))
        noisy = jax.random.poisson(keys[4], dose * jnp.maximum(clean, 0)).astype(jnp.float32) / dose
    return noisy + sigma * jax.random.normal(keys[2], clean.shape), sigma


def _camera(seed, channels):
    """Make a function that draws what `camera_noise.draw_camera_noise` would, of level one at mid-grey."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng([seed, FILTERS])
    table = jnp.asarray(np.stack([camera_noise.draw_filter(rng) for _ in range(FILTERS)]), jnp.float32)
    mixings = jnp.asarray(np.stack([camera_noise.draw_mixing(rng, channels) for _ in range(FILTERS)]), jnp.float32)
    radius = camera_noise.RADIUS
    white = jnp.zeros((2 * radius + 1,) * 2).at[radius, radius].set(1)

    def draw(key, clean):
        count, high, wide, _ = clean.shape
        keys = jax.random.split(key, 6)
        kind = jax.random.randint(keys[0], (count,), 0, 3)  # correlated, signal-dependent, both
        filters = table[jax.random.randint(keys[1], (count, channels), 0, FILTERS)]
        shared = jax.random.bernoulli(keys[2], shape=(count, 1, 1, 1))
        filters = jnp.where(shared, filters[:, :1], filters)
        filters = jnp.moveaxis(jnp.where((kind == 1)[:, None, None, None], white, filters), 1, -1)
        drawn = jax.random.normal(keys[3], (count, high + 2 * radius, wide + 2 * radius, channels))
        taps = [(i, j) for i in range(2 * radius + 1) for j in range(2 * radius + 1)]
        filtered = sum(filters[:, i, j, None, None] * drawn[:, i : i + high, j : j + wide] for i, j in taps)
        mixing = mixings[jax.random.randint(keys[4], (count,), 0, FILTERS)]
        low, most = camera_noise.TILT
        tilt = jnp.where(kind == 0, 0.0, jax.random.uniform(keys[5], (count,), minval=low, maxval=most))
        spread = jnp.sqrt(jnp.maximum(1 + tilt[:, None, None, None] * (2 * clean - 1), 0))
        return spread * jnp.einsum("nhwc,ndc->nhwd", filtered, mixing)

    return draw
