"""Networks to start from, by name or from a file."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.networks.formats import hugging_face
from gaintuning_tf.networks.formats.keras2 import (
    is_of_keras2,
    is_weights_alone,
    keras_version,
    load_file,
    with_suffix,
)
from gaintuning_tf.networks.formats.recognition import Found, format_of
from gaintuning_tf.support.tensorflow_start import quietly

if TYPE_CHECKING:
    import keras

DEFAULT = "unet-bf-natural"
# Names that stand for one of the networks, chosen when the image is known: see
# `denoising.network_choice`.
CHOSEN = ("auto", "best", "fast")
# The best for Gaussian and for correlated noise, by whether the picture has colours.
LARGER = {False: "drunet-grey", True: "drunet-color"}
# Suffixes of files that Keras writes.
KERAS = (".keras", ".h5", ".hdf5")
_FILES = (
    "a .keras or .h5 file, a SavedModel folder, a folder or zip of CSBDeep, a package of bioimage.io, or "
    "hf://OWNER/NAME"
)
# What Keras names where its safe mode refuses a file.
_BRINGING_CODE = ("`Lambda`", "Python lambda", "TFSMLayer")
_OF_PYTHON = (
    "it has a Lambda layer or a TFSMLayer, a program that the file brings along; if you trust it, load it in Python by "
    "keras.models.load_model(path, safe_mode=False), and give the model to gaintune or export_saved_model"
)
_PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package, then in the repository.
_FOLDERS = (_PACKAGE / "saved_models", _PACKAGE.parent / "saved_models")


@dataclasses.dataclass(frozen=True)
class DenoiserInfo:
    """What is known of a network that ships with the package: `card.json` beside its weights.

    Attributes:
        name: What `load_denoiser` takes.
        architecture: The network.
        trained_on: The images.
        noise: The noise it was trained on.
        channels: Channels of its images.
        parameters: Number of weights.
        gains: Number of gains.
        psnr: Mean PSNR in dB of its output, by data set and noise level.
        seconds: For a megapixel through the network as it is, on two processor cores; None where not measured.
        path: The weights.
    """

    name: str
    architecture: str
    trained_on: str
    noise: str
    channels: int
    parameters: int
    gains: int
    psnr: dict[str, float]
    path: Path
    seconds: float | None = None


def list_denoisers() -> dict[str, DenoiserInfo]:
    """List the networks that ship with the package, by name.

    Example:

    >>> "unet-bf-natural" in list_denoisers()
    True
    """
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    cards = sorted(folder.glob("*/card.json")) if folder else []
    return {card.parent.name: _read_card(card) for card in cards}


def kept_beside(path: Path) -> Path:
    """Name the file that says what a network's numbers mean: `gaintuning.json` in a folder, `FILE.json` beside a file.

    It holds what `Network` takes, such as `{"normalize": "percentiles", "predicts": "image"}`.
    """
    return path / "gaintuning.json" if path.is_dir() else path.with_name(f"{path.name}.json")


def find_denoiser(name_or_path: str | os.PathLike[str]) -> Path:
    """Find the file that `load_denoiser` would load, without loading it: needs no TensorFlow.

    Raises:
        InputError: It is neither the name of a network nor a file that can hold one.
    """
    known = list_denoisers()
    if str(name_or_path) in known:
        return known[str(name_or_path)].path
    remote = hugging_face.path_of(name_or_path)
    if remote:
        return remote
    path = Path(name_or_path)
    if path.suffix.lower() == ".onnx":
        raise InputError(
            f"expected {_FILES}, received {path}: turn ONNX into a SavedModel by onnx2tf -osd -i "
            f"{path.name}, see docs/guides/onnx.md"
        )
    if path.is_dir() or (path.is_file() and (path.suffix.lower() in KERAS or format_of(path))):
        return path
    if not path.is_file():
        received = f"{str(name_or_path)!r}{_meant(str(name_or_path), known)}"
        raise InputError(f"expected a network's name ({', '.join(known)}), or {_FILES}, received {received}")
    raise InputError(f"expected {_FILES}, received {path}")


def _meant(name, known):
    close = difflib.get_close_matches(name, [*known, *CHOSEN], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def load_denoiser(name_or_path: str | os.PathLike[str]) -> keras.Model:
    """Load a trained denoiser.

    Args:
        name_or_path: A name from `list_denoisers`, a `.keras` or `.h5` file, the folder
            of a SavedModel or of its versions, or what `networks.formats` knows. Keras's safe
            mode is on: a file that would run code of its own is refused. A SavedModel is a
            program of TensorFlow: only those that you trust.

    Returns:
        A Keras model, not compiled, (N, H, W, C) to the same shape; between layers that take [0, 1] to its numbers
        and back if it or a file beside it says what they mean, see
        `kept_beside`.

    Raises:
        InputError: There is no such network, or the file holds none.

    Example:

    >>> load_denoiser("unet-bf-natural").count_params()
    233024
    """
    path = find_denoiser(name_or_path)
    register_classes()
    found, beside = _found(path), kept_beside(path)
    return _with_meaning(found, beside) if beside.is_file() or found.meaning else found.model


def _said(beside):
    """Read what a file says that a network's numbers mean."""
    from gaintuning_tf.support.normalization import as_normalization

    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
        return as_normalization(said.get("normalize"), said.get("predicts"))
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"cannot read what a network's numbers mean from {beside}: {reason_of(error)}") from error


def _with_meaning(found, beside):
    """Put a network between the layers of what its numbers mean, of which it may have some of its own."""
    from gaintuning_tf.gains.interfaces import runnable, with_plain_ends
    from gaintuning_tf.gains.normalization_layers import take_normalization, with_normalization, with_range

    within = take_normalization(found.model)[1]
    said, known = _said(beside) if beside.is_file() else None, found.meaning or within
    if said and not known.is_plain and not known.assumed and known != said:
        raise InputError(f"expected {beside} to say what is in the network, {known}, found {said}")
    meaning = said or known
    if not within.is_plain:
        return found.model
    return with_normalization(with_range(runnable(with_plain_ends(found.model)), meaning), meaning)


def _found(path):
    found = format_of(path)
    return found.load(path) if found else Found(_load(path))


def _load(path):
    import keras

    if path.is_dir():
        from gaintuning_tf.gains.graphs.graph_models import load_saved_model

        return load_saved_model(path)
    if path not in [info.path for info in list_denoisers().values()]:
        from gaintuning_tf.networks.file_check import check_network_file
        from gaintuning_tf.networks.formats.keras_json import load_weights_alone

        check_network_file(path)
        if is_weights_alone(path):
            return load_weights_alone(path)
    try:
        with with_suffix(path, path.suffix.lower()) as file:
            model = keras.models.load_model(file, compile=False)
    except Exception as error:  # of a damaged configuration Keras and the layers raise anything
        if is_of_keras2(keras_version(path)):
            return load_file(path, _reason(error))
        reason = _OF_PYTHON if any(name in str(error) for name in _BRINGING_CODE) else _reason(error)
        raise InputError(f"cannot load a Keras model from {path}: {reason}") from error
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a Keras model in {path}, found a {type(model).__name__}")
    return model


def register_classes() -> None:
    """Import every module of the package that registers a class with Keras.

    A file names the classes of its layers, and Keras imports none by itself.
    """
    # A network is the first thing that many programs ask for, and TensorFlow comes with it.
    with quietly():
        import keras

    from gaintuning_tf.networks import architectures, half_resolution, residual_unet, stein_risk_model  # noqa: F401

    # Gains and contrasts are of tuned networks, and tuning is TensorFlow's: a machine for
    # training may not have it.
    if keras.backend.backend() == "tensorflow":
        from gaintuning_tf.gains import (  # noqa: F401
            contrast,
            custom_layers,
            layers,
            normalization_layers,
        )
        from gaintuning_tf.gains.graphs import graph_network  # noqa: F401


def _reason(error):
    """Find the innermost reason in Keras's message, which quotes whole configurations around it."""
    return reason_of(error, str(error).rpartition("Exception encountered:")[2].partition("Full object config")[0])


def _read_card(card):
    values = json.loads(card.read_text())
    fields = {field.name for field in dataclasses.fields(DenoiserInfo)} & set(values)
    path = card.parent / values["file"]
    return DenoiserInfo(name=card.parent.name, path=path, **{field: values[field] for field in fields})


def network_digest(path: Path) -> str:
    """Compute the SHA-256 of a network's file and what is kept beside it, or of all files in its folder.

    Networks of which it differs have not the same results.
    """
    found = hashlib.sha256()
    if not path.exists():
        # One on the hub of Hugging Face is known by its name.
        found.update(str(path).encode())
    for file in sorted(path.rglob("*")) if path.is_dir() else [path, kept_beside(path)]:
        if file.is_file():
            found.update(file.read_bytes())
    return found.hexdigest()
