"""Which outputs of a folder are done, from what, and how: so that the same command goes on where it ended."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

from gaintuning_tf import __version__
from gaintuning_tf.cli.many_inputs import Pair
from gaintuning_tf.networks import pretrained
from gaintuning_tf.networks.pretrained import network_digest
from gaintuning_tf.support.journal import Journal
from gaintuning_tf.support.locks import PartialLock

# In the folder of the outputs.
NAME = ".gaintuning.jsonl"
# All other options may change an output: one that is new is taken to do so.
_CHANGE_NOTHING = (
    *("command", "run", "typed", "inputs", "input", "output", "suffix", "restart", "threads", "json", "quiet"),
    *("verbose", "profile", "several", "loaded"),
    # It does where frames failed, see `DoneOutputs.summary`.
    "on_failure",
)


class DoneOutputs:
    """The outputs in a folder that earlier commands, or this one, have made; `with` keeps others from writing there.

    An output is done if it is as it was written, from a file that is as it was read, by the same settings.

    Args:
        folder: That of the outputs, which is made if it is not there.
        options: Of the command line.

    Raises:
        InputError: Another process is at this folder, or its list is damaged.
    """

    def __init__(self, folder: str | Path, options: argparse.Namespace):
        self._folder, self._path = Path(folder), Path(folder) / NAME
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = PartialLock(self._path, folder=False, resume=False)
        if options.restart:
            os.truncate(self._path, 0)
        self._settings, self._on_failure = _settings(options), options.on_failure or "pass"
        self._journal = Journal(self._path, [{"outputs_of": "gaintuning-tf denoise"}])
        self._rows = {row["output"]: row for row in self._journal.rows[0]}

    def summary(self, pair: Pair) -> dict | None:
        """Give the summary of an output that is done; None if it is not."""
        row = self._rows.get(self._name(pair))
        if row is None or not pair.output.exists():
            return None
        now = self._identity(pair, row["summary"]) | {"written": _stamp(pair.output)}
        return row["summary"] if all(row.get(name) == value for name, value in now.items()) else None

    def keep(self, pair: Pair, summary: dict) -> None:
        """Keep that an output was made: on disk when this returns."""
        row = self._identity(pair, summary) | {"written": _stamp(pair.output), "summary": summary}
        self._journal.append(0, {"output": self._name(pair), **row})

    def __enter__(self) -> DoneOutputs:
        return self

    def __exit__(self, *_) -> None:
        if not self._path.stat().st_size:
            self._path.unlink()
        self._lock.release()

    def _identity(self, pair, summary):
        settings = self._settings
        if summary.get("failed"):
            # What is in the place of these frames depends on it.
            settings = settings | {"on_failure": self._on_failure}
        return {"input": os.path.realpath(pair.input), "read": _stamp(pair.input), "settings": settings}

    def _name(self, pair):
        return pair.output.relative_to(self._folder).as_posix()


def _settings(options) -> dict[str, Any]:
    """Give what outputs depend on beside their inputs: options, the files that they name, and the version."""
    given = {name: value for name, value in vars(options).items() if name not in _CHANGE_NOTHING and value is not None}
    files = {name: _stamp(Path(given[name])) for name in ("mask", "load_gains") if name in given}
    if options.model not in pretrained.CHOSEN:
        files["model"] = network_digest(pretrained.find_denoiser(options.model))
    return {**given, "files": files, "version": __version__}


def _stamp(path):
    """Tell a file, or a folder with all in it, from what it may become: by sizes and times."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    known = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]
