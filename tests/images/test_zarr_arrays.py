"""Zarr and OME-Zarr in parts."""

import json

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.files import load_image, save_image
from gaintuning_tf.images.stack_files import create_stack, open_stack
from helpers.samples import draw, ome_multiscale

zarr = pytest.importorskip("zarr", minversion="3", reason="needs the extra `microscopy`")
STACK = draw((4, 9, 8))


def copy(source, target, axes=None, channels=1):
    with open_stack(source, axes=axes, model_channels=channels) as stack, create_stack(target, stack) as writer:
        for i in range(stack.frame_count):
            writer.write(i, stack.frame(i))
        writer.flush()
        writer.commit()


def group(path, version, **extra):
    made = zarr.create_group(path, zarr_format=version)
    made.create_array("0", shape=STACK.shape, dtype=STACK.dtype, chunks=(3, 4, 8))[:] = STACK
    made.create_array("1", shape=(4, 4, 4), dtype=STACK.dtype)
    scales = ome_multiscale()
    scales["datasets"].append({"path": "1"})
    ome = {"multiscales": [scales], **extra}
    made.attrs.update({"ome": {"version": "0.5", **ome}} if version == 3 else ome)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_in_is_ome_zarr_out(tmp_path, version):
    group(tmp_path / "a.zarr", version, omero={"channels": [{"label": "a"}]})
    copy(tmp_path / "a.zarr", tmp_path / "b.zarr")
    written = zarr.open_group(tmp_path / "b.zarr", mode="r")
    ome = written.attrs["ome"] if version == 3 else written.attrs
    assert written.metadata.zarr_format == version
    # In Zarr 3 the version stands beside the multiscales, once.
    expected = {key: value for key, value in ome_multiscale().items() if key != "version" or version == 2}
    assert ome["multiscales"] == [expected]
    assert ome["omero"] == {"channels": [{"label": "a"}]}
    assert written["0"].chunks == (3, 4, 8)
    np.testing.assert_array_equal(written["0"][:], STACK)
    with open_stack(tmp_path / "b.zarr") as stack:
        assert stack.axes == "TYX"


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_keep_their_version_and_say_their_axes_where_they_can(tmp_path, version):
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=STACK.shape, dtype=STACK.dtype, chunks=(1, 9, 8), zarr_format=version
    )
    made[:] = STACK
    with pytest.raises(InputError, match="--axes TYX"):
        open_stack(tmp_path / "a.zarr")
    copy(tmp_path / "a.zarr", tmp_path / "b.zarr", axes="TYX")
    written = zarr.open_array(tmp_path / "b.zarr", mode="r")
    assert (written.metadata.zarr_format, written.chunks) == (version, (1, 9, 8))
    np.testing.assert_array_equal(written[:], STACK)
    if version == 3:
        with open_stack(tmp_path / "b.zarr") as stack:
            assert stack.axes == "TYX"


def test_an_output_takes_the_place_of_an_older_one_but_of_no_other_folder(tmp_path):
    np.save(tmp_path / "a.npy", STACK)
    for _ in range(2):
        copy(tmp_path / "a.npy", tmp_path / "b.zarr", axes="TYX")
    np.testing.assert_array_equal(load_image(tmp_path / "b.zarr"), STACK)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npy", "b.zarr"]
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "thesis.txt").write_text("only copy")
    with pytest.raises(InputError, match="something else"):
        copy(tmp_path / "a.npy", tmp_path / "c.zarr", axes="TYX")
    assert (tmp_path / "c.zarr" / "thesis.txt").read_text() == "only copy"


def test_one_image_is_saved_as_any_other(tmp_path):
    save_image(tmp_path / "a.zarr", STACK[0], layout(STACK[0], 1))
    save_image(tmp_path / "a.zarr", STACK[1], layout(STACK[1], 1))
    np.testing.assert_array_equal(load_image(tmp_path / "a.zarr"), STACK[1])


def test_codecs_that_run_code_are_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    import pickle

    path = tmp_path / "a.zarr"
    zarr.create_array(path, shape=(9, 8), dtype="uint16", chunks=(9, 8), zarr_format=2)[:] = STACK[0]
    for place in ("compressor", "filters"):
        metadata = json.loads((path / ".zarray").read_text())
        metadata |= {"compressor": None, "filters": None}
        metadata[place] = {"id": "pickle"} if place == "compressor" else [{"id": "pickle"}]
        (path / ".zarray").write_text(json.dumps(metadata))
        (path / "0.0").write_bytes(pickle.dumps(Trap()))
        for read in (load_image, open_stack):
            with pytest.raises(InputError, match=r"pickle|cannot read"):
                read(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [10**6, 10**6]}, "cannot hold"),
        ({"shape": [10**9, 9, 8], "chunks": [10**9, 9, 8]}, "cannot hold"),
        ({"shape": [0, 9]}, "says the shape"),
        ({"shape": [-9, 9]}, "cannot read"),
        ({"dtype": "|O"}, "cannot read|holds"),
        ({"dtype": "<M8[s]", "fill_value": 0}, "numbers"),
        ({"chunks": [0, 0]}, "cannot read"),
        ({"zarr_format": 99}, "cannot read"),
    ],
)
def test_metadata_that_lies_is_refused(tmp_path, change, message):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, shape=(9, 8), dtype="uint16", zarr_format=2)[:] = STACK[0]
    metadata = json.loads((path / ".zarray").read_text()) | change
    if len(metadata["chunks"]) != len(metadata["shape"]):
        metadata["chunks"] = metadata["shape"]
    (path / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match=message):
        load_image(path)


def test_a_damaged_chunk_is_refused_when_it_is_read(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 9, 8), dtype="uint16", chunks=(1, 9, 8), zarr_format=2)[:] = STACK
    (tmp_path / "a.zarr" / "2.0.0").write_bytes(b"junk")
    with open_stack(tmp_path / "a.zarr", axes="TYX") as stack:
        np.testing.assert_array_equal(stack.frame(1), STACK[1])
        with pytest.raises(InputError, match="cannot read"):
            stack.frame(2)


def test_more_or_fewer_names_than_axes_are_refused(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(4, 9, 8), dtype="uint16", dimension_names=["t", "y", "x"])
    array[:] = draw((4, 9, 8))
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.axes == "TYX"
    # zarr checks this for an array, nobody for the multiscales of a group.
    group = zarr.create_group(tmp_path / "b.zarr")
    group.create_array("0", shape=(4, 9, 8), dtype="uint16")
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with pytest.raises(InputError, match=r"names 2 axes of an array of shape \(4, 9, 8\)"):
        open_stack(tmp_path / "b.zarr")


def test_a_group_of_several_arrays_is_refused_with_their_names(tmp_path):
    made = zarr.create_group(tmp_path / "a.zarr")
    for name in ("raw", "mask"):
        made.create_array(name, shape=(9, 8), dtype="uint8")
    with pytest.raises(InputError, match="mask, raw"):
        open_stack(tmp_path / "a.zarr")
