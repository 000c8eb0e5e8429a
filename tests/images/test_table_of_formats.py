"""docs/measured/formats.md: what an image keeps on its way through each format, as other programs read it.

`python -m pytest tests/images/test_table_of_formats.py --write-tables` writes the table anew.
"""

import warnings

import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL import ImageCms

from gaintuning_tf.errors import InputError
from gaintuning_tf.images import open_stack, order_of, save_image
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.formats import WRITABLE
from helpers.places import ROOT
from helpers.samples import draw

DOCUMENT = ROOT / "docs" / "measured" / "formats.md"
BEGIN, END = "<!-- formats: begin -->", "<!-- formats: end -->"
COLUMNS = ("bits", "size of pixels", "names of channels", "colour profile", "alpha", "turned", "description")
GREY, RGB, RGBA = draw((12, 9), "uint8"), draw((12, 9, 3), "uint8"), draw((12, 9, 4), "uint8")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def copied(source, output):
    """Read and write as `denoise` does."""
    with warnings.catch_warnings(), open_stack(source) as stack:
        warnings.simplefilter("ignore")
        array = stack.array()
        save_image(output, array, layout(array, 1, axes=stack.axes), stack.metadata)
    return output


def bits(folder, suffix):
    """The dtypes that come back as they went, of grey and, without a star, of colour."""
    kept = []
    for dtype in ("uint8", "uint16", "int16", "float32", "float64"):
        grey = [back(folder, suffix, draw((12, 9), dtype)), back(folder, suffix, draw((12, 9, 3), dtype))]
        kept += [dtype if all(grey) else f"{dtype}*"] if grey[0] else []
    return ", ".join(kept)


def back(folder, suffix, array):
    path = folder / f"{array.dtype}{array.ndim}{suffix}"
    try:
        save_image(path, array, layout(array, 1, axes=order_of(array, 1).axes))
        with open_stack(path) as stack:
            found = stack.array()
    except InputError:
        return False
    exact = found.dtype == array.dtype and found.shape == array.shape
    return exact and np.abs(found.astype(float) - array).max() <= (40 if suffix in (".jpg", ".jpeg") else 0)


def picture(path, image=RGB, **said):
    PIL.Image.fromarray(image).save(path, **said)
    return path


class Pictures:
    def __init__(self, suffix):
        self.suffix = suffix

    def size(self, a, b):
        info = PIL.Image.open(copied(picture(a, dpi=(300, 300)), b)).info
        return "dots per inch" if np.allclose(info.get("dpi", 0), 300, atol=0.1) else ""

    def profile(self, a, b):
        return PIL.Image.open(copied(picture(a, icc_profile=PROFILE), b)).info.get("icc_profile") == PROFILE

    def alpha(self, a, b):
        if self.suffix in (".jpg", ".jpeg", ".bmp"):
            return ""
        found = np.asarray(PIL.Image.open(copied(picture(a, RGBA, lossless=True, exact=True), b)))
        return found.shape == RGBA.shape and np.array_equal(found[..., 3], RGBA[..., 3])

    def turned(self, a, b):
        exif = PIL.Image.Exif()
        exif[274] = 6
        found = PIL.Image.open(copied(picture(a, exif=exif), b))
        return found.size == (12, 9) and found.getexif().get(274, 1) == 1

    def description(self, a, b):
        exif = PIL.Image.Exif()
        exif[270] = "cells"
        return "EXIF" if PIL.Image.open(copied(picture(a, exif=exif), b)).getexif().get(270) == "cells" else ""


class Tiff:
    def size(self, a, b):
        tifffile.imwrite(a, GREY, resolution=(1e4, 1e4), resolutionunit=3, metadata=None)
        with tifffile.TiffFile(copied(a, b)) as tif:
            tags = tif.pages[0].tags
            return tags["XResolution"].value == (10000, 1) and int(tags["ResolutionUnit"].value) == 3

    def profile(self, a, b):
        tifffile.imwrite(a, RGB, photometric="rgb", iccprofile=PROFILE, metadata=None)
        return PIL.Image.open(copied(a, b)).info.get("icc_profile") == PROFILE

    def alpha(self, a, b):
        tifffile.imwrite(a, RGBA, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
        found = tifffile.imread(copied(a, b))
        return found.shape == RGBA.shape and np.array_equal(found[..., 3], RGBA[..., 3])

    def turned(self, a, b):
        tifffile.imwrite(a, GREY, extratags=[(274, "H", 1, 6, True)], metadata=None)
        return np.array_equal(tifffile.imread(copied(a, b)), np.rot90(GREY, -1))

    def description(self, a, b):
        tifffile.imwrite(a, GREY, description="cells", metadata=None)
        with tifffile.TiffFile(copied(a, b)) as tif:
            return "cells" in tif.pages[0].description


class OmeTiff:
    def _of(self, a, b):
        names = {"Name": ["DAPI", "GFP"]}
        sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeXUnit": "nm", "Description": "cells"}
        stack = draw((2, 12, 9), "uint16")
        tifffile.imwrite(
            a, stack, ome=True, photometric="minisblack", metadata={"axes": "CYX", "Channel": names, **sizes}
        )
        with tifffile.TiffFile(copied(a, b)) as tif:
            return tif.ome_metadata or ""

    def size(self, a, b):
        found = self._of(a, b)
        return all(words in found for words in ('PhysicalSizeX="0.1"', 'PhysicalSizeXUnit="nm"', 'PhysicalSizeY="0.2"'))

    def channels(self, a, b):
        return all(words in self._of(a, b) for words in ('Name="DAPI"', 'Name="GFP"'))

    def description(self, a, b):
        return "<Description>cells</Description>" in self._of(a, b)


class Mrc:
    def _of(self, a, b):
        import mrcfile

        with mrcfile.new(a, draw((12, 9), "int16")) as mrc:
            mrc.voxel_size = 2.5
            mrc.add_label("cells")
        with mrcfile.open(copied(a, b)) as mrc:
            return float(mrc.voxel_size.x), mrc.get_labels()

    def size(self, a, b):
        return self._of(a, b)[0] == 2.5

    def description(self, a, b):
        return "labels" if any("cells" in label for label in self._of(a, b)[1]) else ""


class OmeZarr:
    def _of(self, a, b):
        import zarr

        axes = [{"name": name, "type": kind} for name, kind in (("c", "channel"), ("y", "space"), ("x", "space"))]
        scale = [{"type": "scale", "scale": [1.0, 0.2, 0.1]}]
        group = zarr.create_group(a, zarr_format=2)
        group.create_array("0", shape=(2, 12, 9), dtype="uint16", chunks=(1, 12, 9))[:] = draw((2, 12, 9), "uint16")
        level = {"path": "0", "coordinateTransformations": scale}
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
        group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
        group.attrs["mine"] = "cells"
        return dict(zarr.open(copied(a, b)).attrs)

    def size(self, a, b):
        level = self._of(a, b)["multiscales"][0]["datasets"][0]
        return level["coordinateTransformations"][0]["scale"] == [1.0, 0.2, 0.1]

    def channels(self, a, b):
        return [channel["label"] for channel in self._of(a, b)["omero"]["channels"]] == ["DAPI", "GFP"]

    def description(self, a, b):
        return "attributes" if self._of(a, b).get("mine") == "cells" else ""


ROWS = {
    "PNG": (".png", Pictures(".png")),
    "JPEG": (".jpg", Pictures(".jpg")),
    "WebP": (".webp", Pictures(".webp")),
    "BMP": (".bmp", Pictures(".bmp")),
    "TIFF": (".tif", Tiff()),
    "OME-TIFF": (".ome.tif", OmeTiff()),
    "MRC": (".mrc", Mrc()),
    "OME-Zarr": (".zarr", OmeZarr()),
    "NumPy": (".npy", None),
}
METHODS = dict(zip(COLUMNS[1:], ("size", "channels", "profile", "alpha", "turned", "description"), strict=True))


def cells(folder, suffix, kind):
    """What a format keeps, a word for each column."""
    found = [bits(folder, suffix)]
    for number, method in enumerate(METHODS.values()):
        kept = hasattr(kind, method) and getattr(kind, method)(
            folder / f"a{number}{suffix}", folder / f"b{number}{suffix}"
        )
        found.append(kept if isinstance(kept, str) else "yes" if kept else "")
    return found


def test_the_table_says_what_is_kept(tmp_path, request):
    lines = [f"| format | {' | '.join(COLUMNS)} |", f"|{'---|' * (1 + len(COLUMNS))}"]
    for number, (name, (suffix, kind)) in enumerate(ROWS.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        lines.append(f"| {name} | {' | '.join(cells(folder, suffix, kind))} |")
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    told, _, after = rest.partition(END)
    table = "\n".join(["", *lines, ""])
    if request.config.getoption("--write-tables"):
        DOCUMENT.write_text(f"{before}{BEGIN}{table}{END}{after}")
    else:
        assert told == table


def test_every_format_that_is_written_has_a_row():
    same = {".jpeg": ".jpg", ".tiff": ".tif", ".btf": ".tif", ".tf8": ".tif", ".mrcs": ".mrc", ".rec": ".mrc"}
    assert {same.get(suffix, suffix) for suffix in WRITABLE} <= {suffix for suffix, _ in ROWS.values()}


@pytest.mark.parametrize("name", ROWS)
def test_pixels_of_a_format_come_back(tmp_path, name):
    assert "uint8" in bits(tmp_path, ROWS[name][0]) or name == "MRC"
