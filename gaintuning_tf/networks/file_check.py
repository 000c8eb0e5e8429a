"""Files of Keras networks, of unknown origin, looked through before Keras loads them."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.networks.formats.archives import UNSOUND, check_members
from gaintuning_tf.support.hdf5_check import check_hdf5
from gaintuning_tf.support.limits import HARMLESS

CONFIG = "config.json"


def check_network_file(path: str | os.PathLike[str]) -> None:
    """Refuse a `.keras` or `.h5` file that is damaged, or would take up far more than it holds.

    That it runs no code is Keras's safe mode to see to; this is for what that lets pass: archives that expand without
    end, names that lead out of them, weights in other files, and layers larger than all weights that are there.

    Raises:
        InputError: With the reason.
    """
    path = Path(path)
    if path.suffix.lower() == ".keras":
        config, stored = _look_into_archive(path)
    else:
        check_hdf5(path)
        config, stored = _config_of_hdf5(path), path.stat().st_size
    check_weights(config, stored, path)


def check_weights(config: str | bytes, stored: int, path: Path) -> None:
    """Refuse a configuration, in JSON, whose layers are far larger than what is stored of them.

    Raises:
        InputError: With their sizes.
    """
    needed = _bytes_of_weights(config)
    if needed is not None and needed > max(HARMLESS, 4 * stored):
        raise InputError(
            f"cannot load a Keras model from {path}: its layers need {needed} bytes of weights, it holds {stored}"
        )


def _look_into_archive(path):
    """Read the configuration, and count the bytes of weights."""
    stored = 0
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(path, archive, "load a Keras model from")
            for info in archive.infolist():
                if info.filename.endswith(".h5"):
                    stored += info.file_size
                    with tempfile.NamedTemporaryFile(suffix=".h5") as copy, archive.open(info) as packed:
                        shutil.copyfileobj(packed, copy)
                        copy.flush()
                        check_hdf5(copy.name, f"{info.filename} in {path}")
            return archive.read(CONFIG), stored
    except InputError:
        raise
    except UNSOUND as error:
        # A KeyError puts its message between quotes.
        reason = reason_of(error, str(error).strip("'\""))
        raise InputError(f"cannot load a Keras model from {path}: no sound .keras archive: {reason}") from error


def _config_of_hdf5(path):
    import h5py

    with h5py.File(path, "r") as file:
        return file.attrs.get("model_config", "")


def _bytes_of_weights(config):
    """Count the bytes that a network's weights need in float32, without making them; None without a network."""
    import keras

    found = []

    def build():
        # Variables within it know their shape and have no value.
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(json.loads(config), safe_mode=True)
            weights = getattr(model, "weights", ())
            found.append(sum(4 * math.prod(weight.shape) for weight in weights))

    def attempt():
        try:
            build()
        except Exception:
            # Keras, which loads it next, gives the reason.
            found.append(None)

    # Keras keeps a list of such variables, to make them after all, for each thread: it goes with this one.
    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found[0]
