"""Vendors' files."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.stack_files import create_stack, open_stack
from helpers import samples

pytest.importorskip("rsciio", reason="needs the extra `microscopy`")
WRITERS = {
    ".ser": samples.write_ser,
    ".dm3": samples.write_dm3,
    ".dm4": lambda path, array: samples.write_dm3(path, array, version=4),
    ".emd": samples.write_emd,
}


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_stacks_are_read_frame_by_frame(tmp_path, suffix):
    stack = samples.draw((4, 9, 8))
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, stack)
    with open_stack(path, axes="TYX") as read:
        assert (read.shape, read.dtype, read.frame_count) == (stack.shape, stack.dtype, 4)
        for i in (3, 0):
            np.testing.assert_array_equal(read.frame(i), stack[i])
    np.testing.assert_array_equal(load_image(path), stack)


def test_axes_come_from_names_where_they_say_it(tmp_path):
    samples.write_emd(tmp_path / "a.emd", samples.draw((4, 9, 8)))
    with open_stack(tmp_path / "a.emd") as stack:
        assert stack.axes == "ZYX"
    samples.write_ser(tmp_path / "a.ser", samples.draw((4, 9, 8)))
    with pytest.raises(InputError, match="--axes TYX"):
        open_stack(tmp_path / "a.ser")


def test_one_image_needs_no_axes(tmp_path):
    samples.write_dm3(tmp_path / "a.dm3", samples.draw((9, 8)))
    with open_stack(tmp_path / "a.dm3") as stack:
        assert (stack.axes, stack.frame_count) == ("YX", 1)


def test_they_are_not_written(tmp_path):
    samples.write_dm3(tmp_path / "a.dm3", samples.draw((9, 8)))
    with open_stack(tmp_path / "a.dm3") as stack, pytest.raises(InputError, match=r"suffixes .*\.zarr.* read but not"):
        create_stack(tmp_path / "b.dm4", stack)


def test_an_absent_library_is_one_line(tmp_path, monkeypatch):
    import sys

    samples.write_dm3(tmp_path / "a.dm3", samples.draw((9, 8)))
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    with pytest.raises(InputError, match=r"pip install 'gaintuning-tf\[microscopy\]'"):
        load_image(tmp_path / "a.dm3")


@pytest.mark.parametrize("version", [3, 4])
def test_more_frames_than_the_file_can_hold_are_refused_before_they_are_listed(tmp_path, version):
    class Liar(np.ndarray):
        shape = (2**31 - 1, 9, 8)

    path = tmp_path / f"a.dm{version}"
    samples.write_dm3(path, samples.draw((4, 9, 8)).view(Liar), version=version)
    with pytest.raises(InputError, match="cannot"):
        open_stack(path, axes="TYX")


def test_a_header_of_less_frames_than_there_are_is_noticed_when_they_are_read(tmp_path):
    path = tmp_path / "a.ser"
    samples.write_ser(path, samples.draw((4, 9, 8)))
    data = bytearray(path.read_bytes())
    assert data[30] == 4  # the length of the only dimension
    data[30] = 2
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged: its header says \(2, 9, 8\), it holds \(4, 9, 8\)"):
        load_image(path)
