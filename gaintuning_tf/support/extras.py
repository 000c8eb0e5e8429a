"""Packages that are only needed for some things: the extras."""

from __future__ import annotations

import importlib

from gaintuning_tf.errors import InputError


def optional(module: str, what: str):
    """A library that only the extra `microscopy` brings.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{what} need {module.partition('.')[0]}: pip install 'gaintuning-tf[microscopy]'") from error
