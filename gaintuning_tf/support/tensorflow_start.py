"""TensorFlow, started when it is needed and without its chatter."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

from gaintuning_tf.errors import GainTuningWarning

# What TensorFlow and Keras import where it is installed, for things that no command does;
# together it takes a third of the time of importing them
# (docs/log/2026-11-27-where-the-time-of-a-small-image-goes.md).
UNNEEDED = ("jax", "matplotlib", "pandas")
# What TensorFlow's C++ says of itself while it is imported, by whatever level.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl|[IW]0000 |\d{4}-\d\d-\d\d \S+ [IW] |To enable the following instr)"
)


def start_tensorflow(threads: int | None = None) -> None:
    """Import TensorFlow, which takes seconds, without its start-up chatter, unless the user asked for it.

    Args:
        threads: How many it uses, once it starts; if it has started, it keeps those it has, with a warning.
    """
    if threads:
        os.environ.update(TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS=str(threads))
        if "tensorflow" in sys.modules:
            _set_threads(sys.modules["tensorflow"].config.threading, threads)
    if _is_asked_for():
        _import()
        return
    logging.getLogger("tensorflow").addFilter(_is_worth_a_word)
    with tempfile.TemporaryFile() as said:
        try:
            with _stderr_to(said):
                _import()
        except Exception:
            # What it said may tell why; of Ctrl-C it tells nothing.
            said.seek(0)
            os.write(2, said.read())
            raise


def _import():
    with _hidden(UNNEEDED):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_logical_devices()


@contextlib.contextmanager
def _hidden(modules) -> Iterator[None]:
    """Within the block, modules that have not been imported yet are as if they were not installed."""
    hidden = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within the block TensorFlow may be imported, and its chatter is left out, unless the user asked for it.

    What else is written to stderr meanwhile is written at the end. Devices are not started, so that who wants to set
    their memory still can.
    """
    if _is_asked_for():
        yield
        return
    logging.getLogger("tensorflow").addFilter(_is_worth_a_word)
    if "tensorflow" in sys.modules:
        yield
        return
    with tempfile.TemporaryFile() as said:
        try:
            with _stderr_to(said):
                yield
        finally:
            said.seek(0)
            os.write(2, b"".join(line for line in said if not _CHATTER.match(line)))


def _is_worth_a_word(record):
    """Leave out that this package compiles the same function again: it does so for each network, and means to."""
    said = record.getMessage()
    return not ("triggered tf.function retracing" in said and "gaintuning_tf" in said)


def _is_asked_for():
    return os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1")


@contextlib.contextmanager
def _stderr_to(file) -> Iterator[None]:
    """Within the block, what is written to stderr goes to a file: C++ writes past `sys.stderr`."""
    stderr = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _set_threads(threading, count):
    try:
        threading.set_intra_op_parallelism_threads(count)
        threading.set_inter_op_parallelism_threads(count)
    except RuntimeError:
        warnings.warn("TensorFlow has started already, with as many threads as it has", GainTuningWarning, stacklevel=3)
