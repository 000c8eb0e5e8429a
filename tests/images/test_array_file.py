"""Arrays in files, in parts."""

import itertools

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images import array_file
from gaintuning_tf.images.array_file import ArrayFile
from gaintuning_tf.images.container import parsing
from gaintuning_tf.support.limits import check_declared

RNG = np.random.default_rng(0)
# Never a single item.
PARTS = list(itertools.product((slice(None), 1), repeat=4))[:-1]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(array_file, "BLOCK", 50)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">f4", "u1"])
def test_every_part_is_that_of_the_array(tmp_path, small_blocks, dtype):
    array = RNG.integers(0, 200, (3, 4, 2, 5)).astype(dtype)
    (tmp_path / "a").write_bytes(b"head" + array.tobytes())
    file = ArrayFile(tmp_path / "a", array.shape, dtype, 4)
    for index in PARTS:
        part = file.read(index)
        np.testing.assert_array_equal(part, array[index])
        assert part.dtype == np.dtype(dtype).newbyteorder("=")


def test_parts_are_written_where_they_belong_and_nowhere_else(tmp_path, small_blocks):
    array = np.zeros((3, 4, 2, 5), ">u2")
    (tmp_path / "a").write_bytes(b"head" + array.tobytes() + b"tail")
    file = ArrayFile(tmp_path / "a", array.shape, ">u2", 4, writable=True)
    for number, index in enumerate(PARTS):
        array[index] = value = RNG.integers(0, 200, array[index].shape) + number
        file.write(index, value.astype("uint16"))
        assert (tmp_path / "a").read_bytes() == b"head" + array.tobytes() + b"tail"


def test_a_file_too_short_for_its_header_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(bytes(99))
    with pytest.raises(InputError, match="needs 100 bytes, the file has 99"):
        ArrayFile(tmp_path / "a", (5, 10), "u2", 0)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    file = ArrayFile(tmp_path / "a", (5, 10), "u2", 0)
    (tmp_path / "a").write_bytes(bytes(80))
    with pytest.raises(InputError, match="became shorter"):
        file.read((4, slice(None)))


def test_headers_that_promise_more_than_a_file_can_hold_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(bytes(1000))
    check_declared(tmp_path / "a", (2**14, 2**14), "uint8")
    with pytest.raises(InputError, match=r"1000000000000 bytes, which a file of 1000 bytes cannot hold"):
        check_declared(tmp_path / "a", (10**6, 10**6), "uint8")
    for shape in ((0, 5), (-1, 5)):
        with pytest.raises(InputError, match="says the shape"):
            check_declared(tmp_path / "a", shape, "uint8")


@pytest.mark.parametrize("error", [ZeroDivisionError("a\nb"), MemoryError(), KeyError("a")])
def test_what_a_library_raises_is_one_line(error):
    with pytest.raises(InputError) as caught, parsing("x.tif"):
        raise error
    assert str(caught.value).startswith("cannot read x.tif as an image: ")
    assert "\n" not in str(caught.value)
