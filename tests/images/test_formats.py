"""Formats by suffix."""

import inspect

import numpy as np
import PIL.Image
import pytest
import tifffile

from gaintuning_tf import InputError
from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images import formats
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.stack_files import may_be_volume, open_stack
from helpers.samples import write_samples

for library in ("mrcfile", "rsciio", "zarr"):
    pytest.importorskip(library, reason="needs the extra `microscopy`")


LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_every_format_has_a_module_that_does_what_the_table_says():
    for row in formats.FORMATS:
        for suffix in row.suffixes:
            module = formats.module_of(f"a{suffix.upper()}")
            assert module.__name__ == f"gaintuning_tf.images.{row.module}"
            assert parameters(module.open_source) == ["path", "series"][: 1 + row.series]
            # GIF is read by the module of the pictures that are written.
            written = any(other.written for other in formats.FORMATS if other.module == row.module)
            assert hasattr(module, "create_target") == hasattr(module, "resume_target") == written
            assert (suffix in formats.WRITABLE) == row.written
            assert suffix in formats.READABLE
        if row.written:
            assert parameters(module.create_target) == ["path", "shape", "dtype", "axes", "metadata"]
            assert parameters(module.resume_target) == ["path", "shape", "dtype"]
    suffixes = [suffix for row in formats.FORMATS for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes) == len(formats.READABLE)


def test_a_sample_of_each_is_read(tmp_path):
    paths = write_samples(tmp_path)
    assert {formats.suffix_of(path) for path in paths} >= set(formats.READABLE) - {
        ".jpeg",
        ".tiff",
        ".btf",
        ".tf8",
        ".mrcs",
        ".rec",
        *(".lsm", ".stk", ".svs", ".qptiff", ".scn", ".ndpi"),
        *(".czi", ".nd2", ".lif", ".lof", ".oib", ".oif"),  # see test_vendor_planes.py: needs the extra `vendors`
    }
    for path in paths:
        picture = formats.suffix_of(path) in PICTURES
        assert load_image(path).shape[: 2 if picture else 3] == ((9, 8) if picture else (4, 9, 8)), path


def test_outputs_that_are_only_read_or_unknown_are_refused_with_what_is_written():
    for name in ("a.dm3", "a.ser", "a.emd", "a.docx", "a"):
        with pytest.raises(InputError, match=r"\.tif.*\.mrc.*\.zarr"):
            formats.check_suffix(name)


RGB = np.random.default_rng(0).integers(0, 256, (7, 6, 3), dtype="uint8")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "GIF", "TIFF", "npy", "JPEG"])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".mrc", ".png"])
def test_content_says_what_a_file_is_where_its_name_says_something_else(tmp_path, kind, suffix):
    path, image = tmp_path / f"a{suffix}", PIL.Image.fromarray(RGB)
    with open(path, "wb") as file:
        np.save(file, RGB) if kind == "npy" else image.save(file, format=kind, **LOSSLESS.get(kind, {}))
    own = {"TIFF": ".tif", "npy": ".npy"}.get(kind, ".png")
    if own == suffix:
        found = load_image(path)
    else:
        name = {"WEBP": "WebP", "npy": "NumPy array"}.get(kind, kind)
        with pytest.warns(GainTuningWarning, match=f"a{suffix} is a {name} by its content, and read as one"):
            found = load_image(path)
    # JPEG and the 256 colours of a GIF are near.
    assert found.shape == RGB.shape and (kind in ("JPEG", "GIF") or np.array_equal(found, RGB))
    assert not may_be_volume(path) or kind == "npy"


def test_a_movie_whose_name_is_that_of_a_picture_is_a_movie(tmp_path):
    movie = RGB.transpose(2, 0, 1).copy()
    tifffile.imwrite(tmp_path / "a.png", movie, photometric="minisblack", metadata={"axes": "ZYX"}, imagej=True)
    with pytest.warns(GainTuningWarning, match="is a TIFF by its content"):
        assert may_be_volume(tmp_path / "a.png")
    with open_stack(tmp_path / "a.png", series=0) as stack:
        assert stack.axes == "ZYX"
        np.testing.assert_array_equal(stack.array(), movie)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"%PDF-1.7", r"a\.tif is a PDF by its content: expected an image file \(\.png"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file by its content"),
        (b"ZISRAWFILE", r"is a CZI by its content: give it the suffix \.czi"),
        (b"\0\0\0\x1cftypheic", "is a HEIC or AVIF by its content"),
        (b"BM, but no picture of that kind", "cannot read"),
    ],
)
def test_what_is_no_image_or_needs_its_suffix_is_named(tmp_path, start, message):
    (tmp_path / "a.tif").write_bytes(start + bytes(100))
    with pytest.raises(InputError, match=message):
        load_image(tmp_path / "a.tif")


def test_a_name_that_says_nothing_is_mended_by_the_content(tmp_path):
    PIL.Image.fromarray(RGB).save(tmp_path / "scan.jfif", format="JPEG")
    with pytest.raises(InputError, match=r"is a JPEG by its content: give it the suffix \.jpg"):
        load_image(tmp_path / "scan.jfif")


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    (tmp_path / "b.zarr").write_text("a file")
    (tmp_path / "c.tif").mkdir()
    for name, message in (("no.tif", "no such file"), ("b.zarr", "a folder"), ("c.tif", "an image file")):
        with pytest.raises(InputError, match=message):
            formats.check_readable(tmp_path / name)


def test_a_missing_library_is_one_line_with_the_extra(tmp_path, monkeypatch):
    import sys

    for path in write_samples(tmp_path):
        if path.suffix in (".mrc", ".zarr"):
            monkeypatch.setitem(sys.modules, {".mrc": "mrcfile", ".zarr": "zarr"}[path.suffix], None)
            with pytest.raises(InputError, match=r"pip install 'gaintuning-tf\[microscopy\]'"):
                load_image(path)
