"""What a run over a stack has done so far, on disk: the unfinished output, the gains, and a journal of figures."""

from __future__ import annotations

import contextlib
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.denoising.frame_job import FrameResult, flat
from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images.array_file import ArrayFile
from gaintuning_tf.images.stack_files import Stack, create_stack
from gaintuning_tf.support.atomic_files import written_to
from gaintuning_tf.support.journal import Journal
from gaintuning_tf.support.locks import PartialLock, partial_path

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class StackRecord:
    """The frames that are done, each safe on disk before the next begins; `with` closes it and keeps all.

    Beside the output `OUT` lie, until `commit`, `.OUT.partial` (the frames), `.OUT.partial.gains` and
    `.OUT.partial.jsonl`. A frame and its gains are on disk before its row is in the last, so that a row tells the truth
    whatever ends the process.

    Args:
        output: The output's path.
        like: The stack that it corresponds to.
        dtype: Of the output.
        settings: What the result depends on, for JSON: another run continues only with the same.
        on_failure: What is done with frames that fail; those that an earlier run treated otherwise are done again.
        numbers: How many gains a frame has, contrast included.
        restart: Forget what an earlier run has done.

    Attributes:
        rows: The row of each frame that is done, by its number.
        shared: The row of the gains that all frames share, None if there is none yet.

    Raises:
        InputError: Another process writes to the output, what is there is of other settings, or the format cannot hold
            the stack.
    """

    def __init__(
        self,
        output: str | Path,
        like: Stack,
        dtype: DTypeLike,
        settings: dict,
        *,
        on_failure: str,
        numbers: int,
        restart: bool,
    ):
        self._partial = partial_path(output)
        self._beside = {kind: _beside(output, kind) for kind in ("jsonl", "gains")}
        self._frames, self._numbers = like.frame_count, numbers
        self.rows: dict[int, dict] = {}
        self.shared: dict | None = None
        self._table: np.ndarray | None = None
        if restart:
            self._forget()
        self._journal = Journal(self._beside["jsonl"], [settings])
        self._take_rows(on_failure)
        committed = self._committed(output)
        if self._beside["jsonl"].exists() and not (committed or self._resumable()):
            warnings.warn(f"{self._partial} is gone: all frames are done again", GainTuningWarning, stacklevel=3)
            self._journal.remove()
        resume = self._beside["jsonl"].exists()
        with contextlib.ExitStack() as opened:
            self._writer = None if committed else create_stack(output, like, dtype=dtype, resume=resume)
            if self._writer is not None:
                opened.enter_context(self._writer)
            # Again, now that no other process can write to it.
            self._journal = Journal(self._beside["jsonl"], [settings])
            self._take_rows(on_failure)
            self._gains = self._open_gains(resume)
            opened.pop_all()

    @property
    def todo(self) -> list[int]:
        """The numbers of the frames that are not done."""
        return [number for number in range(self._frames) if number not in self.rows]

    def keep(self, result: FrameResult) -> None:
        """Keep a frame that is done: on disk when this returns."""
        self._unfinished().write(result.number, result.image)
        gains = np.ones(self._numbers) if result.gains is None else flat(result.gains)
        self._gains.write((result.number, slice(None)), gains)
        self._unfinished().flush()
        self._gains.flush()
        self._journal.append(0, result.row)
        self.rows[result.number] = result.row

    def keep_shared(self, gains: np.ndarray, frames: list[int], steps: int) -> None:
        """Keep the gains that all frames share, and on which frames in how many steps: on disk when this returns."""
        self._gains.write((self._frames, slice(None)), gains)
        self._gains.flush()
        self.shared = {"frame": None, "tuned_on": frames, "steps": steps}
        self._journal.append(0, self.shared)

    def gains(self, number: int | None) -> np.ndarray:
        """Read the gains of a frame that is done, in one row, ones if it failed; or, for None, the shared ones."""
        row = self._frames if number is None else number
        return self._gains.read((row, slice(None))) if self._table is None else self._table[row].copy()

    def commit(self) -> None:
        """Put the output in its place, and delete what lay beside it; `gains` can still be called.

        From here on the gains are in memory, 4 bytes each, and no file is open: what is open cannot be deleted
        everywhere, and whoever has the result may keep it for long.

        Raises:
            RuntimeError: Not all frames are done.
        """
        if self.todo:
            raise RuntimeError(f"frames are missing: {self.todo}")
        self._table = self._gains.read((slice(None), slice(None)))
        self._gains.close()
        if self._writer is not None:
            self._writer.commit()
            self._writer = None
        # The journal first: without it, what is left is nothing to continue.
        self._journal.remove()
        self._beside["gains"].unlink()

    def discard(self) -> None:
        """Delete all that was written."""
        self._gains.close()
        self._journal.remove()
        self._beside["gains"].unlink(missing_ok=True)
        self._unfinished().discard()

    def close(self) -> None:
        """Leave what is done for a later run."""
        self._gains.close()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> StackRecord:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _unfinished(self):
        if self._writer is None:
            raise RuntimeError("the output is complete: nothing can be written to it")
        return self._writer

    def _take_rows(self, on_failure):
        """Take the last word on each frame, unless it failed and would now be treated otherwise."""
        found = {row["frame"]: row for row in self._journal.rows[0]}
        self.shared = found.pop(None, None)
        self.rows = {n: row for n, row in found.items() if not row["failed"] or row["instead"] == on_failure}

    def _resumable(self):
        return self._partial.exists() and self._beside["gains"].exists()

    def _committed(self, output):
        """Tell whether an earlier run ended between the output's taking its place and the journal's going."""
        there = written_to(output).exists() and self._beside["gains"].exists()
        return not self.todo and not self._partial.exists() and there

    def _forget(self):
        """Delete an earlier run's journal, while no other process can write to the output."""
        if self._partial.exists():
            lock = PartialLock(self._partial, folder=self._partial.is_dir(), resume=True)
            self._beside["jsonl"].unlink(missing_ok=True)
            lock.release()
        self._beside["jsonl"].unlink(missing_ok=True)

    def _open_gains(self, resume):
        path, shape = self._beside["gains"], (self._frames + 1, self._numbers)
        if not resume:
            with open(path, "wb") as file:
                file.truncate(4 * shape[0] * shape[1])
        return ArrayFile(path, shape, "<f4", 0, writable=True)


def _beside(output, kind) -> Path:
    partial = partial_path(output)
    return partial.with_name(f"{partial.name}.{kind}")


def kept_frames(output: str | Path) -> int:
    """Count the frames that an interrupted run has kept beside an output."""
    path = _beside(output, "jsonl")
    # The first line has the settings; the last may be torn.
    lines = path.read_bytes().splitlines(keepends=True)[1:] if path.exists() else []
    numbers = {json.loads(line)["row"]["frame"] for line in lines if line.endswith(b"\n")}
    return len(numbers - {None})
