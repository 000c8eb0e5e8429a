"""Ctrl-C as a question that a loop asks, in place of an exception that may come anywhere."""

from __future__ import annotations

import signal
import threading


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a text that says what was written or kept, in one line."""


class CtrlC:
    """Within the block, Ctrl-C is remembered in `pressed`; pressed once more, it is a KeyboardInterrupt.

    Python raises a KeyboardInterrupt wherever it happens to be: between two statements that
    belong together, or inside a finaliser, where it is printed and lost. A loop that asks
    `pressed` after each step ends where it may end. Where Ctrl-C is not Python's own, in
    another thread than the main one or with a handler of the program's, nothing changes.

    Attributes:
        pressed: Whether Ctrl-C was pressed.

    Example:

    >>> with CtrlC() as ctrl_c:
    ...     for number in range(3):
    ...         if ctrl_c.pressed:
    ...             break
    >>> number
    2
    """

    def __init__(self):
        self.pressed = False
        self._ours = False

    def __enter__(self) -> CtrlC:
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, *_) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _remember(self, number, frame):
        if self.pressed:
            signal.default_int_handler(number, frame)
        self.pressed = True
