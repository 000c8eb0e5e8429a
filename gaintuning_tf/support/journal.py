"""Rows that are written as soon as they are measured, so that an interrupted run can continue."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from gaintuning_tf.errors import InputError


class Journal:
    """A file of measured rows, a line of JSON each, that outlives an interruption.

    The first line has the settings of the run. Every row reaches the disk before the next is
    measured. A last line that was torn by a crash is dropped, and its row measured again.
    Nothing is written before the first row.

    Args:
        path: The file.
        settings: What the rows depend on, a dictionary for each table of rows.

    Attributes:
        rows: For each of the settings, the rows that an earlier run left, in order.

    Raises:
        InputError: The file is of other settings, or is damaged.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.partial.jsonl"
    >>> Journal(path, [{"sigma": 25}]).append(0, {"image": "a.png", "psnr": 30.5})
    >>> again = Journal(path, [{"sigma": 25}])
    >>> again.rows
    [[{'image': 'a.png', 'psnr': 30.5}]]
    >>> again.remove()
    """

    def __init__(self, path: str | Path, settings: Sequence[dict]):
        self.path = Path(path)
        self._settings = json.loads(json.dumps(list(settings)))
        self.rows: list[list[dict]] = [[] for _ in self._settings]
        self._size = 0  # of the lines that are whole
        if self.path.exists():
            self._read()

    def append(self, number: int, row: dict) -> None:
        """Add a row of the settings at `number`, on disk when this returns."""
        lines = [{"settings": self._settings}] if self._size == 0 else []
        data = "".join(json.dumps(line) + "\n" for line in [*lines, {"number": number, "row": row}]).encode()
        with open(self.path, "r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(data)
        self.rows[number].append(row)

    def remove(self) -> None:
        """Delete the file: the run is over and its result is safe elsewhere."""
        self.path.unlink(missing_ok=True)

    def _read(self):
        whole, size = [], 0
        pieces = self.path.read_bytes().splitlines(keepends=True)
        for piece in pieces:
            line = _line(piece)
            if line is None:
                break
            whole.append(line)
            size += len(piece)
        if len(pieces) > len(whole) + 1:
            raise InputError(f"line {len(whole) + 1} of {self.path} is damaged; {_RESTART}")
        if whole:
            self._take(whole)
            self._size = size

    def _take(self, lines):
        self._check(lines[0].get("settings"))
        for line in lines[1:]:
            if not (isinstance(line.get("row"), dict) and line.get("number") in range(len(self.rows))):
                raise InputError(f"{self.path} is no file of measured rows; {_RESTART}")
            self.rows[line["number"]].append(line["row"])

    def _check(self, found):
        if found == self._settings:
            return
        if not (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
            raise InputError(f"{self.path} is no file of measured rows; {_RESTART}")
        what = f"{len(found)} settings, not {len(self._settings)}"
        if len(found) == len(self._settings):
            pairs = zip(found, self._settings, strict=True)
            names = {key for a, b in pairs for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
            what = f"another {', '.join(sorted(names))}"
        raise InputError(f"{self.path} holds rows of an interrupted run with {what}: finish that, or {_RESTART}")


_RESTART = "--restart starts anew"


def _line(piece):
    """Read the object on a whole line; None for one that is torn."""
    if not piece.endswith(b"\n"):
        return None
    try:
        line = json.loads(piece)
    except ValueError:  # of the encoding, too
        return None
    return line if isinstance(line, dict) else None
