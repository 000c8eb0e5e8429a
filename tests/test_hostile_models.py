"""Files of networks that mean harm: each is refused in one line, and nothing in it is run."""

import io
import json
import marshal
import os
import resource
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest

from gaintuning_tf import InputError, load_denoiser
from gaintuning_tf.cli.program import main
from gaintuning_tf.networks.pretrained import list_denoisers
from helpers import samples


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The parts of a sound `.keras` file, to be made unsound."""
    path = tmp_path_factory.mktemp("sound") / "sound.keras"
    samples.tiny_network().save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_config(members, change):
    """The same file with another configuration."""
    config = json.loads(members["config.json"])
    change(config)
    return {**members, "config.json": json.dumps(config)}


def with_weights(members, change):
    """The same file with other weights: `change` is given the open HDF5 file."""
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        change(file)
    return {**members, "model.weights.h5": data.getvalue()}


def refused(path):
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(str(path)) <= 1
    return str(caught.value)


def trap(tmp_path):
    """Code that leaves a file behind."""
    return f"open({str(tmp_path / 'sprung')!r}, 'w').close()"


def test_a_sound_file_is_no_suspect(tmp_path, members):
    assert load_denoiser(pack(tmp_path / "a.keras", members)).count_params() == 93


def lambda_layer(tmp_path):
    import base64

    scope = {}
    exec(f"def hostile(x):\n    {trap(tmp_path)}\n    return x", scope)
    code = base64.b64encode(marshal.dumps(scope["hostile"].__code__)).decode()
    function = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    config = {"name": "evil", "function": function, "arguments": {}}
    return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}


def arbitrary(module, function, registered=None, **config):
    return {"module": module, "class_name": function, "config": config, "registered_name": registered}


LAYERS = {
    "a lambda with bytecode": lambda_layer,
    "a function of the system": lambda tmp_path: arbitrary("os", "system", command=f"touch {tmp_path / 'sprung'}"),
    "a builtin": lambda tmp_path: arbitrary("builtins", "exec", source=trap(tmp_path)),
    "a process": lambda tmp_path: arbitrary("subprocess", "Popen", args=["touch", str(tmp_path / "sprung")]),
    "a module within keras": lambda tmp_path: arbitrary(
        "keras.src.utils.python_utils", "func_load", code=trap(tmp_path)
    ),
    "a registered name of another module": lambda tmp_path: arbitrary(
        "os", "system", registered="gaintuning_tf>Gain", command=f"touch {tmp_path / 'sprung'}"
    ),
    "a function that is registered as nothing": lambda tmp_path: arbitrary(
        "builtins", "function", registered="os.system", command=f"touch {tmp_path / 'sprung'}"
    ),
    "a layer that loads a SavedModel": lambda tmp_path: arbitrary(
        "keras.layers", "TFSMLayer", filepath=str(tmp_path), call_endpoint="serve", name="evil"
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("place", ["a layer", "an activation", "an initializer", "the whole"])
def test_what_would_run_code_is_refused_and_not_run(tmp_path, members, kind, place):
    evil = LAYERS[kind](tmp_path)

    def change(config):
        layer = config["config"]["layers"][1]
        if place == "a layer":
            layer.update(evil)
        elif place == "an activation":
            layer["config"]["activation"] = evil
        elif place == "an initializer":
            layer["config"]["kernel_initializer"] = evil
        else:
            config.update(evil)

    path = pack(tmp_path / "evil.keras", with_config(members, change))
    refused(path)
    assert not (tmp_path / "sprung").exists()


def test_a_lambda_in_a_legacy_file_is_refused_and_not_run(tmp_path):
    import base64

    samples.tiny_network().save(tmp_path / "evil.h5")
    scope = {}
    exec(f"def hostile(x):\n    {trap(tmp_path)}\n    return x", scope)
    code = base64.b64encode(marshal.dumps(scope["hostile"].__code__)).decode()
    with h5py.File(tmp_path / "evil.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "BatchNormalization":
                layer["class_name"] = "Lambda"
                layer["config"] = {
                    "name": "norm",
                    "function": [code, None, None],
                    "function_type": "lambda",
                    "output_shape": None,
                    "arguments": {},
                }
                layer.pop("module", None)
                layer.pop("registered_name", None)
        file.attrs["model_config"] = json.dumps(config)
    refused(tmp_path / "evil.h5")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "assets/../../evil", "..\\evil"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, members, name):
    (tmp_path / "in").mkdir()
    path = pack(tmp_path / "in" / "a.keras", {**members, name: b"evil"})
    assert "is no name for a part" in refused(path)
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_the_same_part_twice_is_refused(tmp_path, members):
    path = pack(tmp_path / "a.keras", members)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    assert "is no name for a part" in refused(path)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json", "assets/more"])
def test_an_archive_that_would_expand_without_end_is_refused_before_it_does(tmp_path, members, name):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other in set(members) - {name}:
            archive.writestr(other, members[other])
        # bzip2 packs zeros far more than deflate does: 1/4 GB are some hundred bytes.
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_BZIP2
        with archive.open(info, "w", force_zip64=True) as part:
            for _ in range(8):
                part.write(bytes(2**25))
    assert path.stat().st_size < 300_000
    before, start = peak(), time.monotonic()
    assert "cannot hold" in refused(path)
    assert time.monotonic() - start < 5 and peak() - before < 100


def test_sizes_in_the_directory_that_lie_are_refused(tmp_path, members):
    path = pack(tmp_path / "a.keras", members, compression=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    true = len(members["model.weights.h5"]).to_bytes(4, "little")
    assert data.count(true) == 2  # before the part, and in the directory
    for lie in (0, 100, 2**32 - 2):
        path.write_bytes(data.replace(true, lie.to_bytes(4, "little")))
        refused(path)


def replace(file, name, **options):
    del file[name]
    file.create_dataset(name, **options)


KERNEL = "layers/conv2d/vars/0"
LIES = {
    "another shape": lambda file: replace(file, KERNEL, data=np.zeros((3, 3, 1, 5), "float32")),
    "no shape": lambda file: replace(file, KERNEL, data=np.float32(1)),
    "text": lambda file: replace(file, KERNEL, data=["a", "b"], dtype=h5py.string_dtype()),
    "terabytes in a few bytes": lambda file: replace(
        file, KERNEL, shape=(10**6, 10**6), chunks=(1000, 1000), dtype="float32"
    ),
    "the right shape in terabytes elsewhere": lambda file: file.create_dataset(
        "more", shape=(10**6, 10**6), chunks=(1000, 1000), dtype="float32"
    ),
    "nothing": lambda file: file.pop(KERNEL),
}


@pytest.mark.parametrize("kind", LIES)
def test_weights_that_lie_are_refused(tmp_path, members, kind):
    before = peak()
    refused(pack(tmp_path / "a.keras", with_weights(members, LIES[kind])))
    assert peak() - before < 200


@pytest.mark.parametrize("filters", [2**20, 2**31, 2**62])
def test_layers_larger_than_the_weights_that_are_there_are_refused_before_they_are_made(tmp_path, members, filters):
    def change(config):
        config["config"]["layers"][1]["config"].update(filters=filters, kernel_size=[99, 99])
        config["config"]["layers"][1].pop("build_config", None)
        config["config"]["layers"][2].pop("build_config", None)

    before = peak()
    refused(pack(tmp_path / "a.keras", with_config(members, change)))
    assert peak() - before < 200


def secret(tmp_path):
    """Another file, whose content must not come to be that of a network."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.full((3, 3, 1, 4), 7, "float32")
    np.full((3, 3, 1, 4), 7, "<f4").tofile(tmp_path / "secret.raw")
    return tmp_path


def link(file, folder):
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(str(folder / "secret.h5"), "kernel")


def external(file, folder):
    size = 4 * 36
    replace(file, KERNEL, shape=(3, 3, 1, 4), dtype="float32", external=[(str(folder / "secret.raw"), 0, size)])


def virtual(file, folder):
    del file[KERNEL]
    layout = h5py.VirtualLayout((3, 3, 1, 4), "float32")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "kernel", (3, 3, 1, 4))
    file.create_virtual_dataset(KERNEL, layout)


@pytest.mark.parametrize("change", [link, external, virtual])
def test_weights_in_other_files_are_refused(tmp_path, members, change):
    folder = secret(tmp_path)
    path = pack(tmp_path / "a.keras", with_weights(members, lambda file: change(file, folder)))
    assert "another file" in refused(path)


def test_weights_of_a_legacy_file_in_other_files_are_refused(tmp_path):
    folder = secret(tmp_path)
    samples.tiny_network().save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        names = []
        file.visit(names.append)
        kernel = next(name for name in names if name.startswith("model_weights") and name.endswith("first/kernel"))
        del file[kernel]
        file[kernel] = h5py.ExternalLink(str(folder / "secret.h5"), "kernel")
    assert "another file" in refused(tmp_path / "a.h5")


def test_the_command_line_says_it_in_one_line_and_leaves_the_previous_output(tmp_path, members, capfd, photograph):
    np.save(tmp_path / "noisy.npy", photograph)
    (tmp_path / "out.npy").write_text("previous")
    pack(tmp_path / "evil.keras", with_config(members, lambda config: config.update(arbitrary("os", "system"))))
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    command = ["denoise", str(tmp_path / "noisy.npy"), "-o", str(tmp_path / "out.npy"), "--quiet"]
    assert main([*command, "--model", str(tmp_path / "evil.keras")]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_no_network_that_comes_with_the_package_is_a_suspect(tmp_path):
    from gaintuning_tf.networks.file_check import check_network_file

    for info in list_denoisers().values():
        check_network_file(info.path)


def test_keras_itself_would_have_run_what_is_here(tmp_path, members):
    """The trap is one: with safe mode off it springs."""
    layer = lambda_layer(tmp_path)
    keras.saving.deserialize_keras_object(layer, safe_mode=False)(np.zeros(3, "float32"))
    assert (tmp_path / "sprung").exists()
