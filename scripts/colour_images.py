#!/usr/bin/env python
"""Write scikit-image's colour photographs, their middles of 256x256, for measuring networks of colour.

    python scripts/colour_images.py FOLDER

astronaut, coffee and cat (scikit-image's licences are in its documentation): nobody trains on these three.
"""

import argparse
from pathlib import Path

from skimage import data
from skimage.io import imsave

SIDE = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("astronaut", "cat", "coffee"):
        image = getattr(data, name)()
        top, left = ((side - SIDE) // 2 for side in image.shape[:2])
        imsave(folder / f"{name}.png", image[top : top + SIDE, left : left + SIDE], check_contrast=False)


if __name__ == "__main__":
    main()
