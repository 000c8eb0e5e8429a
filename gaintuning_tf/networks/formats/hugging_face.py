"""Networks on the hub of Hugging Face, `hf://OWNER/NAME`, through Keras's own loader."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.networks.formats.recognition import Found
from gaintuning_tf.support.extras import check_installed

# A path has one slash where the name had two.
_NAME = re.compile(r"(?:hf:/{1,2}|(?:https?:/{1,2})?(?:www\.)?(?:hf\.co|huggingface\.co)/)(?P<repository>.*)", re.I)
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SCHEME = "hf:"


def path_of(name: str | os.PathLike[str]) -> Path | None:
    """Find the place on the hub that a name means.

    Returns:
        A path that begins with `hf:`, or None for a name that is not one of the hub.

    Raises:
        InputError: It is not OWNER/NAME, or what downloads it is not installed.

    Example:

    >>> path_of("a.keras") is None
    True
    """
    found = _NAME.fullmatch(os.fspath(name))
    if not found:
        return None
    repository = found["repository"].rstrip("/")
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"expected a network on Hugging Face as hf://OWNER/NAME, received {os.fspath(name)!r}")
    check_installed("huggingface_hub", "a network on Hugging Face", "huggingface")
    return Path(f"{_SCHEME}/{repository}")


def recognises(path: Path) -> bool:
    """Whether it is what `path_of` gives."""
    return len(path.parts) > 2 and path.parts[-3] == _SCHEME


def files_of(path: Path) -> list[Path]:
    """List no files: what was downloaded serves as long as the process lives."""
    return []


def load(path: Path) -> Found:
    """Download a network that Keras's `save` put there, in its safe mode, which runs no code that comes along.

    Raises:
        InputError: It cannot be reached, or is no network of Keras.
    """
    import keras

    address = f"hf://{'/'.join(path.parts[-2:])}"
    try:
        model = keras.saving.load_model(address, compile=False)
    except Exception as error:  # of the network, the hub, or a damaged configuration
        raise InputError(f"cannot load a Keras model from {address}: {reason_of(error)}") from error
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a Keras model in {address}, found a {type(model).__name__}")
    return Found(model)
