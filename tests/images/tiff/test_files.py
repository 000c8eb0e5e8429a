"""TIFF in parts: arrangements, metadata, sizes."""

import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from gaintuning_tf import GainTuningWarning, InputError
from gaintuning_tf.images import tiff
from gaintuning_tf.images.stack_files import create_stack, open_stack
from helpers.samples import draw

STACK = draw((4, 9, 8))
PLAIN = {"photometric": "minisblack"}


def copy(source, target, **options):
    with open_stack(source, **options) as stack, create_stack(target, stack) as writer:
        for i in range(stack.frame_count):
            writer.write(i, stack.frame(i))
        writer.commit()
    return tifffile.TiffFile(target)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True, "byteorder": ">"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 2},
        {"metadata": None},
        {"metadata": {"axes": "TYX"}, "ome": True},
        {"metadata": {"axes": "TYX"}, "imagej": True},
    ],
)
def test_every_kind_is_read_page_by_page(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", STACK, **PLAIN, **options)
    with open_stack(tmp_path / "a.tif", axes="TYX") as stack:
        for i in (3, 0):
            np.testing.assert_array_equal(stack.frame(i), STACK[i])
            assert stack.frame(i).dtype == STACK.dtype


def test_pages_one_by_one_and_in_several_dimensions(tmp_path):
    array = draw((2, 3, 9, 8))
    tifffile.imwrite(tmp_path / "a.tif", array, compression="zlib", metadata={"axes": "TCYX"}, ome=True, **PLAIN)
    with open_stack(tmp_path / "a.tif", model_channels=3) as stack:
        assert (stack.frame_axes, stack.frame_count) == ("YXC", 2)
        np.testing.assert_array_equal(stack.frame(1), np.moveaxis(array[1], 0, -1))
    with open_stack(tmp_path / "a.tif") as stack:
        np.testing.assert_array_equal(stack.frame(4), array[1, 1])


def test_colour_is_read_and_written(tmp_path):
    colour = draw((5, 9, 8, 3), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", metadata={"axes": "TYXS"}, compression="zlib")
    with copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3) as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        np.testing.assert_array_equal(tif.asarray(), colour)
    with open_stack(tmp_path / "b.tif", model_channels=3) as stack:
        assert stack.axes == "TYXC"


def test_resolution_and_description_are_kept(tmp_path):
    options = {"resolution": (254, 127), "resolutionunit": "CENTIMETER", "description": "a fine specimen"}
    tifffile.imwrite(tmp_path / "a.tif", STACK, **options, **PLAIN, metadata=None)
    with copy(tmp_path / "a.tif", tmp_path / "b.tif", axes="TYX") as tif:
        page = tif.pages[0]
        assert len(tif.pages) == 4  # for those who read pages one by one
        np.testing.assert_array_equal(tif.pages[3].asarray(), STACK[3])
        assert page.description == "a fine specimen"
        assert page.get_resolution("CENTIMETER") == (254, 127)
        assert tif.series[0].axes == "TYX"  # so that the output needs no --axes


def test_what_imagej_says_is_kept(tmp_path):
    metadata = {
        "axes": "TYX",
        "unit": "um",
        "spacing": 2.5,
        "finterval": 0.5,
        "Info": "by hand",
        "Labels": list("abcd"),
    }
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(10, 10), metadata=metadata)
    with copy(tmp_path / "a.tif", tmp_path / "b.tif") as tif:
        for key, value in metadata.items():
            if key != "axes":
                assert tif.imagej_metadata[key] == value
        assert tif.imagej_metadata["frames"] == 4
        np.testing.assert_array_equal(tif.asarray(), STACK)


def test_what_ome_says_of_sizes_is_kept(tmp_path):
    metadata = {"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "nm", "TimeIncrement": 0.5, "Channel": {"Name": ["a", "b"]}}
    array = draw((4, 2, 9, 8))
    tifffile.imwrite(tmp_path / "a.ome.tif", array, metadata={"axes": "TCYX", **metadata}, **PLAIN)
    with copy(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif") as tif:
        assert tif.is_ome and tif.series[0].axes == "TCYX"
        for text in ('PhysicalSizeX="0.1"', 'PhysicalSizeXUnit="nm"', 'TimeIncrement="0.5"', 'Name="a"', 'Name="b"'):
            assert text in tif.ome_metadata
        np.testing.assert_array_equal(tif.asarray(), array)


def test_a_large_output_is_a_bigtiff_in_one_piece(tmp_path, monkeypatch):
    # The place is not reserved, so that the file, of 4.8 GB, has a few bytes only.
    monkeypatch.setattr(tiff.writing, "reserve", lambda file, start, size: None)
    path, shape = tmp_path / "a.tif", (3, 40000, 40000)
    target = tiff.create_target(path, shape, np.dtype("uint8"), "TYX", {"imagej": {"unit": "um"}})
    target.close()
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff and tif.series[0].shape == shape
        assert tif.series[0].dataoffset is not None
        assert len(tif.pages) == 3
        assert tif.shaped_metadata[0]["unit"] == "um"  # ImageJ has no BigTIFF; what it said stays
    assert path.stat().st_blocks * 512 < 10**6


@pytest.mark.parametrize("packed", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_a_header_that_lies_about_its_size_is_refused_at_once(tmp_path, packed):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0].astype("uint8"), metadata=None, **PLAIN, **packed)
    for tag in ("ImageWidth", "ImageLength"):
        with tifffile.TiffFile(path, mode="r+") as tif:
            tif.pages[0].tags[tag].overwrite(10**6, dtype="I")
    with pytest.raises(InputError, match=r"1000000000000 bytes.*cannot hold"):
        open_stack(path)


def test_a_truncated_file_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", draw((4, 90, 80)), **PLAIN)
    data = (tmp_path / "a.tif").read_bytes()
    for size in (0, 4, 100, len(data) // 2):
        (tmp_path / "b.tif").write_bytes(data[:size])
        with pytest.raises(InputError) as caught:
            open_stack(tmp_path / "b.tif", axes="TYX")
        assert "\n" not in str(caught.value)


def test_a_damaged_page_is_refused_when_it_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", **PLAIN)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        offset = tif.pages[2].dataoffsets[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[offset : offset + 20] = bytes(20)
    (tmp_path / "a.tif").write_bytes(data)
    with open_stack(tmp_path / "a.tif", axes="TYX") as stack:
        np.testing.assert_array_equal(stack.frame(1), STACK[1])
        with pytest.raises(InputError, match="cannot read"):
            stack.frame(2)


def test_other_series_are_not_dropped_in_silence(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[0, :5, :5], metadata=None)
    with pytest.warns(GainTuningWarning, match="of 2 series"):
        open_stack(tmp_path / "a.tif").close()


def test_a_page_of_millions_of_pieces_that_are_not_there_is_refused_at_once(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0].astype("uint8"), metadata=None, compression="zlib", **PLAIN)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(2**24, dtype="I")
    with open_stack(tmp_path / "a.tif") as stack, pytest.raises(InputError, match=r"needs 1864136 pieces, it has 1"):
        stack.frame(0)


def test_pages_that_run_in_a_circle_come_to_an_end(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for height in (9, 7):
            writer.write(draw((height, 8)), metadata=None, **PLAIN)
    with tifffile.TiffFile(path) as tif:
        first, second = (page.offset for page in tif.pages)
    data = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * tags, first)
    path.write_bytes(data)
    program = "import sys; from gaintuning_tf.images import open_stack; print(open_stack(sys.argv[1]).frame_count)"
    found = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=30)
    assert found.stdout == "1\n", found.stderr


def test_planes_of_colour_that_are_not_there_are_refused_and_not_made_up(tmp_path):
    planes = draw((4, 9, 8), "uint8")
    how = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", planes, **how)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        entry = tif.pages[0].tags["PlanarConfiguration"].offset
        strips = tif.pages[0].tags["StripOffsets"], tif.pages[0].tags["StripByteCounts"]
        first = [tag.value[0] for tag in strips]
        for tag, value in zip(strips, first, strict=True):
            tag.overwrite(value)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[entry : entry + 2] = b"\x13\x02"  # a tag of no meaning
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match=r"damaged: page 0 needs|cannot read"):
        tiff.open_source(tmp_path / "a.tif").read((slice(None),) * 3)


def test_a_unit_of_resolution_that_means_nothing_is_none(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(300, 300), resolutionunit=2, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["ResolutionUnit"].overwrite(33)
    with copy(tmp_path / "a.tif", tmp_path / "b.tif") as tif:
        assert tif.pages[0].tags["ResolutionUnit"].value == 1
