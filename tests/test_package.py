"""The package as installed: the wheel has the networks, the README's table is the tests'."""

import graphlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import BEGIN, END, README, ROOT
from test_surgery import KINDS

import gaintuning_tf


def test_every_public_name_is_there_and_documented():
    for name in gaintuning_tf.__all__:
        value = getattr(gaintuning_tf, name)
        assert name == "__version__" or value.__doc__.strip()
    assert set(gaintuning_tf.__all__) <= set(dir(gaintuning_tf))
    with pytest.raises(AttributeError, match="no attribute 'gaintunes'"):
        _ = gaintuning_tf.gaintunes


def test_the_function_gaintune_is_not_shadowed_by_a_module():
    import gaintuning_tf.cli
    import gaintuning_tf.evaluate
    import gaintuning_tf.pipeline

    assert callable(gaintuning_tf.gaintune)


def test_modules_do_not_import_each_other_in_circles():
    graph = {}
    for file in (ROOT / "gaintuning_tf").glob("*.py"):
        text = file.read_text()
        names = re.findall(r"^from gaintuning_tf\.(\w+) import", text, re.M)
        for line in re.findall(r"^from gaintuning_tf import (.+)$", text, re.M):
            names += re.findall(r"\w+", line)
        graph[file.stem] = {name for name in names if (file.parent / f"{name}.py").exists()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert {"surgery", "cli"} <= set(order)
    assert [name for name, used in graph.items() if "cli" in used] == ["__main__"]


def test_the_readme_has_a_row_for_every_kind_of_layer_tested():
    table = README.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert rows == list(KINDS), "run pytest tests/test_surgery.py --write-tables"


def test_the_wheel_has_the_networks_and_works_outside_the_clone(tmp_path):
    source = tmp_path / "source"  # a copy, for setuptools leaves its build folder behind
    source.mkdir()
    for name in ("gaintuning_tf", "saved_models"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation", "-w", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert not (tmp_path / "site" / "tests").exists()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gaintuning_tf as g;"
        "assert g.__file__.startswith(sys.argv[1]), g.__file__;"
        "info = g.list_denoisers()['unet-bf-natural'];"
        "assert str(info.path).startswith(sys.argv[1]), info.path;"
        "print(g.load_denoiser('unet-bf-natural').count_params())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "site"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.strip() == "233024", done.stderr
