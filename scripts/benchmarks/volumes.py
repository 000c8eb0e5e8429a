#!/usr/bin/env python
"""Measure a volume through a network of volumes, tuned: peak memory, seconds, errors, and seams of its blocks.

    python scripts/benchmarks/volumes.py make FOLDER                      # clean volumes to train on
    gaintuning-tf train FOLDER -o net.keras --architecture unet3d --crop 32 --crop-depth 16 --steps 1000
    python scripts/benchmarks/volumes.py measure net.keras --shape 64 256 256 --sigma 25

The volumes are drawn: balls and slabs of constant grey, blurred by one voxel. Those that are measured are others than
those that are trained on; with --tubes they are of another kind. Memory is the largest that the process had.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.ndimage import gaussian_filter

MEASURED_SEED = 10_000


def balls(rng, shape):
    """Draw balls and slabs of constant grey behind each other, float32 in [0, 1]."""
    places = np.indices(shape, np.float32)
    volume = np.full(shape, rng.random(), np.float32)
    for _ in range(rng.integers(20, 60)):
        centre = [rng.uniform(0, side) for side in shape]
        radii = rng.uniform(3, 0.3 * min(shape) + 4, 3)
        distance = sum(((x - c) / r) ** 2 for x, c, r in zip(places, centre, radii, strict=True))
        volume[distance < 1] = rng.random()
    return gaussian_filter(volume, 1)


def tubes(rng, shape):
    """Draw thin bright lines through a dark volume, float32 in [0, 1]."""
    volume = np.zeros(shape, np.float32)
    for _ in range(int(np.prod(shape) / 8000)):
        start, along = (rng.uniform(0, shape), rng.normal(size=3))
        steps = np.arange(0, 80, 0.3)[:, None] * along / np.linalg.norm(along) + start
        steps = np.rint(steps + rng.normal(0, 0.2, steps.shape).cumsum(0)).astype(int)
        inside = np.all((steps >= 0) & (steps < shape), 1)
        volume[tuple(steps[inside].T)] += rng.uniform(1, 3)
    return np.clip(0.05 + gaussian_filter(volume, 0.9), 0, 1)


def make(options):
    """Write clean volumes to train on."""
    Path(options.folder).mkdir(parents=True, exist_ok=True)
    for number in range(options.count):
        clean = balls(np.random.default_rng(number), (48, 64, 64))
        np.save(Path(options.folder) / f"{number:03d}.npy", np.rint(255 * clean).astype(np.uint8))


def measure(options):
    """Denoise one volume and print what it took, as JSON."""
    from gaintuning_tf import GainTuningResult, gaintune  # noqa: F401 - imported before the clock
    from gaintuning_tf.networks.network import network_of

    rng = np.random.default_rng(MEASURED_SEED)
    clean = 255 * (tubes if options.tubes else balls)(rng, tuple(options.shape))
    noisy = (clean + rng.normal(0, options.sigma, clean.shape)).astype(np.float32)
    known = {"sigma": options.sigma} if options.given else {}
    start, processor = time.perf_counter(), time.process_time()
    result = gaintune(noisy, options.network, data_range=255.0, steps=options.steps, progress=False, **known)
    found = {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - processor,
        "peak_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "steps": int(np.isfinite(result.history["risk"]).sum()),
        "sigma": result.noise.parameters().get("sigma"),
    }
    images = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    found |= {f"psnr_{name}": float(-10 * np.log10(np.mean(((a - clean) / 255) ** 2))) for name, a in images.items()}
    found |= {name: float(result.history[name]) for name in ("risk_before", "risk_after")}
    network = network_of(options.network)
    found |= {"receptive_field": network.receptive_field, "stride": network.stride, "bytes": network.bytes_per_pixel}
    if options.whole:
        whole = 255 * result.model(noisy[None, ..., None] / 255).numpy()[0, ..., 0]
        found["seam"] = float(np.abs(whole - result.denoised).max() / 255)
        found["peak_GB_whole"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps(found, indent=2))


def main():
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    making, measuring = commands.add_parser("make"), commands.add_parser("measure")
    making.add_argument("folder")
    making.add_argument("--count", type=int, default=24)
    making.set_defaults(run=make)
    measuring.add_argument("network", help="a .keras file")
    measuring.add_argument("--shape", type=int, nargs=3, default=(64, 256, 256))
    measuring.add_argument("--sigma", type=float, default=25.0)
    measuring.add_argument("--steps", type=int, help="of tuning [the default, 10 to 30]")
    measuring.add_argument("--given", action="store_true", help="give sigma [it is estimated]")
    measuring.add_argument("--tubes", action="store_true", help="a volume of another kind than in training")
    measuring.add_argument("--whole", action="store_true", help="compare the blocks with the volume at once")
    measuring.set_defaults(run=measure)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
