"""Packages of bioimage.io: their weights, axes and processing, read by `bioimageio.spec`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.networks.formats.archives import names_in, unpacked
from gaintuning_tf.networks.formats.bioimageio_processing import Affine, meaning_of
from gaintuning_tf.networks.formats.recognition import Found
from gaintuning_tf.support.extras import required

if TYPE_CHECKING:
    import keras

EXTRA = "bioimageio"
NAMES = ("rdf.yaml", "bioimageio.yaml")
# In the order in which they are tried: what Keras runs itself comes first.
WEIGHTS = ("keras_v3", "keras_hdf5", "tensorflow_saved_model_bundle")
# How the network takes its images.
_LETTERS = {4: "byxc", 5: "bzyxc"}


def recognises(path: Path) -> bool:
    """Whether there is a description of bioimage.io: a YAML file of its name, alone, in a folder or in a zip."""
    if path.is_dir():
        return any((path / name).is_file() for name in NAMES)
    if path.suffix.lower() in (".yaml", ".yml"):
        return path.name in NAMES or path.name.endswith(tuple(f".{name}" for name in NAMES))
    return path.suffix.lower() == ".zip" and any(name in NAMES for name in names_in(path))


def files_of(path: Path) -> list[Path]:
    """List the package, or the description and all files beside it."""
    folder = path if path.is_dir() else path.parent
    return [path] if path.suffix.lower() == ".zip" else sorted(file for file in folder.rglob("*") if file.is_file())


def load(path: Path) -> Found:
    """Load the network of a package.

    Raises:
        InputError: `bioimageio.spec` is not installed; the package is not sound; or what is in it is no network of
            Keras or TensorFlow from one image to one, or does more than a normalisation and its inverse.
    """
    with _described(path) as description:
        given, returned = _one(description.inputs, "input"), _one(description.outputs, "output")
        meaning = meaning_of(given, returned, _test_input(given))
        model = _with_axes(_weights(description, path), _letters(given), _letters(returned))
        return Found(_between(model, meaning.before), meaning.normalization)


@contextlib.contextmanager
def _described(path: Path) -> Iterator[Any]:
    """Read the description; its files are there as long as the context is."""
    spec = required("bioimageio.spec", "a package of bioimage.io", EXTRA)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(unpacked(path)) if path.suffix.lower() == ".zip" else path
        source = next(folder / name for name in NAMES if (folder / name).is_file()) if folder.is_dir() else path
        try:
            # Its own checks of files look for what is on the web, too; those that are read are checked by then.
            description = spec.load_model_description(source, format_version="latest", perform_io_checks=False)
        except Exception as error:  # of a damaged YAML file it raises anything
            raise InputError(f"cannot read {path} as a package of bioimage.io: {_reason(error)}") from error
        yield description


def _reason(error):
    """Find the first fault in the report of `bioimageio.spec`, which is a table of them."""
    lines = [line.strip(" |│❌⚠") for line in str(error).splitlines()]
    telling = [line for line in lines if line and set(line) - set("-=─┌┐└┘ ")]
    return reason_of(error, " ".join(telling[:3]))


def _one(tensors, what):
    if len(tensors) != 1:
        names = ", ".join(str(tensor.id) for tensor in tensors)
        raise InputError(f"expected a package with one {what}, an image, received {len(tensors)}: {names}")
    return tensors[0]


def _letters(tensor):
    """Find a letter per axis: b, c, z, y, x."""
    kinds = [{"batch": "b", "channel": "c"}.get(axis.type, str(axis.id)) for axis in tensor.axes]
    if sorted(kinds) not in (sorted("byxc"), sorted("bzyxc")):
        raise InputError(
            f"expected {tensor.id!r} to have the axes batch, channel, y, x, and z for volumes, in any order, received "
            f"{', '.join(str(axis.id) for axis in tensor.axes)}"
        )
    return "".join(kinds)


def _test_input(given):
    from bioimageio.spec.utils import load_array

    if given.test_tensor is None:
        return None
    try:
        return np.asarray(load_array(given.test_tensor))
    except Exception as error:  # damaged, or on the web
        raise InputError(f"cannot read the test input of {given.id!r}: {reason_of(error)}") from error


def _weights(description, path) -> keras.Model:
    """Load the first weights that can be."""
    there = {name: getattr(description.weights, name) for name in WEIGHTS}
    there = {name: entry for name, entry in there.items() if entry is not None}
    if not there:
        known = ", ".join(name for name, entry in description.weights if entry is not None)
        raise InputError(f"expected weights of {', '.join(WEIGHTS)} in {path}, found {known}")
    faults = []
    for name, entry in there.items():
        try:
            return _load_weights(name, entry)
        except InputError as error:
            faults.append(f"{name}: {error}")
    raise InputError(f"cannot load the weights in {path}: {'; '.join(faults)}")


def _load_weights(name, entry):
    from gaintuning_tf.gains.graphs.graph_models import as_keras_model
    from gaintuning_tf.networks.pretrained import load_denoiser

    with tempfile.TemporaryDirectory() as folder:
        suffix = {"keras_v3": ".keras", "keras_hdf5": ".h5"}.get(name, ".zip")
        file = Path(folder) / f"weights{suffix}"
        _copy(entry, file)
        if suffix != ".zip":
            return as_keras_model(load_denoiser(file))
        with unpacked(file) as inner:
            place = next((found.parent for found in sorted(inner.rglob("saved_model.pb"))), inner)
            # The network is named after its folder.
            return load_denoiser(shutil.move(place, Path(folder) / "network"))


def _copy(entry, file):
    """Write weights to a file, once their checksum is right."""
    try:
        with file.open("wb") as copy:
            shutil.copyfileobj(entry.get_reader(), copy)
    except Exception as error:  # absent, on the web, or another checksum
        raise InputError(reason_of(error)) from error


def _with_axes(model, given, returned):
    """Make a network of images (N, ..., C) of one that has its axes in another order."""
    import keras

    from gaintuning_tf.gains.channels_last import has_channels_first, with_channels_last
    from gaintuning_tf.gains.graphs.graph_network import GraphNetwork

    wanted = _LETTERS[len(given)]
    # Those of SavedModels have their channels last by now.
    is_graph = any(isinstance(layer, GraphNetwork) for layer in model.layers)
    if given[1] == "c" == returned[1] and (is_graph or has_channels_first(model)):
        model = with_channels_last(model)
        given, returned = (f"b{letters[2:]}c" for letters in (given, returned))
    if given == wanted == returned:
        return model
    there = model.inputs[0]
    shape = [there.shape[given.index(letter)] for letter in wanted]
    inputs = keras.Input(shape[1:], dtype=there.dtype, name="noisy")
    x = keras.layers.Permute([wanted.index(letter) for letter in given[1:]])(inputs)
    outputs = keras.layers.Permute([returned.index(letter) for letter in wanted[1:]])(model(x))
    return keras.Model(inputs, outputs, name=model.name)


def _between(model, before: Affine):
    """Put a network between what is done to its numbers, and what undoes it."""
    import keras

    if np.all(np.asarray(before.gain) == 1) and np.all(np.asarray(before.offset) == 0):
        return model
    given = model.inputs[0]
    inputs = keras.Input(given.shape[1:], dtype=given.dtype, name="noisy")
    x = keras.layers.Rescaling(*_as_lists(before), dtype=given.dtype, name="before")(inputs)
    outputs = keras.layers.Rescaling(*_as_lists(before.inverse()), dtype=given.dtype, name="undone")(model(x))
    return keras.Model(inputs, outputs, name=model.name)


def _as_lists(affine):
    return [np.asarray(part, float).tolist() for part in affine]
