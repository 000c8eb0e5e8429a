"""The dock in napari: what its widgets ask for, a run in a thread, and the layer that it becomes.

With the viewer's model alone where there is no display; a whole window needs OpenGL, which Qt has not got offscreen.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

import gaintuning_tf.viewer
from gaintuning_tf.viewer.dock import FILE, Dock
from gaintuning_tf.viewer.process import TuningProcess
from helpers.networks import make_tiny

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
napari = pytest.importorskip("napari", reason="needs the extra `napari`")
pytest.importorskip("PyQt6", reason="needs the extra `napari`")
dask_array = pytest.importorskip("dask.array", reason="needs the extra `napari`")
MANIFEST = Path(gaintuning_tf.viewer.__file__).with_name("napari.yaml")


@pytest.fixture(scope="module")
def application():
    from napari.qt import get_qapp

    return get_qapp()


@pytest.fixture(scope="module")
def process():
    """One for all tests: to import TensorFlow takes seconds."""
    process = TuningProcess()
    yield process
    process.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    make_tiny().save(path)
    return path


def ramp(*shape):
    values = np.linspace(60, 180, shape[-1]) + np.random.default_rng(0).normal(0, 10, shape)
    return values.clip(0, 255).astype(np.uint8)


def asking(dock, network, steps="5"):
    """Set the widgets to a file, a sigma and a few steps."""
    parts = dock.parts
    parts["network"].value, parts["file"].value = FILE, network
    parts["noise"].value, parts["sigma"].value = "white, of a given sigma", 10
    parts["steps"].value = steps
    return parts


def wait(dock, application, until=None, seconds=120):
    """Let Qt work until the thread has ended; returns how often it could, which a frozen window could not."""
    turns, end = 0, time.monotonic() + seconds
    while (dock.busy if until is None else not until()) and time.monotonic() < end:
        application.processEvents()
        time.sleep(0.01)
        turns += 1
    assert time.monotonic() < end, dock.parts["said"].value
    return turns


def test_the_manifest_names_what_is_there():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert [one.display_name for one in manifest.contributions.widgets] == ["GainTuning"]


def test_a_picture_becomes_a_layer_that_looks_like_it(application, process, network, tmp_path):
    viewer = napari.components.ViewerModel()
    dock = Dock(viewer, process)
    assert not dock.parts["run"].enabled
    look = {"scale": (0.5, 0.25), "units": ("nm", "nm"), "translate": (3, 4), "colormap": "magma"}
    layer = viewer.add_image(ramp(32, 32), name="cells", contrast_limits=(50, 200), **look)
    parts = asking(dock, network)
    assert parts["axes"].value == "YX" and parts["run"].enabled and not parts["save"].enabled
    dock.run()
    assert parts["stop"].enabled and not parts["run"].enabled
    assert wait(dock, application) > 3
    result = viewer.layers["cells denoised"]
    assert result.data.dtype == np.float32 and result.data.std() < layer.data.std()
    for name in ("scale", "translate", "units", "contrast_limits"):
        np.testing.assert_array_equal(getattr(result, name), getattr(layer, name))
    assert result.colormap.name == "magma" and "(5 steps)" in parts["said"].value
    assert result.metadata["gaintuning"]["summary"][0] == parts["said"].value.splitlines()[0]
    dock.save_gains(tmp_path / "a.gains.h5")
    wait(dock, application)
    assert (tmp_path / "a.gains.h5").is_file()
    parts["gains"].value, parts["steps"].value = tmp_path / "a.gains.h5", "0 (network alone)"
    dock.run()
    wait(dock, application)
    again = viewer.layers["cells denoised [1]"] if "cells denoised [1]" in viewer.layers else viewer.layers[-1]
    np.testing.assert_allclose(again.data, result.data, atol=0.01)


def test_a_lazy_movie_is_stopped_and_previewed_without_being_loaded(application, process, network):
    read = []

    def frame(block_id):
        read.append(block_id[0])
        return ramp(1, 32, 32) + np.uint8(block_id[0])

    movie = dask_array.map_blocks(frame, chunks=((1,) * 4, (32,), (32,)), dtype=np.uint8, meta=np.empty((0,) * 3, "u1"))
    viewer = napari.components.ViewerModel()
    viewer.add_image(movie, name="movie", scale=(2, 1, 1), contrast_limits=(0, 255))
    dock = Dock(viewer, process)
    asking(dock, network)
    viewer.dims.set_current_step(0, 2)
    read.clear()
    dock.preview()
    wait(dock, application)
    preview = viewer.layers["movie preview"]
    assert set(read) == {2} and preview.data.shape == (1, 32, 32) and preview.translate[0] == 4
    read.clear()
    dock.run()
    wait(dock, application, until=lambda: dock.added is not None)
    dock.stop()
    wait(dock, application)
    result = viewer.layers["movie denoised"]
    done = dock.current.done
    assert 1 <= done < 4
    assert np.isfinite(result.data[:done]).all() and np.isnan(result.data[done:]).all()
    assert dock.parts["said"].value.startswith(f"Stopped: {done} of 4 frames")
    assert set(read) - {2} <= set(range(done))


def test_what_cannot_be_done_is_said_in_one_line(application, process, network):
    viewer = napari.components.ViewerModel()
    viewer.add_image(ramp(32, 32), name="cells")
    dock = Dock(viewer, process)
    parts = asking(dock, network)
    parts["axes"].value = "TYX"
    dock.run()
    assert parts["said"].value.startswith("Error: axes 'TYX' names 3 axes, the image has 2")
    parts["axes"].value, parts["file"].value = "YX", "no-such.keras"
    dock.run()
    assert parts["said"].value.startswith("Error: expected a network's name") and not dock.busy
    parts["noise"].value, parts["network"].value = "found in the image", "unet-bf-natural"
    viewer.layers[0].data = np.full((32, 32), 7, np.uint8)
    dock.run()
    wait(dock, application)
    assert parts["said"].value == "Error: frame 0: all pixels are 7" and parts["run"].enabled


def test_a_process_that_dies_is_said_and_the_next_run_has_its_own(application, process, network):
    viewer = napari.components.ViewerModel()
    viewer.add_image(ramp(32, 32), name="cells")
    dock = Dock(viewer, process)
    parts = asking(dock, network, steps="200")
    dock.run()
    wait(dock, application, until=lambda: dock.current.progress.words.startswith("step"))
    process.close()
    wait(dock, application)
    assert parts["said"].value.startswith("Error: the process that denoises has ended") and parts["run"].enabled
    dock.save_gains("a.gains.h5")
    wait(dock, application)
    assert parts["said"].value == "Error: the gains are gone with the process that had them: run again"


def test_the_noise_of_the_slice_is_said(application, process):
    viewer = napari.components.ViewerModel()
    viewer.add_image(np.random.default_rng(0).normal(100, 5, (128, 128)))
    dock = Dock(viewer, process)
    dock.find_noise()
    wait(dock, application)
    sigma = float(re.search(r"^Noise of this slice: sigma ([\d.]+): ", dock.parts["said"].value)[1])
    # The quietest of 256 blocks of 64 pixels are what is looked at: a few percent.
    assert abs(sigma / 5 - 1) < 0.1
    assert "white, the same everywhere" in dock.parts["said"].value


# In a process of its own, for these tests import TensorFlow, which a window's OpenGL may not bear.
WINDOW = """
import sys, time
import napari
from npe2 import PluginManager, PluginManifest

manifest, network, picture = sys.argv[1:]
PluginManager.instance().register(PluginManifest.from_file(manifest))
viewer = napari.Viewer(show=True)
_, box = viewer.window.add_plugin_dock_widget("gaintuning-tf", "GainTuning")
dock = box.native.property("dock")
[movie] = viewer.open_sample("gaintuning-tf", "noisy-movie")
viewer.layers.clear()
[layer] = viewer.open_sample("gaintuning-tf", "noisy-picture")
dock.parts["network"].value, dock.parts["file"].value = "a file or zip …", network
dock.parts["steps"].value = "5"
dock.run()
end = time.monotonic() + 120
while dock.busy and time.monotonic() < end:
    napari.qt.get_qapp().processEvents()
    time.sleep(0.01)
viewer.screenshot(picture, canvas_only=False, flash=False)
print(movie.data.shape, [layer.name for layer in viewer.layers], "tensorflow" in sys.modules)
viewer.close()
"""


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display, such as xvfb-run's, for OpenGL")
def test_a_window_denoises_a_sample(network, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", WINDOW, MANIFEST, network, tmp_path / "window.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = "(5, 256, 256) ['noisy photograph', 'noisy photograph denoised'] False"
    assert done.stdout.strip().splitlines()[-1:] == [said], done.stderr
    assert imageio.imread(tmp_path / "window.png").std() > 10
