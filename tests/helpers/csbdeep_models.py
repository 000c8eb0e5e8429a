"""Makes small models of CSBDeep and Noise2Void with these packages, and what their own `predict` returns.

Run by a Python that has them, which this package's tests need not have:

    python tests/helpers/csbdeep_models.py FOLDER
"""

import argparse
import shutil
import zipfile
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
SMALL = {"unet_n_depth": 2, "unet_kern_size": 3, "unet_n_first": 3, "train_tensorboard": False}
COLOURS = np.array([1, 2, 4], np.float32)
# By name: shape and axes of an image, and options of its configuration.
N2V = {
    "n2v": ((16, 20), "YX", {}),
    "n2v2": ((16, 20), "YX", {"blurpool": True, "skip_skipone": True, "n2v_manipulator": "median"}),
    "struct_n2v": ((16, 20), "YX", {"structN2Vmask": [[0, 1, 1, 1, 0]], "unet_residual": True, "batch_norm": False}),
    "n2v_colour": ((16, 20, 3), "YXC", {"unet_n_depth": 1, "single_net_per_channel": False}),
    "n2v_colour_nets": ((16, 20, 3), "YXC", {"unet_n_depth": 1}),
    "n2v_3d": ((4, 8, 12), "ZYX", {"unet_n_depth": 1}),
}
CARE = {
    "care": ((16, 20), "YX", {}),
    "care_probabilistic": ((16, 20), "YX", {"probabilistic": True}),
    "care_channels": ((16, 20, 2), "YXC", {"n_channel_in": 2, "n_channel_out": 2, "unet_n_depth": 1}),
    "care_3d": ((4, 8, 12), "ZYX", {"unet_n_depth": 1}),
    "care_xy": ((16, 20), "YX", {"unet_n_depth": 1}),
    "care_two_to_one": ((16, 20, 2), "YXC", {"n_channel_in": 2, "unet_n_depth": 1}),
    "projection": ((8, 16, 16), "ZYX", {"proj_n_depth": 2, "proj_n_filt": 2, "unet_n_depth": 1}),
    "isotropic": ((4, 8, 12), "ZYX", {"unet_n_depth": 1}),
}
NET_AXES = {"care_xy": "XY", "isotropic": "YX"}


def image(shape):
    """An image of a few counts, with colours of different brightness."""
    found = 100 + 30 * RNG.random(shape) + 20 * np.sin(np.indices(shape)[1] / 3)
    return (found * COLOURS[: shape[-1]] if shape[-1] <= 3 else found).astype(np.float32)


def randomise(model):
    """Give a model weights as training leaves them: biases, and statistics of batches."""
    network = model.keras_model
    weights = [
        RNG.uniform(0.5, 2, value.shape)
        if "variance" in weight.name
        else RNG.normal(1.0 if "gamma" in weight.name else 0.1, 0.1, value.shape)
        if value.ndim == 1
        else value
        for weight, value in zip(network.weights, network.get_weights(), strict=True)
    ]
    network.set_weights(weights)
    network.save_weights(str(model.logdir / "weights_best.h5"))


def n2v_model(name, folder):
    from n2v.models import N2V as Model, N2VConfig

    shape, _, options = N2V[name]
    whole = shape if shape[-1] == 3 else (*shape, 1)
    patch = (8,) * (len(whole) - 1)
    train = np.stack([image(shape).reshape(whole) for _ in range(2)])
    return Model(N2VConfig(train, n2v_patch_shape=patch, **{**SMALL, **options}), name, basedir=str(folder))


def care_model(name, folder):
    from csbdeep import models

    _, axes, options = CARE[name]
    special = {"projection": ("ProjectionCARE", "ProjectionConfig"), "isotropic": ("IsotropicCARE", "Config")}
    kind, config = special.get(name, ("CARE", "Config"))
    made = getattr(models, config)(NET_AXES.get(name, axes.replace("C", "")), **{**SMALL, **options})
    return getattr(models, kind)(made, name, basedir=str(folder))


def export(model, noisy, axes):
    """Write the zip of a model, as its package does: Noise2Void takes square images with channels."""
    if axes is None:
        return model.export_TF()
    side = noisy[..., :8, :8, None] if "C" not in axes else noisy[:8, :8]
    model.export_TF("small", "small", ["nobody"], side, axes.replace("C", "") + "C", None)
    shutil.rmtree(model.logdir / "tf_model")


def make(folder):
    """Make all, each with `NAME.npz` beside it: `image` and `predicted`."""
    for name, (shape, axes, _) in {**N2V, **CARE}.items():
        model = (n2v_model if name in N2V else care_model)(name, folder)
        randomise(model)
        noisy = image(shape)
        predicted = model.predict(noisy, axes) if name != "isotropic" else noisy
        np.savez_compressed(folder / f"{name}.npz", image=noisy, predicted=predicted, axes=axes)
        if name not in ("projection", "care_two_to_one"):
            export(model, noisy, axes if name in N2V else None)


# What the tests find in the repository: of zips, which are large, one or two.
RECORDED = ("config.json", "weights_best.h5")
RECORDED_ZIPS = ("care_probabilistic/TF_SavedModel.zip", "isotropic/TF_SavedModel.zip")


def record(folder, path):
    """Pack what the tests need of the folders."""
    files = [*folder.glob("*.npz"), *(file for name in RECORDED for file in folder.glob(f"*/{name}"))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted([*files, *(folder / name for name in RECORDED_ZIPS)]):
            archive.write(file, file.relative_to(folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--record", type=Path, help="pack what the tests need into this zip, tests/data/csbdeep.zip")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    make(options.folder)
    if options.record:
        record(options.folder, options.record)
