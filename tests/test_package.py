"""The package as installed: the wheel has all folders and the networks, the table of layer kinds is the tests'."""

import shutil
import subprocess
import sys
import zipfile

import pytest

import gaintuning_tf
from helpers.layer_kinds import KINDS
from helpers.places import BEGIN, END, LAYER_KINDS, ROOT


def test_every_public_name_is_there_and_documented():
    for name in gaintuning_tf.__all__:
        value = getattr(gaintuning_tf, name)
        assert name == "__version__" or value.__doc__.strip()
    assert set(gaintuning_tf.__all__) <= set(dir(gaintuning_tf))
    with pytest.raises(AttributeError, match="attribute gaintunes"):
        _ = gaintuning_tf.gaintunes


def test_the_page_on_gains_has_a_row_for_every_kind_of_layer_tested():
    table = LAYER_KINDS.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert rows == list(KINDS), "run pytest tests/gains/test_surgery.py --write-tables"


def test_the_wheel_has_the_networks_and_works_outside_the_clone(tmp_path):
    source = tmp_path / "source"  # a copy, for setuptools leaves its build folder behind
    source.mkdir()
    for name in ("gaintuning_tf", "saved_models"):
        shutil.copytree(ROOT / name, source / name)
    shutil.copytree(ROOT / "scripts" / "recipes", source / "scripts" / "recipes")
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation", "-w", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    site = tmp_path / "site"
    assert not (site / "tests").exists()
    ours = {
        file.relative_to(ROOT)
        for ext in ("py", "pyi", "css", "js", "yaml")
        for file in (ROOT / "gaintuning_tf").rglob(f"*.{ext}")
    }
    assert ours <= {file.relative_to(site) for file in site.rglob("*")}
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gaintuning_tf as g;"
        "assert g.__file__.startswith(sys.argv[1]), g.__file__;"
        "info = g.list_denoisers()['unet-bf-natural'];"
        "assert str(info.path).startswith(sys.argv[1]), info.path;"
        "from gaintuning_tf.training.config import find_config;"
        "assert str(find_config('unet-bf-natural')).startswith(sys.argv[1]);"
        "assert info.path.with_name('README.md').is_file();"
        "print(g.load_denoiser('unet-bf-natural').count_params())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "site"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.strip() == "233024", done.stderr
