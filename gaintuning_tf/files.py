"""Whole files or none: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from gaintuning_tf.errors import InputError


@contextlib.contextmanager
def replacing(path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, that becomes `path` if the block succeeds.

    Example:

    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as temporary:
    ...     size = temporary.write_text("whole")
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` if the block succeeds; never over another.

    Its name starts with a dot and is no number: who looks for `path` or for versions does
    not see it.

    Raises:
        FileExistsError: `path` came into being meanwhile, and is not empty.

    Example:

    >>> parent = Path(tempfile.mkdtemp())
    >>> with new_folder(parent / "1") as temporary:
    ...     size = (temporary / "a.txt").write_text("whole")
    >>> [file.relative_to(parent).as_posix() for file in parent.rglob("*.txt")]
    ['1/a.txt']
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
    temporary.mkdir()  # not tempfile's: only its maker may read that
    try:
        yield temporary
        try:
            # A rename onto a folder that is not empty fails, whoever made it and when.
            temporary.rename(path)
        except OSError as error:
            if path.exists():
                raise FileExistsError(f"{path} exists already") from error
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path) -> None:
    """Refuse an output whose folder is missing or cannot be written to.

    Raises:
        InputError: With the reason.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"expected a file name for the output, {path} is a folder")
    if not path.parent.is_dir():
        raise InputError(f"the output's folder does not exist: {path.parent}")
    try:
        # Tried, not asked: permissions are not all that can forbid it.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"cannot write to the output's folder {path.parent}: {error.strerror}") from error
