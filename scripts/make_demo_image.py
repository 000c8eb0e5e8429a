#!/usr/bin/env python
"""Write a real image with noise added, and the clean one to compare with, into a folder.

    python scripts/make_demo_image.py demo

The image is the photograph `coins` that comes with scikit-image, 303x384: Greek coins from
Pompeii, Brooklyn Museum. Float32 TIFF in [0, 1]; noise of standard deviation 0.1, not clipped.
"""

import argparse
from pathlib import Path

import numpy as np
import tifffile
from skimage.data import coins

SIGMA = 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an existing folder")
    folder = parser.parse_args().folder
    clean = coins().astype(np.float32) / 255
    noise = np.random.RandomState(0).randn(*clean.shape).astype(np.float32)
    tifffile.imwrite(folder / "clean.tif", clean)
    tifffile.imwrite(folder / "noisy.tif", clean + np.float32(SIGMA) * noise)


if __name__ == "__main__":
    main()
