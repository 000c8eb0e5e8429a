"""A parser whose errors are one line, and name what was probably meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*?)\)")


class Parser(argparse.ArgumentParser):
    """`ArgumentParser` that ends with status 2 and one line."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Parse as `ArgumentParser` does, and remember what was given for `error`."""
        self._given = list(sys.argv[1:] if args is None else args)
        known, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            # Of a command: the program does not know its options.
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> Any:
        """Print the error with what was probably meant, and end."""
        hint = self._meant(message)
        print(f"error: {message}{f'; did you mean {hint}?' if hint else ''}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)

    def _meant(self, message):
        choice = _CHOICE.search(message)
        if choice:
            return closest(choice[1], re.findall(r"[^\s,']+", choice[2]))
        # The option that is missing may be there by another name.
        options = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        given = [text.partition("=")[0] for text in self._given if text.startswith("--")]
        unknown = [text for text in given if not any(name.startswith(text) for name in options)]
        return closest(unknown[0], options) if unknown else ""


def closest(word: str, known: Iterable[str]) -> str:
    """Give the known word that looks most like another one, empty if none does.

    Example:

    >>> closest("--sgima", ["--sigma", "--steps"]), closest("--blur", ["--sigma", "--steps"])
    ('--sigma', '')
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")
