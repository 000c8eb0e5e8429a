#!/usr/bin/env python
"""Measure speed and memory against the targets, beside the peer in PyTorch, and print one table.

    python scripts/benchmarks/benchmark.py --shared FOLDER --quick
    python scripts/benchmarks/benchmark.py --shared FOLDER --work FOLDER --plots docs/measured --write
    python scripts/benchmarks/benchmark.py --shared FOLDER --work FOLDER --only waits --before CHECKOUT --write

--shared holds `data/set12`, `checkpoints/*.pt` and `peer/gaintune_torch.py` (by default the folder `shared` beside the
repository); the peer needs `pip install torch`. Ours and the peer run in processes of their own, one at a time, in
turns; a figure is the median of its repeats. With --quick, under ten minutes, each is repeated less often, the peer's
40 steps are not run (their time is 40 times a step measured now, their PSNR that of the full run in
docs/measured/benchmark.json) and the memory is that of one step. --work keeps what was measured, so that an
interrupted run continues; --only names sections; --write puts the table into docs/measured/performance.md and the
figures into docs/measured/benchmark.json. Of `waits`, fresh processes of the command line, those of an earlier version
are run in turns with ours, if its checkout is given by --before.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from benchmark_table import NETWORKS, markdown, median, plot, rows_of
from benchmark_workers import Worker, psnr
from skimage.io import imread, imsave

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "measured"
PAGE, RECORD = DOCS / "performance.md", DOCS / "benchmark.json"
SMALL, LARGE = "01.png", "08.png"  # of Set12: 256x256 and 512x512
RACED = (SMALL, "02.png", "04.png")
PEER_STEPS = 40


class Bench:
    """The inputs, the processes, and what was measured so far."""

    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        self.work = Path(options.work or tempfile.mkdtemp(prefix="benchmark-")).absolute()
        self.work.mkdir(parents=True, exist_ok=True)
        self.shared = Path(options.shared)
        self._file = self.work / ("quick.json" if self.quick else "full.json")
        self.found = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        self._workers = {}

    def worker(self, kind):
        if kind not in self._workers:
            peer = str(self.shared / "peer" / "gaintune_torch.py")
            self._workers[kind] = Worker(kind, os.cpu_count(), peer)
        return self._workers[kind]

    def fresh(self, kind="ours"):
        return Worker(kind, os.cpu_count())

    def close(self):
        for worker in self._workers.values():
            worker.close()

    def keep(self, section, value):
        self.found[section] = value
        self._file.write_text(json.dumps(self.found, indent=1))

    def repeats(self, quick, full):
        return quick if self.quick else full

    def checkpoint(self, network):
        return str(self.shared / "checkpoints" / f"{NETWORKS[network]}.pt")

    def model(self, network):
        """The published network as a Keras file."""
        file = self.work / f"{NETWORKS[network]}.keras"
        if not file.exists():
            run_command("import-torch", self.checkpoint(network), str(file))
        return str(file)

    def clean(self, name):
        return imread(self.shared / "data" / "set12" / name).astype(np.float32) / 255

    def mosaic(self, side):
        """A large image: the images of 512x512, in turns."""
        files = sorted((self.shared / "data" / "set12").glob("*.png"))
        tiles = [self.clean(file.name) for file in files]
        tiles = [tile for tile in tiles if tile.shape == (512, 512)]
        count = side // 512
        rows = [[tiles[(i * count + j + i) % len(tiles)] for j in range(count)] for i in range(count)]
        return np.block(rows)


def noisy_of(clean, sigma, seed=0):
    noise = np.random.RandomState(seed).randn(*clean.shape).astype(np.float32)
    return clean + noise * np.float32(sigma / 255)


def run_command(*arguments):
    """A fresh process of the command line; its seconds."""
    program = shutil.which("gaintuning-tf", path=str(Path(sys.executable).parent))
    start = time.perf_counter()
    subprocess.run([program, *arguments], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


# Sections: each returns what it measured.


def steps(bench):
    """One gradient step of SURE on a whole 256x256 image, and the share of the matrix product's peak."""
    found = {"peak": bench.worker("ours")("matrix_peak")}
    noisy = noisy_of(bench.clean(SMALL), 30)
    for network in NETWORKS:
        ours = {"model": bench.model(network), "noisy": noisy, "sigma": 30 / 255}
        peer = {"checkpoint": bench.checkpoint(network), "noisy": noisy, "sigma": 30 / 255}
        times = {"ours": [], "peer": []}
        for number in range(1 + bench.repeats(3, 7)):
            mine, other = bench.worker("ours")("step", **ours), bench.worker("peer")("peer_step", **peer)
            if number:  # the first traces, and is not counted
                times["ours"].append(mine)
                times["peer"].append(other)
        operations = bench.worker("ours")("convolution_operations", model=bench.model(network), side=256)
        found[network] = {name: median(values) for name, values in times.items()} | {"operations": operations}
    return found


def race(bench):
    """The time to the PSNR that the peer has after 40 steps: DnCNN, 256x256; each race is kept as it ends."""
    found = bench.found.get("race", {})
    for name in [SMALL] if bench.quick else RACED[: bench.options.races]:
        for sigma in ("30", "70"):
            rows = found.setdefault(sigma, [])
            if name not in [row["image"] for row in rows]:
                rows.append(_race(bench, name, int(sigma)))
                bench.keep("race", found)
    return found


def _race(bench, name, sigma):
    clean = bench.clean(name)
    noisy = noisy_of(clean, sigma)
    recorded = [row for row in bench.recorded.get("race", {}).get(str(sigma), []) if row["image"] == name]
    if bench.quick and recorded:
        step = bench.found["steps"]["DnCNN"]["peer"]
        peer = {
            "seconds": PEER_STEPS * step,
            "psnr": recorded[0]["peer"]["psnr"],
            "curve": recorded[0]["peer"]["curve"],
        }
    else:
        arguments = {"checkpoint": bench.checkpoint("DnCNN"), "noisy": noisy, "clean": clean, "sigma": sigma / 255}
        peer = bench.worker("peer")("peer_tune", **arguments, steps=PEER_STEPS)
    with bench.fresh() as worker:
        ours = worker("tune", model=bench.model("DnCNN"), noisy=noisy, clean=clean, sigma=sigma / 255)
    del ours["gains"]
    reached = [seconds for seconds, quality in ours["curve"] if quality >= peer["psnr"]]
    bm3d = {} if bench.quick else bench.worker("plain")("bm3d", noisy=noisy, clean=clean, sigma=sigma / 255)
    return {"image": name, "peer": peer, "ours": ours, "reached": reached[0] if reached else None, "bm3d": bm3d}


def sizes(bench):
    """Tuning time of the UNet by size, and what is lost against tuning on every pixel; each size is kept as it ends."""
    found = bench.found.get("sizes", {})
    for side in ("256", "512", "1024", "2048"):
        if side not in found:
            found[side] = _size(bench, int(side))
            bench.keep("sizes", found)
    return found


def _size(bench, side):
    clean = bench.clean(SMALL) if side == 256 else bench.mosaic(side)
    noisy = noisy_of(clean, 30)
    common = {"model": bench.model("UNet"), "noisy": noisy}
    with bench.fresh() as worker:
        runs = [worker("tune", sigma=30 / 255, fresh=False, **common) for _ in range(1 + bench.repeats(1, 3))]
        found = {"tuning": median([run["tuning"] for run in runs[1:]]), "peak": worker.peak()}
        if side == 2048 and not bench.quick:
            every = worker("tune", sigma=30 / 255, window=side, fresh=False, **common)
            gains = {"windows": runs[-1]["gains"], "every": every["gains"]}
            gains["pretrained"] = worker("gains_of_one", model=common["model"])
            found["psnr"] = {name: worker("quality", clean=clean, gains=g, **common) for name, g in gains.items()}
            found["every"] = every["tuning"]
    return found | (_others(bench, noisy) if side <= 512 and not bench.quick else {})


def _others(bench, noisy):
    """The peer's 40 steps, reckoned from one, and BM3D."""
    peer = {"checkpoint": bench.checkpoint("UNet"), "noisy": noisy, "sigma": 30 / 255}
    times = [bench.worker("peer")("peer_step", **peer) for _ in range(4)]
    bm3d = bench.worker("plain")("bm3d", noisy=noisy, sigma=30 / 255)
    return {"peer": PEER_STEPS * median(times[1:]), "bm3d": bm3d["seconds"]}


def memory(bench):
    """Peak resident size of tuning and denoising 2048x2048 with the DnCNN."""
    noisy = noisy_of(bench.mosaic(2048), 30)
    with bench.fresh() as worker:
        steps = 1 if bench.quick else None
        seconds = worker("tune_large", model=bench.model("DnCNN"), noisy=noisy, sigma=30 / 255, steps=steps)
        return {"peak": worker.peak(), "seconds": seconds, "steps": steps or 10}


def batch(bench):
    """16 frames of 128x128 with gains of their own: one batch against one after the other."""
    clean = bench.mosaic(512)
    frames = np.stack([clean[128 * i : 128 * i + 128, 128 * j : 128 * j + 128] for i in range(4) for j in range(4)])
    frames = noisy_of(frames, 30)
    times, results = {True: [], False: []}, {}
    with bench.fresh() as worker:
        for _ in range(bench.repeats(1, 3)):
            for together in (False, True):
                seconds, results[together] = worker(
                    "tune_frames", model=bench.model("UNet"), frames=frames, sigma=30 / 255, together=together
                )
                times[together].append(seconds)
    return {
        "one by one": median(times[False]),
        "batch": median(times[True]),
        "difference": float(np.abs(results[True] - results[False]).max()),
    }


def waits(bench):
    """Fresh processes of `gaintuning-tf denoise`, in turns with an earlier version's, and BM3D on the same pixels."""
    found = bench.found.get("waits", {})
    for name, (image, model, copies) in WAITS.items():
        if name not in found:
            found[name] = _wait(bench, name, *image(bench), model, copies)
            bench.keep("waits", found)
    return found


# What is waited for: the image, the network, and how many of it lie in a folder; 1 is the image itself.
WAITS = {
    "256": (lambda bench: _drawn(bench, SMALL), "unet-bf-natural", 1),
    "256 folder": (lambda bench: _drawn(bench, SMALL), "unet-bf-natural", 3),
    "512": (lambda bench: _drawn(bench, LARGE), "auto", 1),
    "512 unet": (lambda bench: _drawn(bench, LARGE), "unet-bf-natural", 1),
    "real": (lambda bench: _real(bench, "fmd-WideField_BPAE_B_1.png"), "auto", 1),
}


def _drawn(bench, name):
    clean = bench.clean(name)
    return clean, (255 * noisy_of(clean, 30).clip(0, 1)).round().astype(np.uint8)


def _real(bench, name):
    clean, noisy = (imread(bench.shared / "data" / "real" / kind / name) for kind in ("clean", "noisy"))
    return clean.astype(np.float32) / 255, noisy


def _wait(bench, name, clean, noisy, model, copies):
    folder = bench.work / name.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    for number in range(copies):
        # Each a little different, so that nothing can be remembered.
        imsave(folder / f"{number}.png", np.roll(noisy, number, 0), check_contrast=False)
    versions = {"ours": ROOT} | ({"before": Path(bench.options.before).absolute()} if bench.options.before else {})
    runs = {version: [] for version in versions}
    for _ in range(bench.repeats(1, 3)):
        for version, root in versions.items():
            run, first = _denoised(root, folder, f"{folder}-{version}", model, several=copies > 1)
            runs[version].append(run | {"psnr": psnr(clean, first)})
    found = {version: _medians(values) for version, values in runs.items()}
    return found if copies > 1 else found | {"bm3d": _bm3d(bench, name, clean, noisy)}


def _denoised(root, folder, output, model, *, several):
    """Denoise a folder, or the one image in it: seconds and peak, and the first image."""
    source, output = (folder, Path(output)) if several else (folder / "0.png", Path(f"{output}.png"))
    run = fresh_command(root, "denoise", source, "-o", output, "--model", model, *["--restart"] * several)
    return run, imread(output / "0.png" if several else output).astype(np.float32) / 255


def _medians(runs):
    return {key: median([run[key] for run in runs]) for key in runs[0]}


def _bm3d(bench, name, clean, noisy):
    """BM3D on the same pixels: told the level that was drawn, or the covariance that `auto` finds."""
    arguments = {"noisy": noisy.astype(np.float32) / 255, "clean": clean}
    return bench.worker("plain")("bm3d", **arguments, sigma=None if name == "real" else 30 / 255)


def fresh_command(root, *arguments):
    """A process of the command line of a checkout: its seconds, and its largest resident size in bytes."""
    words = [sys.executable, "-m", "gaintuning_tf", *map(str, arguments), "--quiet"]
    start = time.perf_counter()
    # There, too: -m looks for the module in the current folder first.
    process = subprocess.Popen(words, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"failed with status {process.returncode}: {' '.join(words)}")
    return {"seconds": time.perf_counter() - start, "peak": usage.ru_maxrss * 1024}


def folded(bench):
    """One pass of the network with gains folded in against the untouched one."""
    noisy, found = noisy_of(bench.clean(SMALL), 30), {}
    with bench.fresh() as worker:
        for network in NETWORKS:
            times = {"untouched": [], "folded": []}
            for number in range(1 + bench.repeats(5, 15)):
                for which, values in times.items():
                    seconds = worker("infer", model=bench.model(network), noisy=noisy, which=which)
                    if number:
                        values.append(seconds)
            found[network] = {which: median(values) for which, values in times.items()}
    return found


SECTIONS = {
    "steps": steps,
    "waits": waits,
    "folded": folded,
    "batch": batch,
    "sizes": sizes,
    "memory": memory,
    "race": race,
}
# Of these, some may be left.
UNFINISHED = ("race", "sizes", "waits")


def write(recorded, found):
    """Put what was measured between its marks in docs/measured/performance.md, and the figures beside it."""
    RECORD.write_text(json.dumps(recorded | found, indent=1) + "\n")
    rest = {name: value for name, value in found.items() if name != "waits"}
    for mark, part in (("waits", {name: found[name] for name in found if name == "waits"}), ("benchmark", rest)):
        if part:
            begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
            before, _, after = PAGE.read_text().partition(begin)
            PAGE.write_text(f"{before}{begin}\n{markdown(rows_of(part))}\n{end}{after.partition(end)[2]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", default=str(ROOT.parent / "shared"), help="folder with data/, checkpoints/ and peer/"
    )
    parser.add_argument("--work", help="folder that keeps what was measured [a temporary one]")
    parser.add_argument("--quick", action="store_true", help="under ten minutes")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="sections to measure")
    parser.add_argument(
        "--before", metavar="CHECKOUT", help="waits: an earlier version, to be run in turns with this one"
    )
    parser.add_argument("--races", type=int, default=3, help="images of the race against the peer [%(default)s]")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--plots", metavar="DIR", help="write the plots there")
    parser.add_argument("--write", action="store_true", help="write performance.md and benchmark.json in docs/measured")
    options = parser.parse_args()
    bench = Bench(options)
    try:
        for name, section in SECTIONS.items():
            # Of these some may be left.
            if (name in bench.found and name not in ("race", "sizes", "waits")) or (
                options.only and name not in options.only
            ):
                continue
            start = time.perf_counter()
            bench.keep(name, section(bench))
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    finally:
        bench.close()
    print(markdown(rows_of(bench.found)))
    if options.json:
        Path(options.json).write_text(json.dumps(bench.found, indent=1) + "\n")
    if options.plots:
        plot(bench.found, Path(options.plots))
    if options.write:
        write(bench.recorded, bench.found)


if __name__ == "__main__":
    main()
