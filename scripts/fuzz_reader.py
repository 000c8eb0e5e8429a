#!/usr/bin/env python
"""A process that reads whatever it is told to, and one that watches it: for fuzz.py.

    python scripts/fuzz_reader.py

reads one request a line from stdin, `["kind", "path"]` in JSON, and answers each with `["read", ""]`,
`["refused", message]` or `["failures", what happened]` on stdout; with no path, it imports what the kind needs.
"""

import faulthandler
import importlib
import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

# Of a longer stack, the first and the last of this many frames.
FRAMES = 64
# Megabytes at which a process is replaced: TensorFlow keeps some of what it loaded.
LARGE = 3072
# What is larger is not written again.
WRITTEN = 2**24
AXES = {3: "TYX", 4: "TZYX", 5: "TZCYX"}


class WrongError(Exception):
    """What was read contradicts itself."""


def read_image(path):
    """Whole, and frame by frame, which must be the same."""
    from gaintuning_tf.errors import InputError
    from gaintuning_tf.images.files import load_image
    from gaintuning_tf.images.stack_files import open_stack

    refusal = None
    for axes in (None, *AXES.values()):
        try:
            with open_stack(path, axes=axes) as stack:
                count = stack.frame_count
                numbers = [*range(min(FRAMES, count)), *range(max(FRAMES, count - FRAMES), count)]
                frames = {n: stack.frame(n) for n in numbers}
                found = stack
        except InputError as error:
            refusal = refusal or error
            if "--axes" not in str(refusal):
                break
        else:
            break
    else:
        frames = None
    try:
        whole = load_image(path)
    except InputError as error:
        refusal = refusal or error
        whole = None
    if refusal is not None and "--axes" not in str(refusal):
        raise refusal
    if whole is None:
        raise refusal
    if frames is not None:
        _compare(found, frames, whole)
        if path.suffix == ".tif" and whole.nbytes < WRITTEN:
            _write_again(found, frames)


def _write_again(stack, frames):
    """Write what was read, with what a damaged file says of itself: the frames must come back."""
    from gaintuning_tf.errors import InputError
    from gaintuning_tf.images.stack_files import create_stack, open_stack

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "again.tif"
        with create_stack(path, stack) as writer:
            for number, frame in frames.items():
                writer.write(number, frame)
            writer.commit()
        try:
            with open_stack(path, axes=stack.axes) as again:
                for number, frame in frames.items():
                    _check_same(again.frame(number), frame)
        except InputError as error:
            raise WrongError(f"what was written is not read: {error}") from error


def _compare(stack, frames, whole):
    if whole.shape != stack.shape or whole.dtype != stack.dtype:
        raise WrongError(f"the whole is {whole.shape} {whole.dtype}, the stack {stack.shape} {stack.dtype}")
    for number, frame in frames.items():
        if frame.shape != stack.frame_shape or frame.dtype != stack.dtype:
            raise WrongError(f"frame {number} is {frame.shape} {frame.dtype}, not {stack.frame_shape} {stack.dtype}")
        expected = stack.order.frame(whole[stack.order.index(number)])
        _check_same(frame, expected)


def _check_same(found, expected):
    """Compare two frames row by row: of large ones, whole, NumPy would take five times their memory."""
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"in row {row}")


def read_network(path):
    import keras

    from gaintuning_tf import load_denoiser

    try:
        if not isinstance(load_denoiser(path), keras.Model):
            raise WrongError("it is no model")
    finally:
        keras.backend.clear_session()


def read_gains(path):
    from gaintuning_tf import gain_layers, load_gains
    from helpers.samples import tiny_network

    gains = [np.asarray(layer.gain) for layer in gain_layers(load_gains(tiny_network(), path))]
    if not gains or not all(np.isfinite(gain).all() for gain in gains):
        raise WrongError("the gains are not finite")


NETWORKS = {"keras": read_network, "h5": read_network, "savedmodel": read_network, "gains": read_gains}


def prepare(kind):
    """Import what reading a kind needs, which takes longer than any input may."""
    names = [
        "tifffile",
        "imagecodecs",
        "mrcfile",
        "zarr",
        "dask.array",
        "rsciio.digitalmicrograph",
        "rsciio.tia",
        "rsciio.emd",
    ]
    names = (
        ["gaintuning_tf.gains.graphs.graph_models", "gaintuning_tf.networks.architectures", "helpers.samples"]
        if kind in NETWORKS
        else [*names, "skimage.io"]
    )
    for name in names:
        importlib.import_module(name)
    for name in ("pylibCZIrw.czi", "nd2", "liffile", "oiffile"):  # the extra `vendors`, which may not be here
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)


def answer(kind, path):
    """Read one input: the outcome and one line."""
    from gaintuning_tf.errors import InputError

    before = sorted(path.parent.rglob("*"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            NETWORKS.get(kind, read_image)(path)
        outcome = ["read", ""]
    except InputError as error:
        text = str(error)
        outcome = ["refused", text] if text and "\n" not in text else ["failures", f"not one line: {text!r}"]
    except Exception as error:  # that there is none is what is tested
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:300]
        outcome = ["failures", f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {text}"]
    here = sorted(Path().iterdir())
    made = sorted(set(path.parent.rglob("*")) - set(before)) + here
    for inner in here:
        shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
    return ["failures", f"made {made[:3]}"] if made else outcome


def serve():
    """Answer until stdin ends. What libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    for line in sys.stdin:
        kind, path = json.loads(line)
        print(json.dumps(answer(kind, Path(path)) if path else prepare(kind)), file=out, flush=True)


class Reader:
    """A process that reads files, replaced when it crashes, hangs or takes too much memory.

    Args:
        limit: Seconds that one input may take.
        memory: Megabytes that one input may take beyond what the process had.
        program: What the process runs, if not this file.
    """

    def __init__(self, *, limit, memory, program=__file__):
        self.limit, self.memory, self.program = limit, memory, str(program)
        self._process = None
        self._folder = tempfile.TemporaryDirectory()

    def ready(self, kind):
        """Have a process that has imported what reading a kind needs."""
        if self._process is None:
            self._start()
        if (kind in NETWORKS) not in self._prepared:
            self._prepared.add(kind in NETWORKS)
            self._ask(kind, "")
            if not self._process.stdout.readline():
                raise RuntimeError(f"cannot start: {self._death()}")

    def read(self, path, kind):
        """The outcome, `read`, `refused` or `failures`, and one line; call `ready` before."""
        before = self._megabytes("VmRSS")
        self._forget_peak()
        self._ask(kind, path)
        trouble = self._wait(before)
        if trouble is None:
            line = self._process.stdout.readline()
            if line:
                if self._megabytes("VmRSS") > LARGE:
                    self._stop()
                return tuple(json.loads(line))
            trouble = self._death()
        self._stop()
        return "failures", trouble

    def _ask(self, kind, path):
        self._process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        self._process.stdin.flush()

    def _start(self):
        self._prepared = set()
        self._log = open(Path(self._folder.name) / "stderr", "w+")  # noqa: SIM115 - closed by _stop
        place = Path(self._folder.name) / "empty"
        place.mkdir(exist_ok=True)
        here = Path(__file__).resolve()
        places = (here.parent, here.parents[1], here.parents[1] / "tests", os.environ.get("PYTHONPATH", ""))
        path = os.pathsep.join(str(place) for place in places if str(place))
        self._process = subprocess.Popen(
            [sys.executable, self.program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=place,
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
        )

    def _wait(self, before):
        """Until there is an answer; what is wrong, if anything."""
        end = time.monotonic() + self.limit
        while True:
            ready, _, _ = select.select([self._process.stdout], [], [], 0.02)
            used = self._megabytes("VmHWM") - before
            if used > self.memory:
                return f"took {used:.0f} MB"
            if ready:
                return None
            if time.monotonic() > end:
                return f"took more than {self.limit:g} s"

    def _death(self):
        status = self._process.wait()
        self._log.flush()
        self._log.seek(0)
        said = [line for line in self._log.read().splitlines() if line.strip()]
        return f"the process ended with status {status}: {' / '.join(said[-12:])[:600]}"

    def _megabytes(self, name):
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0  # not Linux, or it has just ended
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(name + ":")), 0.0)

    def _forget_peak(self):
        """VmHWM counts from now on."""
        clear = Path(f"/proc/{self._process.pid}/clear_refs")
        if clear.exists():
            clear.write_text("5")

    def _stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._log.close()
            self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop()
        self._folder.cleanup()


if __name__ == "__main__":
    serve()
