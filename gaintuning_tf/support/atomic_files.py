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

# What is being written, by whichever thread.
_unfinished: set[Path] = set()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, with its suffix, that becomes `path` if the block succeeds.

    Example:

    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as temporary:
    ...     size = temporary.write_text("whole")
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    target = written_to(path)
    # Its name is its own: another process, or thread, may be at the same output.
    temporary = target.with_name(f".{os.getpid()}.{uuid.uuid4().hex[:8]}.{target.name}")
    _unfinished.add(temporary)
    try:
        yield temporary
        put(temporary, target)
    finally:
        remove(temporary)
        _unfinished.discard(temporary)


def remove_unfinished() -> None:
    """Delete what `replacing` is writing, of a process that ends here and now."""
    for temporary in list(_unfinished):
        remove(temporary)


def written_to(path: str | os.PathLike[str]) -> Path:
    """Find where an output goes: the file that `path` links to, or `path`.

    The link stays a link. What is written beside is beside the file, on its file system.
    """
    path = Path(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def put(whole: Path, path: Path) -> None:
    """Rename a file or folder that is whole over `path`, which is the old one or the new at any moment.

    A folder cannot be renamed over another: the old one is moved aside first. Should the
    process be killed between the two renames, it is beside, as `.NAME.old`, and the new one
    is still under its temporary name.
    """
    sync(whole)
    aside = None
    if path.is_dir():
        aside = path.with_name(f".{path.name}.old")
        remove(aside)
        os.replace(path, aside)
    try:
        os.replace(whole, path)
    except OSError:
        if aside:
            os.replace(aside, path)
        raise
    sync_names(path.parent)
    if aside:
        remove(aside)


def sync(path: Path) -> None:
    """Have what a file, or a folder with all in it, holds on disk when this returns."""
    if path.is_dir():
        for inner in path.iterdir():
            sync(inner)
        sync_names(path)
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_names(folder: Path) -> None:
    """Have the names that a folder holds on disk when this returns."""
    # Windows opens no folders.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all in it, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `path` that becomes `path` if the block succeeds; never over another.

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


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Refuse an output whose folder is missing or cannot be written to.

    Args:
        path: The output.
        folder: Whether it may be a folder itself.

    Raises:
        InputError: With the reason.
    """
    path = written_to(path)
    if path.is_symlink():
        raise InputError(f"expected a file name for the output, {path} is a link to itself")
    if path.is_dir() and not folder:
        raise InputError(f"expected a file name for the output, {path} is a folder")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"expected a file name for the output, {path} is a device or a pipe")
    if not path.parent.is_dir():
        raise InputError(f"the output's folder does not exist: {path.parent}")
    try:
        # Tried, not asked: permissions are not all that can forbid it.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"cannot write to the output's folder {path.parent}: {error.strerror}") from error


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a folder for outputs that is none and cannot become one.

    Raises:
        InputError: With the reason.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"expected a folder, {path} is a file")
    if not path.exists() and not path.parent.is_dir():
        raise InputError(f"the folder of {path} does not exist")
