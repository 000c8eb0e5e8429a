#!/usr/bin/env python
"""Say in one number whether a change of the code changed any result: checksums of runs of every kind.

    python scripts/benchmarks/results_checksum.py -o after.json                      # of the code that is imported
    PYTHONPATH=OTHER_CLONE python scripts/benchmarks/results_checksum.py -o before.json
    python scripts/benchmarks/results_checksum.py --compare before.json after.json   # status 1 if they differ

Pictures with every kind of recipe, a movie in two ways, an export and an evaluation; of each the
checksum of its pixels, gains and figures, bit for bit, and its PSNR for people to read. Only names
are used that every version has, so that two versions can be compared. Results are the same only
on the same machine.
"""

import argparse
import contextlib
import hashlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
import skimage.io
import tifffile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="two such files")
    options = parser.parse_args()
    if options.compare:
        return compare(*(json.loads(path.read_text()) for path in options.compare))
    results = {}
    for name, run in RUNS.items():
        results[name] = run()
        print(f"{name}: {results[name]}", flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def compare(before, after):
    """Print what differs; returns 1 if anything does."""
    different = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    for name in different:
        print(f"{name}: {before.get(name)} before, {after.get(name)} after")
    print(f"{len(before)} runs before, {len(after)} after, {len(different)} differ")
    return int(bool(different))


def clean_image(side=128):
    """A part of scikit-image's photograph, (side, side), in [0, 1]."""
    return skimage.data.camera()[100 : 100 + side, 180 : 180 + side].astype(np.float32) / 255


def noisy_image(side=128, sigma=25, seed=0):
    """The same with noise, in grey values of 8 bits as floats."""
    return 255 * clean_image(side) + sigma * np.random.default_rng(seed).standard_normal((side, side), np.float32)


def checksum(*arrays):
    """Of values, shapes and dtypes."""
    digest = hashlib.sha256()
    for array in map(np.asarray, arrays):
        digest.update(f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def figures(result, clean):
    """Checksum and PSNR of a result of `gaintune`."""
    risks = [result.history[name] for name in ("risk", "risk_before", "risk_after")]
    error = np.mean(np.square(np.asarray(result.denoised, np.float64) - clean))
    return {
        "checksum": checksum(result.denoised, result.pretrained, *result.gains.values(), result.contrast, *risks),
        "psnr": round(float(10 * np.log10(np.ptp(clean) ** 2 / error)), 4),
    }


def picture(model, level, **options):
    """A grey picture with white Gaussian noise."""
    from gaintuning_tf import gaintune

    noisy = noisy_image(sigma=level)
    result = gaintune(noisy, model, data_range=255, progress=False, **options)
    return figures(result, 255 * clean_image())


def plain():
    """The paper's plain method."""
    return picture("unet-bf-natural", 25, sigma=25, prior=None, loss="monte-carlo-sure", steps=8)


def colour():
    """A colour picture through a grey network, channel by channel, of 8 bits."""
    from gaintuning_tf import gaintune

    clean = skimage.data.astronaut()[:64, 150:214]
    noise = 20 * np.random.default_rng(1).standard_normal(clean.shape)
    noisy = (clean + noise).clip(0, 255).astype(np.uint8)
    return figures(gaintune(noisy, "unet-bf-natural", sigma=20, steps=4, progress=False), clean.astype(float))


def counts():
    """Counts with Poisson noise, by count splitting."""
    from gaintuning_tf import gaintune

    clean = 8 * clean_image(96)
    noisy = np.random.default_rng(2).poisson(clean)
    return figures(gaintune(noisy, "unet-tem", noise="poisson", data_range=8, steps=4, progress=False), clean)


def camera():
    """Shot and read-out noise, estimated."""
    from gaintuning_tf import PoissonGaussianNoise, gaintune

    clean = 100 + 200 * clean_image(128)
    noisy = PoissonGaussianNoise(2.0, 5.0, 100.0).sample(clean, np.random.default_rng(3))
    result = gaintune(noisy, "unet-bf-natural", noise="poisson-gaussian", steps=4, data_range=255, progress=False)
    return figures(result, clean)


def window():
    """A picture larger than the window of a step, on windows."""
    from gaintuning_tf import GainTuner, MonteCarloSURE, load_denoiser

    tuner = GainTuner(load_denoiser("unet-piecewise"), MonteCarloSURE(25 / 255))
    noisy = noisy_image()[None, ..., None] / 255
    history = tuner.tune(noisy, steps=4, window=64, progress=False)
    return {"checksum": checksum(*tuner.gains(), tuner.denoise(noisy), history.risk, history.after)}


def movie(**options):
    """A movie of three frames, from file to file."""
    from gaintuning_tf.stacks import denoise_stack

    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "noisy.tif"), Path(folder, "clean.tif")
        tifffile.imwrite(source, np.stack([noisy_image(64, seed=seed) for seed in range(3)]), metadata={"axes": "TYX"})
        options = {"steps": 4, "data_range": 255, "progress": False, **options}
        result = denoise_stack(source, output, "unet-bf-natural", **options)
        gains = [value for number in range(3) for value in result.gains(number)]
        return {"checksum": checksum(tifffile.imread(output), *gains, result.column("risk_after"))}


def export():
    """What a SavedModel that tunes itself answers."""
    import tensorflow as tf

    from gaintuning_tf import export_saved_model, load_denoiser

    noisy = tf.constant(noisy_image(64)[None, ..., None] / 255)
    with tempfile.TemporaryDirectory() as folder:
        version = export_saved_model(load_denoiser("unet-bf-natural"), Path(folder, "served"))
        served = tf.saved_model.load(str(version))
        plain = served.signatures["serving_default"](noisy=noisy)
        options = {"sigma": tf.constant([0.1]), "steps": tf.constant(4)}
        tuned = served.signatures["gaintune"](noisy=noisy, **options)
    return {"checksum": checksum(plain["denoised"], tuned["denoised"], tuned["sure"])}


def evaluation():
    """The command `evaluate` with tuning, oracle and non-local means, but for times and the version."""
    from gaintuning_tf.cli import main as command

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images").mkdir()
        for number, side in enumerate((64, 72)):
            image = (255 * clean_image(side)).astype(np.uint8)
            skimage.io.imsave(Path(folder, "images", f"{number}.png"), image, check_contrast=False)
        report = Path(folder, "report.json")
        arguments = ["--sigma", "30", "--steps", "3", "--oracle", "--compare", "nlm", "--json", str(report)]
        with contextlib.redirect_stdout(io.StringIO()):
            command(["evaluate", str(Path(folder, "images")), *arguments])
        found = json.loads(report.read_text())
    numbers = [value for key, value in sorted(leaves(found)) if "seconds" not in key and "digest" not in key]
    return {"checksum": checksum(np.array(numbers, np.float64))}


def leaves(value, path=""):
    """The numbers in nested lists and dictionaries, with their places."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key], f"{path}/{key}")]
    if isinstance(value, list):
        return [leaf for number, item in enumerate(value) for leaf in leaves(item, f"{path}/{number:03}")]
    return [(path, float(value))] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


RUNS = {
    "picture, default": lambda: picture("unet-bf-natural", 25),
    "picture, further rounds": lambda: picture("unet-piecewise", 30, sigma=30),
    "picture, contrast": lambda: picture("dncnn-natural", 70, sigma=70, steps=3),
    "picture, plain": plain,
    "picture, blind spots": lambda: picture("unet-bf-natural", 25, loss="blind-spot", steps=3),
    "picture, colour": colour,
    "picture, counts": counts,
    "picture, camera": camera,
    "picture, windows": window,
    "movie": movie,
    "movie, shared gains": lambda: movie(share_gains=2),
    "export": export,
    "evaluation": evaluation,
}


if __name__ == "__main__":
    sys.exit(main())
