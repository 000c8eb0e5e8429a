#!/usr/bin/env python
"""Hand damaged and hostile files to everything that reads files, and see that each is read or refused in one line.

    python scripts/fuzz.py --seconds 600 --seed 0
    python scripts/fuzz.py --count 200 --kinds tif,npy,keras
    python scripts/fuzz.py --replay fuzz-failures/tif-0-1234.tif

A small valid sample of every format is changed by tests/mutations.py and handed to `load_image` and `open_stack`, or to
`load_denoiser` or `load_gains`, in a process of its own, see fuzz_reader.py. A failure is an error that is
not an InputError of one line, frames that differ from the whole, a file that appears, a crash, more than --limit
seconds, or more than --memory MB beyond what the process had before. Failures are kept in the folder --keep, with the
reason in a .txt beside. The input of a kind, a seed and a number is always the same; all kinds get the same time. Exit
status 1 if there were failures.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

from fuzz_reader import Reader  # noqa: E402

from helpers import samples  # noqa: E402
from helpers.mutations import mutate  # noqa: E402

NETWORKS = ("keras", "h5", "savedmodel", "gains")
KEPT = 20


def make_samples(folder, kinds=None):
    """Valid files in `folder`, by kind: the suffix, or for networks one of NETWORKS."""
    found = {}
    (folder / "images").mkdir()
    for path in samples.write_samples(folder / "images"):
        found.setdefault(path.suffix[1:], []).append(path)
    kinds = [*found, *NETWORKS] if kinds is None else kinds
    if set(kinds) & set(NETWORKS):
        (folder / "networks").mkdir()
        found |= samples.write_networks(folder / "networks")
    unknown = sorted(set(kinds) - set(found))
    if unknown:
        raise SystemExit(f"error: expected kinds of {', '.join(found)}, received {', '.join(unknown)}")
    return {kind: found[kind] for kind in kinds}


def make_input(folder, kind, paths, seed, number):
    """The input of that kind, seed and number, in `folder`."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), number])
    source = paths[rng.integers(len(paths))]
    donor = paths[rng.integers(len(paths))]
    target = folder / f"{kind}-{seed}-{number}{'.gains' if kind == 'gains' else ''}{source.suffix}"
    mutate(source, target, rng, b"" if donor.is_dir() else donor.read_bytes())
    return target


class Tally:
    """What became of the inputs of one kind."""

    def __init__(self):
        self.tried = self.read = self.refused = self.failures = 0
        self.seconds = 0.0

    def add(self, outcome, seconds):
        self.tried += 1
        self.seconds += seconds
        setattr(self, outcome, getattr(self, outcome) + 1)


class Run:
    """Inputs of every kind until the time or the count is up."""

    def __init__(self, paths, options):
        self.paths, self.options = paths, options
        self.tallies = {kind: Tally() for kind in paths}
        self.end = time.monotonic() + options.seconds if options.seconds else float("inf")
        self._next = dict.fromkeys(paths, 0)

    def all(self):
        with ThreadPoolExecutor(self.options.workers) as pool:
            for done in [pool.submit(self._work) for _ in range(self.options.workers)]:
                done.result()

    def _take(self):
        """The kind that had the least time, and its next number; None when all is done."""
        count = self.options.count or float("inf")
        left = [kind for kind in self.paths if self._next[kind] < count]
        if not left or time.monotonic() > self.end:
            return None
        kind = min(left, key=lambda kind: (self.tallies[kind].seconds, self._next[kind]))
        self._next[kind] += 1
        return kind, self._next[kind] - 1

    def _work(self):
        with (
            tempfile.TemporaryDirectory() as folder,
            Reader(limit=self.options.limit, memory=self.options.memory) as reader,
        ):
            while job := self._take():
                kind, number = job
                path = make_input(Path(folder), kind, self.paths[kind], self.options.seed, number)
                reader.ready(kind)
                before = time.monotonic()
                outcome, detail = reader.read(path, kind)
                self.tallies[kind].add(outcome, time.monotonic() - before)
                if outcome == "failures":
                    self._keep(path, kind, detail)
                remove_all(folder)

    def _keep(self, path, kind, detail):
        print(f"failure: {path.name}: {detail}", file=sys.stderr)
        if self.tallies[kind].failures <= KEPT:
            keep = Path(self.options.keep)
            keep.mkdir(exist_ok=True)
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, keep / path.name, **({"symlinks": True, "dirs_exist_ok": True} if path.is_dir() else {}))
            (keep / f"{path.name}.txt").write_text(f"{detail}\n")


def remove_all(folder):
    """Empty a folder: what a reader may have left in it too."""
    for inner in Path(folder).iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        else:
            inner.unlink()


def table(tallies):
    """The figures in Markdown."""
    lines = ["| kind | inputs tried | read | refused | failures | seconds |", "|---|---|---|---|---|---|"]
    rows = [(kind, vars(tally)) for kind, tally in tallies.items()]
    total = {key: sum(row[key] for _, row in rows) for key in vars(Tally())}
    for kind, row in [*rows, ("all", total)]:
        numbers = [f"{row[key]:,}" for key in ("tried", "read", "refused", "failures")]
        lines.append(f"| {kind} | {' | '.join(numbers)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


def replay(path, options):
    """What becomes of one kept input."""
    kind = path.name.partition("-")[0]
    with Reader(limit=options.limit, memory=options.memory) as reader:
        reader.ready(kind)
        outcome, detail = reader.read(path.resolve(), kind)
    print(f"{path}: {outcome}: {detail}")
    return outcome == "failures"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--count", type=int, help="stop after this many inputs of each kind")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="such as tif,npy,keras [all]")
    parser.add_argument("--workers", type=int, default=2, help="processes that read [%(default)s]")
    parser.add_argument("--limit", type=float, default=60, help="seconds that one input may take [%(default)s]")
    parser.add_argument("--memory", type=float, default=1024, help="MB that one input may take [%(default)s]")
    parser.add_argument("--keep", default="fuzz-failures", help="folder for failures [%(default)s]")
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--replay", type=Path, help="read this kept input once more, and no other")
    options = parser.parse_args(arguments)
    if options.replay:
        return int(replay(options.replay, options))
    if not options.seconds and not options.count:
        parser.error("expected --seconds or --count")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(make_samples(Path(folder), options.kinds), options)
        run.all()
    print(table(run.tallies))
    if options.json:
        Path(options.json).write_text(json.dumps({kind: vars(tally) for kind, tally in run.tallies.items()}, indent=2))
    return int(any(tally.failures for tally in run.tallies.values()))


if __name__ == "__main__":
    raise SystemExit(main())
