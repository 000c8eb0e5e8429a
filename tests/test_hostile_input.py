"""Hostile input, links, full disks and rivals, from the command line: one line, and the previous output untouched."""

import json
import os
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile

from gaintuning_tf.cli.program import main
from helpers import samples

OUTPUTS = ("out.tif", "out.npy", "out.png")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.keras"
    samples.tiny_network().save(path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(model, source, output, *more):
    command = ["denoise", source, "-o", output, "--model", model, "--steps", "1", "--sigma", "9", "--quiet", *more]
    return [str(part) for part in command]


def noisy(shape, seed=0):
    return np.random.default_rng(seed).normal(128, 20, shape).clip(0, 255).astype("uint8")


def truncated(name, write):
    def make(folder):
        write(folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        return name

    return make


def tiff_bomb(folder):
    tifffile.imwrite(folder / "bomb.tif", noisy((9, 8)), compression="zlib", metadata=None)
    for tag in ("ImageWidth", "ImageLength"):
        with tifffile.TiffFile(folder / "bomb.tif", mode="r+") as tif:
            tif.pages[0].tags[tag].overwrite(10**6, dtype="I")
    return "bomb.tif"


def png_bomb(folder):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(10**7))) + chunk(b"IEND", b"")
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    return "bomb.png"


def npy_lie(folder):
    np.save(folder / "lie.npy", noisy((9, 8)))
    data = (folder / "lie.npy").read_bytes()
    (folder / "lie.npy").write_bytes(data.replace(b"(9, 8)", b"(9999999, 9999999)"[:18]).replace(b" " * 12, b"", 1))
    return "lie.npy"


def zarr_pickle(folder):
    zarr = pytest.importorskip("zarr", reason="needs the extra `microscopy`")
    zarr.create_array(folder / "code.zarr", shape=(9, 8), dtype="uint8", zarr_format=2)[:] = noisy((9, 8))
    metadata = json.loads((folder / "code.zarr" / ".zarray").read_text())
    metadata |= {"compressor": {"id": "pickle"}, "filters": None}
    (folder / "code.zarr" / ".zarray").write_text(json.dumps(metadata))
    return "code.zarr"


def emd_elsewhere(folder):
    pytest.importorskip("rsciio", reason="needs the extra `microscopy`")
    import h5py

    samples.write_emd(folder / "elsewhere.emd", noisy((9, 8)))
    (folder / "secret.emd").write_bytes((folder / "elsewhere.emd").read_bytes())
    with h5py.File(folder / "elsewhere.emd", "r+") as file:
        del file["data/sample/data"]
        file["data/sample/data"] = h5py.ExternalLink("secret.emd", "data/sample/data")
    return "elsewhere.emd"


def pipe(folder):
    os.mkfifo(folder / "pipe.tif")
    return "pipe.tif"


def loop(folder):
    (folder / "loop.tif").symlink_to("loop.tif")
    return "loop.tif"


def device(folder):
    (folder / "endless.npy").symlink_to("/dev/zero")
    return "endless.npy"


HOSTILE = {
    "a truncated tif": (truncated("a.tif", lambda path: tifffile.imwrite(path, noisy((90, 80)))), "a.tif"),
    "a truncated npy": (truncated("a.npy", lambda path: np.save(path, noisy((90, 80)))), "truncated or damaged"),
    "a truncated dm3": (truncated("a.dm3", lambda path: samples.write_dm3(path, noisy((9, 8)))), "cannot read"),
    "a tif of terabytes": (tiff_bomb, "cannot hold"),
    "a png of gigabytes": (png_bomb, "cannot read"),
    "a header that lies": (npy_lie, "lie.npy"),
    "a zarr with code": (zarr_pickle, "pickle"),
    "an emd with its data elsewhere": (emd_elsewhere, "another file"),
    "a pipe": (pipe, "is none"),
    "a link to itself": (loop, "no such file"),
    "a device without end": (device, "is none"),
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_input_is_one_line_and_leaves_the_previous_output(here, model, capfd, kind, output):
    make, message = HOSTILE[kind]
    source = make(here)
    (here / output).write_text("previous")
    before = sorted(os.listdir(here))
    assert main(arguments(model, source, output)) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert (here / output).read_text() == "previous"
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize("shape", [(24, 20), (3, 24, 20)])
def test_an_output_that_is_a_link_stays_one_and_its_file_is_replaced(here, model, shape):
    np.save(here / "in.npy", noisy(shape))
    (here / "there").mkdir()
    (here / "there" / "real.npy").write_text("previous")
    (here / "link.npy").symlink_to("there/real.npy")
    assert main(arguments(model, "in.npy", "link.npy", "--axes", "TYX"[-len(shape) :])) == 0
    assert (here / "link.npy").is_symlink()
    assert np.load(here / "there" / "real.npy").shape == shape
    assert os.listdir(here / "there") == ["real.npy"]
    assert sorted(os.listdir(here)) == ["in.npy", "link.npy", "there"]


def test_an_output_that_is_a_link_to_the_input_is_refused(here, model, capfd):
    np.save(here / "in.npy", noisy((24, 20)))
    before = (here / "in.npy").read_bytes()
    (here / "link.npy").symlink_to("in.npy")
    assert main(arguments(model, "in.npy", "link.npy")) == 2
    assert "differ from the input" in capfd.readouterr().err
    assert (here / "in.npy").read_bytes() == before


@pytest.fixture(params=["a small disk", "a limit of the file's size"])
def small(request, here):
    """A folder, and what runs in the process that may write only 40 kB there."""
    folder = here / "disk"
    folder.mkdir()
    if request.param == "a limit of the file's size":
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
        yield folder
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return
    command = ["mount", "-t", "tmpfs", "-o", "size=40k", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system of 40 kB")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def sources(here):
    """An image of 336 kB and a stack of 78 kB that pack little, made before there is a limit."""
    np.save(here / "image.npy", np.random.default_rng(0).integers(0, 256, (600, 560), "uint8"))
    np.save(here / "stack.npy", np.random.default_rng(0).integers(0, 256, (5, 130, 120), "uint8"))


@pytest.mark.parametrize("source", ["image", "stack"])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png"])
def test_a_full_disk_is_one_line_and_leaves_the_previous_output(here, model, capfd, sources, small, source, suffix):
    if (source, suffix) == ("stack", ".png"):
        pytest.skip("a picture holds no stack")
    output = small / f"out{suffix}"
    output.write_text("previous")
    axes = "YX" if source == "image" else "TYX"
    assert main(arguments(model, f"{source}.npy", output, "--axes", axes)) == 2
    # Of the sigma, which is not that of such an image, there are warnings.
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    error = lines[0]
    assert "space" in error or "too large" in error
    assert output.read_text() == "previous"
    # Of a stack, what an interrupted run keeps may stay; of an image nothing.
    left = [name for name in os.listdir(small) if name != output.name]
    assert left == [] or source == "stack", left


HOLDER = """
import sys
from gaintuning_tf.support.locks import PartialLock, partial_path
lock = PartialLock(partial_path(sys.argv[1]), folder=False, resume=False)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_at_a_stack_is_told_and_changes_nothing(here, model, capfd):
    np.save(here / "in.npy", noisy((3, 24, 20)))
    (here / "out.npy").write_text("previous")
    command = [sys.executable, "-c", HOLDER, "out.npy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert main(arguments(model, "in.npy", "out.npy", "--axes", "TYX")) == 2
        error = capfd.readouterr().err
        assert "another process is writing" in error and error.count("\n") == 1
        assert (here / "out.npy").read_text() == "previous"
        holder.stdin.close()
    assert main(arguments(model, "in.npy", "out.npy", "--axes", "TYX")) == 0
    assert np.load(here / "out.npy").shape == (3, 24, 20)


def test_two_processes_at_an_image_leave_the_whole_of_one(here, model):
    results = []
    for name in ("a", "b"):
        np.save(here / f"{name}.npy", noisy((24, 20), seed=ord(name)))
        assert main(arguments(model, f"{name}.npy", f"only-{name}.npy")) == 0
        results.append((here / f"only-{name}.npy").read_bytes())
    commands = [arguments(model, f"{name}.npy", "out.npy") for name in ("a", "b")]
    both = [subprocess.Popen([sys.executable, "-m", "gaintuning_tf", *command]) for command in commands]
    assert [process.wait() for process in both] == [0, 0]
    assert (here / "out.npy").read_bytes() in results
    assert sorted(os.listdir(here)) == ["a.npy", "b.npy", "only-a.npy", "only-b.npy", "out.npy"]
