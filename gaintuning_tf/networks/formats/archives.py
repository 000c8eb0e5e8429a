"""Zip archives of unknown origin, unpacked for as long as a network is read from them."""

from __future__ import annotations

import contextlib
import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.support.limits import EXPANSION, HARMLESS

# What zipfile raises as it comes upon nonsense; RuntimeError: encrypted, or packed in a way that it does not know.
UNSOUND = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, KeyError, RuntimeError, OSError),
)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack an archive into a folder that goes when the context ends.

    Raises:
        InputError: It is damaged, names in it lead out of it, or it expands to more than it can hold.

    Example:

    >>> path = Path(tempfile.mkdtemp()) / "a.zip"
    >>> with zipfile.ZipFile(path, "w") as archive:
    ...     archive.writestr("inner/a.txt", "text")
    >>> with unpacked(path) as folder:
    ...     (folder / "inner" / "a.txt").read_text()
    'text'
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                check_members(path, archive, "unpack")
                archive.extractall(folder)
        except InputError:
            raise
        except UNSOUND as error:
            # A KeyError puts its message between quotes.
            reason = reason_of(error, str(error).strip("'\""))
            raise InputError(f"cannot unpack {path}: no sound zip archive: {reason}") from error
        yield Path(folder)


def names_in(path: Path) -> list[str]:
    """List what an archive holds; nothing where a file is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except UNSOUND:
        return []


def check_members(path: Path, archive: zipfile.ZipFile, what: str) -> None:
    """Refuse an archive with names that lead out of it, or that would expand to far more than it holds.

    Args:
        path: Its file.
        archive: It, open.
        what: What it is wanted for, to begin the message with: `"load a Keras model from"`.

    Raises:
        InputError: With the reason.
    """
    names = [info.filename for info in archive.infolist()]
    for info in archive.infolist():
        place = PurePosixPath(info.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or names.count(info.filename) > 1:
            raise InputError(f"cannot {what} {path}: {info.filename!r} is no name for a part of one")
    total = sum(info.file_size for info in archive.infolist())
    size = path.stat().st_size
    if total > max(HARMLESS, EXPANSION * size):
        raise InputError(
            f"cannot {what} {path}: it says that it expands to {total} bytes, which a file of {size} bytes cannot hold"
        )
