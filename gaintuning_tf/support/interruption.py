"""Ctrl-C as a question that a loop asks, in place of an exception that may come anywhere, and as the end of a program.

Imports nothing heavy, for it is there before anything else is imported.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator

# What a shell says of a program that Ctrl-C has ended.
STATUS = 130
# Seconds after Ctrl-C until it is said that the program has heard it, and after a second
# one until it is ended wherever it is: next to nothing takes longer to clean up.
HEARD, CLEANED = 2.0, 2.0


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
        self._ours = is_pythons()
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


def is_pythons() -> bool:
    """Tell whether Ctrl-C is Python's own here: in the main thread, without a handler of the program's."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Within the block, Ctrl-C ends the process with one line on stderr and status 130.

    It is for imports, in which nothing is written yet: there an exception may come out as another one, or get lost in
    a finaliser.
    """
    if not is_pythons():
        yield
        return
    # What is imported may have stderr elsewhere for a while.
    stderr = os.dup(2)

    def leave(*_):
        os.write(stderr, b"interrupted: nothing written\n")
        os._exit(STATUS)

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(stderr)


@contextlib.contextmanager
def second_ends(clean: Callable[[], None], *, says_so: bool = True) -> Iterator[None]:
    """Within the block, a second Ctrl-C ends the process, though all its time goes by in compiled code.

    Python answers a signal between two of its own instructions: a compiled loop that has no end, or a long one, is deaf
    to it. So another thread listens. After the first Ctrl-C it says that it was heard, if that takes long; after a
    second one the process has two seconds.

    Args:
        clean: Deletes what is unfinished, before the process ends.
        says_so: Whether anybody is there to be told that the first was heard.
    """
    if not is_pythons() or not hasattr(os, "set_blocking"):
        yield
        return
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    over = threading.Event()
    threading.Thread(target=_listen, args=(heard, over, clean, says_so), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(tell)


def _listen(heard, over, clean, says_so):
    """Wait for Ctrl-C twice; the end of the block closes the pipe."""
    pressed = 0
    with open(heard, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            pressed += number[0] == signal.SIGINT
            if pressed == 1 and says_so and not over.wait(HEARD) and not _is_more(heard):
                os.write(2, _below_bar() + b"Ctrl-C was heard, what is begun is finished; again, it ends at once\n")
            elif pressed == 2 and not over.wait(CLEANED):
                clean()
                os.write(2, _below_bar() + b"interrupted: ended at once, without the unfinished output\n")
                os._exit(STATUS)


def _below_bar():
    """Begin a line of its own where there may be a bar."""
    return b"\n" if os.isatty(2) else b""


def _is_more(descriptor):
    """Tell whether Ctrl-C was pressed again meanwhile."""
    return bool(select.select([descriptor], [], [], 0)[0])
