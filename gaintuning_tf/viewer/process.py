"""TensorFlow in a process of its own, beside that of napari, kept for run after run.

It cannot be in napari's: Mesa's drivers of OpenGL for AMD and for machines without a graphics card bring LLVM, as
TensorFlow does, and each takes the other's symbols for its own. With Mesa 22 and TensorFlow 2.21 the process ends by a
segmentation fault, whichever comes first. Nor does a window wait for Python's lock while a network is traced.

The two talk by pickles through pipes. What runs there is this module: `python -m gaintuning_tf.viewer.process`.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from typing import Any, NoReturn

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.viewer.run import Run, Stopped

_GONE = "the process that denoises has ended, perhaps for lack of memory: run again, on a smaller image"


class TuningProcess:
    """The other end of the pipes: started by the first message, and again after it has ended."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._writing = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def send(self, *message: Any) -> None:
        """Send a message; from any thread.

        Raises:
            InputError: The process has ended meanwhile.
        """
        with self._writing:
            process = self._process if self._process is not None and self.alive else self._started()
            assert process.stdin is not None
            try:
                pickle.dump(message, process.stdin, pickle.HIGHEST_PROTOCOL)
                process.stdin.flush()
            except OSError as error:
                raise InputError(_GONE) from error

    def receive(self) -> tuple:
        """Wait for a message.

        Raises:
            InputError: The process has ended.
        """
        assert self._process is not None and self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise InputError(_GONE) from error

    def close(self, *_: Any) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _started(self):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
        command = [sys.executable, "-m", "gaintuning_tf.viewer.process"]
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process


class _Asked:
    """An array of which parts are asked for where it is."""

    def __init__(self, shape, dtype, send, parts):
        self.shape, self.dtype, self._send, self._parts = shape, dtype, send, parts

    def __getitem__(self, index):
        self._send("read", index)
        part = self._parts.get()
        if isinstance(part, str):
            raise InputError(part)
        return part


class _Server:
    """What is done in the process of its own: one job after the other; parts and `stop` come in between."""

    def __init__(self, incoming, outgoing):
        self._incoming, self._outgoing = incoming, outgoing
        self._jobs: queue.Queue = queue.Queue()
        self._parts: queue.Queue = queue.Queue()
        self._stopped = threading.Event()
        self._run: Run | None = None

    def listen(self):
        """Sort messages, until napari is gone: then nobody waits for a result."""
        try:
            while True:
                kind, *content = pickle.load(self._incoming)
                self._sort(kind, content)
        except (EOFError, OSError):
            os._exit(0)

    def _sort(self, kind, content):
        if kind == "part":
            self._parts.put(*content)
        elif kind == "stop":
            self._stopped.set()
        else:
            self._stopped.clear()
            self._jobs.put((kind, content))

    def serve(self) -> NoReturn:
        while True:
            kind, content = self._jobs.get()
            try:
                self._denoise(*content) if kind == "run" else self._save(*content)
            except InputError as error:
                self._send("refused", str(error))
            except Exception as error:  # whatever a network raises, the next run has its chance
                traceback.print_exc()
                self._send("refused", f"{type(error).__name__}: {reason_of(error)}")

    def _send(self, *message):
        pickle.dump(message, self._outgoing, pickle.HIGHEST_PROTOCOL)
        self._outgoing.flush()

    def _denoise(self, request, shape, dtype, axes, at, name):
        self._run = run = Run(
            request,
            _Asked(shape, dtype, self._send, self._parts),
            axes,
            at=at,
            name=name,
            report=lambda progress: self._send("progress", progress),
            stop=self._stopped,
        )
        try:
            for done in run:
                self._send("frame", run.frame_axes, *done)
        except Stopped:
            pass  # the summary says so
        self._send("end", run.summary)

    def _save(self, path):
        if self._run is None:
            raise InputError("the gains are gone with the process that had them: run again")
        self._run.save_gains(path)
        self._send("end", [f"The gains are in {path}."])


def main() -> None:
    """Serve napari: messages come by stdin and go by what stdout was; what libraries print goes to stderr."""
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    server = _Server(sys.stdin.buffer, outgoing)
    threading.Thread(target=server.listen, daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main()
