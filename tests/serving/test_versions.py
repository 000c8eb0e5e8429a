"""Numbered versions, and configurations that a server can read."""

import os

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.serving.versions import (
    BATCHING,
    MODELS,
    batching_of_version,
    check_version,
    next_version,
    write_configurations,
)


def test_versions_count_up_from_the_highest(tmp_path):
    assert next_version(tmp_path / "absent") == 1
    assert next_version(tmp_path) == 1
    for name in ("2", "010", "notes", "1.5", ".11.half"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11


def test_a_check_makes_nothing(tmp_path):
    check_version(tmp_path / "a" / "b", 3)
    check_version(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("version", [-1, 1.5, True, "2", 2**63])
def test_a_version_is_a_whole_number_of_64_bits(tmp_path, version):
    with pytest.raises(InputError, match="whole number"):
        check_version(tmp_path, version)


def test_a_version_is_new(tmp_path):
    (tmp_path / "003").mkdir()
    with pytest.raises(InputError, match="has 3 already; the next free is 4"):
        check_version(tmp_path, 3)


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path, message in (("file", "is a file"), ("file/deeper", "folder"), ("/proc/saved", "cannot write")):
        with pytest.raises(InputError, match=message):
            check_version(tmp_path / path)


def test_configurations_are_kept_where_they_exist(tmp_path):
    folder = tmp_path / 'a "b"'
    folder.mkdir()
    write_configurations(folder)
    assert sorted(os.listdir(folder)) == sorted([BATCHING, MODELS])
    assert r'name: "a \"b\""' in (folder / MODELS).read_text()
    (folder / MODELS).write_text("mine")
    write_configurations(folder)
    assert (folder / MODELS).read_text() == "mine"


def test_the_parameters_of_a_version_are_those_of_the_configuration(tmp_path):
    write_configurations(tmp_path)
    lines = (tmp_path / BATCHING).read_text().splitlines()
    assert batching_of_version().splitlines() == [line for line in lines if not line.startswith("#")]
    assert "#" not in batching_of_version()
