"""The program shows the package's own warnings, wherever the package lies, and no others."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from gaintuning_tf import GainTuningWarning, InputError, NetworkError
from gaintuning_tf.cli import networks, program
from gaintuning_tf.errors import of_network, reason_of
from helpers.places import ROOT

# The virtual environment of a clone whose folder has the package's name.
LIBRARY = """
import warnings

def read():
    warnings.warn("a library's", UserWarning, stacklevel=1)
"""
PROGRAM = """
import sys, warnings, library
from gaintuning_tf import GainTuningWarning, InputError, NetworkError
from gaintuning_tf.cli import networks, program

def models(options):
    library.read()
    warnings.warn("ours", GainTuningWarning, stacklevel=1)

networks.print_models = models
sys.exit(program.main(["models"]))
"""


def test_a_folder_of_the_name_of_the_package_makes_no_warning_its_own(tmp_path):
    folder = tmp_path / "gaintuning_tf" / "venv"
    folder.mkdir(parents=True)
    (folder / "library.py").write_text(LIBRARY)
    (folder / "program.py").write_text(PROGRAM)
    done = subprocess.run([sys.executable, folder / "program.py"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "warning: ours\n")


def test_a_warning_of_ours_is_shown_whoever_called_for_it(monkeypatch, capsys):
    def models(options):
        warnings.warn_explicit("of ours", GainTuningWarning, "/home/me/script.py", 3)
        warnings.warn_explicit("of a library", UserWarning, program.__file__, 3)

    monkeypatch.setattr(networks, "print_models", models)
    shown = warnings.showwarning
    assert program.main(["models"]) == 0
    assert capsys.readouterr().err == "warning: of ours\n"
    assert warnings.showwarning is shown


def test_every_warning_of_the_package_has_its_category():
    files = sorted(Path(ROOT, "gaintuning_tf").rglob("*.py"))
    assert len(files) > 100
    for file in files:
        for call in file.read_text().split("warnings.warn(")[1:]:
            before = call.partition("stacklevel")[0]
            assert "GainTuningWarning" in before or "DeprecationWarning" in before, file


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("  no space left \nhere"), "no space left"),
        (ValueError("\n\n \nat last"), "at last"),
        (MemoryError(), "MemoryError"),
        (ValueError(" \n "), "ValueError"),
        (ValueError("x" * 1000), "x" * 200),
    ],
)
def test_the_reason_of_an_error_is_one_short_line(error, reason):
    assert reason_of(error) == reason


def test_the_reason_of_an_error_may_be_a_part_of_what_it_says():
    assert reason_of(OSError("whole"), "part\nof it") == "part"
    assert reason_of(OSError("whole"), "") == "OSError"


def said_by(call):
    with pytest.raises(NetworkError) as caught, of_network("unet"):
        call()
    return str(caught.value)


def test_what_a_network_raises_is_one_line_in_its_own_words():
    import tensorflow as tf

    sides = tf.constant([[1.0, 2.0]]), tf.constant([[1.0], [2.0], [3.0]])
    eager = said_by(lambda: tf.concat(sides, 1))
    total = tf.function(lambda one, other: one + other, [tf.TensorSpec([None])] * 2, autograph=False)
    compiled = said_by(lambda: total(tf.ones([2]), tf.ones([3])))
    for line, words in ((eager, "Dimension"), (compiled, "shapes")):
        assert line.startswith("the network 'unet' cannot be run: ")
        assert words in line
        assert "\n" not in line and "{{" not in line and "[Op:" not in line


def test_what_is_said_already_and_interruptions_are_left_as_they_are():
    with pytest.raises(InputError, match=r"^expected$"), of_network("unet"):
        raise InputError("expected")
    with pytest.raises(KeyboardInterrupt), of_network("unet"):
        raise KeyboardInterrupt
    with pytest.raises(KeyError), of_network("unet", OSError):
        raise KeyError("ours")
