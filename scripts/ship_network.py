#!/usr/bin/env python
"""Put a trained network among those that ship, in as few bytes as lose nothing.

    python scripts/ship_network.py drunet.keras drunet-grey
    python scripts/ship_network.py FOLDER/drunet-grey.npz drunet-grey

The first is what `gaintuning-tf train` wrote. The second is an archive of NumPy arrays
with the names that PyTorch gives the weights of the same network: drunet-color,
drunet-grey, dncnn-natural, dncnn-bf-natural. Kernels are rounded to float16, and the
archive is compressed, which leaves about half. Writes saved_models/NAME/NAME.keras; the
card is for scripts/model_card.py.
"""

import argparse
import re
import zipfile
from pathlib import Path

import keras
import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks.architectures import dncnn
from gaintuning_tf.networks.pretrained import load_denoiser
from gaintuning_tf.networks.residual_unet import drunet
from gaintuning_tf.support.atomic_files import replacing

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    "drunet-color": lambda: drunet(3, name="drunet_color"),
    "drunet-grey": lambda: drunet(1, name="drunet_grey"),
    "dncnn-natural": lambda: dncnn(name="dncnn_natural"),
    "dncnn-bf-natural": lambda: dncnn(bias_free=True, name="dncnn_bf_natural"),
}


def from_arrays(name: str, path: Path) -> keras.Model:
    """Make a network with the weights of an archive whose keys are PyTorch's."""
    model, arrays = NETWORKS[name](), dict(np.load(path))
    for key, value in arrays.items():
        layer, kind = (of_drunet if name.startswith("drunet") else of_dncnn)(key)
        value = value.astype(np.float32)
        weight = getattr(model.get_layer(layer), kind)
        weight.assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
    if len(arrays) != len(model.weights):
        raise InputError(f"expected the {len(model.weights)} weights of {name} in {path}, found {len(arrays)}")
    return model


def of_drunet(key: str) -> tuple[str, str]:
    """Translate `down.0.1.a.weight`, the second block at the finest scale, and its like."""
    parts = key.removesuffix(".weight").split(".")
    if len(parts) == 1:
        return parts[0], "kernel"
    if parts[0] == "body":
        return f"body_{int(parts[1]) + 1}{parts[2]}", "kernel"
    scale, place = f"{parts[0]}{int(parts[1]) + 1}", int(parts[2])
    if len(parts) == 3:
        return f"{scale}_stride", "kernel"
    # On the way up the transposed convolution is the first of the list.
    return f"{scale}_{place + (parts[0] == 'down')}{parts[3]}", "kernel"


def of_dncnn(key: str) -> tuple[str, str]:
    """Translate `convs.0.weight`, `norms.0.gamma` and their like; the first layer has no batch norm."""
    stack, number, kind = re.fullmatch(r"(convs|norms)\.(\d+)\.(\w+)", key).groups()
    if stack == "convs":
        return f"conv{int(number) + 1}", {"weight": "kernel", "bias": "bias"}[kind]
    names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return f"norm{int(number) + 2}", names.get(kind, kind)


def ship(model: keras.Model, path: Path) -> None:
    """Save a network with its kernels rounded to float16, and compress the archive."""
    for weight in model.weights:
        if len(weight.shape) == 4:
            weight.assign(np.asarray(weight).astype(np.float16).astype(np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".whole-{path.name}")
    try:
        model.save(whole)
        with replacing(path) as temporary:
            _compress(whole, temporary)
    finally:
        whole.unlink(missing_ok=True)


def _compress(archive, packed):
    options = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 9}
    with zipfile.ZipFile(archive) as loose, zipfile.ZipFile(packed, "w", **options) as tight:
        for member in loose.namelist():
            tight.writestr(member, loose.read(member))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("name")
    parser.add_argument("-o", "--output", type=Path, help="another file [saved_models/NAME/NAME.keras]")
    options = parser.parse_args()
    model = (
        from_arrays(options.name, options.source) if options.source.suffix == ".npz" else load_denoiser(options.source)
    )
    output = options.output or ROOT / "saved_models" / options.name / f"{options.name}.keras"
    ship(model, output)
    print(f"{output}: {model.count_params():,} weights, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
