"""CZI, ND2, LIF and OIF files."""

import importlib
import sys
import warnings

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images import formats
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.stack_files import create_stack, open_stack
from helpers import vendor_samples as samples
from helpers.samples import draw


def needs(suffix):
    reason = f"needs {samples.LIBRARIES[suffix]} of the extra `vendors`"
    return pytest.mark.skipif(not samples.installed(suffix), reason=reason)


def check(path, array, axes):
    with open_stack(path) as stack:
        assert (stack.axes, stack.shape, stack.dtype) == (axes, array.shape, array.dtype)
        for i in (stack.frame_count - 1, 0):
            np.testing.assert_array_equal(stack.frame(i), stack.order.frames(array)[i])
        found = stack.metadata
    np.testing.assert_array_equal(load_image(path), array)
    return found.get("ome")


@needs(".czi")
def test_czi(tmp_path):
    array = draw((2, 2, 3, 9, 8))
    samples.write_czi(tmp_path / "a.czi", [array])
    sizes = check(tmp_path / "a.czi", array.transpose(0, 2, 1, 3, 4), "TZCYX")
    assert sizes == {
        **{"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.2, "PhysicalSizeYUnit": "µm"},
        **{"PhysicalSizeZ": 0.5, "PhysicalSizeZUnit": "µm", "Channel": {"Name": ["DAPI", "GFP"]}},
    }


@needs(".czi")
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_czi_of_one_plane_and_of_colour(tmp_path, dtype):
    samples.write_czi(tmp_path / "a.czi", [draw((1, 1, 1, 9, 8), dtype)], names=["one"])
    check(tmp_path / "a.czi", draw((9, 8), dtype), "YX")
    if dtype == "uint8":
        samples.write_czi(tmp_path / "b.czi", [draw((9, 8, 3), dtype)], names=["one"])
        check(tmp_path / "b.czi", draw((9, 8, 3), dtype), "YXC")


@needs(".czi")
def test_of_several_scenes_one_is_read_and_the_others_are_said(tmp_path):
    scenes = [draw((1, 2, 1, 9, 8), seed=1), draw((1, 2, 1, 5, 4), seed=2)]
    samples.write_czi(tmp_path / "a.czi", scenes)
    with pytest.warns(GainTuningWarning, match=r"holds 2 images, the first is read \(0: scene 0, 1: scene 1\)"):
        np.testing.assert_array_equal(load_image(tmp_path / "a.czi"), scenes[0][0, :, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = formats.module_of("a.czi").open_source(tmp_path / "a.czi", 1)
    np.testing.assert_array_equal(source.read((slice(None),) * 3), scenes[1][0, :, 0])
    source.close()
    with pytest.raises(InputError, match="series of 0 to 1"):
        formats.module_of("a.czi").open_source(tmp_path / "a.czi", 2)


@needs(".czi")
@pytest.mark.parametrize("program", ["import os; os.abort()", "import sys; sys.stdin.readline(); sys.exit(3)"])
def test_a_library_that_ends_its_process_is_one_line(tmp_path, monkeypatch, program):
    from gaintuning_tf.images.vendors import czi_process

    samples.write_czi(tmp_path / "a.czi", [draw((1, 1, 1, 9, 8))])
    monkeypatch.setattr(czi_process, "_READ", program)
    with open_stack(tmp_path / "a.czi") as stack:
        for _ in range(2):
            with pytest.raises(InputError, match="damaged: the library that reads it ended"):
                stack.frame(0)


@needs(".lif")
def test_lif(tmp_path):
    images = {"overview": draw((2, 3, 9, 8), seed=1), "detail": draw((2, 3, 5, 4), seed=2)}
    samples.write_lif(tmp_path / "a.lif", images)
    with pytest.warns(GainTuningWarning, match=r"0: overview, 1: detail"):
        sizes = check(tmp_path / "a.lif", images["overview"], "TZYX")
    assert sizes == {
        **{"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.2, "PhysicalSizeYUnit": "µm"},
        **{"PhysicalSizeZ": 0.5, "PhysicalSizeZUnit": "µm", "TimeIncrement": 1.0, "TimeIncrementUnit": "s"},
    }
    source = formats.module_of("a.lif").open_source(tmp_path / "a.lif", 1)
    np.testing.assert_array_equal(source.read((1, slice(None), slice(None), 2)), images["detail"][1, :, :, 2])
    source.close()


@needs(".oif")
def test_oif(tmp_path):
    array = draw((2, 3, 9, 8))
    samples.write_oif(tmp_path / "a.oif", array)
    sizes = check(tmp_path / "a.oif", array, "CZYX")
    assert sizes == {
        **{"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.2, "PhysicalSizeYUnit": "µm"},
        **{"PhysicalSizeZ": 0.5, "PhysicalSizeZUnit": "µm"},
    }
    (tmp_path / "a.oif.files" / "s_C002Z002.tif").unlink()
    with pytest.raises(InputError, match="damaged: it needs planes"):
        load_image(tmp_path / "a.oif")


@needs(".nd2")
def test_nd2(tmp_path):
    array = draw((3, 2, 9, 8))
    samples.write_nd2(tmp_path / "a.nd2", array)
    sizes = check(tmp_path / "a.nd2", array, "TCYX")
    assert sizes == {
        **{"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.1, "PhysicalSizeYUnit": "µm"},
        **{"TimeIncrement": 2.0, "TimeIncrementUnit": "s", "Channel": {"Name": ["DAPI", "GFP"]}},
    }


@needs(".nd2")
def test_of_several_positions_one_is_read_and_the_others_are_said(tmp_path):
    array = draw((2, 3, 2, 9, 8))
    samples.write_nd2(tmp_path / "a.nd2", array)
    with pytest.warns(GainTuningWarning, match="0: position 0, 1: position 1"):
        check(tmp_path / "a.nd2", array[0], "TCYX")
    source = formats.module_of("a.nd2").open_source(tmp_path / "a.nd2", 1)
    np.testing.assert_array_equal(source.read((slice(None),) * 4), array[1])
    source.close()


@needs(".nd2")
def test_nd2_without_what_its_library_looks_for_beside_the_pixels(tmp_path):
    array = draw((3, 2, 9, 8))
    samples.write_nd2(tmp_path / "a.nd2", array, calibrated=False)
    with pytest.warns(GainTuningWarning, match="sizes of pixels and names of channels are not known"):
        assert check(tmp_path / "a.nd2", array, "TCYX") is None


@pytest.mark.parametrize("suffix", [".czi", ".nd2", ".lif", ".lof", ".oib", ".oif"])
def test_a_missing_library_and_junk_are_one_line(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"junk" * 100)
    with pytest.raises(InputError) as refused:
        load_image(path)
    assert "\n" not in str(refused.value)
    module = importlib.import_module(f"gaintuning_tf.images.{formats.FORMATS[-1].module}")
    assert module.__name__.endswith("oif")
    for name in ("pylibCZIrw", "pylibCZIrw.czi", "nd2", "liffile", "oiffile"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install 'gaintuning-tf\[vendors\]'"):
        load_image(path)


def test_they_are_not_written(tmp_path):
    np.save(tmp_path / "a.npy", draw((9, 8)))
    for suffix in (".czi", ".nd2", ".lif", ".oif"):
        with open_stack(tmp_path / "a.npy") as stack, pytest.raises(InputError, match="read but not written"):
            create_stack(tmp_path / f"b{suffix}", stack)


@pytest.mark.parametrize("suffix", [".oir", ".vsi", ".ims", ".nd", ".sld", ".lifext"])
def test_others_are_refused_with_what_converts_them(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"data")
    with pytest.raises(InputError, match=rf"bfconvert a{suffix} a.ome.tif.* ImageJ"):
        load_image(tmp_path / f"a{suffix}")
