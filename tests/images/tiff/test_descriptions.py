"""TIFF: what a file says of itself is said again, of single images and of stacks, whatever the dtype."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from gaintuning_tf import GainTuningWarning
from gaintuning_tf.images import layout, load_image, open_stack
from gaintuning_tf.images.files import save_image
from gaintuning_tf.images.tiff import create_target, open_source
from helpers.copies import copy
from helpers.samples import draw

IMAGE = draw((9, 8))
DTYPES = pytest.mark.parametrize("dtype", ["uint16", "float32"])


def write_again(source, target, dtype):
    """A single image, as the command line writes it: whole."""
    image = load_image(source)
    with open_stack(source) as stack:
        metadata, axes = stack.metadata, stack.axes
    save_image(target, image.astype(dtype), layout(image, 1, axes=axes), metadata)
    return tifffile.TiffFile(target)


@DTYPES
def test_a_single_image_keeps_resolution_and_description(tmp_path, dtype):
    how = {"resolution": (1e4, 5e3), "resolutionunit": 3, "description": "sample 12, 200 kV, 5 µm", "metadata": None}
    how["description"] = how["description"].encode()
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, **how)
    with write_again(tmp_path / "a.tif", tmp_path / "b.tif", dtype) as tif:
        page = tif.pages[0]
        assert page.get_resolution("CENTIMETER") == (1e4, 5e3)
        assert page.description == "sample 12, 200 kV, 5 µm"
        np.testing.assert_array_equal(page.asarray(), IMAGE)


@DTYPES
def test_a_single_image_keeps_what_imagej_says(tmp_path, dtype):
    metadata = {"unit": "um", "axes": "YX", "min": 100.0, "max": 900.0, "Info": "10 µm"}
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, resolution=(10, 10), metadata=metadata)
    with write_again(tmp_path / "a.tif", tmp_path / "b.tif", dtype) as tif:
        assert tif.is_imagej and tif.imagej_metadata["unit"] == "um" and tif.imagej_metadata["Info"] == "10 µm"
        assert tif.imagej_metadata.get("max") == (900.0 if dtype == "uint16" else None)  # of the input's values
        assert tif.pages[0].tags["XResolution"].value == (10, 1)


@DTYPES
def test_a_single_image_keeps_what_ome_says(tmp_path, dtype):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "Channel": {"Name": ["DAPI"]}}
    metadata |= {"SignificantBits": 12}
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, ome=True, metadata=metadata)
    with write_again(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", dtype) as tif:
        for text in ('PhysicalSizeX="0.1"', 'PhysicalSizeXUnit="µm"', 'Name="DAPI"'):
            assert text in tif.ome_metadata
        assert ("SignificantBits" in tif.ome_metadata) == (dtype == "uint16")


@DTYPES
def test_a_hyperstack_keeps_colours_ranges_labels_and_notes(tmp_path, dtype):
    array, lut = draw((2, 3, 2, 9, 8)), np.zeros((3, 256), "uint8")
    lut[1] = np.arange(256)
    metadata = {"spacing": 0.3, "unit": "\\u00B5m", "finterval": 2.5, "fps": 0.4, "mode": "composite", "loop": False}
    metadata |= {"Labels": [f"p{i}" for i in range(12)], "LUTs": [lut, lut[::-1].copy()], "Info": "63x\nµm"}
    ranges = {"Ranges": (0.0, 900.0, 0.0, 800.0)}
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "TZCYX"} | metadata | ranges)
    copy(tmp_path / "a.tif", tmp_path / "b.tif", dtype=dtype)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        found = tif.imagej_metadata
        for key, value in metadata.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)
        assert found.get("Ranges") == (ranges["Ranges"] if dtype == "uint16" else None)
        assert tif.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(tif.asarray(), array)


OME = {
    "PhysicalSizeX": 0.1, "PhysicalSizeZ": 0.4, "PhysicalSizeZUnit": "nm", "TimeIncrement": 1.5,
    "TimeIncrementUnit": "min", "Description": "my experiment", "Name": "third well",
}  # fmt: skip


@DTYPES
@pytest.mark.parametrize("axes", ["TZCYX", "CTZYX", "ZCTYX", "ZTCYX", "CZYX", "CTYX", "TCYX", "TZYX"])
def test_ome_of_any_order_is_written_as_ome(tmp_path, axes, dtype):
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 9, "X": 8}
    array = draw([sizes[letter] for letter in axes])
    planes = array.size // 72
    metadata = OME | {"axes": axes, "Plane": {"ExposureTime": [0.25 + i for i in range(planes)]}}
    if "C" in axes:
        metadata["Channel"] = {"Name": ["GFP", "RFP"], "EmissionWavelength": [510, 610], "Color": [65280, -16776961]}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, metadata=metadata, photometric="minisblack")
    copy(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", dtype=dtype)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif, tifffile.TiffFile(tmp_path / "b.ome.tif") as out:
        assert out.is_ome and out.series[0].axes == tif.series[0].axes == axes
        np.testing.assert_array_equal(out.asarray(), array)
        before, after = (tifffile.xml2dict(file.ome_metadata)["OME"]["Image"] for file in (tif, out))
        for image in (before, after):
            image["Pixels"].pop("Type")
        assert after == before


def test_what_of_ome_is_not_kept_is_said(tmp_path):
    notes = {"MapAnnotation": {"Namespace": "a", "Value": {"key": "b"}}}
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, ome=True, metadata={"axes": "YX"} | notes)
    with pytest.warns(GainTuningWarning, match="StructuredAnnotations are not kept"):
        copy(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")


def test_what_ome_cannot_hold_keeps_its_sizes_and_says_so(tmp_path):
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.1, "Channel": {"Name": ["a", "b", "c"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", draw((3, 9, 8)), ome=True, metadata=metadata, photometric="minisblack")
    with pytest.warns(GainTuningWarning, match="channels' names are not kept: OME has no float16"):
        copy(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", dtype="float16")
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        assert tif.series[0].axes == "CYX" and tif.series[0].dtype == np.float16
        assert tif.shaped_metadata[0]["PhysicalSizeX"] == 0.1


def test_colour_stays_ome(tmp_path):
    colour = draw((9, 8, 3), "uint8")
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.2}
    tifffile.imwrite(tmp_path / "a.ome.tif", colour, ome=True, photometric="rgb", metadata=metadata)
    copy(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", model_channels=3)
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert tif.series[0].axes == "YXS" and 'PhysicalSizeX="0.2"' in tif.ome_metadata
        np.testing.assert_array_equal(tif.asarray(), colour)


@pytest.mark.parametrize(("unit", "dots"), [("INCH", (300, 150)), ("CENTIMETER", (762, 381)), ("NONE", None)])
def test_dots_per_inch_are_for_all_formats(tmp_path, unit, dots):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, resolution=(300, 150), resolutionunit=unit, metadata=None)
    source = open_source(tmp_path / "a.tif")
    source.close()
    assert source.metadata.get("dpi") == (pytest.approx(dots) if dots else None)


def test_dots_per_inch_of_another_format_are_written(tmp_path):
    create_target(tmp_path / "a.tif", (9, 8), np.dtype("uint8"), "YX", {"dpi": (300.0, 149.5)}).close()
    assert Image.open(tmp_path / "a.tif").info["dpi"] == (300, 149.5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_colour_profile_is_kept_where_it_is_for_such_colours(tmp_path, dtype):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colour = draw((9, 8, 3), "uint8")
    Image.fromarray(colour).save(tmp_path / "a.tif", icc_profile=profile)
    copy(tmp_path / "a.tif", tmp_path / "b.tif", dtype=dtype, model_channels=3)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].tags["InterColorProfile"].value == profile
    if dtype == "uint8":
        assert Image.open(tmp_path / "b.tif").info["icc_profile"] == profile
    with pytest.warns(GainTuningWarning, match="colour profile is not kept: it is for RGB"):
        create_target(tmp_path / "c.tif", (9, 8), np.dtype(dtype), "YX", {"icc_profile": profile}).close()


def test_keys_of_other_formats_do_no_harm(tmp_path):
    metadata = {"voxel_size": (1, 2, 3), "zarr_format": 2, "omero": {}, "multiscale": None, "exttyp": b"FEI1"}
    create_target(tmp_path / "a.tif", (9, 8), np.dtype("uint8"), "YX", metadata).close()
    assert load_image(tmp_path / "a.tif").shape == (9, 8)


@pytest.mark.parametrize(("dtype", "is_ome"), [("uint16", True), ("float16", False)])
def test_an_output_is_ome_if_its_name_says_so_and_it_can_be(tmp_path, dtype, is_ome):
    array = draw((2, 3, 9, 8), dtype)
    np.save(tmp_path / "a.npy", array)
    copy(tmp_path / "a.npy", tmp_path / "b.ome.tif", axes="TCYX")
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        assert bool(tif.is_ome) == is_ome and tif.series[0].axes == "TCYX"
        np.testing.assert_array_equal(tif.asarray(), array)


@pytest.mark.parametrize(("first", "second"), [(".png", ".tif"), (".tif", ".png")])
def test_profile_opacity_and_density_go_from_format_to_format(tmp_path, first, second):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colour = draw((9, 8, 4), "uint8")
    Image.fromarray(colour, "RGBA").save(tmp_path / f"a{first}", icc_profile=profile, dpi=(300, 300))
    copy(tmp_path / f"a{first}", tmp_path / f"b{second}", model_channels=3)
    found = Image.open(tmp_path / f"b{second}")
    np.testing.assert_array_equal(np.asarray(found), colour)
    assert found.info["icc_profile"] == profile
    assert found.info["dpi"] == pytest.approx((300, 300), abs=0.02)  # PNG counts whole dots per metre
