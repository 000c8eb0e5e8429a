"""Models of CSBDeep and Noise2Void: their folders, and the zip files that they export."""

from __future__ import annotations

import warnings
from pathlib import Path

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.networks.formats.archives import names_in, unpacked
from gaintuning_tf.networks.formats.csbdeep_config import (
    CONFIG,
    REFUSED,
    axes_order,
    is_config,
    meaning_of,
    read_config,
    read_json,
    spatial_axes,
)
from gaintuning_tf.networks.formats.recognition import Found

# What CSBDeep writes beside the graph that it exports.
META = "meta.json"
GRAPH = "saved_model.pb"
WEIGHTS = (".h5", ".hdf5")
# What CSBDeep and Noise2Void name the zip of a graph.
_EXPORTED = ("TF_SavedModel.zip", "tf_model.zip")


def recognises(path: Path) -> bool:
    """Whether it is the folder of a model, its configuration, a file of its weights, or what was exported from it."""
    if path.is_dir():
        return is_config(read_json(path / CONFIG)) or ((path / META).is_file() and (path / GRAPH).is_file())
    if path.suffix.lower() in WEIGHTS or path.name == CONFIG:
        return is_config(read_json(path.parent / CONFIG))
    if path.suffix.lower() != ".zip":
        return False
    names = [name.rpartition("/")[2] for name in names_in(path)]
    return GRAPH in names or (CONFIG in names and any(name in _EXPORTED or _is_weights(name) for name in names))


def files_of(path: Path) -> list[Path]:
    """List the files that the network depends on."""
    folder = path if path.is_dir() else path.parent
    files = [folder / CONFIG, folder / META, folder / GRAPH, *sorted(folder.glob("variables/*"))]
    files += [path] if path.is_file() else [*_all_weights(folder), *(folder / name for name in _EXPORTED)]
    return [file for file in files if file.is_file()]


def load(path: Path) -> Found:
    """Load the network from its weights, or else the graph that was exported.

    Raises:
        InputError: It is no denoiser of images to the same shape, or cannot be read.
    """
    if path.is_dir():
        return _in_folder(path, path)
    if path.suffix.lower() == ".zip":
        return _in_zip(path)
    return _in_folder(path.parent, path.parent, path if path.suffix.lower() in WEIGHTS else None)


def _in_zip(path):
    with unpacked(path) as folder:
        inner = folder
        while not any((inner / name).is_file() for name in (GRAPH, CONFIG)):
            # One folder with all in it.
            folders = [one for one in inner.iterdir() if one.is_dir()]
            if len(folders) != 1:
                raise InputError(f"expected a SavedModel or a model of CSBDeep in {path}, found neither")
            inner = folders[0]
        return _in_folder(inner, path)


def _in_folder(folder, called, weights=None):
    """Load what is in a folder, which messages call by the name that the user gave."""
    values = read_json(folder / CONFIG)
    if not is_config(values):
        return _exported(folder, called, read_json(called.parent / CONFIG))
    _check_type(folder, called)
    weights = weights or _weights_in(folder)
    if weights:
        return _rebuilt(values, weights, called)
    graph = next((folder / name for name in _EXPORTED if (folder / name).is_file()), None)
    if graph:
        read_config(values, called)
        with unpacked(graph) as inner:
            return _exported(inner, called, values)
    if (folder / GRAPH).is_file():
        return _exported(folder, called, values)
    raise InputError(f"expected weights in {called}, such as weights_best.h5, beside its config.json: found none")


def _rebuilt(values, weights, called):
    from gaintuning_tf.networks.formats.csbdeep_unet import LayerWeights, build_unet

    config = read_config(values, called)
    arrays = LayerWeights(weights)
    if config.nets > 1 and not arrays.by_static_graph:
        _warn(
            f"{called} has a net for each channel, and each sees the last channel, as Noise2Void on TensorFlow 2 "
            "trains and runs them: single_net_per_channel=False would see all"
        )
    model = build_unet(config, arrays, _name(called))
    _warn_of_channels(config.meaning, config.channels, called)
    return Found(model, config.meaning)


def _warn_of_channels(meaning, channels, called):
    if meaning and meaning.assumed and channels > 1:
        _warn(
            f"the percentiles of {called} are those of all {channels} channels together, where CSBDeep takes each "
            "channel's own: scale them alike, or say normalize=mean-std with a value for each channel"
        )


def _warn(text):
    warnings.warn(text, GainTuningWarning, stacklevel=2)


def _exported(folder, called, values):
    """Load a graph, with what is known of it from the file beside it, and from the model's configuration."""
    from gaintuning_tf.gains.graphs.graph_models import load_saved_model

    meta = read_json(folder / META)
    _check_meta(meta, called)
    known = {**meta, **(values if is_config(values) else {})}
    axes = axes_order(spatial_axes(known.get("axes", "YXC")))
    if axes != tuple(range(len(axes))):
        raise InputError(f"expected axes such as YXC, {called} has {known['axes']}: give the folder with its weights")
    model = load_saved_model(folder)
    model = _mean_of(model) if known.get("probabilistic") else model
    channels, returned = (tensors[0].shape[-1] for tensors in (model.inputs, model.outputs))
    if known and channels != returned:
        raise InputError(
            f"expected as many channels out of a denoiser as into it, {called} makes {returned} of {channels}"
        )
    meaning = _meaning(known, called)
    _warn_of_channels(meaning, channels, called)
    return Found(model, meaning)


def _check_type(folder, called):
    """Refuse what is no denoiser by the graph that was exported beside the weights, whose file names its class."""
    exported = folder / _EXPORTED[0]
    if META in names_in(exported):
        with unpacked(exported) as inner:
            _check_meta(read_json(inner / META), called)


def _check_meta(meta, called):
    if meta.get("type") in REFUSED:
        raise InputError(f"expected a denoiser of CARE or Noise2Void, {called} is of {REFUSED[meta['type']]}")


def _meaning(known, called):
    if not known:
        return None
    try:
        meaning = meaning_of(known)
    except InputError as error:
        raise InputError(f"{called}: {error}") from error
    if known.get("type") == "N2V" and meaning.assumed:
        return None
    return meaning


def _mean_of(model):
    """Take of the outputs of a probabilistic network the first half of the channels."""
    import keras

    from gaintuning_tf.gains.normalization_layers import Channels

    inputs = keras.Input(model.inputs[0].shape[1:], name="input")
    outputs = model(inputs)
    half = Channels(0, outputs.shape[-1] // 2, name="mean")(outputs)
    return keras.Model(inputs, half, name=model.name)


def _weights_in(folder):
    """Choose among the weights as CSBDeep does: the best, else the last."""

    def rank(path):
        return "best" in path.name, "last" in path.name, path.stat().st_mtime

    return max(_all_weights(folder), key=rank, default=None)


def _all_weights(folder):
    return [path for path in sorted(folder.iterdir()) if path.is_file() and _is_weights(path.name)]


def _is_weights(name):
    return Path(name).suffix.lower() in WEIGHTS


def _name(path):
    stem = path.name if path.is_dir() else path.stem
    return "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in stem) or "network"
