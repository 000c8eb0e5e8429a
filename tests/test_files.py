"""Whole files or none."""

import os

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.files import check_writable, new_folder, replacing


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_temporary_file_has_the_suffix_of_the_target(tmp_path):
    with replacing(tmp_path / "a.gains.h5") as temporary:
        assert temporary.name.endswith(".gains.h5")
        temporary.write_text("x")


def test_outputs_that_cannot_be_written_are_refused(tmp_path):
    check_writable(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == []
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "no" / "a", "does not exist")):
        with pytest.raises(InputError, match=message):
            check_writable(path)
    # Nobody, not even root, makes files here.
    with pytest.raises(InputError, match="cannot write"):
        check_writable("/proc/a.txt")


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "1") as temporary:
        (temporary / "a").touch()
        assert not (tmp_path / "1").exists()

    def fail():
        with new_folder(tmp_path / "2") as temporary:
            (temporary / "a").touch()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert os.listdir(tmp_path) == ["1"]


def test_a_folder_is_never_put_over_another(tmp_path):
    def late():
        with new_folder(tmp_path / "1") as temporary:
            (temporary / "mine").touch()
            (tmp_path / "1").mkdir()
            (tmp_path / "1" / "theirs").touch()

    with pytest.raises(FileExistsError, match="exists already"):
        late()
    assert os.listdir(tmp_path) == ["1"]
    assert os.listdir(tmp_path / "1") == ["theirs"]
