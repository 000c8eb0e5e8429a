"""PSNR and SSIM before and after tuning, image by image, beside other methods."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.denoising.pipeline import gaintune
from gaintuning_tf.errors import InputError
from gaintuning_tf.evaluation.metrics import psnr, ssim
from gaintuning_tf.evaluation.oracle import Oracle
from gaintuning_tf.evaluation.samples import samples
from gaintuning_tf.networks.network import NetworkLike, network_of

MEASURES = ("psnr_noisy", "psnr_pretrained", "psnr_tuned", "ssim_pretrained", "ssim_tuned", "seconds")
ORACLE = "oracle"


def evaluate(
    source: str | Path,
    model: NetworkLike,
    *,
    sigma: float | None = None,
    clean: str | Path | None = None,
    channel: str | None = None,
    limit: int | None = None,
    tune: bool = True,
    compare: Mapping[str, Callable] | None = None,
    oracle: bool = False,
    rows: Sequence[dict] = (),
    report: Callable[[dict], None] | None = None,
    show: Callable[[str, dict[str, np.ndarray]], None] | None = None,
    data_dir: str | Path | None = None,
    **options: Any,
) -> dict:
    """Denoise image after image, with and without tuning, and measure both against the clean image.

    Args:
        source: Clean images, on which noise is drawn, or with `clean` noisy ones; see
            `samples.samples`.
        model: A denoiser of grey or of colour pictures, which are taken accordingly.
        sigma: Noise level on the 0-255 scale, which is given to tuning: white Gaussian noise. For
            pairs it may be left out; the noise, of whatever kind, is then found in each image.
        clean: Folder of the clean images that belong to noisy ones.
        channel: What is taken of colour pictures, see `samples.samples`.
        limit: Only this many images, the first of the sorted folder.
        tune: Whether to tune; without, `psnr_tuned` and `ssim_tuned` are those of the
            pretrained network.
        compare: Other methods by name, such as `baselines.methods` makes them: each is
            called with the noisy image, (H, W) or (H, W, 3), and the `NoiseModel` that tuning was given or
            found, in its units, and returns the denoised image. Adds `psnr_NAME`, `ssim_NAME` and `seconds_NAME`.
        oracle: Also measure gains that were tuned on the clean image, see `oracle.Oracle`.
        rows: Rows of an earlier call that was interrupted: these images are not measured again.
        report: Called with the row of each newly measured image as it is done.
        show: Called with the name of each newly measured image, and the image: `noisy`, `pretrained`, `tuned`, `clean`.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        **options: Further ones of `gaintune`, such as `loss`, a name or a loss object, `steps` and `seed`.

    Returns:
        `images`: a row per image with its name and `MEASURES`, and those of the other
        methods; `mean` and `spread`: see `summary`. PSNR and SSIM on [0, 1] after clipping, over all
        channels.

    Raises:
        InputError: There is no image, the network takes neither one channel nor three, or `rows` are of other images.
        KeyboardInterrupt: Ctrl-C; an image whose tuning it ended is not reported.
    """
    # Made once: its tuner is compiled for it.
    network = network_of(model)
    if network.channels not in (1, 3):
        raise InputError(
            f"evaluate expects a network of grey or colour pictures, {network.name!r} takes {network.channels} channels"
        )
    measured = list(rows)
    methods = dict(compare or {})
    # By the recipe that it is compared with.
    recipe = {key: options[key] for key in ("steps", "seed", "prior") if key in options}
    ideal = Oracle(network, **recipe) if oracle else None
    sources = {"clean": clean, "channel": channel, "colour": network.channels == 3, "data_dir": data_dir}
    images = itertools.islice(samples(source, sigma, **sources), limit)
    for index, (name, noisy, truth) in enumerate(images):
        if index < len(rows):
            _check_same(rows[index], name)
            continue
        given = {"sigma": None if sigma is None else sigma / 255, **options, **({} if tune else {"steps": 0})}
        row, result = _measure(noisy, truth, network, given)
        noise = result.noise
        if show:
            show(name, {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised, "clean": truth})
        for other, method in methods.items():
            row |= _timed(other, truth, method, noisy, noise)
        if ideal:
            row |= _timed(ORACLE, truth, ideal.denoise, noisy, truth, noise)
        measured.append({"image": name, **row})
        if report:
            report(measured[-1])
    return {"images": measured, **summary(measured)}


def summary(rows: Sequence[dict]) -> dict:
    """Compute the means over the images, and how much tuning's gain differs between them.

    Args:
        rows: As `evaluate` makes them.

    Returns:
        `mean`: that of each measure. With an oracle also `fraction`, the mean gain in PSNR of
        tuning divided by that of the oracle; None where the oracle gained nothing.
        `spread`: `below_pretrained`, the number of images that tuning made worse, and
        `least_gain` and `most_gain` in dB.

    Raises:
        InputError: There is no row.

    Example:

    >>> rows = [{"image": "a", "psnr_pretrained": 30.0, "psnr_tuned": 31.0, "psnr_oracle": 32.0},
    ...         {"image": "b", "psnr_pretrained": 20.0, "psnr_tuned": 19.5, "psnr_oracle": 20.0}]
    >>> table = summary(rows)
    >>> table["mean"]["psnr_tuned"], table["mean"]["fraction"]
    (25.25, 0.25)
    >>> table["spread"]
    {'below_pretrained': 1, 'least_gain': -0.5, 'most_gain': 1.0}
    """
    if not rows:
        raise InputError("expected at least one image, found none")
    mean: dict[str, Any] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "image"}
    if f"psnr_{ORACLE}" in mean:
        possible = mean[f"psnr_{ORACLE}"] - mean["psnr_pretrained"]
        mean["fraction"] = (mean["psnr_tuned"] - mean["psnr_pretrained"]) / possible if possible > 0 else None
    gains = [row["psnr_tuned"] - row["psnr_pretrained"] for row in rows]
    below = sum(gain < 0 for gain in gains)
    return {"mean": mean, "spread": {"below_pretrained": below, "least_gain": min(gains), "most_gain": max(gains)}}


def _measure(noisy, clean, model, options):
    """Make the row of tuning, and give its result."""
    start = time.perf_counter()
    result = gaintune(noisy, model, data_range=1.0, **{"progress": False, **options})
    seconds = time.perf_counter() - start
    if np.any(result.history["interrupted"]):
        # Gains that were tuned halfway are no measurement.
        raise KeyboardInterrupt
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    scores = {}
    for name, image in shown.items():
        scores |= _scores(name, clean, image)
    return {**{key: scores[key] for key in MEASURES if key in scores}, "seconds": seconds}, result


def _timed(name, clean, method, *arguments):
    start = time.perf_counter()
    denoised = method(*arguments)
    seconds = time.perf_counter() - start
    return {**_scores(name, clean, denoised), f"seconds_{name}": seconds}


def _scores(name, clean, image):
    image = np.clip(image, 0, 1)
    similarity = ssim(clean, image, data_range=1.0, channel_axis=-1 if clean.ndim == 3 else None)
    return {f"psnr_{name}": psnr(clean, image, data_range=1.0), f"ssim_{name}": similarity}


def _check_same(row, name):
    if row["image"] != name:
        raise InputError(f"expected a row of {name} at this place, received one of {row['image']}: start anew")
