"""The worked example of docs/guides/microscopy.md, on two small synthetic frames."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from helpers.places import ROOT

SCRIPT = ROOT / "scripts" / "microscopy" / "measure.py"


def example(work, *more, name="tem", data="synthetic"):
    command = [sys.executable, SCRIPT, name, "--data", data, "--work", work, *more]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=work.parent)


SMALL = ("--limit", 2, "--side", 64, "--doses", 5, "--steps", 1, "--only", "pretrained", "shared")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("microscopy") / "work"
    done = example(work, *SMALL, "--figures", work / "figures")
    assert done.returncode == 0, done.stderr
    return work


def tags(path):
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        return tif.series[0].axes, tif.imagej_metadata["unit"], page.tags["XResolution"].value


def test_the_movie_is_of_counts_and_its_pixel_size_survives(work):
    folder = work / "tem-dose-5"
    movie, denoised = (tifffile.imread(folder / f"{name}.tif") for name in ("movie", "shared"))
    assert movie.dtype == np.uint16
    assert movie.shape == denoised.shape == (2, 64, 64)
    assert denoised.dtype == np.float32
    assert tags(folder / "movie.tif") == tags(folder / "shared.tif") == ("TYX", "nm", (100, 1))


def test_the_table_says_that_denoising_helps_and_by_what_command(work):
    (rows,) = json.loads((work / "tem.json").read_text()).values()
    scores = {row["method"]: float(row["PSNR, dB"]) for row in rows}
    assert list(scores) == ["noisy", "`unet-tem`, not tuned", "tuned, `--share-gains`"]
    # Five electrons or fewer per pixel: an error of about a tenth; what a network leaves is a tenth of that in square.
    assert scores["`unet-tem`, not tuned"] > scores["noisy"] + 10
    assert scores["tuned, `--share-gains`"] > scores["noisy"] + 10
    facts = json.loads((work / "tem-dose-5" / "shared.json").read_text())
    assert facts["gain"] == [1.0, 1.0]
    assert "--noise poisson --data-range 5 --quiet --model unet-tem --share-gains" in facts["command"]


def test_the_drawing_is_small(work):
    (file,) = (work / "figures").iterdir()
    assert 10_000 < file.stat().st_size < 300_000


def test_a_second_run_measures_nothing_again_and_says_the_same(work):
    outputs = sorted((work / "tem-dose-5").iterdir())
    before, table = [file.stat().st_mtime_ns for file in outputs], (work / "tem.md").read_text()
    assert example(work, *SMALL).returncode == 0
    assert [file.stat().st_mtime_ns for file in outputs] == before
    assert (work / "tem.md").read_text() == table


def test_bad_input_is_one_line(work, tmp_path):
    refused = {
        "name another folder": example(work, "--limit", 2, "--side", 32, "--doses", 5),
        "where there are none": example(tmp_path / "work", data=tmp_path / "missing"),
        "two or more JPEG frames": example(tmp_path / "work", name="fluorescence", data=ROOT / "docs"),
    }
    for message, done in refused.items():
        assert done.returncode == 2
        assert done.stderr.startswith("error: expected") and message in done.stderr
        assert done.stderr.count("\n") == 1
