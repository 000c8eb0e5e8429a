"""A few hundred damaged files through everything that reads files, always the same ones; scripts/fuzz.py has more."""

import argparse
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.mutations import mutate

for library in ("mrcfile", "rsciio", "zarr"):
    pytest.importorskip(library, reason="needs the extra `microscopy`")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("fuzz")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def reader(fuzz):
    with fuzz.Reader(limit=60, memory=1024) as started:
        yield started


def options(tmp_path, **changed):
    chosen = {"count": 1, "seconds": None, "seed": 0, "workers": 1, "limit": 60, "memory": 1024}
    return argparse.Namespace(**{**chosen, "keep": str(tmp_path / "failures"), **changed})


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        (["tif", "npy", "mrc", "dm3", "dm4", "ser", "png", "jpg", "bmp", "webp"], 30),
        (["zarr", "emd", "keras", "h5", "savedmodel", "gains"], 3),
    ],
)
def test_damaged_files_are_read_or_refused_in_one_line(fuzz, tmp_path, kinds, count):
    (tmp_path / "samples").mkdir()
    run = fuzz.Run(fuzz.make_samples(tmp_path / "samples", kinds), options(tmp_path, count=count))
    run.all()
    failures = [file.read_text() for file in tmp_path.glob("failures/*.txt")]
    assert failures == []
    assert {kind: tally.tried for kind, tally in run.tallies.items()} == dict.fromkeys(kinds, count)
    # Neither is everything harmless, nor everything refused.
    assert sum(tally.read for tally in run.tallies.values()) > 0 < sum(t.refused for t in run.tallies.values())


def test_sound_files_are_read(fuzz, reader, tmp_path):
    for kind, paths in fuzz.make_samples(tmp_path).items():
        reader.ready(kind)
        for path in paths:
            assert reader.read(path, kind) == ("read", ""), path


def test_an_input_depends_on_kind_seed_and_number_alone(fuzz, tmp_path):
    (tmp_path / "samples").mkdir()
    paths = fuzz.make_samples(tmp_path / "samples", ["tif", "zarr"])
    made = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for kind in paths:
            for seed, number in ((0, 0), (0, 1), (1, 0)):
                fuzz.make_input(tmp_path / name, kind, paths[kind], seed, number)
        files = [file for file in (tmp_path / name).rglob("*") if file.is_file()]
        made[name] = {file.relative_to(tmp_path / name): file.read_bytes() for file in files}
    assert made["a"] == made["b"]
    assert len(set(made["a"].values())) > 3


def test_mutations_change_files(tmp_path):
    source = tmp_path / "a.npy"
    np.save(source, np.arange(30).reshape(5, 6))
    changed = 0
    for seed in range(50):
        mutate(source, tmp_path / f"{seed}.npy", np.random.default_rng(seed))
        changed += (tmp_path / f"{seed}.npy").read_bytes() != source.read_bytes()
    assert changed > 40


HARMS = {
    "two lines": ("raise InputError('two\\nlines')", "not one line"),
    "another error": ("raise RuntimeError('no InputError')", "RuntimeError at .*no InputError"),
    "a crash": ("os.abort()", "status -6: .*Aborted"),
    "a hang": ("time.sleep(60)", "more than 2 s"),
    "memory": ("np.ones(2**25); time.sleep(60)", r"took \d+ MB"),
    "memory, given back": ("np.ones(2**25)", r"took \d+ MB"),
    "a file": ("open('evil', 'w').close()", "made .*evil"),
    "a file beside": ("(path.parent / 'evil').touch()", "made .*evil"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_every_kind_of_failure_is_noticed_and_the_run_goes_on(fuzz, tmp_path):
    program = tmp_path / "harmful.py"
    lines = ["import os, time", "import numpy as np", "import fuzz_reader", "from gaintuning_tf import InputError"]
    for number, (code, _) in enumerate(HARMS.values()):
        lines += [f"def harm{number}(path):", f"    {code}", f"fuzz_reader.NETWORKS['harm{number}'] = harm{number}"]
    lines += ["fuzz_reader.prepare = lambda kind: None", "fuzz_reader.serve()"]
    program.write_text("\n".join(lines))
    (tmp_path / "in").mkdir()
    with fuzz.Reader(limit=2, memory=150, program=program) as reader:
        for number, (_, told) in enumerate(HARMS.values()):
            for file in (tmp_path / "in").iterdir():
                file.unlink()
            np.save(tmp_path / "in" / "a.npy", np.zeros((5, 5)))
            reader.ready(f"harm{number}")
            outcome, reason = reader.read(tmp_path / "in" / "a.npy", f"harm{number}")
            assert outcome == "failures" and re.search(told, reason), reason
            reader.ready("npy")
            assert reader.read(tmp_path / "in" / "a.npy", "npy") == ("read", "")
