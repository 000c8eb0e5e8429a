"""PSNR and SSIM before and after tuning, over clean images with drawn noise."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.image_sources import TFDS, image_files, load_images
from gaintuning_tf.images import load_image
from gaintuning_tf.metrics import psnr, ssim
from gaintuning_tf.padding import check_denoiser
from gaintuning_tf.pipeline import gaintune

MEASURES = ("psnr_noisy", "psnr_pretrained", "psnr_tuned", "ssim_pretrained", "ssim_tuned", "seconds")


def noisy_version(clean: np.ndarray, sigma: float, index: int) -> np.ndarray:
    """`clean` in [0, 1] plus the noise of the image at `index` of a sorted folder, not clipped.

    The noise of the peers' protocol: `numpy.random.RandomState(index).randn(H, W) *
    sigma / 255` in float32, so that everybody measures on the same pixels.

    Args:
        clean: (H, W), float32 in [0, 1].
        sigma: Standard deviation on the 0-255 scale.
        index: Position of the image in its folder.

    Returns:
        (H, W), float32.

    Example:

    >>> noisy_version(np.zeros((1, 2), np.float32), 255.0, 0).round(3).tolist()
    [[1.7640000581741333, 0.4000000059604645]]
    """
    noise = np.random.RandomState(index).randn(*clean.shape).astype(np.float32)
    return clean + noise * np.float32(sigma / 255)


def evaluate(
    folder,
    model: keras.Model,
    *,
    sigma: float,
    limit: int | None = None,
    tune: bool = True,
    report: Callable[[dict], None] | None = None,
    **options,
) -> dict:
    """Denoise every image of a folder with drawn noise, with and without tuning.

    Args:
        folder: Clean images, or `tfds:NAME` as in `image_sources.load_images`; colour is taken as grey.
        model: A grey denoiser.
        sigma: Noise level on the 0-255 scale; tuning is told it, unless `options` say otherwise.
        limit: Only this many images, the first of the sorted folder.
        tune: Whether to tune; without, `psnr_tuned` and `ssim_tuned` are those of the
            pretrained network.
        report: Called with the row of each image as it is done.
        **options: Further ones of `gaintune`.

    Returns:
        `images`: a row per image with its name and `MEASURES`; `mean`: their means.
        PSNR and SSIM on [0, 1] after clipping.

    Raises:
        InputError: There is no image in the folder, or the network is not grey.
    """
    check_denoiser(model)
    if model.inputs[0].shape[-1] != 1:
        raise InputError(f"evaluate expects a grey network, {model.name!r} takes {model.inputs[0].shape[-1]} channels")
    rows = []
    for index, (name, clean) in enumerate(itertools.islice(_clean_images(folder), limit)):
        rows.append({"image": name, **_measure(clean, index, model, sigma, tune, options)})
        if report:
            report(rows[-1])
    return {"images": rows, "mean": {key: float(np.mean([row[key] for row in rows])) for key in MEASURES}}


def _measure(clean, index, model, sigma, tune, options):
    noisy = noisy_version(clean, sigma, index)
    start = time.perf_counter()
    options = {"sigma": sigma / 255, "progress": False, **options, **({} if tune else {"steps": 0})}
    result = gaintune(noisy, model, data_range=1.0, **options)
    seconds = time.perf_counter() - start
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    clipped = {name: np.clip(image, 0, 1) for name, image in shown.items()}
    row = {f"psnr_{name}": psnr(clean, image, data_range=1.0) for name, image in clipped.items()}
    row |= {f"ssim_{name}": ssim(clean, clipped[name], data_range=1.0) for name in ("pretrained", "tuned")}
    return {**row, "seconds": seconds}


def _clean_images(source) -> Iterator[tuple[str, np.ndarray]]:
    """The name and the grey image, float32 in [0, 1], of each image of a folder or a TFDS data set."""
    if str(source).startswith(TFDS):
        for index, image in enumerate(load_images(source)):
            yield str(index), _unit(image, source)[..., 0]
        return
    for file in image_files(source):
        yield file.name, _grey(file)


def _grey(file: Path) -> np.ndarray:
    image = _unit(load_image(file), file)
    if image.ndim == 3:
        from skimage.color import rgb2gray

        image = rgb2gray(image).astype(np.float32) if image.shape[-1] == 3 else image[..., 0]
    return image


def _unit(image, source):
    if image.dtype != np.uint8:
        raise InputError(f"evaluate expects 8-bit images, {source} is {image.dtype}")
    return image.astype(np.float32) / np.float32(255)
