"""MRC in parts: header, sizes, arrangements."""

import warnings

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
        (draw((9, 8), "uint32"), "YX", "holds int8, int16"),
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
        (12, (101).to_bytes(4, "little"), "pixels are 4 bits"),
        (12, (3).to_bytes(4, "little"), "pixels are complex integers"),
        (64, (7).to_bytes(4, "little"), "said to be axes"),
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


def stamp(path, flags, order="little"):
    """Write IMOD's stamp and flags into the header."""
    data = bytearray(path.read_bytes())
    data[152:160] = (1146047817).to_bytes(4, order) + flags.to_bytes(4, order)
    path.write_bytes(data)


@pytest.mark.parametrize(("flags", "dtype"), [(0, "uint8"), (1, "int8"), (2, "uint8"), (None, "int8")])
def test_bytes_are_unsigned_by_the_stamp_of_imod_alone(tmp_path, flags, dtype):
    values = np.arange(-36, 36).reshape(9, 8).astype("int8")
    with mrcfile.new(tmp_path / "a.mrc", values) as mrc:
        mrc.voxel_size = 2.5
    if flags is not None:
        stamp(tmp_path / "a.mrc", flags)
    with open_stack(tmp_path / "a.mrc") as stack:
        metadata = stack.metadata
        assert stack.dtype == dtype
    np.testing.assert_array_equal(load_image(tmp_path / "a.mrc"), values.view(dtype))
    copy(tmp_path / "a.mrc", tmp_path / "b.mrc")
    save_image(tmp_path / "c.mrc", values.view(dtype), layout(values.view(dtype), 1), metadata)
    for name in ("b.mrc", "c.mrc"):
        np.testing.assert_array_equal(load_image(tmp_path / name), values.view(dtype))
        with mrcfile.open(tmp_path / name) as mrc:
            assert int(mrc.header.mode) == 0 and float(mrc.voxel_size.x) == 2.5
        assert (tmp_path / name).read_bytes()[152:160] == (tmp_path / "a.mrc").read_bytes()[152:160]
    # The other kind of bytes is not read as this one.
    other = "int8" if dtype == "uint8" else "uint8"
    values = np.abs(values).astype(other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_image(tmp_path / "d.mrc", values, layout(values, 1), metadata)
    np.testing.assert_array_equal(load_image(tmp_path / "d.mrc"), values)


def test_two_pixels_in_a_byte_are_refused(tmp_path):
    mrcfile.new(tmp_path / "a.mrc", draw((9, 8), "int8")).close()
    stamp(tmp_path / "a.mrc", 16)
    with pytest.raises(InputError, match="pixels are 4 bits"):
        load_image(tmp_path / "a.mrc")


def test_other_unsigned_bytes_are_written_as_uint16_and_that_is_said(tmp_path):
    from gaintuning_tf.errors import GainTuningWarning

    array = np.random.default_rng(0).integers(0, 256, (4, 9, 8), "uint8")
    np.save(tmp_path / "a.npy", array)
    with open_stack(tmp_path / "a.npy", axes="TYX") as stack:
        with pytest.warns(GainTuningWarning, match="written as uint16"):
            writer = create_stack(tmp_path / "b.mrc", stack)
        with writer:
            writer.write(0, array[0])
            writer.flush()
        with create_stack(tmp_path / "b.mrc", stack, resume=True) as writer:
            for i in (3, 1, 2):
                writer.write(i, array[i])
            np.testing.assert_array_equal(writer.read(0), array[0])
            writer.commit()
    assert mrcfile.validate(tmp_path / "b.mrc")
    found = load_image(tmp_path / "b.mrc")
    assert found.dtype == "uint16"
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (3, 2, 1), (2, 3, 1), (3, 1, 2), (1, 3, 2), (0, 0, 0)])
def test_columns_rows_and_sections_may_be_other_axes(tmp_path, order):
    volume = draw((3, 9, 8), "float32")
    # Axes of the file, slowest first, by their number: 1 is X, the last axis of the volume.
    stored = volume if order == (0, 0, 0) else volume.transpose([3 - axis for axis in order[::-1]])
    with mrcfile.new(tmp_path / "a.mrc", np.ascontiguousarray(stored)) as mrc:
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = order
        mrc.header.nxstart, mrc.header.nystart, mrc.header.nzstart = 10 * np.array(order)
    np.testing.assert_array_equal(load_image(tmp_path / "a.mrc"), volume)
    with open_stack(tmp_path / "a.mrc", axes="ZYX") as stack:
        for i in (2, 0):
            np.testing.assert_array_equal(stack.frame(i), volume[i])
    copy(tmp_path / "a.mrc", tmp_path / "b.mrc", axes="ZYX")
    with mrcfile.open(tmp_path / "b.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, volume)
        if order != (0, 0, 0):
            assert [int(mrc.header[name]) for name in ("nxstart", "nystart", "nzstart")] == [10, 20, 30]


def test_an_image_whose_rows_are_columns(tmp_path):
    image = draw((9, 8), "int16")
    with mrcfile.new(tmp_path / "a.mrc", np.ascontiguousarray(image.T)) as mrc:
        mrc.header.mapc, mrc.header.mapr = 2, 1
    with open_stack(tmp_path / "a.mrc") as stack:
        assert stack.axes == "YX"
        np.testing.assert_array_equal(stack.frame(0), image)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_single_image_keeps_labels_origin_and_voxel_size(tmp_path, dtype):
    image = draw((9, 8), "int16")
    with mrcfile.new(tmp_path / "a.mrc", image) as mrc:
        mrc.voxel_size = (1.5, 2.5, 3.5)
        mrc.header.origin = (1, 2, 3)
        mrc.add_label("tilt 3")
        labels = mrc.get_labels()
    with open_stack(tmp_path / "a.mrc") as stack:
        metadata = stack.metadata
    save_image(tmp_path / "b.mrc", image.astype(dtype), layout(image, 1), metadata)
    assert mrcfile.validate(tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "b.mrc") as mrc:
        assert mrc.get_labels()[:2] == labels and mrc.get_labels()[2].startswith("gaintuning-tf")
        assert mrc.voxel_size.tolist() == (1.5, 2.5, 3.5) and mrc.header.origin.tolist() == (1, 2, 3)
        assert mrc.data.dtype == dtype
    copy(tmp_path / "b.mrc", tmp_path / "c.mrc")
    with mrcfile.open(tmp_path / "c.mrc") as mrc:
        assert len(mrc.get_labels()) == 3, "one that says the same is not added"


def test_ten_labels_stay_ten(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc", draw((9, 8), "int16")) as mrc:
        for n in range(9):
            mrc.add_label(f"number {n}")
        labels = mrc.get_labels()
    copy(tmp_path / "a.mrc", tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "b.mrc") as mrc:
        assert mrc.get_labels() == labels


def test_a_big_endian_file_stays_one_with_its_headers(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc", STACK.astype(">f4")) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = 2.5
        mrc.set_extended_header(np.arange(20, dtype=">i4").view("V1"))
        mrc.header.exttyp = b"CCP4"
    stamp(tmp_path / "a.mrc", 3, "big")
    copy(tmp_path / "a.mrc", tmp_path / "b.mrc", axes="TYX")
    assert mrcfile.validate(tmp_path / "b.mrc")
    before, after = ((tmp_path / name).read_bytes() for name in ("a.mrc", "b.mrc"))
    assert before[:76] == after[:76] and before[88:220] == after[88:220] and before[1024:] == after[1024:]


def test_sizes_go_to_and_come_from_other_formats_in_the_words_of_ome(tmp_path):
    from gaintuning_tf.images import mrc as module

    with mrcfile.new(tmp_path / "a.mrc", STACK[0]) as mrc:
        mrc.voxel_size = (1.5, 2.5, 0)
    with open_stack(tmp_path / "a.mrc") as stack:
        sizes = stack.metadata["ome"]
    assert sizes == {"PhysicalSizeX": 1.5, "PhysicalSizeXUnit": "Å", "PhysicalSizeY": 2.5, "PhysicalSizeYUnit": "Å"}
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
    module.create_target(tmp_path / "b.mrc", (9, 8), np.dtype("f4"), "YX", {"ome": sizes}).close()
    with mrcfile.open(tmp_path / "b.mrc") as mrc:
        assert mrc.voxel_size.tolist() == (5.0, 2500.0, 0.0)
