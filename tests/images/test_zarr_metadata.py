"""What Zarr files say beside their pixels, and which of their images is read."""

import json
import re
import warnings

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images import zarr_arrays
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.files import load_image, save_image
from gaintuning_tf.images.stack_files import create_stack, open_stack
from helpers.samples import draw

zarr = pytest.importorskip("zarr", minversion="3", reason="needs the extra `microscopy`")
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "nanometer"}
SCALES = {"t": 1.5, "c": 1, "z": 0.4, "y": 0.1, "x": 100}
WINDOW = {"min": 0, "max": 65535, "start": 10, "end": 900}


def ome(axes, levels=1, channels=()):
    types = {"t": "time", "c": "channel"}
    named = [{"name": a, "type": types.get(a, "space"), **({"unit": UNITS[a]} if a in UNITS else {})} for a in axes]
    datasets = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [SCALES[a] * 2**n for a in axes]}]}
        for n in range(levels)
    ]
    whole = [{"type": "scale", "scale": [2.0] + [1] * (len(axes) - 1)}]
    said = {
        "multiscales": [
            {"version": "0.4", "name": "img", "axes": named, "datasets": datasets, "coordinateTransformations": whole}
        ]
    }
    if channels:
        said["omero"] = {
            "channels": [{"label": c, "color": "00FF00", "window": WINDOW, "active": True} for c in channels]
        }
    return said


def write_ome(path, array, axes, version, levels=1, channels=(), attributes=(), **options):
    said = ome(axes, levels, channels)
    said = {"ome": {"version": "0.5", **said}} if version == 3 else said
    group = zarr.create_group(path, zarr_format=version, attributes={**said, **dict(attributes)})
    for level in range(levels):
        part = array[..., :: 2**level, :: 2**level]
        group.create_array(str(level), shape=part.shape, dtype=part.dtype, **options)[:] = part
    labels = group.create_group("labels", attributes={"labels": ["cells"]})
    labels.create_array("cells", shape=array.shape, dtype="uint8")[:] = 1
    return group


def said_by(group):
    return group.attrs.get("ome", group.attrs)


def copy(source, target, dtype=None, **how):
    with open_stack(source, **how) as stack, create_stack(target, stack, dtype=dtype) as writer:
        for i in range(stack.frame_count):
            writer.write(i, stack.frame(i).astype(dtype or stack.dtype))
        writer.commit()


def first_scale(said):
    return said["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]


@pytest.mark.parametrize("version", [2, 3])
def test_five_axes_keep_scales_channels_windows_and_attributes(tmp_path, version):
    array = draw((2, 2, 3, 32, 40))
    write_ome(
        tmp_path / "a.zarr",
        array,
        "tczyx",
        version,
        2,
        ("DAPI", "GFP"),
        {"mine": {"dose": 3}},
        chunks=(1, 1, 1, 16, 16),
    )
    copy(tmp_path / "a.zarr", tmp_path / "b.zarr")
    group = zarr.open_group(tmp_path / "b.zarr", mode="r")
    assert list(group.keys()) == ["0"] and group["0"].chunks == (1, 1, 1, 16, 16)
    assert group.attrs["mine"] == {"dose": 3}
    assert said_by(group)["omero"] == ome("tczyx", 1, ("DAPI", "GFP"))["omero"]
    (expected,) = ome("tczyx")["multiscales"]
    if version == 3:
        del expected["version"]  # the whole has one
    assert said_by(group)["multiscales"] == [expected]
    np.testing.assert_array_equal(group["0"][:], array)
    copy(tmp_path / "a.zarr", tmp_path / "c.zarr", "float32")
    (first, second) = said_by(zarr.open_group(tmp_path / "c.zarr", mode="r"))["omero"]["channels"]
    assert first == {"label": "DAPI", "color": "00FF00", "active": True} and second["label"] == "GFP"


@pytest.mark.parametrize("version", [2, 3])
def test_what_is_written_names_one_version(tmp_path, version):
    write_ome(tmp_path / "a.zarr", draw((2, 6, 7)), "cyx", version, channels=["DAPI", "GFP"])
    copy(tmp_path / "a.zarr", tmp_path / "b.zarr")
    said = json.loads((tmp_path / "b.zarr" / (".zattrs" if version == 2 else "zarr.json")).read_text())
    named = re.findall(r"'version': '([^']*)'", str(said))
    assert named == (["0.4"] if version == 2 else ["0.5"])


@pytest.mark.parametrize("version", [2, 3])
def test_a_single_image_keeps_what_a_stack_keeps(tmp_path, version):
    image = draw((32, 40))
    write_ome(tmp_path / "a.zarr", image, "yx", version, channels=("one",), attributes={"mine": 1}, chunks=(16, 16))
    with open_stack(tmp_path / "a.zarr") as stack:
        metadata = stack.metadata
    for dtype in ("uint16", "float32"):
        save_image(tmp_path / "b.zarr", image.astype(dtype), layout(image, 1), metadata)
        group = zarr.open_group(tmp_path / "b.zarr", mode="r")
        assert group.metadata.zarr_format == version and group.attrs["mine"] == 1
        assert first_scale(said_by(group)) == [0.1, 100] and group["0"].chunks == (16, 16)
        assert ("window" in said_by(group)["omero"]["channels"][0]) == (dtype == "uint16")
        np.testing.assert_array_equal(load_image(tmp_path / "b.zarr"), image)


def test_sizes_are_told_to_other_formats_in_the_words_of_ome(tmp_path):
    write_ome(tmp_path / "a.zarr", draw((2, 2, 3, 8, 9)), "tczyx", 3, channels=("DAPI", "GFP"))
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.metadata["ome"] == {
            **{"TimeIncrement": 3.0, "TimeIncrementUnit": "s", "PhysicalSizeZ": 0.4, "PhysicalSizeZUnit": "µm"},
            **{"PhysicalSizeY": 0.1, "PhysicalSizeYUnit": "µm", "PhysicalSizeX": 100.0, "PhysicalSizeXUnit": "nm"},
            "Channel": {"Name": ["DAPI", "GFP"]},
        }


def test_sizes_of_another_format_make_an_ome_zarr(tmp_path):
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25, "TimeIncrement": 2.0}
    image = draw((2, 32, 40))
    zarr_arrays.create_target(tmp_path / "b.zarr", image.shape, image.dtype, "TYX", {"ome": sizes}).finish()
    said = said_by(zarr.open_group(tmp_path / "b.zarr", mode="r"))
    assert first_scale(said) == [2.0, 0.25, 0.5]
    assert [axis.get("unit") for axis in said["multiscales"][0]["axes"]] == ["second", "micrometer", "nanometer"]


@pytest.mark.parametrize("version", [2, 3])
def test_a_plain_array_keeps_attributes_compression_and_names(tmp_path, version):
    from numcodecs import Blosc

    packed = (
        zarr.codecs.BloscCodec(cname="lz4", clevel=3, shuffle="shuffle", typesize=4)
        if version == 3
        else Blosc("lz4", 3)
    )
    options = {"dimension_names": ["Y", "X"]} if version == 3 else {}
    image = draw((32, 40), "float32")
    made = zarr.create_array(
        tmp_path / "a.zarr",
        shape=image.shape,
        dtype=image.dtype,
        chunks=(16, 20),
        compressors=packed,
        attributes={"pixel_nm": 3.2, "units": "counts"},
        zarr_format=version,
        chunk_key_encoding={"name": "v2" if version == 2 else "default", "separator": "/"},
        **options,
    )
    made[:] = image
    for dtype in ("float32", "uint16"):
        copy(tmp_path / "a.zarr", tmp_path / "b.zarr", dtype)
        written = zarr.open_array(tmp_path / "b.zarr", mode="r")
        assert dict(written.attrs) == {"pixel_nm": 3.2, "units": "counts"}
        assert written.chunks == (16, 20) and (tmp_path / "b.zarr" / ("0/0" if version == 2 else "c/0/0")).is_file()
        (codec,) = written.compressors
        assert (getattr(codec.cname, "value", codec.cname), codec.clevel) == ("lz4", 3)
        if version == 3:
            assert list(written.metadata.dimension_names) == ["Y", "X"]
            assert codec.typesize == np.dtype(dtype).itemsize
        np.testing.assert_array_equal(written[:], image)


def test_names_of_xarray_are_axes(tmp_path):
    made = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(4, 9, 8),
        dtype="u2",
        zarr_format=2,
        attributes={"_ARRAY_DIMENSIONS": ["time", "y", "x"]},
    )
    made[:] = draw((4, 9, 8))
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.axes == "TYX"


@pytest.mark.parametrize("shards", [None, (4, 8, 8)])
@pytest.mark.parametrize("version", [2, 3])
def test_chunks_of_several_frames_are_right_when_a_run_is_gone_on_with(tmp_path, version, shards):
    if shards and version == 2:
        return
    stack = draw((7, 9, 8))
    options = {"shards": shards} if shards else {}
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=stack.shape, dtype="u2", chunks=(4, 4, 8), zarr_format=version, **options
    )
    made[:] = stack
    with open_stack(tmp_path / "a.zarr", axes="TYX") as source:
        with create_stack(tmp_path / "b.zarr", source) as writer:
            for i in (5, 0, 2):
                writer.write(i, source.frame(i))
            writer.flush()
        with create_stack(tmp_path / "b.zarr", source, resume=True) as writer:
            np.testing.assert_array_equal(writer.read(5), stack[5])
            for i in (1, 6, 3, 4):
                writer.write(i, source.frame(i))
            writer.commit()
    written = zarr.open_array(tmp_path / "b.zarr", mode="r")
    assert (written.chunks, written.shards) == ((4, 4, 8), shards)
    np.testing.assert_array_equal(written[:], stack)


def test_large_pieces_of_many_frames_become_pieces_of_one(tmp_path):
    said = {"format": 3, "chunks": (64, 256, 256), "shards": (64, 512, 512)}
    packing = {"compressors": (), "filters": (), "order": "C", "fill_value": 0, "separator": None, "dtype": "uint16"}
    shape = (64, 1024, 1024)
    zarr_arrays.create_target(tmp_path / "b.zarr", shape, np.dtype("u2"), "TYX", {"zarr": said | packing}).close()
    written = zarr.open_array(tmp_path / "b.zarr", mode="r")
    assert (written.chunks, written.shards) == ((1, 256, 256), None)


def bioformats2raw(path, version, listed=None):
    group = zarr.create_group(path, zarr_format=version, attributes={"bioformats2raw.layout": 3})
    names = listed or ["0", "1"]
    for number, name in enumerate(names):
        write_ome(path / name, draw((9, 8), seed=number), "yx", version)
    if listed:
        group.create_group("OME", attributes={"series": listed} if version == 2 else {"ome": {"series": listed}})
    return names


@pytest.mark.parametrize("listed", [None, ["b", "a", "c"]])
@pytest.mark.parametrize("version", [2, 3])
def test_of_several_images_the_first_is_read_and_the_others_are_said(tmp_path, version, listed):
    path = tmp_path / "bf.zarr"
    names = bioformats2raw(path, version, listed)
    with pytest.warns(GainTuningWarning, match=f"holds {len(names)} images, the first is read") as warned:
        np.testing.assert_array_equal(load_image(path), draw((9, 8), seed=0))
    assert len(warned) == 1 and "\n" not in str(warned[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = zarr_arrays.open_source(path, 1)
        np.testing.assert_array_equal(source.read((slice(None),) * 2), draw((9, 8), seed=1))
        np.testing.assert_array_equal(load_image(path / names[1]), draw((9, 8), seed=1))
    with pytest.raises(InputError, match=f"series of 0 to {len(names) - 1}"):
        zarr_arrays.open_source(path, 7)


def test_images_that_lie_elsewhere_are_refused(tmp_path):
    write_ome(tmp_path / "secret.zarr", draw((9, 8)), "yx", 2)
    for listed in (["../secret.zarr"], ["."], [str(tmp_path / "secret.zarr")]):
        group = zarr.create_group(
            tmp_path / "bf.zarr", zarr_format=2, attributes={"bioformats2raw.layout": 3}, overwrite=True
        )
        group.create_group("OME", attributes={"series": listed})
        with pytest.raises(InputError, match="damaged"):
            open_stack(tmp_path / "bf.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_paths_inside_a_zarr(tmp_path, version):
    array = draw((9, 8))
    write_ome(tmp_path / "a.zarr", array, "yx", version, 2)
    copy(tmp_path / "a.zarr" / "0", tmp_path / "b.zarr")
    assert first_scale(said_by(zarr.open_group(tmp_path / "b.zarr", mode="r"))) == [0.1, 100]
    copy(tmp_path / "a.zarr" / "1", tmp_path / "c.zarr")
    assert first_scale(said_by(zarr.open_group(tmp_path / "c.zarr", mode="r"))) == [0.2, 200]
    np.testing.assert_array_equal(load_image(tmp_path / "c.zarr"), array[::2, ::2])
    assert load_image(tmp_path / "a.zarr" / "labels" / "cells").max() == 1
    for wrong, message in (("2", "no such file"), ("zarr.json" if version == 3 else ".zgroup", "expected a folder")):
        with pytest.raises(InputError, match=message):
            load_image(tmp_path / "a.zarr" / wrong)
    with (
        open_stack(tmp_path / "c.zarr") as stack,
        pytest.raises(InputError, match="output file with one of the suffixes"),
    ):
        create_stack(tmp_path / "a.zarr" / "new", stack)


@pytest.mark.parametrize("version", [2, 3])
def test_plates_and_wells_ask_for_the_path_of_a_field(tmp_path, version):
    def attributes(said):
        return {"ome": {"version": "0.5", **said}} if version == 3 else said

    plate = zarr.create_group(
        tmp_path / "p.zarr", zarr_format=version, attributes=attributes({"plate": {"wells": [{"path": "B/03"}]}})
    )
    well = plate.create_group("B/03", attributes=attributes({"well": {"images": [{"path": "f1"}, {"path": "f2"}]}}))
    write_ome(tmp_path / "p.zarr" / "B" / "03" / "f1", draw((9, 8)), "yx", version)
    assert well is not None
    with pytest.raises(InputError, match=r"plate of 1 wells: give the path of a field, such as .*p.zarr/B/03/0"):
        load_image(tmp_path / "p.zarr")
    with pytest.raises(InputError, match=r"well of 2 fields: give the path of a field, such as .*B/03/f1"):
        load_image(tmp_path / "p.zarr" / "B" / "03")
    np.testing.assert_array_equal(load_image(tmp_path / "p.zarr" / "B" / "03" / "f1"), draw((9, 8)))


def chunk_files(path):
    return [file for file in path.rglob("*") if file.is_file() and re.fullmatch(r"[\d./]+", file.name)]


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("damage", ["longer", "shorter", "cut", "zeros", "huge"])
def test_damaged_blosc_chunks_are_one_line(tmp_path, version, damage, sharded):
    from numcodecs import Blosc

    if sharded and version == 2:
        return
    path = tmp_path / "a.zarr"
    packed = zarr.codecs.BloscCodec() if version == 3 else Blosc()
    options = {"shards": (2, 64, 64)} if sharded else {}
    image = draw((2, 64, 64))
    made = zarr.create_array(
        path, shape=image.shape, dtype="u2", chunks=(1, 64, 64), compressors=packed, zarr_format=version, **options
    )
    made[:] = image
    np.testing.assert_array_equal(load_image(path), image)
    for file in chunk_files(path):
        data = bytearray(file.read_bytes())
        size = int.from_bytes(data[12:16], "little")
        if damage in ("longer", "shorter"):
            data[12:16] = (size * (100 if damage == "longer" else 1) - (damage == "shorter")).to_bytes(4, "little")
        elif damage == "huge":
            data[4:8] = (2**31 - 1).to_bytes(4, "little")
        elif damage == "zeros":
            data[16:] = bytes(len(data) - 16)
        elif sharded:
            return  # the index is at the end
        else:
            del data[len(data) // 2 :]
        file.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot read|Blosc chunk is damaged") as refused:
        load_image(path)
    assert "\n" not in str(refused.value)
    with open_stack(path, axes="TYX") as stack, pytest.raises(InputError):
        stack.frame(0)


def test_metadata_of_the_source_is_left_alone(tmp_path):
    write_ome(tmp_path / "a.zarr", draw((2, 9, 8)), "cyx", 2, channels=("a", "b"), attributes={"mine": [1]})
    with open_stack(tmp_path / "a.zarr") as stack:
        before = repr(stack.metadata)
        zarr_arrays.create_target(tmp_path / "b.zarr", (9, 8), np.dtype("f4"), "YX", stack.metadata).close()
        assert repr(stack.metadata) == before
    said = said_by(zarr.open_group(tmp_path / "b.zarr", mode="r"))
    assert first_scale(said) == [0.1, 100] and "omero" not in said
    assert json.loads((tmp_path / "b.zarr" / ".zattrs").read_text())["mine"] == [1]
