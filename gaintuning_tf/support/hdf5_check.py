"""HDF5 files of unknown origin: looked through, in a process of its own, before they are read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from gaintuning_tf.errors import InputError, first_line
from gaintuning_tf.support.limits import EXPANSION, HARMLESS

# The library needs a fraction of a second of the processor, unless it is caught in a loop;
# on a busy machine, or where time of the processor cannot be limited, it waits longer.
SECONDS, PATIENCE = 20, 300
# Run by a Python of its own: imports nothing of this package. A reason that it prints is why the file is refused.
_LOOK = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[6]), int(sys.argv[6]) + 1))
except ImportError:
    pass  # Windows has none
import h5py

path, harmless, expansion, whole = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "whole"
limit = max(harmless, expansion * os.path.getsize(path))

def look(file):
    total, groups, seen = 0, [file["/"]], set()
    while groups:
        group = groups.pop()
        list(group.attrs.items())
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                return f"{name!r} leads to another file"
            found = group[name]
            identity = h5py.h5o.get_info(found.id)
            if (identity.fileno, identity.addr) in seen:
                continue
            seen.add((identity.fileno, identity.addr))
            if isinstance(found, h5py.Group):
                groups.append(found)
                continue
            list(found.attrs.items())
            if not isinstance(found, h5py.Dataset):
                continue
            if found.external or found.is_virtual:
                return f"the data of {name!r} is in another file"
            total += found.size * found.dtype.itemsize if found.shape is not None else 0
            if total > limit:
                return f"it says that it holds {total} bytes, which a file of {os.path.getsize(path)} bytes cannot hold"
            if whole:
                found[()]
    return ""

try:
    with h5py.File(path, "r") as file:
        reason = look(file)
except Exception as error:
    reason = str(error).strip() or type(error).__name__
sys.stdout.write(reason)
"""


# What ends a process that has used up its time; Windows has no such signal.
_OUT_OF_TIME = getattr(signal, "SIGXCPU", None)


def check_hdf5(path: str | Path, called: str | Path | None = None, *, whole: bool = True) -> None:
    """Refuse an HDF5 file that is damaged, leads to other files, or says that it holds more than it can.

    The HDF5 library trusts its files: there are some on which it never returns, or ends the process. That happens
    in another process here.

    Args:
        path: The file.
        called: What to call it in messages, if not `path`.
        whole: Read all data too: for files that are read whole anyway.

    Raises:
        InputError: With the reason.

    Example:

    >>> import h5py, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["a"] = [1.0, 2.0]
    >>> check_hdf5(path)
    """
    called = path if called is None else called
    facts = [str(Path(path).resolve()), str(HARMLESS), str(EXPANSION), "whole" if whole else "heads", str(SECONDS)]
    command = [sys.executable, "-I", "-c", _LOOK, json.dumps(sys.path), *facts]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise _endless(called, f"{PATIENCE} s") from error
    if -done.returncode == _OUT_OF_TIME:
        raise _endless(called, f"{SECONDS} s of the processor's time")
    reason = first_line(done.stdout)
    if done.returncode and not reason:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        reason = f"damaged, the HDF5 library ended with {last}"
    if reason:
        raise InputError(f"{called} is not an HDF5 file that is safe to read: {reason}")


def _endless(called, time):
    return InputError(f"cannot read {called}: damaged, the HDF5 library is still at it after {time}")
