#!/usr/bin/env python
"""Check what is promised of long movies: level memory, and the same result whatever is killed on the way.

    python scripts/check_movie.py --work FOLDER
    python scripts/check_movie.py --work FOLDER --only memory --frames 60 --side 512 --steps 1
    python scripts/check_movie.py --work FOLDER --only memory --frames 2000 --side 64 --steps 0

Makes a movie of counts by rule (photographs of scikit-image that drift and fade, Poisson and Gaussian noise, uint16
TIFF) and denoises it with the command line, in processes of its own:

- memory: the peak of the whole movie against that of its first 20 frames.
- killed: `kill -9` after a quarter of the frames, and the same command again.
- cluster: three `dask worker` processes, one of them killed in the middle.

Prints each promise beside what was measured and writes it to a JSON file in --work; the exit status is 1 if a
promise is broken. --work keeps movies and runs: what is there is not done again. Needs the extra `dask` for cluster.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import tifffile

PARTS = ("memory", "killed", "cluster")
SHORT = 20  # frames of the movie that memory is compared with
ALLOWED = 200  # MB by which the long movie may need more
WORKERS = 3
PATIENCE = 60  # seconds until a cluster has to be there
BLACK, READ_NOISE, FULL = 100, 5, 800  # the camera's offset and noise; counts where the picture is white


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path, help="folder for movies, outputs and figures")
    parser.add_argument("--frames", type=int, default=200, help="of the movie [%(default)s]")
    parser.add_argument("--side", type=int, default=128, help="of its square frames [%(default)s]")
    parser.add_argument("--steps", type=int, help="of tuning [those of the command line]")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of TensorFlow in a process [%(default)s]")
    parser.add_argument("--only", choices=PARTS, help="check this promise alone")
    options = parser.parse_args()
    if options.frames <= SHORT or options.side < 32 or options.threads < 1:
        parser.error(f"expected more than {SHORT} frames, of a side of at least 32, and a thread")
    options.work.mkdir(parents=True, exist_ok=True)
    check = Check(options)
    parts = [options.only] if options.only else PARTS
    rows = [row for part in parts for row in getattr(check, part)()]
    report = {"settings": {**vars(options), "work": None}, "machine": machine(), "rows": rows, "runs": check.runs}
    file = check.path(f"{options.only or 'all'}.json")
    file.write_text(json.dumps(report, indent=1))
    print("| promised | measured | kept |\n|---|---|---|")
    for row in rows:
        print(f"| {row['promised']} | {row['measured']} | {'yes' if row['kept'] else 'NO'} |")
    print(f"\nwritten to {file}")
    return 0 if all(row["kept"] for row in rows) else 1


def machine():
    """Where it was measured."""
    known = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", known.read_text() if known.is_file() else "")
    return {"cores": os.cpu_count(), "processor": name[1] if name else platform.machine()}


def row(promised, measured, kept):
    return {"promised": promised, "measured": measured, "kept": bool(kept)}


def clean_frame(number, side):
    """Frame of a movie: a photograph that drifts by fractions of a pixel over another, and fades; in counts."""
    from scipy.ndimage import shift
    from skimage.data import camera, gravel

    def window(picture, drift):
        start = np.floor(drift).astype(int)
        rows, columns = (np.arange(at, at + side + 1) % size for at, size in zip(start, picture.shape, strict=True))
        part = picture[np.ix_(rows, columns)] / 255
        return shift(part, start - drift, order=1, mode="nearest")[:side, :side]

    texture = 0.7 * window(camera(), np.array([90, 180]) + number * np.array([0.7, 1.1]))
    texture += 0.3 * window(gravel(), number * np.array([-0.4, 0.9]))
    return FULL * texture * (0.6 + 0.4 * np.cos(number / 40))


def noisy_frames(frames, side):
    """Frame after frame, each with random numbers of its own: a shorter movie is the start of a longer one."""
    for number in range(frames):
        rng = np.random.default_rng((0, number))
        counts = rng.poisson(clean_frame(number, side)) + rng.normal(BLACK, READ_NOISE, (side, side))
        yield np.rint(counts).clip(0, 65535).astype(np.uint16)


@dataclasses.dataclass
class Running:
    """The command line at work.

    Attributes:
        output: What it writes.
        process: Its process, or None once it is over.
        log: File with its stderr.
    """

    command: list
    output: Path
    process: subprocess.Popen
    log: Path
    started: float = dataclasses.field(default_factory=time.perf_counter)

    def frames(self):
        """How many frames are safe on disk: the lines of the journal but for the first, its settings."""
        journal = self.output.with_name(f".{self.output.name}.partial.jsonl")
        try:
            return max(journal.read_bytes().count(b"\n") - 1, 0)
        except FileNotFoundError:
            return 0

    def wait_for(self, count):
        """Until so many frames are done.

        Raises:
            SystemExit: It ended before.
        """
        while self.frames() < count:
            if self.process.poll() is not None:
                raise SystemExit(f"ended before frame {count}, see {self.log}: {' '.join(self.command)}")
            time.sleep(0.02)

    def finish(self):
        """Wait, and return its figures.

        Raises:
            SystemExit: It failed.
        """
        # Of this child alone; getrusage would tell the largest of all. Of the memory before exec it has this script's.
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise SystemExit(f"exit status {self.process.returncode}, see {self.log}: {' '.join(self.command)}")
        return {
            "command": " ".join(["gaintuning-tf", *(Path(part).name for part in self.command[3:])]),
            "seconds": round(time.perf_counter() - self.started, 1),
            "peak_mb": round(usage.ru_maxrss * 1024 / 1e6, 1),
            "continued_after": self.continued_after(),
        }

    def continued_after(self):
        """How many frames its progress bar had at its start, done by an earlier run."""
        found = re.search(r"frames:[^\r\n]*?(\d+)/\d+ \[", self.log.read_text())
        return int(found[1]) if found else None


class Check:
    """The parts, each a generator of rows.

    Args:
        options: Of the command line.

    Attributes:
        runs: The figures of each run of the command line, by its name.
    """

    def __init__(self, options):
        self.options = options
        self.runs = {}

    def path(self, name, frames=None):
        frames = frames or self.options.frames
        steps = "default" if self.options.steps is None else self.options.steps
        return self.options.work / f"{frames}x{self.options.side}-{steps}-{self.options.threads}-{name}"

    def movie(self, frames):
        """The noisy movie, made if need be."""
        side = self.options.side
        file = self.options.work / f"movie-{frames}x{side}.tif"
        if not file.exists():
            temporary = file.with_suffix(".part.tif")
            shape = {"shape": (frames, side, side), "dtype": np.uint16}
            tifffile.imwrite(temporary, noisy_frames(frames, side), **shape, metadata={"axes": "TYX"})
            temporary.rename(file)
        return file

    def start(self, name, frames, *more):
        """Start the command line on a movie, to an output of that name."""
        output, log = self.path(f"{name}.tif", frames), self.path(f"{name}.log", frames)
        threads = ("--threads", str(self.options.threads))
        steps = () if self.options.steps is None else ("--steps", str(self.options.steps))
        kind = ("--axes", "TYX", "--noise", "poisson-gaussian")
        gains = ("--save-gains", str(output.with_suffix(".gains.h5")))
        command = [sys.executable, "-m", "gaintuning_tf", "denoise", str(self.movie(frames)), "-o", str(output)]
        command += [*kind, *gains, *threads, *steps, *more]
        with open(log, "w") as file:
            return Running(command, output, subprocess.Popen(command, stderr=file), log)

    def done(self, name, work, frames=None):
        """The figures of `work()`, from an earlier time if they are there."""
        file = self.path(f"{name}.json", frames)
        if not file.exists():
            print(f"{file.stem} ...", file=sys.stderr, flush=True)
            figures = work()
            file.write_text(json.dumps(figures, indent=1))
        self.runs[file.stem] = json.loads(file.read_text())
        return self.runs[file.stem]

    def straight(self, frames):
        """A run that nothing disturbs."""
        return self.done("straight", lambda: self.start("straight", frames, "--restart").finish(), frames)

    def memory(self):
        short, long = (self.straight(frames)["peak_mb"] for frames in (SHORT, self.options.frames))
        yield row(
            f"{self.options.frames} frames within {ALLOWED} MB of the peak memory of {SHORT}",
            f"{long:.0f} MB, {SHORT} frames {short:.0f} MB: {long - short:+.0f} MB",
            long - short < ALLOWED,
        )

    def killed(self):
        self.straight(self.options.frames)
        figures = self.done("killed", self._kill)
        kept, again = figures["kept"], figures["continued_after"]
        yield row(
            "killed by `kill -9`, there is no output, and the same command continues",
            f"killed after {kept} frames, continued after {again}",
            not figures["output_was_there"] and again == kept >= self.options.frames // 4,
        )
        yield from self._same("killed", "file", "pixels", "gains")

    def _kill(self):
        first = self.start("killed", self.options.frames, "--restart")
        first.wait_for(self.options.frames // 4)
        first.process.kill()
        first.process.wait()
        figures = {"kept": first.frames(), "output_was_there": first.output.exists()}
        return {**self.start("killed", self.options.frames).finish(), **figures}

    def cluster(self):
        self.straight(self.options.frames)
        figures = self.done("cluster", self._cluster)
        yield row(
            f"one of {WORKERS} workers killed, the run goes on",
            f"killed after {figures['kept']} of {self.options.frames} frames, finished",
            figures["kept"] < self.options.frames,  # a run that failed has ended the script
        )
        yield from self._same("cluster", "file", "pixels", "gains")

    def _cluster(self):
        with dask_cluster(self.options.work) as (address, workers):
            running = self.start("cluster", self.options.frames, "--restart", "--scheduler", address)
            running.wait_for(self.options.frames // 2)
            workers[1].kill()
            workers[1].wait()
            kept = running.frames()
            figures = {**running.finish(), "kept": kept}
            dead = [worker.poll() is not None for worker in workers]
            if dead != [False, True, False]:
                raise SystemExit(f"expected the second worker alone to be dead, found {dead}")
        return figures

    def _same(self, name, *what):
        """Rows that compare a run's files with those of the undisturbed run."""
        one, other = self.path("straight.tif"), self.path(f"{name}.tif")
        gains = [read_gains(file.with_suffix(".gains.h5")) for file in (one, other)]
        differ = {
            "file": int(one.read_bytes() != other.read_bytes()),
            "pixels": int(np.count_nonzero(tifffile.imread(one) != tifffile.imread(other))),
            "gains": sum(int(np.count_nonzero(gains[0][key] != gains[1][key])) for key in gains[0]),
        }
        if gains[0].keys() != gains[1].keys():
            raise SystemExit(f"the gains of {name} are of other layers")
        for kind in what:
            measured = "the same" if differ[kind] == 0 else "another" if kind == "file" else f"{differ[kind]} differ"
            yield row(f"{name}: {kind} as of the undisturbed run, bit for bit", measured, differ[kind] == 0)


def read_gains(path):
    """All arrays of a file of gains, by name."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(take)
    return found


@contextlib.contextmanager
def dask_cluster(folder):
    """A scheduler and workers as processes, as they would be on several machines; yields address and workers."""
    log = open(folder / "dask.log", "w")  # noqa: SIM115 - closed by the stack
    with contextlib.ExitStack() as opened:
        opened.enter_context(log)

        def start(*arguments):
            # Without nannies, which would start a killed worker anew. No limit of memory, by which Dask pauses.
            process = subprocess.Popen([sys.executable, "-m", "dask", *arguments], stdout=log, stderr=log)
            opened.callback(stop, process)
            return process

        known = folder / "scheduler.json"
        known.unlink(missing_ok=True)
        local = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        start("scheduler", *local, "--scheduler-file", str(known))
        deadline = time.monotonic() + PATIENCE
        while not known.exists() or not known.read_text():
            if time.monotonic() > deadline:
                raise SystemExit(f"no scheduler after {PATIENCE} s, see {folder / 'dask.log'}")
            time.sleep(0.1)
        address = json.loads(known.read_text())["address"]
        options = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--no-dashboard")
        workers = [start("worker", address, "--name", str(n), *options) for n in range(WORKERS)]
        wait_for_workers(address)
        yield address, workers


def wait_for_workers(address):
    """Until all have reported to the scheduler."""
    from distributed import Client

    with Client(address, timeout=PATIENCE, set_as_default=False) as client:
        client.wait_for_workers(WORKERS, timeout=PATIENCE)


def stop(process):
    """End a process that this script started, if it is not over."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
