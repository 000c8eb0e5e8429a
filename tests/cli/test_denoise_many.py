"""`denoise` of several images: what is named, what goes where, and what becomes of each."""

import json
import os
import shutil
from argparse import Namespace

import numpy as np
import pytest
import tifffile
from skimage.data import astronaut, camera
from skimage.io import imread, imsave

from gaintuning_tf.cli import many_inputs
from gaintuning_tf.cli.done_outputs import DoneOutputs
from gaintuning_tf.cli.program import main
from gaintuning_tf.tuning.compiled import CompiledSteps
from helpers.networks import make_tiny


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Pictures of several kinds and sizes, one of them damaged, beside a network."""
    folder = tmp_path_factory.mktemp("source")
    make_tiny().save(folder / "m.keras")
    pictures = folder / "data"
    (pictures / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)

    def noisy(clean):
        return np.clip(clean + 20 * rng.standard_normal(clean.shape), 0, 255).astype("uint8")

    imsave(pictures / "a.png", noisy(camera()[100:148, 200:252]))
    imsave(pictures / "b.jpg", noisy(astronaut()[:40, :44]), quality=95)
    (pictures / "damaged.png").write_bytes((pictures / "a.png").read_bytes()[:200])
    tifffile.imwrite(pictures / "deeper" / "c.tif", noisy(camera()[100:132, 200:236]).astype("uint16") * 16)
    movie = np.stack([noisy(camera()[100:132, 200:236])] * 2)
    tifffile.imwrite(pictures / "deeper" / "movie.tif", movie, photometric="minisblack", metadata={"axes": "TYX"})
    (pictures / "notes.txt").write_text("no image")
    (pictures / ".hidden.png").write_text("none either")
    return folder


@pytest.fixture
def data(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(source / "data", tmp_path / "data")
    return source


def run(data, *arguments):
    options = ("--model", data / "m.keras", "--sigma", 20)
    return main(["denoise", *map(str, (*arguments, *options))])


def test_a_folder_is_done_in_one_process_and_the_same_command_does_what_is_missing(data, capsys, monkeypatch):
    made = []
    plain = CompiledSteps.__init__
    monkeypatch.setattr(
        CompiledSteps, "__init__", lambda self, *args, **kw: made.append(self) or plain(self, *args, **kw)
    )
    assert run(data, "data", "-o", "out", "--plain", "--steps", 1) == 1
    said = capsys.readouterr().err
    assert len(made) == 1, "one network is compiled for all"
    for functions in made[0]._compiled.values():
        assert functions.step.experimental_get_tracing_count() == 1
    assert "[1/5] out/a.png: sigma 20" in said and "2 frames" in said
    failed = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1 and "data/damaged.png" in failed[0]
    assert "5 images: 4 done, 1 failed, as named above;" in said.splitlines()[-1] and "s each" in said.splitlines()[-1]
    written = sorted(str(path.relative_to("out")) for path in many_inputs.Path("out").rglob("*.*"))
    assert written == [".gaintuning.jsonl", "a.png", "b.jpg", "deeper/c.tif", "deeper/movie.tif"]
    assert tifffile.imread("out/deeper/c.tif").dtype == np.uint16
    assert tifffile.imread("out/deeper/movie.tif").shape == (2, 32, 36)

    before = os.stat("out/b.jpg").st_mtime_ns
    os.remove("out/a.png")
    shutil.copy("data/b.jpg", "data/damaged.png")
    assert run(data, "data", "-o", "out", "--json", "--plain", "--steps", 1) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in rows] == ["done", "skipped", "done", "skipped", "skipped"]
    assert rows[1]["sigma"] == [20] * 3 and os.stat("out/b.jpg").st_mtime_ns == before
    # Other settings make other images.
    assert run(data, "data/b.jpg", "-o", "out/", "--json", "--no-tune") == 0
    assert json.loads(capsys.readouterr().out)[0]["status"] == "done"
    assert os.stat("out/b.jpg").st_mtime_ns > before


def test_what_is_there_already_is_said(data, capsys):
    assert run(data, "data/*.jpg", "-o", "out", "--no-tune") == 0
    capsys.readouterr()
    assert run(data, "data/a.png", "data/b.jpg", "-o", "out/", "--no-tune") == 0
    assert capsys.readouterr().err.splitlines()[0] == "1 of 2 are done already, by the same settings: skipped"
    assert run(data, "data/a.png", "data/b.jpg", "-o", "out", "--no-tune", "--restart") == 0
    said = capsys.readouterr().err
    assert said.startswith("out/a.png and 1 more outputs of other settings, files or makers: replaced\n")
    imsave("other.png", imread("out/a.png"))
    assert run(data, "data/a.png", "-o", "other.png", "--no-tune") == 0
    assert "other.png is there: replaced" in capsys.readouterr().err


def test_what_becomes_of_frames_that_fail_matters_where_some_did(tmp_path):
    pairs = {}
    for name in ("whole", "broken"):
        for folder in ("in", "out"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text(name)
        pairs[name] = many_inputs.Pair(tmp_path / "in" / name, tmp_path / "out" / name)

    def done(on_failure=None):
        return DoneOutputs(tmp_path / "out", Namespace(model="auto", restart=False, on_failure=on_failure))

    with done() as outputs:
        outputs.keep(pairs["whole"], {"failed": []})
        outputs.keep(pairs["broken"], {"failed": [{"frame": 1, "reason": "empty"}]})
    for on_failure, kept in ((None, True), ("pass", True), ("blank", False), ("stop", False)):
        with done(on_failure) as outputs:
            assert outputs.summary(pairs["whole"]) == {"failed": []}
            assert (outputs.summary(pairs["broken"]) is not None) == kept


def test_on_failure_stop_ends_at_the_damaged_one(data, capsys):
    assert run(data, "data", "-o", "out", "--on-failure", "stop", "--no-tune") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and said.endswith("2 of 5 images are written; the same command continues")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data/a.png", "missing.png", "-o", "out"], "no such file: missing.png"),
        (["data/*.bmp", "-o", "out"], "'data/*.bmp' matches none"),
        (["data/a.png", "data/notes.txt", "-o", "out"], "received data/notes.txt"),
        (["data", "-o", "out.tif"], "expected a folder for the outputs of several images, received the file name"),
        (["data", "-o", "data/a.png"], "data/a.png is a file"),
        (["data", "-o", "data"], "would be replaced"),
        (["data/a.png", "copy/a.png", "-o", "out"], "both go to out/a.png"),
        (["data/a.png", "copy/scan.lsm", "-o", "out"], "copy/scan.lsm is only read: give them --suffix .tif"),
        (["data", "-o", "out", "--suffix", "tif"], "with a dot"),
        (["data", "-o", "out", "--suffix", ".xyz"], "suffixes"),
        (["data/a.png", "-o", "b.png", "--suffix", ".tif"], "with several images"),
        (["data", "-o", "out", "--report", "a.html"], "expected --report with one image"),
        (["data", "-o", "out", "--model", "unet-bf"], "expected a network's name"),
        (["empty", "-o", "out"], "found none"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(data, tmp_path, capsys, arguments, message):
    for folder in ("empty", "copy"):
        (tmp_path / folder).mkdir()
    shutil.copy("data/a.png", "copy/a.png")
    (tmp_path / "copy" / "scan.lsm").write_bytes(b"")
    assert main(["denoise", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_patterns_keep_what_is_below_their_fixed_part_and_outputs_are_no_inputs(data):
    pairs = many_inputs.pairs_of(["data/**/*.tif"], "data/out")
    assert [str(pair.output) for pair in pairs] == ["data/out/deeper/c.tif", "data/out/deeper/movie.tif"]
    os.makedirs("data/out/deeper")
    shutil.copy("data/deeper/c.tif", "data/out/deeper/c.tif")
    assert many_inputs.pairs_of(["data/**/*.tif"], "data/out") == pairs
    assert len(many_inputs.pairs_of(["data", "data/a.png"], "data/out")) == 5
    assert str(many_inputs.pairs_of(["data/a.png"], "data/out/", ".tif")[0].output) == "data/out/a.tif"


def test_a_level_on_the_scale_of_8_bits_is_turned_into_each_images_units(data, capsys):
    np.save("floats.npy", imread("data/a.png").astype("float32") / 255)
    options = ("-o", "out", "--no-tune", "--json", "--model", str(data / "m.keras"), "--sigma", "8bit:25")
    assert main(["denoise", "data/a.png", "floats.npy", *options]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["sigma"] for row in rows] == pytest.approx([25, 25 / 255])
    assert {row["verdict"] for row in rows} == {"not tuned"}
