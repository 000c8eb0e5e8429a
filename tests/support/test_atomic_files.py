"""Whole files or none."""

import os

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.support.atomic_files import check_writable, new_folder, put, replacing


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


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("there/a.txt")
    (tmp_path / "dangling.txt").symlink_to("there/b.txt")
    for link in ("link.txt", "dangling.txt"):
        check_writable(tmp_path / link)
        with replacing(tmp_path / link) as temporary:
            temporary.write_text("new")
        assert (tmp_path / link).is_symlink()
    assert sorted(os.listdir(tmp_path / "there")) == ["a.txt", "b.txt"]
    assert (tmp_path / "there" / "a.txt").read_text() == (tmp_path / "there" / "b.txt").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["dangling.txt", "link.txt", "there"]


def test_outputs_that_are_no_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "no" / "a.txt")
    for path, message in (
        ("/dev/null", "a device or a pipe"),
        (tmp_path / "pipe", "a device or a pipe"),
        (tmp_path / "loop", "a link to itself"),
        (tmp_path / "nowhere", "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            check_writable(path)


def test_a_folder_takes_the_place_of_another(tmp_path):
    for text in ("old", "new"):
        with replacing(tmp_path / "a.zarr") as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert os.listdir(tmp_path / "a.zarr") == ["new"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "old").touch()
    plain = os.replace

    def fail_once(source, target):
        if "new" in str(source):
            raise OSError("disk full")
        plain(source, target)

    monkeypatch.setattr(os, "replace", fail_once)
    (tmp_path / "new").mkdir()
    with pytest.raises(OSError, match="disk full"):
        put(tmp_path / "new", tmp_path / "a.zarr")
    assert os.listdir(tmp_path / "a.zarr") == ["old"]


def test_threads_at_the_same_output_do_not_mix(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def write(letter):
        with replacing(tmp_path / "a.txt") as temporary:
            for _ in range(100):
                with open(temporary, "a") as file:
                    file.write(letter)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert (tmp_path / "a.txt").read_text() in [letter * 100 for letter in "abcd"]
    assert os.listdir(tmp_path) == ["a.txt"]
