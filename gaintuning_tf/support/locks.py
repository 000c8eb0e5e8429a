"""The unfinished output of a run: its name, and that only one process at a time writes it."""

from __future__ import annotations

import os
from pathlib import Path

from gaintuning_tf.errors import InputError
from gaintuning_tf.support.atomic_files import remove, written_to

try:
    import fcntl
except ImportError:  # Windows has no such locks: there nobody is kept from starting a second run
    fcntl = None


def partial_path(path: str | Path) -> Path:
    """Find where an unfinished output lies until it is whole: beside it, by a name that depends on the output's alone.

    Example:

    >>> partial_path("folder/stack.tif").name
    '.stack.tif.partial'
    """
    target = written_to(path)
    return target.with_name(f".{target.name}.partial")


class PartialLock:
    """Holds the partial file, or folder, of an output for this process alone; made empty if it is not there.

    The lock is the operating system's: it goes with the process, however that ends.

    Args:
        path: The partial file.
        folder: Whether it is a folder.
        resume: Whether it has to be there already.

    Raises:
        InputError: Another process holds it, or there is none to resume.

    Example:

    >>> import tempfile
    >>> lock = PartialLock(Path(tempfile.mkdtemp()) / ".a.tif.partial", folder=False, resume=False)
    >>> lock.release()
    """

    def __init__(self, path: Path, *, folder: bool, resume: bool):
        self.path = path
        if resume and not (path.is_dir() if folder else path.is_file()):
            raise InputError(f"expected the output of an interrupted run at {path}, found none")
        while True:
            descriptor = self._open(folder)
            try:
                if self._lock(descriptor):
                    break
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        self._descriptor: int | None = descriptor

    def _open(self, folder):
        if self.path.is_symlink() or (self.path.exists() and self.path.is_dir() != folder):
            remove(self.path)
        if folder:
            self.path.mkdir(exist_ok=True)
            return os.open(self.path, os.O_RDONLY)
        return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)

    def _lock(self, descriptor):
        if fcntl is None:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another process is writing {self.path}: wait for it, or choose another output"
            ) from error
        # Its holder may have renamed or removed it between opening and locking: then it is another file.
        mine = os.fstat(descriptor)
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        """Let others have it; more than once does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
