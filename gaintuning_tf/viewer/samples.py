"""Noisy images to try the dock on; drawn when they are opened, nothing is downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np

LayerData = tuple[Any, dict[str, Any], str]
# Standard deviation of the photograph's noise, of 255, and side of both samples in pixels.
SIGMA, SIDE = 30, 256
# Electrons per pixel where the movie is brightest, a count each: few, as beams that spare the sample have.
DOSE, FRAMES = 12, 5
# Ångström per pixel, of the kind that such microscopes have.
PIXEL = 0.25


def noisy_picture() -> list[LayerData]:
    """Draw scikit-image's photographer with white Gaussian noise: what the manifest names.

    Example:

    >>> (data, look, kind), = noisy_picture()
    >>> data.shape, data.dtype, kind
    ((256, 256), dtype('uint8'), 'image')
    """
    from skimage.data import camera

    clean = camera()[60 : 60 + SIDE, 130 : 130 + SIDE].astype(np.float64)
    noisy = clean + np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return [(noisy.clip(0, 255).round().astype(np.uint8), {"name": "noisy photograph"}, "image")]


def noisy_movie() -> list[LayerData]:
    """Draw a nanoparticle under an electron microscope, counts of few electrons, moving: what the manifest names.

    Example:

    >>> (data, look, kind), = noisy_movie()
    >>> data.shape, data.dtype, look["axis_labels"]
    ((5, 256, 256), dtype('uint16'), ['t', 'y', 'x'])
    """
    from gaintuning_tf.training.synthetic import nanoparticles

    rng = np.random.default_rng(0)
    clean = nanoparticles(np.random.default_rng(2), SIDE)
    frames = [rng.poisson(DOSE * np.roll(clean, 2 * shift, 1)) for shift in range(FRAMES)]
    look = {"name": "noisy nanoparticle", "scale": [1, PIXEL, PIXEL], "units": ["s", "angstrom", "angstrom"]}
    return [(np.stack(frames).astype(np.uint16), {**look, "axis_labels": ["t", "y", "x"]}, "image")]
