"""Files of Keras 2 that Keras 3 cannot load: loaded by `tf_keras`, which is Keras 2, once nothing in them runs code."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.networks.formats.archives import UNSOUND
from gaintuning_tf.support.extras import check_installed, required
from gaintuning_tf.support.limits import HARMLESS

if TYPE_CHECKING:
    import keras

EXTRA = "keras2"
HDF5 = (".h5", ".hdf5")
# Where Keras 2 has what a network may be made of. Its loader would import from any module.
_MODULES = re.compile(
    r"(tf_)?keras(\.src)?(\.(layers|models|engine|initializers|regularizers|constraints|activations)(\.\w+)*"
    r"|\.mixed_precision(\.\w+)*|\.dtype_policies(\.\w+)*)?"
)
# What a `TFOpLambda` may call: operations on tensors. The rest of TensorFlow reads and writes files.
_OPERATIONS = re.compile(
    r"(compat\.v1\.)?((__operators__|math|nn|image|linalg|signal|keras\.activations|keras\.backend)\.)?\w+"
)
_NO_OPERATIONS = re.compile(
    r"print|py_function|numpy_function|.*(load|library|summary|file|graph|assert|save|session).*"
)


def keras_version(path: Path) -> str:
    """Read which Keras has written a file, `.keras` or HDF5; empty where it does not say.

    Args:
        path: A file that has been looked through.
    """
    try:
        if path.suffix.lower() == ".keras":
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
        import h5py

        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("keras_version", ""))
    except (*UNSOUND, AttributeError):
        return ""


def is_of_keras2(version: str) -> bool:
    """Tell from a version whether it is Keras 2, or before.

    Example:

    >>> is_of_keras2("2.15.0"), is_of_keras2("3.6.0"), is_of_keras2("")
    (True, False, False)
    """
    return version.startswith(("1.", "2."))


def is_weights_alone(path: Path) -> bool:
    """Tell whether a file, which has been looked through, has weights and no network."""
    if path.suffix.lower() == ".keras":
        return False
    import h5py

    with h5py.File(path, "r") as file:
        return "model_config" not in file.attrs and ("layer_names" in file.attrs or "layers" in file)


def load_file(path: Path, reason: str) -> keras.Model:
    """Load a whole model, `.keras` or HDF5, that Keras 3 could not.

    Args:
        path: A file that has been looked through.
        reason: Why Keras 3 could not.

    Returns:
        The graph of what it computes, as a Keras 3 model.

    Raises:
        InputError: `tf_keras` is not there or cannot load it either, or it would run code of its own.
    """
    config = _config_of(path)
    return _as_keras3(path, config, reason, lambda tf_keras: _loaded(tf_keras, path))


def load_weights(config: str, weights: Path, reason: str) -> keras.Model:
    """Build a model from its configuration in JSON, and load its weights; as `load_file`."""

    def load(tf_keras):
        model = tf_keras.models.model_from_json(config)
        with with_suffix(weights, suffix_for_weights(weights)) as file:
            model.load_weights(str(file))
        return model

    return _as_keras3(weights, json.loads(config), reason, load)


@contextlib.contextmanager
def with_suffix(path: Path, suffix: str) -> Iterator[Path]:
    """Give a file a name that ends in `suffix` for as long as the context lasts: by it, Keras knows the format.

    Weights that are called `NAME.weights.h5` are taken to be as Keras writes them since 2.12: others get a name
    without that.
    """
    new = ".weights.h5"
    if path.name.endswith(suffix) and path.name.endswith(new) == (suffix == new):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder) / f"network{suffix}"))


def suffix_for_weights(path: Path) -> str:
    """Find by what is in it which name a file of weights should have."""
    import h5py

    with h5py.File(path, "r") as file:
        return ".h5" if "layer_names" in file.attrs or "model_weights" in file else ".weights.h5"


def _as_keras3(path: Path, config: dict, reason: str, load: Callable[[Any], Any]) -> keras.Model:
    import tensorflow as tf

    from gaintuning_tf.gains.graphs.graph_models import as_keras_model

    what = f"{path} is of Keras 2, which Keras 3 cannot load ({reason.rstrip('. ')}); loading it"
    check_installed("tf_keras", what, EXTRA)
    _check_harmless(path, config)
    tf_keras, stored = required("tf_keras", what, EXTRA), path.stat().st_size
    counted = _CountedVariables(max(HARMLESS, 4 * stored))
    try:
        with tf.variable_creator_scope(counted):
            model = load(tf_keras)
    except Exception as error:  # of a damaged configuration Keras and the layers raise anything
        if counted.needed > counted.limit:
            size = f"its layers need {counted.needed} bytes of weights or more, it holds {stored}"
            raise InputError(f"cannot load a Keras model from {path}: {size}") from error
        raise InputError(f"cannot load a Keras 2 model from {path}: {reason_of(error)}") from error
    try:
        return as_keras_model(model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _loaded(tf_keras, path):
    suffix = ".keras" if path.suffix.lower() == ".keras" else ".h5"
    with with_suffix(path, suffix) as file:
        return tf_keras.models.load_model(str(file), compile=False)


def _config_of(path):
    try:
        if path.suffix.lower() == ".keras":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        import h5py

        with h5py.File(path, "r") as file:
            return json.loads(_text(file.attrs["model_config"]))
    except UNSOUND as error:
        raise InputError(f"cannot load a Keras 2 model from {path}: it has no configuration") from error


def _check_harmless(path, config):
    """Refuse a configuration by which more would be run than layers of Keras and operations on tensors."""
    for part in _parts({name: value for name, value in config.items() if name != "compile_config"}):
        kind, module = str(part.get("class_name", "")), part.get("module")
        if kind in ("Lambda", "__lambda__") or part.get("function_type") == "lambda":
            raise InputError(
                f"cannot load {path}: a Lambda layer in it is Python code, which is not run from a file; if you trust "
                "it, load it by tf_keras and give the model in place of the path"
            )
        if module is not None and not (isinstance(module, str) and _MODULES.fullmatch(module)):
            raise InputError(f"cannot load {path}: {kind!r} in it is of the module {module!r}, which is not Keras")
        if kind in ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceProperty", "InstanceMethod"):
            _check_operation(path, kind, part.get("config"))


def _check_operation(path, kind, config):
    function = str(config.get("function", "")) if isinstance(config, dict) else ""
    known = kind in ("TFOpLambda", "SlicingOpLambda") and _OPERATIONS.fullmatch(function)
    if not known or _NO_OPERATIONS.fullmatch(function.rpartition(".")[2]):
        raise InputError(f"cannot load {path}: {function or kind!r} in it is not known to be an operation on tensors")


def _parts(value: Any) -> Iterator[dict]:
    """List all dictionaries in what JSON holds."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(inner)


class _CountedVariables:
    """Counts the bytes of variables as they are made, and lets none be made beyond a limit."""

    def __init__(self, limit):
        self.limit, self.needed = limit, 0

    def __call__(self, create, **options):
        self.needed += 4 * math.prod(options.get("shape") or ())
        if self.needed > self.limit:
            raise MemoryError(f"{self.needed} bytes")
        return create(**options)


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)
