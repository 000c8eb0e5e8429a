"""Files that napari does not read: lazily, with the size of their pixels."""

import numpy as np
import pytest

from gaintuning_tf.images.array_layout import Layout
from gaintuning_tf.images.files import save_image
from gaintuning_tf.viewer.readers import read_layers, reader_of
from helpers.samples import draw, write_dm3

mrcfile = pytest.importorskip("mrcfile", reason="needs the extra `microscopy`")
dask_array = pytest.importorskip("dask.array", reason="needs the extra `dask`")


def test_an_mrc_stack_is_read_plane_by_plane_with_its_scale(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 9, 8)).astype(np.float32)
    like = Layout("ZYX", values.shape, values.dtype, 0, 1, 1)
    ome = {f"PhysicalSize{axis}": size for axis, size in zip("XYZ", (2.0, 2.0, 5.0), strict=True)}
    units = {f"PhysicalSize{axis}Unit": "Å" for axis in "XYZ"}
    save_image(tmp_path / "a.mrc", values, like, {"ome": ome | units})
    [(array, look, kind)] = read_layers(str(tmp_path / "a.mrc"))
    assert kind == "image" and isinstance(array, dask_array.Array)
    assert array.chunks == ((1, 1, 1, 1), (9,), (8,))
    np.testing.assert_array_equal(array.compute(scheduler="sync"), values)
    np.testing.assert_allclose(look["scale"][-2:], [2, 2])
    assert look["units"][-2:] == ["angstrom", "angstrom"] and look["name"] == "a"


def test_a_single_image_has_two_axes(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc", np.ones((9, 8), np.int16)) as file:
        file.voxel_size = 3.0
    [(array, look, _)] = read_layers([str(tmp_path / "a.mrc")])
    assert array.shape == (9, 8) and look["scale"] == [3.0, 3.0] and look["axis_labels"] == ["y", "x"]
    np.testing.assert_array_equal(array.compute(scheduler="sync"), 1)


def test_files_that_napari_reads_are_left_to_it():
    assert reader_of(["a.mrc", "b.tif"]) is None and reader_of("a.png") is None
    assert reader_of(["a.DM4", "b.czi"]) is read_layers


def test_a_digital_micrograph_has_its_scale_and_axes(tmp_path):
    pytest.importorskip("rsciio", reason="needs the extra `microscopy`")
    values = draw((4, 9, 8))
    write_dm3(tmp_path / "a.dm3", values)
    [(array, look, _)] = read_layers(str(tmp_path / "a.dm3"))
    np.testing.assert_array_equal(array.compute(scheduler="sync"), values)
    assert look["scale"] == [0.5] * 3 and look["units"] == ["nm"] * 3 and look["axis_labels"] == ["z", "y", "x"]
