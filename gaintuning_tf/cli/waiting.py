"""What is shown to whoever waits at a terminal: what the program is at. Nothing of it goes into pipes."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gaintuning_tf.support.phases import heard_by, timed_by

# Back to the beginning of the line, and delete to its end.
_CLEAR = "\r\x1b[K"


def at_terminal() -> bool:
    """Tell whether somebody can see progress on stderr."""
    return sys.stderr.isatty()


@contextlib.contextmanager
def phases_shown(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Show what the program is at: at a terminal on a line that goes again, with `verbose` each on a line that stays.

    Args:
        quiet: Show nothing.
        verbose: With the seconds since the start, in pipes too.
    """
    if quiet or not (verbose or at_terminal()):
        yield
        return
    line = _Line(time.perf_counter(), stays=verbose)
    with heard_by(line.show):
        try:
            yield
        finally:
            line.show("")


@contextlib.contextmanager
def phases_timed(*, wanted: bool) -> Iterator[None]:
    """Print on stderr, at the end of the block, how many seconds each phase took, if that is wanted."""
    if not wanted:
        yield
        return
    clock = _Clock()
    with timed_by(clock.begin):
        try:
            yield
        finally:
            clock.begin("")
            for words, seconds in clock.seconds.items():
                print(f"{seconds:7.2f} s  {words}", file=sys.stderr)
            print(f"{sum(clock.seconds.values()):7.2f} s  in all", file=sys.stderr)


class _Clock:
    """The seconds that each phase took, from the start of the process on, in the order in which they first began."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._words, self._began = "starting", time.monotonic() - _age()

    def begin(self, words):
        now = time.monotonic()
        self.seconds[self._words] = self.seconds.get(self._words, 0.0) + now - self._began
        self._words, self._began = words or "else", now


def _age():
    """Find for how many seconds this process runs, as far as the system says so."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


class _Line:
    """One line of stderr."""

    def __init__(self, start, *, stays):
        self._start, self._stays = start, stays

    def show(self, words):
        if self._stays and words:
            print(f"{time.perf_counter() - self._start:7.1f} s  {words}", file=sys.stderr, flush=True)
        elif not self._stays:
            print(f"{_CLEAR}{words + ' ...' if words else ''}", end="", file=sys.stderr, flush=True)
