"""The journal: what was measured outlives whatever ends the run."""

import json

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.support.journal import Journal

SETTINGS = [{"sigma": 25.0, "model": "a"}, {"sigma": 50.0, "model": "a"}]
ROWS = [{"image": "0.png", "psnr": 0.1 + 0.2}, {"image": "1.png", "psnr": 30.0}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "o.json.partial.jsonl"


def written(path):
    journal = Journal(path, SETTINGS)
    for number, row in ((0, ROWS[0]), (0, ROWS[1]), (1, ROWS[0])):
        journal.append(number, row)
    return path.read_bytes()


def test_rows_come_back_bit_for_bit_by_setting(path):
    written(path)
    journal = Journal(path, SETTINGS)
    assert journal.rows == [ROWS, ROWS[:1]]
    journal.remove()
    assert not path.exists()


def test_nothing_is_written_before_the_first_row(path):
    Journal(path, SETTINGS)
    assert not path.exists()


def test_wherever_the_file_is_torn_the_whole_lines_count_and_it_continues(path):
    data = written(path)
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(0, len(data), 3):
        path.write_bytes(data[:cut])
        journal = Journal(path, SETTINGS)
        rows = max(sum(end <= cut for end in ends) - 1, 0)
        assert sum(map(len, journal.rows)) == rows
        for number, row in [(0, ROWS[0]), (0, ROWS[1]), (1, ROWS[0])][rows:]:
            journal.append(number, row)
        assert path.read_bytes() == data


def test_a_last_line_of_other_bytes_is_torn_too(path):
    data = written(path)
    path.write_bytes(data + b"\0\0\0\n")
    journal = Journal(path, SETTINGS)
    journal.append(1, ROWS[1])
    assert path.read_bytes().startswith(data)
    assert Journal(path, SETTINGS).rows == [ROWS, ROWS]


def test_rows_of_other_settings_are_refused(path):
    data = written(path)
    other = [SETTINGS[0], {"sigma": 40.0, "model": "a"}]
    with pytest.raises(InputError, match=r"another sigma.*--restart"):
        Journal(path, other)
    with pytest.raises(InputError, match="2 settings, not 1"):
        Journal(path, SETTINGS[:1])
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    "line", [{}, {"settings": 3}, {"settings": SETTINGS}, {"number": 7, "row": {}}, {"number": 0, "row": 1}]
)
def test_files_that_are_damaged_or_no_journal_are_refused(path, line):
    first = [] if "settings" in line or not line else [{"settings": SETTINGS}]
    path.write_text("".join(json.dumps(each) + "\n" for each in [*first, line, {"row": 1}]))
    with pytest.raises(InputError, match="--restart starts anew"):
        Journal(path, SETTINGS)


def test_a_damaged_line_in_the_middle_is_no_tear(path):
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{\n", *lines[2:]]))
    with pytest.raises(InputError, match=r"line 2 .* damaged"):
        Journal(path, SETTINGS)
