"""TIFF: what is packed is read, and packed again where nothing is lost."""

import importlib.util
import os

import numpy as np
import pytest
import tifffile

from gaintuning_tf import GainTuningWarning, InputError
from gaintuning_tf.images import load_image, open_stack
from gaintuning_tf.images.stack_files import create_stack
from gaintuning_tf.images.tiff import writing
from gaintuning_tf.images.tiff.codecs import TO_COMPRESS
from helpers.copies import copy
from helpers.samples import draw

STACK = np.cumsum(draw((4, 90, 80)), axis=-1).astype("uint16")
IMAGECODECS = pytest.mark.skipif(importlib.util.find_spec("imagecodecs") is None, reason="needs `microscopy`")
LOSSLESS = ["lzw", "zlib", "packbits", "lzma", "zstd"]


@IMAGECODECS
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_compression_without_loss_is_kept_with_its_predictor(tmp_path, compression, predictor, dtype):
    if compression == "packbits" and predictor:
        pytest.skip("has none")
    stack = STACK.astype(dtype)
    how = {"compression": compression, "predictor": predictor, "photometric": "minisblack", "metadata": {"axes": "TYX"}}
    tifffile.imwrite(tmp_path / "a.tif", stack, resolution=(10, 20), **how)
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif"), stack)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif, tifffile.TiffFile(tmp_path / "b.tif") as out:
        before, after = tif.pages[0], out.pages[0]
        assert (after.compression, after.predictor) == (before.compression, before.predictor)
        assert len(out.pages) == 4 and out.series[0].axes == "TYX"
        assert after.tags["XResolution"].value == (10, 1) and TO_COMPRESS not in after.tags
        np.testing.assert_array_equal(out.asarray(), stack)
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "b.tif"]


@IMAGECODECS
def test_the_predictor_follows_the_dtype(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], compression="lzw", predictor=True, metadata=None)
    copy(tmp_path / "a.tif", tmp_path / "b.tif", dtype="float32")
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert (int(out.pages[0].compression), int(out.pages[0].predictor)) == (5, 3)
        np.testing.assert_array_equal(out.asarray(), STACK[0])


@IMAGECODECS
@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"compression": "jpeg", "compressionargs": {"level": 95}}, 12),
        ({"compression": "jpeg2000"}, 0),
        ({"compression": "lerc"}, 0),
        ({"compression": "jpegxl"}, 0),
        ({"compression": "png"}, 0),
    ],
)
def test_other_compressions_are_read_and_written_without(tmp_path, options, most):
    image = np.add.outer(np.arange(90), np.arange(80)).astype("uint8")
    tifffile.imwrite(tmp_path / "a.tif", image, metadata=None, **options)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif")
    assert np.abs(found.astype(int) - image).max() <= most
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert int(out.pages[0].compression) == 1


@IMAGECODECS
def test_twelve_bits_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0] % 4096, bitspersample=12, metadata=None)
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif"), STACK[0] % 4096)


@pytest.mark.parametrize("options", [{"compression": "lzw"}, {"compression": "zstd"}, {"bitspersample": 12}])
def test_without_imagecodecs_one_line_names_the_extra(tmp_path, monkeypatch, options):
    pytest.importorskip("imagecodecs", reason="writes the file")
    tifffile.imwrite(tmp_path / "a.tif", STACK[0] % 4096, metadata=None, **options)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imagecodecs" else find(name))
    with pytest.raises(InputError, match=r"needs imagecodecs: pip install 'gaintuning-tf\[microscopy\]'") as caught:
        load_image(tmp_path / "a.tif")
    assert "\n" not in str(caught.value)


def test_deflate_needs_no_extra(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", predictor=True, photometric="minisblack")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imagecodecs" else find(name))
    np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif", axes="TYX"), STACK)
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert int(out.pages[0].compression) == 8


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "TYX", "unit": "um", "Labels": list("abcd")}},
        {"ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 0.5}, "photometric": "minisblack"},
        {"description": "plain", "metadata": None, "photometric": "minisblack"},
    ],
)
def test_what_is_packed_says_all_that_it_said(tmp_path, options):
    tags = [(315, "s", 0, "me", True)]
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", extratags=tags, **options)
    with warnings_as_errors():
        copy(tmp_path / "a.tif", tmp_path / "b.tif", axes="TYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif, tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert out.pages[0].compression == tif.pages[0].compression
        assert out.imagej_metadata == tif.imagej_metadata
        assert (out.ome_metadata is None) == (tif.ome_metadata is None)
        assert out.pages[0].tags["Artist"].value == "me"
        if "description" in options:
            assert out.pages[0].description == "plain"
        np.testing.assert_array_equal(out.asarray(), STACK)


def warnings_as_errors():
    import contextlib
    import warnings

    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("error", GainTuningWarning)
    return stack


def test_opacity_is_packed_too(tmp_path):
    colours = draw((9, 8, 4), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", compression="zlib", metadata=None)
    copy(tmp_path / "a.tif", tmp_path / "b.tif", model_channels=3)
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert int(out.pages[0].compression) == 8 and len(out.pages[0].extrasamples) == 1
        np.testing.assert_array_equal(out.asarray(), colours)


def test_a_run_that_was_interrupted_is_packed_at_its_end(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack", metadata={"axes": "TYX"})
    with open_stack(tmp_path / "a.tif") as stack:
        with create_stack(tmp_path / "b.tif", stack) as writer:
            writer.write(0, stack.frame(0))
        with create_stack(tmp_path / "b.tif", stack, resume=True) as writer:
            for i in range(1, 4):
                writer.write(i, stack.frame(i))
            writer.commit()
    with tifffile.TiffFile(tmp_path / "b.tif") as out:
        assert int(out.pages[0].compression) == 8
        np.testing.assert_array_equal(out.asarray(), STACK)


def test_a_disk_without_room_for_a_second_file_leaves_the_first(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "sync", full)
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack", metadata={"axes": "TYX"})
    with pytest.warns(GainTuningWarning, match="not compressed as the input is: .*No space left"):
        copy(tmp_path / "a.tif", tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), STACK)
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "b.tif"]
