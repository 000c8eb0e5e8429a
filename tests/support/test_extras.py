"""What a missing package is called, and that every extra is one that there is."""

import ast
import configparser
import sys

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.support import plotting
from gaintuning_tf.support.extras import check_installed, required
from helpers.places import ROOT

LINE = r"a chart needs matplotlib: pip install 'gaintuning-tf\[report\]'"


def test_what_is_there_is_imported():
    assert required("json.decoder", "reading", "report") is sys.modules["json.decoder"]
    check_installed("json", "reading", "report")


def test_what_is_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for attempt in (required, check_installed):
        with pytest.raises(InputError, match=f"^{LINE}$"):
            attempt("matplotlib", "a chart", "report")
    with pytest.raises(InputError, match="a report or plot needs matplotlib"):
        plotting.check_available()


def _text(node, module):
    """A string, as it stands or by the name of the module's constant."""
    if isinstance(node, ast.Name):
        values = [
            item.value
            for item in module.body
            if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == node.id
        ]
        (node,) = values
    return ast.literal_eval(node)


def test_the_line_is_written_once_and_names_extras_that_there_are():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras: set[str] = set(setup["options.extras_require"])
    named: set[str] = set()
    for file in (ROOT / "gaintuning_tf").rglob("*.py"):
        text = file.read_text()
        # Its docstring shows the line, and it makes it.
        assert "pip install 'gaintuning-tf[" not in text or file.stem == "extras", file
        module = ast.parse(text)
        for node in ast.walk(module):
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called in ("required", "check_installed"):
                named.add(_text(node.args[-1], module))
    assert named == extras - {"dev", "docs"}
