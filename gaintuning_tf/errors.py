"""The error for input that cannot be used as it is, and the warning for what can, but not as one may think."""

from __future__ import annotations

import sys


class InputError(ValueError):
    """Says what was expected and what was received, in one line that a user can act on.

    The command line prints it and ends with status 2.
    """


class GainTuningWarning(UserWarning):
    """Says in one line what is not as a user may think, though the work goes on.

    The command line prints it; of the libraries below, it prints none.
    """


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning of this package in one line: for `warnings.showwarning` of a program that a user has started.

    By its category, not by where it comes from: the folder of a clone, and with it that of every library in its
    virtual environment, may have the package's name.
    """
    if issubclass(category, GainTuningWarning):
        print(f"warning: {message}", file=sys.stderr)
