#!/usr/bin/env python
"""The worked examples of docs/guides/microscopy.md: make the movies, run the document's commands, compare, draw.

    python scripts/microscopy/measure.py tem --data FOLDER/tem --work FOLDER
    python scripts/microscopy/measure.py fluorescence --data FOLDER/fluorescence --work FOLDER
    python scripts/microscopy/measure.py tem --data synthetic --work FOLDER --limit 2 --side 64

--data is, for `tem`, a folder of clean micrographs in electrons per pixel at a dose of one, or `synthetic`;
for `fluorescence`, the frames of a time lapse as JPEG files, noisy at the left, published at the right. --work keeps
the movies, what was made of them, and what was measured: an interrupted run continues. The tables are written there,
`tem.md` and `tem.json`, and with --figures DIR the drawings, which need the extra [report].
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tools import fail


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=["tem", "fluorescence"])
    parser.add_argument("--data", required=True, help="folder of images, or for tem: synthetic")
    parser.add_argument("--work", required=True, type=Path, help="folder that keeps everything")
    parser.add_argument("--limit", type=int, help="frames of a movie [tem: 10, fluorescence: all]")
    parser.add_argument("--side", type=int, default=256, help="of the frames of tem, pixels [%(default)s]")
    parser.add_argument("--doses", type=float, nargs="+", default=[1, 5], help="of tem, electrons per pixel [1 5]")
    parser.add_argument("--steps", type=int, help="of tuning [10]")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the methods, by the names of their files [all]")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the drawings there")
    options = parser.parse_args()
    if options.data != "synthetic" and not any(Path(options.data).glob("*")):
        fail(f"expected --data with images, received {options.data}, where there are none")
    if options.example == "fluorescence" and options.data == "synthetic":
        fail("expected --data to be a folder of JPEG frames, received synthetic, which only tem has")
    options.work.mkdir(parents=True, exist_ok=True)
    if options.example == "tem":
        from tem import run
    else:
        from fluorescence import run
    run(options)


if __name__ == "__main__":
    main()
