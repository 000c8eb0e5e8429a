"""Files of Keras 2, whole or in two: loaded by tf_keras as what they are, and nothing in them is run."""

import json
import os
import zipfile

import h5py
import numpy as np
import pytest

from gaintuning_tf import InputError, gaintune, load_denoiser
from gaintuning_tf.networks.formats import keras2
from gaintuning_tf.networks.formats.keras2 import is_of_keras2
from gaintuning_tf.networks.network import network_of
from helpers import samples

IMAGE = np.random.default_rng(0).random((1, 12, 16, 1)).astype("float32")


@pytest.fixture(scope="module")
def old():
    return pytest.importorskip("tf_keras")


def network(k, *, operations=True):
    """What Keras 3 knows otherwise: a transposed convolution has groups, and sums are layers of their own."""
    image = k.Input((None, None, 1))
    half = k.layers.Conv2D(3, 3, strides=2, padding="same", activation="relu")(image)
    full = k.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(half)
    return k.Model(image, image + full if operations else k.layers.Add()([image, full]))


def write_hdf5(model, folder):
    model.save(folder / "network.h5")
    return folder / "network.h5"


def write_capitals(model, folder):
    model.save(folder / "network.h5")
    return (folder / "network.h5").rename(folder / "NETWORK.H5")


def write_archive(model, folder):
    model.save(folder / "network.keras")
    return folder / "network.keras"


def write_two_files(model, folder):
    (folder / "network.json").write_text(model.to_json())
    model.save_weights(folder / "network_weights.h5", save_format="h5")
    return folder / "network.json"


def write_new_weights(model, folder):
    (folder / "model.json").write_text(model.to_json())
    model.save_weights(folder / "model.weights.h5")
    return folder


def write_unpacked_archive(model, folder):
    model.save(folder.parent / "network.keras")
    with zipfile.ZipFile(folder.parent / "network.keras") as archive:
        archive.extractall(folder)
    return folder


def write_weights_beside(model, folder):
    (folder / "network.json").write_text(model.to_json())
    model.save_weights(folder / "network.h5")
    return folder / "network.h5"


WRITERS = [
    *(write_hdf5, write_capitals, write_archive, write_two_files),
    *(write_new_weights, write_unpacked_archive, write_weights_beside),
]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("operations", [True, False])
@pytest.mark.parametrize("write", WRITERS)
def test_it_is_the_same_network(old, tmp_path, write, operations):
    folder = tmp_path / "a network"
    folder.mkdir()
    model = network(old, operations=operations)
    path = write(model, folder)
    found = network_of(path)
    np.testing.assert_allclose(found(IMAGE), model(IMAGE), atol=1e-6)
    assert found.multiple == 2


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_it_is_tuned_and_saved(old, tmp_path):
    path = write_hdf5(network(old), tmp_path)
    result = gaintune(IMAGE[0, ..., 0], path, sigma=0.1, steps=1, progress=False)
    assert len(result.gains) == 2  # of two convolutions
    result.model.save(tmp_path / "tuned.keras")
    again = load_denoiser(tmp_path / "tuned.keras")
    np.testing.assert_allclose(again(IMAGE)[0, ..., 0], result.denoised, atol=1e-5)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("write", [write_hdf5, write_archive, write_two_files])
def test_without_tf_keras_one_line_says_which_extra(old, tmp_path, write, monkeypatch):
    path = write(network(old), tmp_path)
    find = keras2.check_installed.__globals__["importlib"].util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tf_keras" else find(name))
    with pytest.raises(InputError, match=r"is of Keras 2.*pip install 'gaintuning-tf\[keras2\]'") as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)


def test_architecture_and_weights_of_keras_3_need_no_tf_keras(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(keras2, "load_weights", None)
    (tmp_path / "config.json").write_text(tiny.to_json())
    tiny.save_weights(tmp_path / "tiny.weights.h5")
    found = network_of(tmp_path)
    np.testing.assert_allclose(found(IMAGE), tiny(IMAGE), atol=1e-6)
    assert "GraphNetwork" not in {type(layer).__name__ for layer in found.model.layers}


def test_weights_alone_say_what_is_missing(tmp_path, tiny):
    tiny.save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(InputError, match=r"weights alone.*model.to_json.*only.json"):
        load_denoiser(tmp_path / "only.weights.h5")


def test_several_files_of_weights_are_listed(tmp_path, tiny):
    (tmp_path / "model.json").write_text(tiny.to_json())
    for name in ("a.weights.h5", "b.weights.h5"):
        tiny.save_weights(tmp_path / name)
    with pytest.raises(InputError, match=r"expected one file of weights beside .*, found a.weights.h5, b.weights.h5"):
        load_denoiser(tmp_path)
    # One of the architecture's name is it.
    tiny.save_weights(tmp_path / "model.weights.h5")
    assert load_denoiser(tmp_path).count_params() == tiny.count_params()


def test_versions_are_told_apart():
    assert [is_of_keras2(version) for version in ("2.2.4-tf", "2.15.0", "3.12.1", "")] == [True, True, False, False]


def hostile(folder, change):
    """A sound `.keras` of Keras 2, with another configuration of its second layer."""
    import tf_keras

    sound = write_archive(network(tf_keras), folder)
    with zipfile.ZipFile(sound) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"]["layers"])
    members["config.json"] = json.dumps(config)
    path = folder / "hostile.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def refused(path):
    with pytest.raises(InputError) as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "exec"),
        ("subprocess", "Popen"),
        ("keras.src.utils.generic_utils", "func_load"),
        ("keras.utils", "get_file"),
        ("tf_keras.src.saving.saving_api", "load_model"),
        ("kerasy", "layers"),
    ],
)
@pytest.mark.parametrize("place", ["layer", "initializer"])
def test_other_modules_are_not_imported(old, tmp_path, module, name, place):
    evil = {"module": module, "class_name": name, "config": {"command": f"touch {tmp_path / 'sprung'}"}}
    evil |= {"registered_name": None}

    def change(layers):
        if place == "layer":
            layers[1].update(evil)
        else:
            layers[1]["config"]["kernel_initializer"] = evil

    assert f"of the module '{module}', which is not Keras" in refused(hostile(tmp_path, change))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "function",
    [
        "io.write_file",
        "raw_ops.WriteFile",
        "py_function",
        "print",
        "keras.utils.get_file",
        "saved_model.load",
        "os.system",
    ],
)
def test_operations_that_reach_beyond_tensors_are_refused(old, tmp_path, function):
    def change(layers):
        (layer,) = [layer for layer in layers if layer["class_name"] == "TFOpLambda"]
        layer["config"]["function"] = function

    assert f"'{function}' in it is not known to be an operation" in refused(hostile(tmp_path, change))


def test_a_lambda_is_refused_with_a_way_out(old, tmp_path):
    model = old.Sequential([old.Input((None, None, 1)), old.layers.Conv2D(1, 3), old.layers.Lambda(lambda x: x * 1.0)])
    model.save(tmp_path / "lambda.keras")
    assert "if you trust it, load it by tf_keras and give the model" in refused(tmp_path / "lambda.keras")


def test_layers_that_are_larger_than_the_file_are_not_made(old, tmp_path):
    def change(layers):
        layers[1]["config"]["filters"] = 10**9

    assert "bytes of weights or more, it holds" in refused(hostile(tmp_path, change))


def test_damaged_weights_are_one_line(old, tmp_path):
    path = write_two_files(network(old), tmp_path)
    data = (tmp_path / "network_weights.h5").read_bytes()
    (tmp_path / "network_weights.h5").write_bytes(data[: len(data) // 2])
    assert "not an HDF5 file that is safe to read" in refused(path)
    with h5py.File(tmp_path / "network_weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"no such layer"]
    assert os.fspath(tmp_path) in refused(path)
    samples.tiny_network().save_weights(tmp_path / "network_weights.weights.h5")
    assert "expected one file of weights" in refused(path)


def test_weights_are_known_by_what_is_in_them(old, tmp_path):
    model = network(old, operations=False)
    (tmp_path / "model.json").write_text(model.to_json())
    # The old layout under a name that is now that of the new one.
    model.save_weights(tmp_path / "old.h5", save_format="h5")
    (tmp_path / "old.h5").rename(tmp_path / "model.weights.h5")
    assert keras2.suffix_for_weights(tmp_path / "model.weights.h5") == ".h5"
    np.testing.assert_allclose(network_of(tmp_path)(IMAGE), model(IMAGE), atol=1e-6)
