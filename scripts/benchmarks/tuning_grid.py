#!/usr/bin/env python
"""What a recipe of tuning gains, over some images and noise levels.

    python scripts/benchmarks/tuning_grid.py FOLDER/set12 --limit 7 --sigmas 30 70 --priors 0.06 0.12 --steps 5 10
    python scripts/benchmarks/tuning_grid.py FOLDER/set12 --limit 24 --side 96 --sigmas 15 50 --contrast off
    python scripts/benchmarks/tuning_grid.py FOLDER/set12 --limit 7 --sigmas 30 70 --precisions float32 bfloat16
    python scripts/benchmarks/tuning_grid.py FOLDER/set12 --limit 7 --priors none --losses monte-carlo-sure --steps 40
    python scripts/benchmarks/tuning_grid.py FOLDER/tem --model unet-tem --side 384 --doses 1 --losses count-splitting

A line per setting: mean gain in PSNR over the images, the least, the most, how many end more than 0.02 dB
below the network's own output, and seconds per image. With --side, the images are one crop of each in turn, as many
as --limit says. --widths are of the coupled bootstrap. With --doses, the images are in counts per unit dose and get
Poisson noise in place of --sigmas.
"""

import argparse
import itertools
import time

import numpy as np

from gaintuning_tf import CoupledBootstrap, GaussianNoise, PoissonNoise, gaintune, load_denoiser, psnr
from gaintuning_tf.evaluation.samples import noisy_version
from gaintuning_tf.images.files import image_files, load_image
from gaintuning_tf.tuning.defaults import PRECISIONS, PRIOR


def images(folder, side, limit):
    """Clean images, whole or a crop of each in turn; the place is drawn by the image's number."""
    files = image_files(folder)
    for index in range(limit or len(files)):
        clean = load_image(files[index % len(files)])
        clean = clean.astype(np.float32) / (255 if clean.dtype == np.uint8 else 1)
        if side:
            rng = np.random.default_rng(index)
            top, left = (rng.integers(0, length - side + 1) for length in clean.shape)
            clean = clean[top : top + side, left : left + side]
        yield index, clean


def measure(model, args, noise, **options):
    """PSNR before and after of each image."""
    found = []
    for index, clean in images(args.folder, args.side, args.limit):
        if isinstance(noise, PoissonNoise):
            noisy = noise.sample(clean, np.random.default_rng(index))
        else:
            noisy = noisy_version(clean, 255 * noise.sigma, index)
        result = gaintune(noisy, model, noise=noise, data_range=1.0, progress=False, **options)
        shown = (result.pretrained, result.denoised)
        found.append([psnr(clean, np.clip(image, 0, 1), data_range=1.0) for image in shown])
    return np.array(found).T


def width(text):
    return None if text == "none" else float(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="clean images")
    parser.add_argument("--model", default="unet-bf-natural", help="name or .keras file")
    parser.add_argument("--limit", type=int, help="only this many images")
    parser.add_argument("--side", type=int, help="crops of this many pixels squared")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[30.0], help="noise levels, on the 0-255 scale")
    parser.add_argument("--doses", type=float, nargs="+", help="counts per pixel where the image is 1")
    parser.add_argument("--priors", type=width, nargs="+", default=[PRIOR], help="widths of the prior, or none")
    parser.add_argument("--steps", type=int, nargs="+", default=[None], help="numbers of steps")
    parser.add_argument("--contrast", choices=["on", "off"], default="on", help="whether contrasts are tried")
    parser.add_argument("--losses", nargs="+", default=[], help="names of losses")
    parser.add_argument("--widths", type=float, nargs="+", default=[], help="of the coupled bootstrap, in sigmas")
    parser.add_argument("--precisions", choices=PRECISIONS, nargs="+", default=PRECISIONS[:1], help="of the steps")
    args = parser.parse_args()
    model = load_denoiser(args.model)
    losses = {name: name for name in args.losses} | {f"width {w:g}": CoupledBootstrap(width=w) for w in args.widths}
    losses = losses or {"sure": "sure"}
    noises = {f"sigma {sigma:g}": GaussianNoise(sigma / 255) for sigma in args.sigmas}
    if args.doses:
        noises = {f"dose {dose:g}": PoissonNoise(1 / dose) for dose in args.doses}
    grid = itertools.product(noises, args.priors, args.steps, losses, args.precisions)
    for noise, prior, steps, loss, precision in grid:
        start = time.perf_counter()
        contrast = args.contrast == "on" and prior is not None
        options = {"prior": prior, "steps": steps, "loss": losses[loss], "contrast": contrast, "precision": precision}
        before, after = measure(model, args, noises[noise], **options)
        gained = after - before
        print(
            f"{noise}, prior {prior}, {steps or 'default'} steps, {loss}, contrast {args.contrast}, {precision}: "
            f"pretrained {before.mean():.3f} dB, gained {gained.mean():+.4f} (least {gained.min():+.4f}, "
            f"most {gained.max():+.4f}, "
            f"{(gained < -0.02).sum()} of {gained.size} below), {(time.perf_counter() - start) / gained.size:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
