"""Planes of a CZI file, read in a process of its own, which Zeiss's library ends on some files that are damaged."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError

# Run by a Python of its own: imports nothing of this package. It answers each request, a line, by a line and pixels.
_READ = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pylibCZIrw import czi

with czi.open_czi(sys.argv[2]) as file:
    for line in sys.stdin:
        try:
            found, reason = file.read(**json.loads(line)), ""
        except Exception as error:
            found, reason = None, " ".join(str(error).split()) or type(error).__name__
        facts = {"reason": reason} if found is None else {"shape": found.shape, "dtype": found.dtype.str}
        sys.stdout.buffer.write(json.dumps(facts).encode() + b"\\n" + (b"" if found is None else found.tobytes()))
        sys.stdout.buffer.flush()
"""


class CziPlanes:
    """The planes of a CZI file; the process starts with the first that is read.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path).resolve()
        self._process: Any = None

    def read(self, **what) -> np.ndarray:
        """Read a plane, (H, W, samples); arguments are those of `read` of Zeiss's library.

        Raises:
            InputError: The library does not read it, or its process ended.
        """
        if self._process is None:
            command = [sys.executable, "-I", "-c", _READ, json.dumps(sys.path), str(self._path)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        facts = json.loads(line)
        if facts.get("reason"):
            raise InputError(f"cannot read {self._path} as an image: {facts['reason']}"[:500])
        dtype = np.dtype(facts["dtype"])
        data = self._process.stdout.read(math.prod(facts["shape"]) * dtype.itemsize)
        if len(data) != math.prod(facts["shape"]) * dtype.itemsize:
            raise self._ended()
        return np.frombuffer(data, dtype).reshape(facts["shape"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with contextlib.suppress(BrokenPipeError):  # a request that it did not take
                self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def _ended(self):
        self.close()
        return InputError(f"{self._path} is damaged: the library that reads it ended while it read a plane")
