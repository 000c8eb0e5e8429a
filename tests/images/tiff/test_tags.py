"""TIFF: tags of microscopes, maps and cameras are kept."""

import numpy as np
import pytest
import tifffile

from gaintuning_tf import GainTuningWarning
from gaintuning_tf.images import load_image
from helpers.copies import copy
from helpers.samples import draw

TEXTS = {
    271: "Maker", 272: "Model 2", 306: "2024:01:02 03:04:05", 315: "me", 33432: "(c) me", 285: "page",
    34682: "[User]\nPixelWidth=1e-9", 34680: "[System]\nType=SEM", 42112: "<GDALMetadata/>", 42113: "9999",
    34737: "WGS 84|", 51023: "of a vendor",
}  # fmt: skip
NUMBERS = {33550: ("d", (10.0, 10.0, 0.0)), 33922: ("d", (0.0, 0, 0, 5e5, 4e6, 0)), 34735: ("H", (1, 1, 0, 0))}
NUMBERS |= {286: ("2I", (3, 2)), 60001: ("f", (1.5,)), 60002: ("h", (-7, 8)), 60003: ("Q", (2**40,))}


def write(path, array, order=None, **options):
    tags = [(code, "s", 0, text, True) for code, text in TEXTS.items()]
    tags += [(code, kind, len(values), values, True) for code, (kind, values) in NUMBERS.items() if kind != "2I"]
    tags.append((286, "2I", 1, (3, 2), True))
    tifffile.imwrite(path, array, byteorder=order, bigtiff=True, extratags=tags, photometric="minisblack", **options)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("shape", [(9, 8), (4, 9, 8)])
def test_tags_of_all_plain_types_are_kept(tmp_path, order, dtype, shape):
    write(tmp_path / "a.tif", draw(shape), order, metadata={"axes": "TYX"[-len(shape) :]})
    copy(tmp_path / "a.tif", tmp_path / "b.tif", dtype=dtype)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif, tifffile.TiffFile(tmp_path / "b.tif") as out:
        before, after = tif.pages[0].tags, out.pages[0].tags
        for code in (*TEXTS, *NUMBERS):
            assert after[code].value == before[code].value, code
            assert after[code].dtype == before[code].dtype
        assert "Orientation" not in after or after["Orientation"].value == 1
        np.testing.assert_array_equal(out.asarray(), tif.asarray())
        assert out.series[0].axes == tif.series[0].axes


def test_what_zeiss_says_is_kept_although_tifffile_reads_it_as_a_table(tmp_path):
    text = 'DP_DETECTOR\r\nDetector = "InLens"\r\nAP_PIXEL_SIZE\r\nPixel Size = 4.5 nm\r\n'
    tifffile.imwrite(tmp_path / "a.tif", draw((9, 8)), metadata=None, extratags=[(34118, "s", 0, text, True)])
    copy(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif, tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert out.sem_metadata == tif.sem_metadata and out.sem_metadata


def test_places_of_other_data_are_not_kept(tmp_path):
    # tifffile writes no such tags: private ones are renamed in the file. At 8 there is a directory, its own.
    pointers = {60005: 34665, 60006: 34853, 60007: 40965}
    tags = [(code, "I", 1, 8, True) for code in pointers] + [(271, "s", 0, "Maker", True)]
    tifffile.imwrite(tmp_path / "a.tif", draw((9, 8), "uint8"), metadata=None, extratags=tags)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        entries = {tif.pages[0].tags[code].offset: renamed for code, renamed in pointers.items()}
    data = bytearray((tmp_path / "a.tif").read_bytes())
    for entry, code in entries.items():
        data[entry : entry + 2] = code.to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.warns(GainTuningWarning, match="EXIF, GPS, interoperability are not kept"):
        copy(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert out.pages[0].tags["Make"].value == "Maker"
        assert not {34665, 34853, 40965} & {tag.code for tag in out.pages[0].tags}
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), load_image(tmp_path / "a.tif"))


def test_a_note_of_megabytes_is_no_note(tmp_path):
    large = [(60001, "B", 2**20 + 1, bytes(2**20 + 1), True), (60002, "B", 2**20, bytes(2**20), True)]
    tifffile.imwrite(tmp_path / "a.tif", draw((9, 8)), metadata=None, extratags=large)
    with pytest.warns(GainTuningWarning, match="the tag 60001 of 1048577 bytes"):
        copy(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert 60001 not in out.pages[0].tags and len(out.pages[0].tags[60002].value) == 2**20


def test_words_by_which_an_output_would_be_misread_are_left_out_with_a_word(tmp_path):
    # A description like that of ScanImage, with pages that it says are others.
    words = "SI.hChannels.channelSave = [1;2]\nSI.hFastZ.enable = 1\nSI.hFastZ.numFramesPerVolume = 7\n"
    tifffile.imwrite(tmp_path / "a.tif", draw((4, 9, 8)), description=words, photometric="minisblack", metadata=None)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif", axes="TYX")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), found)


def test_the_software_is_ours(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", draw((9, 8)), metadata=None, software="a camera")
    copy(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert out.pages[0].tags["Software"].value == "gaintuning_tf"


def test_an_output_that_tifffile_misreads_is_begun_without_foreign_words(tmp_path, monkeypatch):
    from gaintuning_tf.images.tiff import writing

    tifffile.imwrite(tmp_path / "a.tif", draw((9, 8)), metadata=None, description="foreign")
    monkeypatch.setattr(writing, "is_as_written", lambda *_: False)
    with pytest.warns(GainTuningWarning, match="describe another arrangement"):
        copy(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert "foreign" not in out.pages[0].description


def test_words_that_cannot_be_written_are_left_out_with_a_word(tmp_path):
    from gaintuning_tf.images.tiff import create_target

    metadata = {"imagej": {"LUTs": 5, "unit": "um"}, "resolution": ((10, 1), (10, 1), 1)}
    with pytest.warns(GainTuningWarning, match="are not kept"):
        create_target(tmp_path / "a.tif", (9, 8), np.dtype("uint8"), "YX", metadata).close()
    with tifffile.TiffFile(tmp_path / "a.tif") as out:
        assert out.pages[0].tags["XResolution"].value == (10, 1)
        assert out.series[0].shape == (9, 8)
