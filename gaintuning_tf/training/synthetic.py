"""Images made by rule, for training where no photographs of the kind exist."""

from __future__ import annotations

import numpy as np

from gaintuning_tf.errors import InputError

SIZE = 256


def images(kind: str, count: int, *, seed: int = 0, size: int = SIZE) -> list[np.ndarray]:
    """Draw images of one kind; the i-th depends on `seed` and i alone.

    Args:
        kind: Key of `KINDS`.
        count: How many.
        seed: The seed of all that is random.
        size: Side of the images, pixels.

    Returns:
        float32 arrays (size, size, 1) with values in [0, 1].

    Raises:
        InputError: There is no such kind.

    Example:

    >>> images("piecewise-constant", 2, size=32)[1].shape
    (32, 32, 1)
    """
    if kind not in KINDS:
        raise InputError(f"expected a kind of synthetic image in {sorted(KINDS)}, received {kind!r}")
    return [KINDS[kind](np.random.default_rng([seed, i]), size)[..., None] for i in range(count)]


def piecewise_constant(rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """Regions of constant grey behind each other: half-planes, discs, rectangles and triangles.

    No texture, no gradients, no fine detail: what a network has learnt from these images alone
    is far from what natural ones ask for, as in the out-of-distribution experiment of S. Mohan et al.,
    "Adaptive denoising via GainTuning", NeurIPS 2021.

    Args:
        rng: Source of all randomness.
        size: Side, pixels.

    Returns:
        float32 array (size, size), values in [0, 1].
    """
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    image = np.full((size, size), rng.random(), np.float32)
    for _ in range(rng.integers(4, 16)):
        image[_shape(rng, y, x)] = rng.random()
    return image


def _shape(rng, y, x):
    """Draw where one shape of random kind, place, size and direction lies."""
    angle = rng.uniform(0, 2 * np.pi)
    dy, dx = y - rng.random(), x - rng.random()
    u, v = np.cos(angle) * dy + np.sin(angle) * dx, np.cos(angle) * dx - np.sin(angle) * dy
    width, height = rng.uniform(0.05, 0.4, 2)
    kind = rng.integers(4)
    if kind == 0:
        return u > 0.3 * rng.random()
    if kind == 1:
        return (u / width) ** 2 + (v / height) ** 2 < 1
    if kind == 2:
        return (np.abs(u) < width) & (np.abs(v) < height)
    return (u > -width) & (v > 0) & (u / width + v / height < 1)


def nanoparticles(rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """High-resolution transmission electron micrographs of a metal particle on a crystalline support, schematically.

    Vacuum above; below a straight surface the support, above it the particle, a convex polygon. Both are
    projected lattices of atomic columns: a sum of Gaussian peaks (elongated ones for the support's dumbbells), dark
    between them, whose spacing, direction and contrast are drawn anew for each image. The columns get lower away
    from the particle's middle. The contrast is bright or, for another defocus, inverted. No simulation of scattering:
    lattices of the right kind, for a network to learn that there are lattices.

    Args:
        rng: Source of all randomness.
        size: Side, pixels.

    Returns:
        float32 array (size, size), values in [0, 1]: expected electrons per pixel for a dose of one.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32) - size / 2
    angle = rng.uniform(0, 2 * np.pi)
    height, along = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    spacing = rng.uniform(18, 60)
    surface = rng.uniform(-0.6, 0.6) * size
    rim = rng.uniform(0.05, 0.2) * spacing
    support = _sigmoid((surface - height) / rim)
    particle = _particle(rng, height - surface, along, size, rim)
    vacuum = rng.uniform(0.25, 0.7)
    contrast = vacuum * rng.uniform(0.15, 0.6) * rng.choice([1, 1, 1, -1])
    image = np.full((size, size), vacuum, np.float32)
    image += support * contrast * _lattice(rng, height, along, spacing * rng.uniform(1.1, 1.5), elongated=True)
    thickness = 1 - 0.5 * rng.random() * np.clip(np.hypot(height - surface, along) / size, 0, 1)
    image += particle * contrast * thickness * _lattice(rng, height, along, spacing)
    return np.clip(image, 0.01, 1).astype(np.float32)


def _particle(rng, height, along, size, rim):
    """Draw a convex polygon on the surface, with soft edges: the product of half-planes."""
    radius = rng.uniform(0.15, 0.6) * size
    centre = rng.uniform(-0.3, 0.3) * size
    inside = _sigmoid(height / rim)
    for facet in np.linspace(-0.5 * np.pi, 0.5 * np.pi, rng.integers(3, 7)) + rng.uniform(-0.15, 0.15):
        distance = np.cos(facet) * height + np.sin(facet) * (along - centre)
        inside = inside * _sigmoid((radius * rng.uniform(0.6, 1.0) - distance) / rim)
    return inside


def _lattice(rng, height, along, spacing, *, elongated=False):
    """Peaks of height one on a two-dimensional lattice, less a constant: dark between them."""
    turn, shear = rng.normal(0, 0.3), rng.uniform(0.2, 0.8)
    u = (np.cos(turn) * along + np.sin(turn) * height) / spacing + rng.random()
    v = (np.cos(turn) * height - np.sin(turn) * along) / (spacing * rng.uniform(0.7, 1.05)) + rng.random()
    row = np.floor(v)
    # Nearest column of the three rows about each pixel: each row is shifted against the last.
    width = rng.uniform(0.14, 0.24)
    tall = rng.uniform(1.2, 1.8) if elongated else 1.0
    lean = rng.uniform(-0.3, 0.3) if elongated else 0.0
    peaks = np.zeros_like(u)
    for step in (-1, 0, 1):
        dv = v - (row + step) - 0.5
        du = u - shear * (row + step)
        du = du - np.round(du) - lean * dv
        peaks += np.exp(-(du**2 + (dv / tall) ** 2) / (2 * width**2))
    return peaks - rng.uniform(0.2, 0.6)


def _sigmoid(values):
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


KINDS = {"piecewise-constant": piecewise_constant, "nanoparticles": nanoparticles}
