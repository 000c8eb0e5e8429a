"""The error for input that cannot be used, the warning for what can but not as one may
think, and the reason of a library's error in one line."""

from __future__ import annotations

import sys

# What a library says beyond this many characters quotes what it was given.
LONGEST = 200


class InputError(ValueError):
    """Says what was expected and what was received, in one line that a user can act on.

    The command line prints it and ends with status 2.
    """


class GainTuningWarning(UserWarning):
    """Says in one line what is not as a user may think, though the work goes on.

    The command line prints it; of the libraries below, it prints none.
    """


def first_line(text: str) -> str:
    """Shorten a text to its first line, of at most 200 characters; empty if there is none.

    Example:

    >>> first_line("\\n  truncated\\n\\nfar below")
    'truncated'
    """
    return (text.strip().splitlines() or [""])[0].strip()[:LONGEST]


def reason_of(error: BaseException, text: str | None = None) -> str:
    """Say in one line why something failed, whatever a library raised.

    Args:
        error: What was raised.
        text: Its message; by default all that it says.

    Returns:
        The first line of the message, or the name of the error's class if it has none.

    Example:

    >>> reason_of(OSError("no space left\\nhere")), reason_of(MemoryError())
    ('no space left', 'MemoryError')
    """
    return first_line(str(error) if text is None else text) or type(error).__name__


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning of this package in one line: for `warnings.showwarning` of a program that a user has started.

    By its category, not by where it comes from: the folder of a clone, and with it that of every library in its
    virtual environment, may have the package's name.
    """
    if issubclass(category, GainTuningWarning):
        print(f"warning: {message}", file=sys.stderr)
