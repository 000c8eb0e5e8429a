"""Packages that are only needed for some things: the extras."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from gaintuning_tf.errors import InputError


def required(module: str, what: str, extra: str) -> ModuleType:
    """Import a module that an extra brings.

    Args:
        module: Its full name.
        what: What it is needed for, to begin the message with.
        extra: Name of the extra.

    Returns:
        The module.

    Raises:
        InputError: It is not installed, with the extra that brings it.

    Example:

    >>> required("no_such.module", "drawing", "report")
    Traceback (most recent call last):
    ...
    gaintuning_tf.errors.InputError: drawing needs no_such: pip install 'gaintuning-tf[report]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, what, extra) from error


def check_installed(module: str, what: str, extra: str) -> None:
    """Refuse to promise what needs a package that is not there; imports nothing.

    Args:
        module: Name of the package.
        what: As for `required`.
        extra: As for `required`.

    Raises:
        InputError: It is not installed, with the extra that brings it.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(module, what, extra)


def _missing(module, what, extra):
    return InputError(f"{what} needs {module.partition('.')[0]}: pip install 'gaintuning-tf[{extra}]'")
