"""Formats by suffix."""

import inspect

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images import formats
from gaintuning_tf.images.files import load_image
from helpers.samples import write_samples

for library in ("mrcfile", "rsciio", "zarr"):
    pytest.importorskip(library, reason="needs the extra `microscopy`")


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
