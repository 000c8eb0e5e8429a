#!/usr/bin/env python
"""Draw the demo's images side by side: noisy, before tuning, tuned and clean, with their PSNR.

    scripts/demo                                                  # draws demo/demo.png
    .venv/bin/python scripts/demo_figure.py demo docs/demo.png    # the README's picture

"Before tuning" is the network as it is: it takes noise that neighbours share for detail.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.io import imread

from gaintuning_tf import load_denoiser, psnr

NETWORK = "drunet-grey"  # that is chosen for such noise
GAP, HEAD = 6, 26  # pixels between the images, and above them


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with noisy.png, denoised.png and clean.png")
    parser.add_argument("output", type=Path, help="PNG")
    args = parser.parse_args()
    noisy, tuned, clean = (imread(args.folder / f"{name}.png") for name in ("noisy", "denoised", "clean"))
    before = np.squeeze(load_denoiser(NETWORK)(noisy[None, ..., None] / np.float32(255)))
    before = np.rint(255 * before.clip(0, 1)).astype(np.uint8)
    figure = drawn({"noisy": noisy, "before tuning": before, "tuned": tuned}, clean)
    figure.quantize(48).save(args.output, optimize=True)
    print(f"Look at {args.output}")


def drawn(images, clean):
    """Return the images and the clean one side by side, each under its name and PSNR."""
    titles = {f"{name}, {psnr(clean, image, data_range=255):.1f} dB": image for name, image in images.items()}
    height, width = clean.shape
    figure = Image.new("L", (4 * width + 3 * GAP, height + HEAD), 255)
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(16)
    for number, (title, image) in enumerate({**titles, "clean": clean}.items()):
        left = number * (width + GAP)
        draw.text((left + width / 2, 4), title, fill=0, font=font, anchor="ma")
        figure.paste(Image.fromarray(image), (left, HEAD))
    return figure


if __name__ == "__main__":
    main()
