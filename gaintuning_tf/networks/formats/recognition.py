"""Which module reads a network that another program wrote, by what is in its file or folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from gaintuning_tf.support.normalization import Normalization

if TYPE_CHECKING:
    import keras


class Found(NamedTuple):
    """A network, and what its numbers mean.

    Attributes:
        model: A Keras model, of its own numbers.
        meaning: What they mean; None where the file does not say.
    """

    model: keras.Model
    meaning: Normalization | None = None


class Format(Protocol):
    """What each module of a format has; none of it needs TensorFlow before `load`."""

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder that is there is one of this format, at a first look."""
        ...

    def load(self, path: Path) -> Found:
        """Load the network.

        Raises:
            InputError: It cannot be used.
        """
        ...

    def files_of(self, path: Path) -> list[Path]:
        """List the files that the network depends on, all of which are there."""
        ...


# Modules of this folder, in the order in which they are asked.
FORMATS: tuple[str, ...] = ("csbdeep", "keras_json", "bioimageio", "hugging_face")


def format_of(path: Path) -> Format | None:
    """Find the module that reads what is at a path.

    Returns:
        The module; None for what Keras or TensorFlow itself loads, and for what nobody knows.
    """
    modules = (importlib.import_module(f"{__package__}.{name}") for name in FORMATS)
    return next((cast(Format, module) for module in modules if module.recognises(path)), None)
