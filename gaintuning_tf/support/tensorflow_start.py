"""TensorFlow, started when it is needed and without its chatter."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

from gaintuning_tf.errors import GainTuningWarning


def start_tensorflow(threads: int | None = None) -> None:
    """Import TensorFlow, which takes seconds, without its start-up chatter, unless the user asked for it.

    Args:
        threads: How many it uses, once it starts; if it has started, it keeps those it has, with a warning.
    """
    if threads:
        os.environ.update(TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS=str(threads))
        if "tensorflow" in sys.modules:
            _set_threads(sys.modules["tensorflow"].config.threading, threads)
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1"):
        return
    # The first lines ignore the level and are written by C++, past sys.stderr.
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_logical_devices()
        except Exception:
            # What it said may tell why; of Ctrl-C it tells nothing.
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


# What TensorFlow's C++ says of itself while it is imported, by whatever level.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl|[IW]0000 |\d{4}-\d\d-\d\d \S+ [IW] |To enable the following instr)"
)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within the block TensorFlow may be imported, and its chatter is left out, unless the user asked for it.

    What else is written to stderr meanwhile is written at the end. Devices are not started, so that who wants to set
    their memory still can.
    """
    asked = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1")
    if asked or "tensorflow" in sys.modules:
        yield
        return
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            said.seek(0)
            os.write(stderr, b"".join(line for line in said if not _CHATTER.match(line)))
            os.close(stderr)


def _set_threads(threading, count):
    try:
        threading.set_intra_op_parallelism_threads(count)
        threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:
        warnings.warn("TensorFlow has started already, with as many threads as it has", GainTuningWarning, stacklevel=3)
