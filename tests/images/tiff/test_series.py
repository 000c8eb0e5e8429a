"""TIFF: which of the images in a file is the image, also where it is spread over files or levels."""

import uuid
import warnings

import numpy as np
import pytest
import tifffile

from gaintuning_tf import GainTuningWarning, InputError
from gaintuning_tf.images import formats, load_image, open_stack
from gaintuning_tf.images.tiff import open_source
from helpers.copies import copy
from helpers.samples import draw

IMAGE = draw((64, 64)) + 300
PLAIN = {"metadata": None}


def whole(path, series=None):
    source = open_source(path, series)
    array = source.read((slice(None),) * len(source.shape))
    source.close()
    return array


def test_a_thumbnail_is_not_the_image(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(IMAGE[::4, ::4], subfiletype=1, **PLAIN)
        writer.write(IMAGE, **PLAIN)
        writer.write(IMAGE[:8], **PLAIN)
    with pytest.warns(
        GainTuningWarning, match=r"of 3 series of images 1 \(64x64 of uint16\).*series=N.*0 \(16x16.*2 \(8x64"
    ):
        np.testing.assert_array_equal(load_image(tmp_path / "a.tif"), IMAGE)


def test_of_images_of_one_size_it_is_the_one_of_most_bits_then_the_first(tmp_path):
    view = np.repeat((IMAGE[..., None] // 4).astype("uint8"), 3, -1)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(view, photometric="rgb", **PLAIN)
        writer.write(IMAGE, **PLAIN)
    with pytest.warns(GainTuningWarning, match="series"):
        np.testing.assert_array_equal(load_image(tmp_path / "a.tif"), IMAGE)
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        for n in range(3):
            writer.write(IMAGE + n)
    with pytest.warns(GainTuningWarning, match="of 3 series"):
        np.testing.assert_array_equal(load_image(tmp_path / "b.tif"), IMAGE)


def test_a_series_is_chosen_by_its_number_without_a_word(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for n in range(3):
            writer.write(IMAGE + n, metadata={"axes": "YX", "PhysicalSizeX": 0.5 + n})
    with warnings.catch_warnings():
        warnings.simplefilter("error", GainTuningWarning)
        for n in range(3):
            np.testing.assert_array_equal(whole(tmp_path / "a.ome.tif", n), IMAGE + n)
    source = open_source(tmp_path / "a.ome.tif", 2)
    source.close()
    assert source.metadata["ome"]["PhysicalSizeX"] == 2.5
    for wrong in (3, -1, 1.5, True):
        with pytest.raises(InputError, match="expected series to be a number of 0 to 2"):
            open_source(tmp_path / "a.ome.tif", wrong)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"])
def test_the_finest_level_of_a_pyramid_is_read(tmp_path, name):
    with tifffile.TiffWriter(tmp_path / name) as writer:
        writer.write(IMAGE, subifds=2, tile=(32, 32), metadata={"axes": "YX", "PhysicalSizeX": 0.5})
        for step in (2, 4):
            writer.write(IMAGE[::step, ::step], subfiletype=1, tile=(32, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("error", GainTuningWarning)
        found = copy(tmp_path / name, tmp_path / f"b{name}")
    np.testing.assert_array_equal(found, IMAGE)
    with tifffile.TiffFile(tmp_path / f"b{name}") as tif:
        assert len(tif.series) == len(tif.series[0].levels) == 1
        np.testing.assert_array_equal(tif.asarray(), IMAGE)


@pytest.mark.parametrize("suffix", ["lsm", "stk", "svs", "qptiff", "scn"])
def test_files_of_microscopes_and_scanners_are_read_but_not_written(tmp_path, suffix):
    tifffile.imwrite(tmp_path / f"a.{suffix}", IMAGE)
    np.testing.assert_array_equal(copy(tmp_path / f"a.{suffix}", tmp_path / "b.tif"), IMAGE)
    with pytest.raises(InputError, match="read but not written"):
        formats.check_suffix(f"a.{suffix}")


def test_a_metamorph_stack_is_read(tmp_path):
    # Its one directory is of the first plane; UIC2Tag says by its count that there are three, one behind the other.
    planes = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    tags = [(33629, 5, 3, (1, 1) * 3, True), (33628, 5, 3, (1, 1) * 3, True)]
    tifffile.imwrite(tmp_path / "a.stk", planes[0], metadata=None, photometric="minisblack", extratags=tags)
    with open(tmp_path / "a.stk", "ab") as file:
        file.write(planes[1:].tobytes() + bytes(64))
    found = copy(tmp_path / "a.stk", tmp_path / "b.tif", axes="TYX")
    np.testing.assert_array_equal(found, planes)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), planes)


def write_set(folder, array):
    """One OME series over as many files as it has channels."""
    names = [f"m{n}.ome.tif" for n in range(len(array))]
    marks = [f"urn:uuid:{uuid.uuid4()}" for _ in names]
    data = "".join(
        f'<TiffData FirstC="{n}" FirstZ="0" FirstT="0" IFD="0" PlaneCount="1"><UUID FileName="{name}">{mark}</UUID>'
        "</TiffData>"
        for n, (name, mark) in enumerate(zip(names, marks, strict=True))
    )
    channels = "".join(f'<Channel ID="Channel:0:{n}" SamplesPerPixel="1"/>' for n in range(len(array)))
    for name, mark, image in zip(names, marks, array, strict=True):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{mark}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="64" '
            f'SizeY="64" SizeC="{len(array)}" SizeZ="1" SizeT="1" PhysicalSizeX="0.1">{channels}{data}</Pixels>'
            "</Image></OME>"
        )
        tifffile.imwrite(folder / name, image, description=xml.encode(), metadata=None)


def test_an_ome_series_over_several_files_is_read_from_any_of_them(tmp_path):
    array = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    write_set(tmp_path, array)
    for n in range(3):
        copy(tmp_path / f"m{n}.ome.tif", tmp_path / "out.ome.tif")
        with tifffile.TiffFile(tmp_path / "out.ome.tif") as tif:
            assert tif.series[0].axes == "CYX" and 'PhysicalSizeX="0.1"' in tif.ome_metadata
            np.testing.assert_array_equal(tif.asarray(), array)
        (tmp_path / "out.ome.tif").unlink()


def test_a_file_of_the_set_that_is_missing_is_one_line_with_its_name(tmp_path):
    write_set(tmp_path, np.stack([IMAGE, IMAGE + 1]))
    (tmp_path / "m1.ome.tif").unlink()
    with pytest.raises(InputError, match=r"found none at m1\.ome\.tif") as caught:
        open_stack(tmp_path / "m0.ome.tif")
    assert "\n" not in str(caught.value)
