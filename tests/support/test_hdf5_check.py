"""HDF5 files of unknown origin, looked through in another process."""

import sys

import h5py
import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.support import hdf5_check
from gaintuning_tf.support.hdf5_check import check_hdf5


@pytest.fixture
def sound(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = np.arange(10.0)
        file["group"].attrs["name"] = "first"
        file["same"] = file["group"]  # a circle of hard links is no harm
        file["group/back"] = file["/"]
        file["none"] = h5py.Empty("float32")
    return tmp_path / "a.h5"


def test_sound_files_pass_and_are_not_changed(sound):
    before = sound.read_bytes()
    for whole in (True, False):
        check_hdf5(sound, whole=whole)
    assert sound.read_bytes() == before


def elsewhere(file):
    file["link"] = h5py.ExternalLink("other.h5", "/")


def raw(file):
    file.create_dataset("raw", (4,), "float32", external=[("other.raw", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "values", (4,))
    file.create_virtual_dataset("virtual", layout)


def huge(file):
    file.create_dataset("huge", (10**6, 10**6), "float32", chunks=(1000, 1000))


def many(file):
    for number in range(40):
        file.create_dataset(f"part{number}", (2**24,), "float32", chunks=(2**16,))


def circle(file):
    file["circle"] = h5py.SoftLink("/circle")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (elsewhere, "'link' leads to another file"),
        (raw, "'raw' is in another file"),
        (virtual, "'virtual' is in another file"),
        (huge, r"4\d{12} bytes.*cannot hold"),
        (many, r"bytes.*cannot hold"),
        (circle, "link"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_harm_is_refused_in_one_line(sound, harm, message, whole):
    with h5py.File(sound, "r+") as file:
        harm(file)
    with pytest.raises(InputError, match=message) as caught:
        check_hdf5(sound, "my file", whole=whole)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("my file")


@pytest.mark.parametrize("code", ["import os; os.abort()", "raise SystemExit(3)", "raise KeyError('a')"])
def test_the_end_of_the_other_process_is_told(sound, monkeypatch, code):
    monkeypatch.setattr(hdf5_check, "_LOOK", code)
    with pytest.raises(InputError, match="the HDF5 library ended with"):
        check_hdf5(sound)


def test_a_library_that_does_not_return_is_stopped(sound, monkeypatch):
    monkeypatch.setattr(hdf5_check, "_LOOK", "import time; time.sleep(60)")
    monkeypatch.setattr(hdf5_check, "PATIENCE", 0.5)
    with pytest.raises(InputError, match=r"still at it after 0\.5 s"):
        check_hdf5(sound)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the processor's time")
def test_a_library_in_a_loop_is_stopped_by_its_own_time_not_that_of_a_busy_machine(sound, monkeypatch):
    limit, rest = hdf5_check._LOOK.split("import h5py\n", 1)
    monkeypatch.setattr(hdf5_check, "_LOOK", f"{limit}while True: pass\n{rest}")
    monkeypatch.setattr(hdf5_check, "SECONDS", 1)
    with pytest.raises(InputError, match="still at it after 1 s of the processor's time"):
        check_hdf5(sound)


def test_modules_in_the_current_folder_are_not_run(sound, monkeypatch):
    for name in ("json", "h5py", "numpy"):
        (sound.parent / f"{name}.py").write_text(f"open({str(sound.parent / 'sprung')!r}, 'w')")
    monkeypatch.chdir(sound.parent)
    check_hdf5(sound)
    assert not (sound.parent / "sprung").exists()
