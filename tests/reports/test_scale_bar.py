"""The scale bar has the length that it says, where a file says how large a pixel is."""

import numpy as np
import pytest
import tifffile

from gaintuning_tf.images.stack_files import open_stack
from gaintuning_tf.reports.scale_bar import bar, pixel_metres

OME = {"axes": "YX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 65.0, "PhysicalSizeYUnit": "nm"}


@pytest.mark.parametrize(
    ("options", "metres"),
    [
        ({"ome": True, "metadata": OME}, 65e-9),
        ({"imagej": True, "resolution": (8.0, 8.0), "metadata": {"axes": "YX", "unit": "micron"}}, 0.125e-6),
        ({"resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}, 0.1e-6),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"imagej": True, "resolution": (8.0, 8.0), "metadata": {"axes": "YX", "unit": "pixel"}}, None),
        ({}, None),
    ],
    ids=["OME", "ImageJ", "resolution", "of a printer", "no length", "nothing"],
)
def test_the_size_of_a_pixel_is_what_the_file_says(options, metres, tmp_path):
    name = tmp_path / ("a.ome.tif" if options.pop("ome", False) else "a.tif")
    tifffile.imwrite(name, np.zeros((8, 9), np.uint8), **options)
    with open_stack(name) as stack:
        found = pixel_metres(stack.metadata)
    assert found == (None if metres is None else pytest.approx(metres, rel=1e-6))


@pytest.mark.parametrize(("metres", "width"), [(65e-9, 512), (1.3e-10, 4096), (0.9e-6, 100), (2e-3, 640), (1e-6, 250)])
def test_a_bar_is_a_round_length_of_about_a_fifth(metres, width):
    pixels, words = bar(metres, width)
    number, unit = words.split()
    length = float(number) * {"nm": 1e-9, "µm": 1e-6, "mm": 1e-3}[unit]
    assert pixels * metres == pytest.approx(length, rel=1e-2)
    assert 0.079 * width <= pixels <= 0.201 * width
    assert number.rstrip("0").rstrip(".").lstrip("0.") in ("1", "2", "5")
