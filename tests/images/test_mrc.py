"""MRC in parts: header, sizes, arrangements."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.files import load_image, save_image
from gaintuning_tf.images.stack_files import create_stack, open_stack
from helpers.samples import draw

mrcfile = pytest.importorskip("mrcfile", reason="needs the extra `microscopy`")
STACK = draw((4, 9, 8), "float32")


def copy(source, target, axes=None):
    with open_stack(source, axes=axes) as stack, create_stack(target, stack) as writer:
        for i in range(stack.frame_count):
            writer.write(i, stack.frame(i))
        writer.commit()


def test_the_header_is_kept_and_describes_the_data(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc", STACK) as mrc:
        mrc.voxel_size = (1.5, 2.5, 3.5)
        mrc.set_image_stack()
        mrc.header.origin = (1, 2, 3)
        mrc.set_extended_header(np.frombuffer(bytes(range(200)), "V1"))
        mrc.header.exttyp = b"FEI1"
    copy(tmp_path / "a.mrc", tmp_path / "b.mrc", axes="TYX")
    assert mrcfile.validate(tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "a.mrc") as before, mrcfile.open(tmp_path / "b.mrc") as after:
        np.testing.assert_array_equal(after.data, STACK)
        assert after.voxel_size == before.voxel_size
        assert after.is_image_stack() and after.header.exttyp == b"FEI1"
        assert after.header.origin == before.header.origin
        assert bytes(after.extended_header.tobytes()) == bytes(range(200))
        for name in ("dmin", "dmax", "dmean", "rms"):
            assert after.header[name] == pytest.approx(before.header[name], rel=1e-6)


@pytest.mark.parametrize(("shape", "axes"), [((9, 8), "YX"), ((3, 9, 8), "ZYX"), ((2, 3, 9, 8), "TZYX")])
def test_other_arrangements(tmp_path, shape, axes):
    array = draw(shape, "int16")
    np.save(tmp_path / "a.npy", array)
    copy(tmp_path / "a.npy", tmp_path / "b.mrc", axes=axes)
    assert mrcfile.validate(tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "b.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, array)
        assert mrc.is_volume() == (axes == "ZYX") and mrc.is_volume_stack() == (axes == "TZYX")


def test_one_section_is_an_image_and_several_need_axes(tmp_path):
    mrcfile.new(tmp_path / "one.mrc", STACK[:1]).close()
    with open_stack(tmp_path / "one.mrc") as stack:
        assert stack.axes == "YX"
    mrcfile.new(tmp_path / "four.mrc", STACK).close()
    with pytest.raises(InputError, match="--axes TYX"):
        open_stack(tmp_path / "four.mrc")


def test_one_image_is_saved_as_any_other(tmp_path):
    save_image(tmp_path / "a.mrc", STACK[0], layout(STACK[0], 1))
    assert mrcfile.validate(tmp_path / "a.mrc")
    np.testing.assert_array_equal(load_image(tmp_path / "a.mrc"), STACK[0])


def test_what_it_cannot_hold_is_refused(tmp_path):
    for array, axes, message in (
        (draw((9, 8), "uint8"), "YX", "holds int8, int16"),
        (draw((9, 8, 3), "int16"), "YXC", "the last two Y and X"),
    ):
        np.save(tmp_path / "a.npy", array)
        with open_stack(tmp_path / "a.npy", axes=axes) as stack, pytest.raises(InputError, match=message):
            create_stack(tmp_path / "b.mrc", stack)


def test_headers_that_lie_are_refused(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc", STACK):
        pass
    data = (tmp_path / "a.mrc").read_bytes()
    for place, value, message in (
        (0, (10**9).to_bytes(4, "little"), "cannot hold"),
        (0, (-5).to_bytes(4, "little", signed=True), "says the shape"),
        (0, bytes(4), "says the shape"),
        (8, (100).to_bytes(4, "little"), "truncated"),
        (12, (4).to_bytes(4, "little"), "truncated|dtype complex"),
        (12, (99).to_bytes(4, "little"), "cannot read"),
        (92, (2**31 - 1).to_bytes(4, "little"), "2147483647 bytes of header"),
        (92, (-1).to_bytes(4, "little", signed=True), "-1 bytes of header"),
        (208, b"JUNK", "cannot read"),
    ):
        lie = bytearray(data)
        lie[place : place + 4] = value
        (tmp_path / "b.mrc").write_bytes(lie)
        with pytest.raises(InputError, match=message):
            open_stack(tmp_path / "b.mrc", axes="TYX")


@pytest.mark.parametrize("order", ["little", "big"])
def test_an_extended_header_of_gigabytes_takes_no_memory(tmp_path, monkeypatch, order):
    with mrcfile.new(tmp_path / "a.mrc", STACK):
        pass
    data = bytearray((tmp_path / "a.mrc").read_bytes())
    data[212:214] = b"DD" if order == "little" else b"\x11\x11"
    data[92:96] = (704644096).to_bytes(4, order)
    (tmp_path / "a.mrc").write_bytes(data)
    monkeypatch.setattr(mrcfile, "open", None)  # which would reserve it
    with pytest.raises(InputError, match="704644096 bytes of header"):
        open_stack(tmp_path / "a.mrc", axes="TYX")


def test_a_packed_file_is_refused_not_misread(tmp_path):
    import gzip

    with mrcfile.new(tmp_path / "a.mrc", np.random.default_rng(0).integers(0, 60000, (4, 90, 80), "uint16")):
        pass
    (tmp_path / "b.mrc").write_bytes(gzip.compress((tmp_path / "a.mrc").read_bytes()))
    with pytest.raises(InputError, match="unpacked first"):
        open_stack(tmp_path / "b.mrc", axes="TYX")
