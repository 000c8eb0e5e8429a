"""`denoise` of a stack as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gaintuning_tf import load_gains, psnr
from gaintuning_tf.cli.program import main
from helpers.networks import make_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A movie of counts and a small network."""
    from skimage.data import camera

    folder = tmp_path_factory.mktemp("movie")
    rng = np.random.default_rng(0)
    clean = np.stack([camera()[t : t + 32, 200 : 200 + 36] for t in range(4)]) * 4.0
    noisy = (rng.poisson(clean) + rng.normal(100, 5, clean.shape)).clip(0).astype(np.uint16)
    tifffile.imwrite(folder / "movie.tif", noisy, photometric="minisblack", metadata={"axes": "TYX"})
    tifffile.imwrite(folder / "clean.tif", (clean + 100).astype(np.uint16), photometric="minisblack")
    noisy[2] = 0
    tifffile.imwrite(folder / "gap.tif", noisy, photometric="minisblack", metadata={"axes": "TYX"})
    make_tiny().save(folder / "m.keras")
    return folder


@pytest.fixture
def at(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return folder


def arguments(folder, *more, name="movie.tif"):
    options = ["denoise", folder / name, "--model", folder / "m.keras", "--steps", 2, "--quiet", "-o", "out.tif", *more]
    return [str(option) for option in options]


def denoise(folder, *more, **options):
    return main(arguments(folder, *more, **options))


def test_a_movie_with_every_output(at, tmp_path, capsys):
    outputs = ("--json", "--reference", at / "clean.tif", "--save-gains", "m.gains.h5", "--noise", "poisson-gaussian")
    assert denoise(at, *outputs) == 0
    summary = json.loads(capsys.readouterr().out)
    for name in ("gain", "sigma", "offset", "contrast", "risk_before", "risk_after"):
        assert len(summary[name]) == 4
    assert summary["steps"] == 2
    assert (summary["risk_pretrained"], summary["risk_tuned"]) == (summary["risk_before"], summary["risk_after"])
    assert summary["failed"] == []
    assert not summary["interrupted"]
    clean, noisy = (tifffile.imread(at / f"{name}.tif") for name in ("clean", "movie"))
    assert summary["psnr_noisy"] == pytest.approx(psnr(clean, noisy, data_range=summary["data_range"]))
    denoised = tifffile.imread("out.tif")
    assert summary["psnr_tuned"] == pytest.approx(psnr(clean, denoised, data_range=summary["data_range"]))
    denoised = tifffile.imread("out.tif")
    assert (denoised.shape, denoised.dtype) == ((4, 32, 36), np.uint16)
    assert sorted(os.listdir(tmp_path)) == ["m.gains.h5", "out.tif"]
    again = ("--load-gains", "m.gains.h5", "--no-tune", "-o", "again.tif", "--noise", "poisson-gaussian")
    assert denoise(at, *again) == 0
    np.testing.assert_array_equal(tifffile.imread("again.tif"), denoised)
    assert load_gains(make_tiny(), "m.gains.h5").layers


def test_frames_that_fail_are_listed_and_the_status_is_zero(at, capsys):
    assert denoise(at, "--json", name="gap.tif") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["failed"] == [{"frame": 2, "reason": "all pixels are 0"}]
    assert json.loads(captured.out)["risk_after"][2] is None
    assert captured.err == "warning: frame 2 is passed on as it is: all pixels are 0\n"
    assert denoise(at, "--on-failure", "blank", name="gap.tif") == 0
    assert capsys.readouterr().err == "warning: frame 2 is blank: all pixels are 0\n"


def test_stopped_at_a_failure_it_goes_on_when_told_what_to_do(at, tmp_path, capsys):
    assert denoise(at, "--on-failure", "stop", name="gap.tif") == 2
    assert capsys.readouterr().err == "error: frame 2: all pixels are 0\n"
    assert not (tmp_path / "out.tif").exists()
    assert denoise(at, "--steps", 3, name="gap.tif") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "another steps" in error and "--restart" in error
    assert denoise(at, "--steps", 3, "--restart", name="gap.tif") == 0
    assert (tmp_path / "out.tif").exists()


def test_another_dtype_and_shared_and_carried_gains(at, capsys):
    assert denoise(at, "--dtype", "float32", "--share-gains", "2", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["tuned_on"] == [1, 3]
    assert summary["steps"] == 2
    assert tifffile.imread("out.tif").dtype == np.float32
    assert denoise(at, "--warm-start") == 0


def test_a_single_image_with_an_option_of_stacks_goes_the_same_way(at):
    tifffile.imwrite("one.tif", tifffile.imread(at / "movie.tif")[0])
    assert denoise(at, "--dtype", "float64", name=os.path.abspath("one.tif")) == 0
    exact = tifffile.imread("out.tif")
    assert denoise(at, name=os.path.abspath("one.tif")) == 0
    np.testing.assert_array_equal(np.rint(exact), tifffile.imread("out.tif"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dtype", "number"], "--dtype such as uint16"),
        (["--dtype", "complex64"], "integers or floats"),
        (["--share-gains", "0"], "at least 1"),
        (["--share-gains", "--warm-start"], "not allowed with"),
        (["--workers", "2", "--warm-start"], "without workers"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "not allowed with"),
        (["--on-failure", "hope"], "invalid choice"),
        (["--threads", "0"], "at least 1"),
        (["-o", "out.png"], "an output that holds a stack, such as .tif"),
        (["--reference", "one.tif"], "reference of the image's shape"),
    ],
)
def test_bad_options_are_one_line_status_two_and_nothing_written(at, tmp_path, capsys, more, message):
    tifffile.imwrite("one.tif", np.zeros((5, 32, 36), np.uint16), photometric="minisblack")
    try:
        status = denoise(at, *more)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert os.listdir(tmp_path) == ["one.tif"]


def test_workers_that_would_be_no_faster_are_not_started_and_that_is_said(at, capsys, monkeypatch):
    monkeypatch.setattr("gaintuning_tf.denoising.clusters.available_cores", lambda: 3)

    def started(*_, **__):
        raise AssertionError("no cluster is to be started")

    monkeypatch.setattr("gaintuning_tf.denoising.clusters.cluster", started)
    assert denoise(at, "--workers", "2") == 0
    assert "2 workers on 3 cores are hardly faster" in capsys.readouterr().err
    with pytest.raises(AssertionError, match="no cluster"):
        denoise(at, "--workers", "2", "--threads", "1")


@pytest.mark.parametrize("more", [(), ("--workers", "1")])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(at, tmp_path, more):
    def listen():
        # A shell's background jobs ignore Ctrl-C, and so would this process, if the tests are one.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    noisy = np.concatenate([tifffile.imread(at / "movie.tif")] * 10)
    tifffile.imwrite("long.tif", noisy, photometric="minisblack", metadata={"axes": "TYX"})
    program = [sys.executable, "-m", "gaintuning_tf", *arguments(at, *more, name=tmp_path / "long.tif")]
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen(program, preexec_fn=listen, **options)
    journal = tmp_path / ".out.tif.partial.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") >= 4):
        time.sleep(0.01)
    # As a terminal does: to the process and its workers.
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    kept = journal.read_bytes().count(b"\n") - 1
    # Of a step or two that changed nothing there may be a warning; of workers, no traceback.
    lines = [line for line in error.splitlines() if "tuning changed nothing" not in line]
    assert lines == [f"interrupted: {kept} of 40 frames are kept; the same command continues"]
    assert not (tmp_path / "out.tif").exists()
    assert denoise(at, name=tmp_path / "long.tif") == 0
    assert tifffile.imread("out.tif").shape == (40, 32, 36)
    assert sorted(os.listdir(tmp_path)) == ["long.tif", "out.tif"]


def test_counts_rounded_to_integers_are_told_and_floats_are_not(at, tmp_path, capsys):
    """At a mean of half an electron, all that is denoised lies between 0 and 1."""
    counts = np.random.default_rng(0).poisson(0.5, (2, 32, 36)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "counts.tif", counts, photometric="minisblack", metadata={"axes": "TYX"})
    told = ("--noise", "poisson", "--data-range", "1", "--axes", "TYX")
    assert denoise(at, *told, name=tmp_path / "counts.tif") == 0
    assert "rounded to uint16, a squared error of 0.083" in capsys.readouterr().err
    assert tifffile.imread("out.tif").dtype == np.uint16
    assert denoise(at, *told, "--dtype", "float32", name=tmp_path / "counts.tif") == 0
    assert "rounded" not in capsys.readouterr().err


def test_pixels_that_do_not_count_are_given_found_and_said(at, tmp_path, capsys):
    movie = tifffile.imread(at / "movie.tif")
    movie[1, 20, 20], movie[2, :6] = 65535, 0
    tifffile.imwrite("bad.tif", movie, photometric="minisblack", metadata={"axes": "TYX"})
    mask = np.zeros(movie.shape[1:], np.uint8)
    mask[:, :5] = 255
    tifffile.imwrite("mask.tif", mask)
    options = ("--mask", "mask.tif", "--hot", "keep", "--json")
    assert denoise(tmp_path, *options, "--model", at / "m.keras", name="bad.tif") == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    missing = {"missing": 5 * 32}
    assert summary["bad_pixels"] == [missing, missing | {"hot": 1}, missing | {"constant": 6 * 31}, missing]
    assert "warning: 1 hot pixel kept, 4 % of the pixels are constant at 0, 14 % missing and passed through" in err
    denoised = tifffile.imread("out.tif")
    assert denoised[1, 20, 20] == 65535
    np.testing.assert_array_equal(denoised[:, :, :5], movie[:, :, :5])
    np.testing.assert_array_equal(denoised[2, :6], 0)


def test_a_single_image_says_what_is_missing(at, tmp_path, capsys):
    image = tifffile.imread(at / "movie.tif")[0].astype(np.float32)
    image[:4], image[9, 9], image[20, 20] = -9999, np.nan, 1e6
    np.save("a.npy", image)
    command = ["denoise", "a.npy", "--model", str(at / "m.keras"), "--steps", "1", "-o", "b.npy"]
    assert main(command) == 2
    assert "1 that are NaN or infinite; nan='missing', or --nan missing, leaves them out" in capsys.readouterr().err
    assert main([*command, "--nan", "missing", "--nodata", "-9999", "--reference", "a.npy", "--report", "a.html"]) == 0
    err = capsys.readouterr().err
    assert "warning: 1 hot pixel replaced\n" in err
    assert "; 1 hot pixel replaced, 13 % of the pixels are missing and passed through" in err
    assert "PSNR in dB: noisy inf" in err
    assert "13 % of the pixels are missing" in (tmp_path / "a.html").read_text()
    denoised = np.load("b.npy")
    np.testing.assert_array_equal(denoised[:4], -9999)
    assert np.isnan(denoised[9, 9])
    assert denoised[20, 20] < 2000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--mask", "no.tif"), "no such file: no.tif"),
        (("--mask", "small.npy"), "a mask of the image's shape (4, 32, 36) or of (32, 36)"),
        (("--mask", "all.npy"), "finite pixels that count, received none"),
        (("--nodata", "-1"), "a nodata value that an image of uint16 can have, received -1"),
    ],
)
def test_pixels_that_cannot_be_left_out_are_refused_in_one_line(at, tmp_path, capsys, more, message):
    np.save("small.npy", np.zeros((3, 3)))
    np.save("all.npy", np.ones((32, 36)))
    assert denoise(at, *more) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "out.tif").exists()


def test_noise_that_no_model_fits_is_said_though_quiet_and_is_in_the_json(at, capsys):
    rng = np.random.default_rng(0)
    striped = (100 + 9 * rng.standard_normal((2, 64, 64)) + 9 * rng.standard_normal((2, 64, 1))).astype(np.float32)
    np.save("two.npy", striped)
    np.save("one.npy", striped[0])
    command = ["--model", str(at / "m.keras"), "--steps", "1", "--quiet", "--json", "--data-range", "255"]
    for name, more, frames, count in (
        ("one", ["--report", "a.html"], "", 1),
        ("two", ["--axes", "TYX"], "frames 0, 1: ", 2),
    ):
        assert main(["denoise", f"{name}.npy", "-o", f"{name}-out.npy", *command, *more]) == 0
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if "no model fits" in line]
        assert len(lines) == 1 and lines[0].startswith(f"warning: {frames}the noise has stripes along the rows")
        summary = json.loads(out)
        assert [why.split(",")[0] for why in summary["not_tuned"]] == ["the noise has stripes along the rows"] * count
        assert lines[0] == f"warning: {summary['not_tuned_text']}"
        assert summary["steps"] == 0
    assert "which no model fits: nothing was tuned" in Path("a.html").read_text()


def test_a_result_worse_than_its_input_is_said_though_quiet_and_is_in_the_json(at, capsys):
    """The network returns an image darker than the noise is strong."""
    network = make_tiny()
    last = network.get_layer("last")
    last.set_weights([0 * weight for weight in last.get_weights()])
    network.save("dark.keras")
    movie = tifffile.imread(at / "movie.tif")
    np.save("one.npy", movie[0])
    command = ["--model", "dark.keras", "--no-tune", "--quiet", "--json", "--sigma", "10"]
    assert main(["denoise", "one.npy", "-o", "a.npy", *command]) == 0
    out, err = capsys.readouterr()
    # The network's output is one fact, what came of it another.
    far, worse = err.splitlines()
    assert far.startswith("warning: the network's output is far from the image")
    assert worse.startswith("warning: the result is estimated to be worse than the input")
    summary = json.loads(out)
    assert summary["worse_than_input"] is True
    assert summary["residual"][0]["variance"] > 2
    assert summary["residual_text"].startswith("mean ")
    assert main(["denoise", str(at / "movie.tif"), "-o", "b.tif", *command]) == 0
    out, err = capsys.readouterr()
    assert [line[:30] for line in err.splitlines() if "the result" in line] == ["warning: frames 0, 1, 2, 3: th"]
    assert json.loads(out)["worse_than_input"] == [True] * 4
