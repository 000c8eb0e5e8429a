#!/usr/bin/env python
"""What learning rate and how many steps of the default recipe gain, over some images and noise levels.

    python scripts/tuning_grid.py FOLDER/set12 --limit 7 --sigmas 30 70 --rates 1e-3 3e-3 --steps 20 40

A line per setting: mean gain in PSNR over the images, the least of them, and seconds per image.
"""

import argparse
import itertools

import numpy as np

from gaintuning_tf import load_denoiser, pipeline, tuning
from gaintuning_tf.evaluate import evaluate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="clean images")
    parser.add_argument("--model", default="unet-bf-natural", help="name or .keras file")
    parser.add_argument("--limit", type=int, help="only the first images")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[30.0], help="noise levels, on the 0-255 scale")
    parser.add_argument("--rates", type=float, nargs="+", default=[tuning.LEARNING_RATE], help="learning rates")
    parser.add_argument("--steps", type=int, nargs="+", default=[tuning.STEPS], help="numbers of steps")
    args = parser.parse_args()
    model = load_denoiser(args.model)
    for sigma, rate, steps in itertools.product(args.sigmas, args.rates, args.steps):
        tuning.LEARNING_RATE = rate
        pipeline._denoisers.clear()
        rows = evaluate(args.folder, model, sigma=sigma, limit=args.limit, steps=steps)["images"]
        gained = np.array([row["psnr_tuned"] - row["psnr_pretrained"] for row in rows])
        print(
            f"sigma {sigma:g}, learning rate {rate:g}, {steps} steps: pretrained "
            f"{np.mean([row['psnr_pretrained'] for row in rows]):.3f} dB, gained {gained.mean():+.4f} "
            f"(least {gained.min():+.4f}, most {gained.max():+.4f}), {np.mean([row['seconds'] for row in rows]):.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
