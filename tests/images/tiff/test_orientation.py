"""TIFF: pixels are turned as they are shown."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from gaintuning_tf.images import open_stack
from gaintuning_tf.images.tiff.orientation import turned
from helpers.copies import copy
from helpers.samples import draw

WAY = Image.Transpose
# What undoes each, as in the EXIF standard.
WAYS = {2: WAY.FLIP_LEFT_RIGHT, 3: WAY.ROTATE_180, 4: WAY.FLIP_TOP_BOTTOM, 5: WAY.TRANSPOSE}
WAYS |= {6: WAY.ROTATE_270, 7: WAY.TRANSVERSE, 8: WAY.ROTATE_90}
ORIENTATIONS = pytest.mark.parametrize("orientation", range(1, 9))


def write(path, array, orientation, **options):
    tag = [(274, "H", 1, orientation, False)]
    tifffile.imwrite(path, array, extratags=tag, resolution=(300, 100), resolutionunit="INCH", **options)


@ORIENTATIONS
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3), (9, 8, 4)])
def test_what_is_read_and_written_is_what_others_show(tmp_path, orientation, shape):
    array = draw(shape, "uint8")
    write(tmp_path / "a.tif", array, orientation, photometric="rgb" if len(shape) == 3 else "minisblack", metadata=None)
    found = copy(tmp_path / "a.tif", tmp_path / "b.tif")
    shown = np.asarray(Image.fromarray(array).transpose(WAYS[orientation]) if orientation in WAYS else array)
    np.testing.assert_array_equal(found, shown[..., :3] if len(shape) == 3 else shown)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.tif")), shown)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        page = tif.pages[0]
        assert "Orientation" not in page.tags or page.tags["Orientation"].value == 1
        assert page.get_resolution("INCH") == ((100, 300) if orientation >= 5 else (300, 100))


@ORIENTATIONS
@pytest.mark.parametrize("packed", [{}, {"compression": "zlib"}])
def test_frames_of_a_stack_are_turned(tmp_path, orientation, packed):
    array = draw((4, 9, 8, 3), "uint8")
    metadata = {"axes": "TYXS"}
    write(tmp_path / "a.tif", array, orientation, photometric="rgb", metadata=metadata, **packed)
    expected = turned(array, 1, 2, orientation)
    for channels in (1, 3):
        with open_stack(tmp_path / "a.tif", model_channels=channels) as stack:
            assert stack.shape == expected.shape
            frames = [stack.frame(i) for i in range(stack.frame_count)]
        seen = (
            np.stack(frames) if channels == 3 else np.moveaxis(np.reshape(frames, (4, 3, *expected.shape[1:3])), 1, 3)
        )
        np.testing.assert_array_equal(seen, expected)


def test_a_number_that_means_nothing_turns_nothing(tmp_path):
    array = draw((9, 8), "uint8")
    for orientation in (0, 9, 300):
        write(tmp_path / "a.tif", array, orientation, metadata=None)
        np.testing.assert_array_equal(copy(tmp_path / "a.tif", tmp_path / "b.tif"), array)


def test_a_packet_that_says_the_orientation_again_is_set_right(tmp_path):
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" tiff:Make="m"/></x:xmpmeta>'
    tags = [(274, "H", 1, 6, True), (700, "B", len(xmp), xmp, True)]
    tifffile.imwrite(tmp_path / "a.tif", draw((9, 8), "uint8"), metadata=None, extratags=tags)
    copy(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert bytes(tif.pages[0].tags["XMP"].value) == xmp.replace(b'"6"', b'"1"')
