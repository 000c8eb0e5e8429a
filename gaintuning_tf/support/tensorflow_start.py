"""TensorFlow, started when it is needed and without its chatter."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from gaintuning_tf.errors import GainTuningWarning

# What TensorFlow and Keras import where it is installed, for things that no command does;
# together it takes a third of the time of importing them
# (docs/log/2026-11-27-where-the-time-of-a-small-image-goes.md).
UNNEEDED = ("jax", "matplotlib", "pandas")


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
        _import()
        return
    # The first lines ignore the level and are written by C++, past sys.stderr.
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            _import()
        except Exception:
            # What it said may tell why; of Ctrl-C it tells nothing.
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _import():
    with _hidden(UNNEEDED):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_logical_devices()


@contextlib.contextmanager
def _hidden(modules) -> Iterator[None]:
    """For a while, modules that have not been imported yet are as if they were not installed."""
    hidden = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]


def _set_threads(threading, count):
    try:
        threading.set_intra_op_parallelism_threads(count)
        threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:
        warnings.warn("TensorFlow has started already, with as many threads as it has", GainTuningWarning, stacklevel=3)
