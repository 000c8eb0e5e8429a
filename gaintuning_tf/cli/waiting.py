"""What is shown to whoever waits at a terminal: what the program is at. Nothing of it goes into pipes."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from gaintuning_tf.support.phases import heard_by

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


class _Line:
    """One line of stderr."""

    def __init__(self, start, *, stays):
        self._start, self._stays = start, stays

    def show(self, words):
        if self._stays and words:
            print(f"{time.perf_counter() - self._start:7.1f} s  {words}", file=sys.stderr, flush=True)
        elif not self._stays:
            print(f"{_CLEAR}{words + ' ...' if words else ''}", end="", file=sys.stderr, flush=True)
