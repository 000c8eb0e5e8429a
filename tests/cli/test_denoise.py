"""`gaintuning-tf denoise` of volumes: what the axes say, what is kept and what is refused."""

import json

import numpy as np
import pytest
import tifffile

from gaintuning_tf.cli.program import main
from helpers.networks import make_tiny_of_volumes, smooth_volume

CLEAN = smooth_volume((6, 40, 44))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of volumes and noisy volumes of several axes."""
    folder = tmp_path_factory.mktemp("volumes")
    make_tiny_of_volumes().save(folder / "net.keras")
    noisy = (CLEAN + np.random.default_rng(0).normal(0, 20, CLEAN.shape)).clip(0, 255).astype(np.uint8)
    for axes, array in (("ZYX", noisy), ("TZYX", np.stack([noisy, noisy[::-1]])), ("TYX", noisy)):
        metadata = {"axes": axes, "spacing": 0.5, "unit": "um"}
        tifffile.imwrite(folder / f"{axes}.tif", array, imagej=True, metadata=metadata)
    np.save(folder / "ZYX.npy", noisy)
    return folder


def run(folder, *arguments):
    network = str(folder / "net.keras")
    return main(["denoise", *map(str, arguments), "--model", network, "--sigma", "20", "--no-tune", "--quiet"])


def test_a_volume_is_one_image_and_its_page_shows_the_middle_plane(folder, tmp_path, capsys):
    pages = ("--report", tmp_path / "page.html", "--figures", tmp_path / "figures", "--json")
    assert run(folder, folder / "ZYX.tif", "-o", tmp_path / "out.tif", *pages) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["sigma"] == 20 and isinstance(summary["risk_after"], float)
    with tifffile.TiffFile(tmp_path / "out.tif") as tif:
        assert tif.series[0].axes == "ZYX" and tif.imagej_metadata["spacing"] == 0.5
        denoised = tif.asarray()
    assert denoised.dtype == np.uint8 and np.sqrt(np.mean(np.square(denoised - CLEAN))) < 20 / 3
    page = (tmp_path / "page.html").read_text()
    assert "Before and after: the middle plane" in page and "this is a volume" in page
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert {"gains.png", "noise.png", "result.png", "risk.png"} <= names and "filters.png" not in names
    # An array says nothing, and is a volume to a network of volumes.
    assert run(folder, folder / "ZYX.npy", "-o", tmp_path / "out.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), denoised)


def test_a_movie_of_volumes_goes_volume_by_volume(folder, tmp_path, capsys):
    out = tmp_path / "out.tif"
    assert run(folder, folder / "TZYX.tif", "-o", out, "--report", tmp_path / "page.html", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["risk_after"]) == 2
    with tifffile.TiffFile(out) as tif:
        assert (tif.series[0].axes, tif.series[0].shape) == ("TZYX", (2, *CLEAN.shape))
        assert np.sqrt(np.mean(np.square(tif.asarray()[1, ::-1] - CLEAN))) < 20 / 3
    assert "Frame 1: " in (tmp_path / "page.html").read_text()


def test_what_is_no_volume_is_refused_in_one_line(folder, tmp_path, capsys):
    assert run(folder, folder / "TYX.tif", "-o", tmp_path / "out.tif") == 2
    assert "takes volumes, received the axes TYX" in capsys.readouterr().err
    assert run(folder, folder / "ZYX.tif", "-o", tmp_path / "out.png") == 2
    assert "expected an output that holds a volume" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    # Where the file says T of what is Z, the option goes first.
    assert run(folder, folder / "TYX.tif", "-o", tmp_path / "out.tif", "--axes", "ZYX") == 0
