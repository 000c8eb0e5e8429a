#!/usr/bin/env python
"""Make the README's picture from the demo's image: noisy, pretrained, tuned, and a part of each enlarged.

scripts/demo && .venv/bin/python scripts/demo_figure.py demo docs/demo.png
"""

import argparse
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from gaintuning_tf import gaintune, psnr
from gaintuning_tf.denoising.result_figure import difference
from gaintuning_tf.reports.figures import most_changed

GAP, SCALE = 6, 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what scripts/make_demo_image.py wrote to")
    parser.add_argument("output", type=Path, help="PNG")
    args = parser.parse_args()
    noisy, clean = (tifffile.imread(args.folder / f"{name}.tif") for name in ("noisy", "clean"))
    result = gaintune(noisy, "unet-bf-natural", sigma=0.1)
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised, "clean": clean}
    for name, image in shown.items():
        print(f"{name}: {psnr(clean, image, data_range=1.0):.2f} dB")
    window = most_changed(difference(result.layout, result.denoised, result.pretrained))
    pictures = [result.layout.picture(image) for image in shown.values()]
    zooms = [np.kron(picture[window], np.ones((SCALE, SCALE), np.uint8)) for picture in pictures]
    width = max(pictures[0].shape[1], zooms[0].shape[1])
    rows = [np.hstack([_padded(image, width) for image in row]) for row in (pictures, zooms)]
    Image.fromarray(np.vstack(rows)).save(args.output, optimize=True)


def _padded(image, width):
    return np.pad(image, ((0, GAP), (0, width - image.shape[1] + GAP)), constant_values=255)


if __name__ == "__main__":
    main()
