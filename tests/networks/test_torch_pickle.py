"""PyTorch's files of tensors are read without PyTorch, and nothing that is in them is run."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from gaintuning_tf.cli.program import main
from gaintuning_tf.errors import InputError
from gaintuning_tf.networks.formats.torch_pickle import load_tensors


def plain(value):
    """The opcodes of a value, without what begins and ends a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def tensor(key, numbers, shape=None, strides=None, offset=0, legacy=False):
    """The opcodes of a tensor, as PyTorch writes them."""
    strides = strides or [stride // numbers.itemsize for stride in numbers.strides]
    storage = b"(" + plain("storage") + named("torch", "FloatStorage") + plain(key) + plain("cpu") + plain(numbers.size)
    storage += (b"N" if legacy else b"") + b"tQ"
    rest = plain(offset) + plain(tuple(shape or numbers.shape)) + plain(tuple(strides)) + b"\x89"
    rest += named("collections", "OrderedDict") + b")R"
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + rest + b"tR"


def pickled(items):
    return b"\x80\x02}(" + b"".join(plain(name) + opcodes for name, opcodes in items.items()) + b"u."


def zipped(path, program, storages, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", program)
        archive.writestr("net/byteorder", "little")
        for key, numbers in storages.items():
            archive.writestr(f"net/data/{key}", numbers.tobytes())


def streamed(path, program, storages):
    """The form that PyTorch wrote before 1.6."""
    file = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
        pickle.dump(value, file, 2)
    file.write(program)
    pickle.dump(list(storages), file, 2)
    for numbers in storages.values():
        file.write(struct.pack("<q", numbers.size) + numbers.tobytes())
    path.write_bytes(file.getvalue())


KERNELS = {"0": np.arange(36, dtype="<f4").reshape(4, 1, 3, 3) / 36, "1": np.ones((1, 4, 3, 3), "<f4")}


@pytest.mark.parametrize(("write", "legacy"), [(zipped, False), (streamed, True)])
def test_a_checkpoint_becomes_a_network_without_pytorch(tmp_path, write, legacy):
    names = {"0": "model.0.weight", "1": "model.2.weight"}
    write(tmp_path / "n.pth", pickled({names[key]: tensor(key, KERNELS[key], legacy=legacy) for key in names}), KERNELS)
    found = load_tensors(tmp_path / "n.pth")
    for key, name in names.items():
        np.testing.assert_array_equal(found[name].numpy(), KERNELS[key])
    assert main(["import-torch", str(tmp_path / "n.pth"), str(tmp_path / "n.keras")]) == 0
    assert (tmp_path / "n.keras").exists()


def test_views_are_read_as_they_look(tmp_path):
    numbers = np.arange(12, dtype="<f4")
    turned = tensor("0", numbers, (4, 2), (1, 4), offset=2)
    zipped(tmp_path / "a.pt", pickled({"a": turned}), {"0": numbers})
    np.testing.assert_array_equal(load_tensors(tmp_path / "a.pt")["a"].numpy(), numbers[2:10].reshape(2, 4).T)


TRAP = named("builtins", "open") + b"(" + plain("sprung") + plain("w") + b"tR"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"a": TRAP}, "it would call builtins.open"),
        ({"a": named("os", "system") + b"(" + plain("touch sprung") + b"tR"}, "it would call os.system"),
        ({"a": named("collections", "OrderedDict.__class__") + b")R"}, "it would call"),
        ({"a": b"NR"}, "damaged"),
    ],
)
@pytest.mark.parametrize("write", [zipped, streamed])
def test_programs_are_not_run(tmp_path, monkeypatch, items, message, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.pt", pickled(items), {})
    with pytest.raises(InputError, match=message):
        load_tensors("a.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((40,), (1,), 0), ((4,), (40,), 0), ((4,), (1,), 34), ((4,), (-1,), 3), ((10**9,), (0,), 0), ((2, 2), (1,), 0)],
)
def test_tensors_do_not_reach_beyond_their_numbers(tmp_path, shape, strides, offset):
    numbers = KERNELS["0"]
    zipped(tmp_path / "a.pt", pickled({"a": tensor("0", numbers, shape, strides, offset)}), {"0": numbers})
    with pytest.raises(InputError, match="a tensor of"):
        load_tensors(tmp_path / "a.pt")["a"].numpy()


def test_what_is_damaged_or_compressed_is_refused_in_one_line(tmp_path, capsys):
    program = pickled({"a": tensor("0", KERNELS["0"])})
    zipped(tmp_path / "short.pt", program, {"0": KERNELS["0"].ravel()[:5]})
    zipped(tmp_path / "packed.pt", program, {"0": KERNELS["0"]}, zipfile.ZIP_DEFLATED)
    zipped(tmp_path / "missing.pt", program, {})
    streamed(tmp_path / "cut.pt", program, KERNELS)
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:-3])
    for name in ("short", "packed", "missing", "cut"):
        assert main(["import-torch", str(tmp_path / f"{name}.pt"), str(tmp_path / "n.keras")]) == 2
        error = capsys.readouterr().err
        assert "--allow-pickle" in error and error.count("\n") == 1
