#!/usr/bin/env python
"""Denoise one image by networks that other tools made and trained: by these tools themselves, and by gaintuning-tf.

    python scripts/beside_makers.py FOLDER --csbdeep PYTHON [--onnx2tf PYTHON]

FOLDER keeps the networks and images; what is there is not made again. PYTHON of an environment of its own has CSBDeep
and Noise2Void (docs/guides/csbdeep.md), or onnx2tf (docs/guides/onnx.md); this script runs itself by them. It prints a
table of PSNR in dB. Networks are small and trained for minutes: CARE and a DnCNN of Keras 2 on other images,
Noise2Void on the noisy image itself.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SIDE, SIGMA = 128, 25
PATCH, BATCH, EPOCHS = 32, 8, 4
STEPS = {"care": 50, "n2v": 100, "keras2": 50}  # of an epoch
# CARE's `predict` has these percentiles of the image as 0 and 1.
PERCENTILES = (2, 99.8)
TEST = "camera"
TRAINED_ON = ("coins", "astronaut", "coffee", "chelsea", "rocket")
# By file in FOLDER: what it is, and whose prediction is beside it.
NETWORKS = {
    "care": ("CARE, the folder", "care"),
    "care/TF_SavedModel.zip": ("the same, exported by CSBDeep", "care"),
    "n2v": ("Noise2Void, the folder", "n2v"),
    "n2v/n2v.bioimage.io.zip": ("the same, exported for bioimage.io", "n2v"),
    "keras2.h5": ("DnCNN of Keras 2, `.h5`", "keras2"),
    "onnx": ("the same in ONNX, converted by onnx2tf", "onnx"),
}
TOOLS = {"care": "CSBDeep", "n2v": "Noise2Void", "keras2": "Keras 2", "onnx": "onnxruntime"}


def grey(name):
    """An image of scikit-image as grey values."""
    import skimage.data

    image = getattr(skimage.data, name)().astype(np.float32)
    return image if image.ndim == 2 else image[..., :3].mean(-1)


def with_noise(image, seed):
    noisy = image + SIGMA * np.random.default_rng(seed).standard_normal(image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def write_images(folder):
    """Write the image to denoise, its clean one, and patches of others."""
    clean = grey(TEST)[100 : 100 + SIDE, 180 : 180 + SIDE]
    np.save(folder / "clean.npy", clean)
    np.save(folder / "noisy.npy", with_noise(clean, 0))
    made = {"noisy": [], "clean": [], "ends": []}
    for seed, name in enumerate(TRAINED_ON, 1):
        whole = grey(name)
        noisy = with_noise(whole, seed)
        for y in range(0, whole.shape[0] - PATCH, PATCH):
            for x in range(0, whole.shape[1] - PATCH, PATCH):
                part = np.s_[y : y + PATCH, x : x + PATCH]
                made["noisy"].append(noisy[part])
                made["clean"].append(whole[part])
                made["ends"].append(np.percentile(noisy, PERCENTILES))
    order = np.random.default_rng(0).permutation(len(made["noisy"]))
    np.savez(folder / "train.npz", **{name: np.stack(parts)[order] for name, parts in made.items()})


def make_csbdeep(folder):
    """Train all but ONNX, and predict; runs where CSBDeep, Noise2Void and Keras 2 are."""
    noisy = np.load(folder / "noisy.npy").astype(np.float32)
    train = {name: values.astype(np.float32) for name, values in np.load(folder / "train.npz").items()}
    for name, make in (("care", make_care), ("n2v", make_n2v), ("keras2", make_keras2)):
        if not (folder / f"{name}.npy").exists():
            np.save(folder / f"{name}.npy", make(folder, noisy, train))
    export(folder, noisy)


def options_of(name):
    steps = {"train_epochs": EPOCHS, "train_steps_per_epoch": STEPS[name], "train_batch_size": BATCH}
    return {"unet_n_depth": 2, "unet_n_first": 16, "train_tensorboard": False, **steps}


def make_care(folder, noisy, train):
    from csbdeep.models import CARE, Config

    if (folder / "care" / "weights_best.h5").exists():
        return CARE(None, "care", basedir=str(folder)).predict(noisy, "YX")
    low, high = (train["ends"][:, end, None, None] for end in (0, 1))
    x, y = (((train[name] - low) / (high - low))[..., None] for name in ("noisy", "clean"))
    model = CARE(Config("YX", **options_of("care")), "care", basedir=str(folder))
    model.train(x[BATCH:], y[BATCH:], validation_data=(x[:BATCH], y[:BATCH]))
    return model.predict(noisy, "YX")


def make_n2v(folder, noisy, _):
    from n2v.models import N2V, N2VConfig

    if (folder / "n2v" / "weights_best.h5").exists():
        return N2V(None, "n2v", basedir=str(folder)).predict(noisy, "YX")
    starts = range(0, SIDE - PATCH + 1, PATCH // 2)
    x = np.stack([noisy[i : i + PATCH, j : j + PATCH, None] for i in starts for j in starts])
    small = {"unet_kern_size": 3, "n2v_patch_shape": (PATCH, PATCH), "train_loss": "mse"}
    model = N2V(N2VConfig(x, **small, **options_of("n2v")), "n2v", basedir=str(folder))
    model.train(x[4:], x[:4])
    return model.predict(noisy, "YX")


def export(folder, noisy):
    """Write the zips; last, for it turns off how TensorFlow trains and predicts."""
    from csbdeep.models import CARE
    from n2v.models import N2V

    if not (folder / "care" / "TF_SavedModel.zip").exists():
        CARE(None, "care", basedir=str(folder)).export_TF()
    if not (folder / "n2v" / "n2v.bioimage.io.zip").exists():
        about = ("n2v", "Noise2Void of one image", ["nobody"])
        N2V(None, "n2v", basedir=str(folder)).export_TF(*about, noisy[:PATCH, :PATCH, None], "YXC", None)


def make_keras2(folder, noisy, train):
    from tensorflow import keras

    image = x = keras.Input((None, None, 1))
    for _ in range(5):
        x = keras.layers.Conv2D(24, 3, padding="same", activation="relu")(x)
    clean = keras.layers.Subtract()([image, keras.layers.Conv2D(1, 3, padding="same")(x)])
    model = keras.Model(image, clean)
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    x, y = (train[name][: STEPS["keras2"] * BATCH, ..., None] / 255 for name in ("noisy", "clean"))
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    model.save(folder / "keras2.h5")
    np.savez(folder / "weights.npz", *model.get_weights())
    return 255 * model.predict(noisy[None, ..., None] / 255, verbose=0)[0, ..., 0]


def make_onnx(folder):
    """Write the network of Keras 2 as PyTorch would export it, and run it; runs where onnx and onnxruntime are."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    found = list(np.load(folder / "weights.npz").values())
    nodes, weights, x = [], [], "image"
    for number, (kernel, bias) in enumerate(zip(found[::2], found[1::2], strict=True)):
        names = [f"kernel{number}", f"bias{number}"]
        weights += [numpy_helper.from_array(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), names[0])]
        weights += [numpy_helper.from_array(bias, names[1])]
        nodes.append(helper.make_node("Conv", [x, *names], [f"conv{number}"], kernel_shape=[3, 3], pads=[1] * 4))
        x = f"conv{number}"
        if number < len(found) // 2 - 1:
            nodes.append(helper.make_node("Relu", [x], [f"relu{number}"]))
            x = f"relu{number}"
    nodes.append(helper.make_node("Sub", ["image", x], ["clean"]))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 1, SIDE, SIDE]) for n in ("image", "clean")]
    graph = helper.make_graph(nodes, "dncnn", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "net.onnx"))
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    noisy = np.load(folder / "noisy.npy").astype(np.float32)[None, None] / 255
    np.save(folder / "onnx.npy", 255 * session.run(None, {"image": noisy})[0][0, 0])


def make(python, what, folder):
    """Run this script by another Python, which does not see this package."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, __file__, folder, "--make", what], check=True, env=clean)
    if what == "onnx" and not (folder / "onnx").exists():
        command = [Path(python).with_name("onnx2tf"), "-osd", "-i", folder / "net.onnx", "-o", folder / "onnx"]
        subprocess.run(command, check=True, env=clean, cwd=folder, stdout=subprocess.DEVNULL)


def denoised(folder, name, *more):
    """Denoise by the command line, in this process: TensorFlow is started once."""
    from gaintuning_tf.cli.program import main

    out = folder / "out.npy"
    command = ["denoise", folder / "noisy.npy", "-o", out, "--model", folder / name, "--dtype", "float32", *more]
    if main([str(part) for part in command]):
        raise SystemExit(f"failed: gaintuning-tf {' '.join(map(str, command))}")
    return np.load(out)


def row(folder, name):
    """Measure one network: its own tool's prediction, ours as it is, and tuned."""
    words, tool = NETWORKS[name]
    clean, noisy = (np.load(folder / f"{file}.npy").astype(np.float64) for file in ("clean", "noisy"))
    own = np.load(folder / f"{tool}.npy")
    images = (noisy, own, denoised(folder, name, "--no-tune"), denoised(folder, name))
    values = [10 * np.log10(255**2 / np.mean((image - clean) ** 2)) for image in images]
    shown = " | ".join(f"{value:.2f}" for value in values)
    return f"| {words} | {TOOLS[tool]} | {shown} | {np.abs(images[2] - own).max():.1g} |"


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--csbdeep", metavar="PYTHON", help="of an environment with csbdeep and n2v")
    parser.add_argument("--onnx2tf", metavar="PYTHON", help="of one with onnx2tf")
    parser.add_argument("--make", choices=("csbdeep", "onnx"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parsed()
    folder = options.folder.resolve()
    if options.make:
        return {"csbdeep": make_csbdeep, "onnx": make_onnx}[options.make](folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "train.npz").exists():
        write_images(folder)
    for python, what in ((options.csbdeep, "csbdeep"), (options.onnx2tf, "onnx")):
        if python:
            make(os.path.abspath(python), what, folder)
    kept = folder / "rows.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for name in NETWORKS:
        if name not in rows and (folder / name).exists():
            rows[name] = row(folder, name)
            kept.write_text(json.dumps(rows))
    print("| network | its tool | noisy | by its tool | `--no-tune` | tuned | largest difference, not tuned |")
    print("\n".join(["|---|---|---|---|---|---|---|", *(rows[name] for name in NETWORKS if name in rows)]))


if __name__ == "__main__":
    main()
