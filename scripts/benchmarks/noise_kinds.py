#!/usr/bin/env python
"""What `examine_noise` finds: on real images beside the truth, and where white noise was drawn.

    python scripts/benchmarks/noise_kinds.py --shared FOLDER

FOLDER holds `data/real`, `data/set12` and `data/train400`. The truth of a real image is its noisy
less its clean one. White noise of five levels is drawn on Set12, every eighth image of train400
and the green channel of scikit-image's colour pictures; the level is compared with that of
`skimage.restoration.estimate_sigma`.
"""

import argparse
from pathlib import Path

import numpy as np
from skimage import data, io
from skimage.restoration import estimate_sigma

from gaintuning_tf.noise.autocovariance import LAGS
from gaintuning_tf.noise.automatic import examine_noise

SIGMAS = (5, 10, 15, 25, 50)
COLOUR = ("astronaut", "coffee", "chelsea", "rocket")


def real(folder):
    for path in sorted((folder / "noisy").glob("*.png")):
        noisy, clean = (io.imread(folder / kind / path.name).astype(np.float64) for kind in ("noisy", "clean"))
        noisy, clean = (image[..., 1] if image.ndim == 3 else image for image in (noisy, clean))
        found, rest = examine_noise(noisy), noisy - clean
        rest = rest - rest.mean()
        true = [np.mean(rest[:, lag:] * rest[:, : rest.shape[1] - lag]) / rest.var() for lag in (1, 2)]
        own = found.noise.correlation
        lags = [0.0, 0.0] if own is None else own[LAGS, LAGS + 1 : LAGS + 3]
        level = np.mean(found.noise.variance(clean)) ** 0.5
        print(
            f"| {path.stem} | {rest.std():.2f} | {level:.2f} | {estimate_sigma(noisy):.2f} "
            f"| {true[0]:.2f}, {true[1]:.2f} | {lags[0]:.2f}, {lags[1]:.2f} | {found.words} |"
        )


def clean_images(folder):
    for name, every in (("set12", 1), ("train400", 8)):
        for path in sorted(path for path in (folder / name).iterdir() if path.suffix == ".png")[::every]:
            yield name, io.imread(path).astype(np.float64)
    for name in COLOUR:
        yield "colour, green", getattr(data, name)()[..., 1].astype(np.float64)


def white(folder):
    for sigma in SIGMAS:
        found = {}
        for name, clean in clean_images(folder):
            noisy = clean + sigma * np.random.RandomState(0).randn(*clean.shape)
            noise = examine_noise(noisy).noise
            own = np.mean(noise.variance(clean)) ** 0.5 / sigma - 1
            plain = type(noise).__name__ == "GaussianNoise" and noise.correlation is None
            found.setdefault(name, []).append((plain, own, estimate_sigma(noisy) / sigma - 1))
        for name, rows in found.items():
            plain, own, peer = np.array(rows, float).T
            rms = [np.sqrt(np.mean(np.square(errors))) for errors in (own, peer)]
            print(f"| {name} | {sigma} | {int(plain.sum())} of {len(plain)} | {rms[0]:.3f} | {rms[1]:.3f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    folder = parser.parse_args().shared / "data"
    print("| image | true sigma | found | scikit-image | true lags 1, 2 | found | in words |")
    print("|---|---|---|---|---|---|---|")
    real(folder / "real")
    print("\n| images | sigma | found white | rms error of sigma | of scikit-image's |\n|---|---|---|---|---|")
    white(folder)


if __name__ == "__main__":
    main()
