"""What a program is at, in a few words, for whoever waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

_listeners: list[Callable[[str], None]] = []
_clocks: list[Callable[[str], None]] = []


def phase(words: str, *, shown: bool = True) -> None:
    """Say what begins now; nobody hears it outside of `heard_by` and `timed_by`.

    Args:
        words: Such as `"importing TensorFlow"`; empty where something else shows what goes on.
        shown: Whether it is for who waits, and not for who measures alone: a bar shows the rest.
    """
    for listener in [*(_listeners if shown else ()), *_clocks]:
        listener(words)


@contextlib.contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Call `listener` with every phase that begins within the block.

    Example:

    >>> with heard_by(print):
    ...     phase("writing")
    writing
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextlib.contextmanager
def timed_by(clock: Callable[[str], None]) -> Iterator[None]:
    """Call `clock` with every phase that begins within the block, also with those that are not shown.

    Example:

    >>> with timed_by(print):
    ...     phase("steps", shown=False)
    steps
    """
    _clocks.append(clock)
    try:
        yield
    finally:
        _clocks.remove(clock)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Let nobody hear of phases within the block: something else shows there what goes on."""
    phase("")
    there, _listeners[:] = _listeners[:], []
    try:
        yield
    finally:
        _listeners[:] = there


def first_is_done(bar: Any) -> None:
    """Forget the time of the first unit of a bar, in which all was compiled: what is left goes by the others.

    The bar has to be one of `smoothing=0`, which goes by the mean.

    Args:
        bar: Of tqdm.
    """
    bar.initial = bar.n
    bar.start_t = bar.last_print_t = time.time()
