"""The gains of a model as a file of a few kilobytes."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.contrast import take_contrast, with_contrast
from gaintuning_tf.gains.convolutions import with_self
from gaintuning_tf.gains.keras_types import as_array
from gaintuning_tf.gains.normalization_layers import bare, take_normalization, with_normalization
from gaintuning_tf.gains.places import is_convolution
from gaintuning_tf.gains.surgery import gain_layers, insert_gains
from gaintuning_tf.support.atomic_files import replacing
from gaintuning_tf.support.hdf5_check import check_hdf5

FORMAT = "gaintuning_tf gains"
VERSION = 1


def save_gains(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write the gains of `model` to an HDF5 file, by convention `NAME.gains.h5`.

    With them go the contrast (`contrast.with_contrast`), the layers' names and a
    fingerprint of the network's weights, so that `load_gains` can see whether they
    belong to the network it is given. The file is written under a temporary name and
    renamed.

    Args:
        model: A model with gains.
        path: The file; replaced if it exists.

    Raises:
        InputError: The model has no gains.

    Example:

    >>> import keras, tempfile, os
    >>> model = insert_gains(keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(8, 3, name="first")]))
    >>> file = os.path.join(tempfile.mkdtemp(), "image.gains.h5")
    >>> save_gains(model, file)
    >>> load_gains(model, file) is model
    True
    """
    model, contrast = take_contrast(take_normalization(model)[0])
    # In the order of the network itself, whatever is around it.
    gains = gain_layers(bare(model))
    if not gains:
        raise InputError(f"save_gains expects a model with gains, {model.name!r} has none; see insert_gains")
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, fingerprint=fingerprint(model), contrast=contrast)
        for number, gain in enumerate(gains):
            data = file.create_dataset(f"{number:04d}", data=as_array(gain.gain))
            data.attrs["name"] = gain.name


def load_gains(model: keras.Model, path: str | os.PathLike[str]) -> keras.Model:
    """Set the gains of `model` to those that `save_gains` wrote.

    Args:
        model: A model with gains, which are changed, or without: then it is left
            untouched and a copy with gains is returned.
        path: The file.

    Returns:
        The model with the loaded gains, between `Contrast` layers if they were tuned at another contrast than 1.

    Raises:
        InputError: There is no such file, it is no file of gains, or its gains belong
            to another network: their number, names, shapes or the fingerprint of the
            weights differ.
    """
    fingerprint_then, names, values, contrast = _read(Path(path))
    images = values[0].shape[0] if values[0].ndim == 2 else None
    model, normalization = take_normalization(model)
    model = _with_gains(take_contrast(model)[0], len(values), images)
    gains = gain_layers(bare(model))
    if len(gains) != len(values):
        raise InputError(f"{path} holds the gains of {len(values)} layers, {model.name!r} has {len(gains)}")
    for gain, name, value in zip(gains, names, values, strict=True):
        if _unnumbered(gain.name) != _unnumbered(name) or tuple(gain.gain.shape) != value.shape:
            raise InputError(
                f"{path} holds the gains of another network: layer {name!r} of shape {value.shape} "
                f"where {model.name!r} has {gain.name!r} of shape {tuple(gain.gain.shape)}"
            )
    if fingerprint_then != fingerprint(model):
        raise InputError(f"{path} holds gains tuned for other weights than those of {model.name!r}")
    for gain, value in zip(gains, values, strict=True):
        gain.gain.assign(value)
    return with_normalization(with_contrast(model, contrast), normalization)


def _with_gains(model, count, images):
    """Insert gains by default; if a file has another number of them, those of every convolution, as it once was."""
    gained = insert_gains(model, images=images)
    if len(gain_layers(gained)) == count or gain_layers(model) or not any(map(is_convolution, with_self(model))):
        return gained
    return insert_gains(model, is_convolution, images=images)


def fingerprint(model: keras.Model) -> str:
    """Compute the SHA-256 of the shapes, dtypes and values of all weights that are neither gains nor contrast."""
    model = bare(model)
    gains = {id(gain.gain) for gain in gain_layers(model)}
    digest = hashlib.sha256()
    for variable in model.weights:
        if id(variable) not in gains:
            value = np.ascontiguousarray(as_array(variable))
            digest.update(f"{value.dtype} {value.shape}".encode())
            digest.update(value.tobytes())
    return digest.hexdigest()


def _read(path):
    if not path.is_file():
        raise InputError(f"expected a file of gains, found none at {path}")
    check_hdf5(path)
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise InputError(f"{path} is an HDF5 file but holds no gains; save_gains writes them")
            version: Any = file.attrs["version"]
            if version > VERSION:
                raise InputError(f"{path} has version {version} of the format, this is for up to {VERSION}")
            fingerprint_then = file.attrs["fingerprint"]
            names = [str(file[key].attrs["name"]) for key in sorted(file)]
            datasets: list[Any] = [file[key] for key in sorted(file)]
            values = [np.asarray(dataset[()]) for dataset in datasets]
            contrast = np.atleast_1d(np.float32(file.attrs.get("contrast", 1)))
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is not an HDF5 file of gains: {reason}") from error
    if not values:
        raise InputError(f"{path} holds no gains")
    if not all(value.dtype.kind == "f" and value.ndim in (1, 2) and value.size for value in values):
        raise InputError(
            f"{path} is not an HDF5 file of gains: expected floats of shape (channels,) or (images, channels)"
        )
    if not all(np.isfinite(value).all() for value in values):
        raise InputError(f"{path} holds gains that are not finite")
    groups = values[0].shape[0] if values[0].ndim == 2 else 1
    if contrast.shape not in ((1,), (groups,)) or not (np.isfinite(contrast).all() and (contrast > 0).all()):
        raise InputError(f"{path} holds a contrast that is not one positive number for each set of gains")
    return fingerprint_then, names, values, contrast


def _unnumbered(name):
    """Keras numbers unnamed layers as it meets them: the number says nothing of the network."""
    return re.sub(r"_\d+", "", name)
