#!/usr/bin/env python
"""Write a photograph with a camera's noise, and the clean one to compare with, into a folder.

    python scripts/make_demo_image.py demo

The photograph is the middle of `astronaut` of scikit-image, Eileen Collins by NASA, in the
public domain; grey, 256x256. Its noise grows with the brightness, and neighbouring pixels
share it, as in most cameras and wide-field microscopes. 8 bits, as PNG.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.data import astronaut
from skimage.io import imsave

# The variance is SLOPE times the brightness, from 0 to 1, and FLOOR more brightness; the
# noise is blurred by a Gaussian of standard deviation BLUR, in pixels.
SLOPE, FLOOR, BLUR = 0.012, 0.05, 0.6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an existing folder")
    folder = parser.parse_args().folder
    clean = rgb2gray(astronaut()[:256, 96:352])
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(clean.shape), BLUR, mode="wrap")
    noisy = clean + noise / noise.std() * np.sqrt(SLOPE * (clean + FLOOR))
    for name, image in {"clean": clean, "noisy": noisy}.items():
        imsave(folder / f"{name}.png", np.rint(255 * image.clip(0, 1)).astype(np.uint8))


if __name__ == "__main__":
    main()
