"""Networks that were read from files, kept for the next image as long as their files stay as they are."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gaintuning_tf.gains.graphs.graph_models import version_folder
from gaintuning_tf.networks.formats.recognition import format_of
from gaintuning_tf.networks.pretrained import find_denoiser, kept_beside, load_denoiser

if TYPE_CHECKING:
    import keras

# Few are kept, for each holds on to its compiled tuner.
KEPT = 2
_kept: dict[Path, tuple[list[tuple], keras.Model]] = {}
_one_at_a_time = threading.Lock()


def network_in(name_or_path: str | os.PathLike[str]) -> keras.Model:
    """Load what `load_denoiser` would, unless it is among the last and its files are unchanged.

    Returns:
        The network, the same object as in the last call, so that its tuner is compiled.
        It is shared: not to be changed.

    Raises:
        InputError: As from `load_denoiser`.
    """
    found = find_denoiser(name_or_path)
    # A relative path is another one in another working directory.
    path = found.resolve()
    with _one_at_a_time:
        # Asked before loading: of a file that changes meanwhile, the next call loads the rest.
        state = _state(path)
        if path in _kept and _kept[path][0] != state:
            del _kept[path]
        network = _kept.pop(path)[1] if path in _kept else load_denoiser(found)
        _kept[path] = state, network
        while len(_kept) > KEPT:
            del _kept[next(iter(_kept))]
    return network


def _state(path):
    """Find what changes with a network's files: their names, sizes and times."""
    files, form = [path], format_of(path)
    if form:
        files = form.files_of(path)
    elif path.is_dir():
        folder = version_folder(path)
        # Nothing else is read, and what else is there may change with each image.
        files = sorted([*folder.glob("saved_model.pb*"), *folder.glob("variables/*")])
    beside = kept_beside(path)
    files += [beside] if beside.is_file() else []
    return [(str(file), *_times_and_size(file.stat())) for file in files]


def _times_and_size(status):
    # A copy may bring along the time of its contents, which is not that of its arrival.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size
