"""The error for input that cannot be used, the warning for what can but not as one may
think, and the reason of a library's error in one line."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

# What a library says beyond this many characters quotes what it was given.
LONGEST = 200
# Colours, and the names of nodes and ops that TensorFlow writes around a message.
_NOT_ITS_WORDS = re.compile(r"\x1b\[\d*m|\{\{[^}]*\}\}|\[\[[^\]]*\]\]|\[Op:[^\]]*\](?: name: .*)?")
_CALLING = re.compile(r"Exception encountered when calling (?:layer .*type )?(\w+)\.call\(\)\.")
_IN_GRAPH = re.compile(r"Graph execution error:|<stack traces unavailable>|Node: '.*'|\d+ root error\(s\) found\.")


class InputError(ValueError):
    """Says what was expected and what was received, in one line that a user can act on.

    The command line prints it and ends with status 2.
    """


class NetworkError(InputError):
    """Says in one line what a network of the user's raised when it was traced or called, in its own words."""


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


@contextlib.contextmanager
def of_network(name: str, kinds: type[Exception] = Exception) -> Iterator[None]:
    """Turn whatever is raised within the block, where a network is traced or called, into a `NetworkError`.

    Args:
        name: The network's.
        kinds: What is turned, where more goes on in the block than the network.

    Raises:
        NetworkError: Anything was raised that is not an `InputError` already.

    Example:

    >>> with of_network("unet"):
    ...     raise RuntimeError("sides must match")
    Traceback (most recent call last):
    ...
    gaintuning_tf.errors.NetworkError: the network 'unet' cannot be run: sides must match
    """
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        raise NetworkError(f"the network {name!r} cannot be run: {message_of_network(error)}") from error


def message_of_network(error: BaseException) -> str:
    """Find what a network itself says in what Keras and TensorFlow raise for it, in one line.

    Example:

    >>> said = "Exception encountered when calling Crop.call().\\n\\n\\x1b[1mno room\\n\\nArguments received"
    >>> message_of_network(ValueError(said))
    'Crop: no room'
    """
    text = _NOT_ITS_WORDS.sub("", getattr(error, "message", None) or str(error))
    calling = _CALLING.search(text)
    if calling:
        text = text[calling.end() :]
    elif _IN_GRAPH.search(text):
        text = text[list(_IN_GRAPH.finditer(text))[-1].end() :]
    elif "in user code:" in text:
        text = text.strip().splitlines()[-1]
    return (f"{calling[1]}: " if calling else "") + reason_of(error, text)


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning of this package in one line: for `warnings.showwarning` of a program that a user has started.

    By its category, not by where it comes from: the folder of a clone, and with it that of every library in its
    virtual environment, may have the package's name.
    """
    if issubclass(category, GainTuningWarning):
        print(f"warning: {message}", file=sys.stderr)
