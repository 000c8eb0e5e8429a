"""A network in two files: its architecture in JSON, `model.json` or `config.json`, and its weights in HDF5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.networks.file_check import check_weights
from gaintuning_tf.networks.formats import keras2
from gaintuning_tf.networks.formats.csbdeep_config import read_json
from gaintuning_tf.networks.formats.recognition import Found
from gaintuning_tf.support.hdf5_check import check_hdf5

if TYPE_CHECKING:
    import keras

NAMES = ("model.json", "config.json")
_LARGEST = 2**27


def recognises(path: Path) -> bool:
    """Whether it is an architecture in JSON, or a folder with one and with weights."""
    if path.is_dir():
        return _architecture_in(path) is not None and bool(_all_weights(path))
    return path.suffix.lower() == ".json" and path.stat().st_size < _LARGEST and _is_architecture(path)


def files_of(path: Path) -> list[Path]:
    """List the files that the network depends on."""
    folder = path if path.is_dir() else path.parent
    return [file for file in (path, *(folder / name for name in NAMES), *_all_weights(folder)) if file.is_file()]


def load(path: Path) -> Found:
    """Load the architecture and the weights beside it.

    Raises:
        InputError: There are no weights, or it is not clear which, or they do not go together.
    """
    architecture = _architecture_in(path) if path.is_dir() else path
    assert architecture is not None, "it was recognised"
    return Found(_load(architecture, _weights_beside(architecture)))


def load_weights_alone(weights: Path) -> keras.Model:
    """Load a file of weights and the architecture that is beside it: of its name, or else `model.json`.

    Raises:
        InputError: There is none.
    """
    stem = _stem(weights)
    names = (f"{stem}.json", f"{stem.removesuffix('_weights')}.json", *NAMES)
    found = next((weights.parent / name for name in names if _is_architecture(weights.parent / name)), None)
    if found is None:
        raise InputError(
            f"expected a whole network in {weights}, it has weights alone: save it with `model.save`, or put its "
            f"architecture, `model.to_json()`, beside it as {stem}.json"
        )
    return _load(found, weights)


def _load(architecture, weights):
    check_hdf5(weights)
    text = architecture.read_text(encoding="utf-8")
    check_weights(text, weights.stat().st_size, weights)
    try:
        return _by_keras3(text, weights)
    except Exception as error:  # of a damaged configuration Keras and the layers raise anything
        if _is_of_keras2(architecture, text):
            return keras2.load_weights(text, weights, reason_of(error))
        raise InputError(f"cannot load {architecture} with the weights in {weights}: {reason_of(error)}") from error


def _by_keras3(text, weights):
    import keras

    model = keras.models.model_from_json(text)
    with keras2.with_suffix(weights, keras2.suffix_for_weights(weights)) as file:
        model.load_weights(file)
    return model


def _is_of_keras2(architecture, text):
    """Tell by the version, here or in the file that a `.keras` archive has for it; or that no layer has a module."""
    version = json.loads(text).get("keras_version") or read_json(architecture.parent / "metadata.json").get(
        "keras_version"
    )
    return keras2.is_of_keras2(str(version)) if version else '"module"' not in text or "keras.src.engine" in text


def _architecture_in(folder):
    return next((folder / name for name in NAMES if _is_architecture(folder / name)), None)


def _is_architecture(path):
    values = read_json(path)
    return isinstance(values.get("config"), (dict, list)) and isinstance(values.get("class_name"), str)


def _weights_beside(architecture):
    """Find the file of weights with the name of the architecture, or of weights, or the only one."""
    found, stem = _all_weights(architecture.parent), architecture.stem
    for suits in (
        lambda file: _stem(file).removesuffix("_weights") == stem,
        lambda file: "weights" in file.name.lower(),
        lambda file: True,
    ):
        suited = [file for file in found if suits(file)]
        if len(suited) == 1:
            return suited[0]
    names = ", ".join(file.name for file in found) or "none"
    raise InputError(f"expected one file of weights beside {architecture}, such as {stem}.weights.h5, found {names}")


def _all_weights(folder):
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in keras2.HDF5 and file.is_file())


def _stem(path):
    return path.stem.removesuffix(".weights")
