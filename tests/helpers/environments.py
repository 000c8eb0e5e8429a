"""Environments of their own for tools that do not go with this package's TensorFlow: made once, for `slow` tests."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Kept between runs where this variable names a folder.
PLACE = "GAINTUNING_ENVIRONMENTS"


def environment(name, *packages):
    """Make a virtual environment with packages; skips the test where they cannot be installed.

    Returns:
        The folder of its programs.
    """
    folder = Path(os.environ.get(PLACE) or tempfile.gettempdir()) / f"gaintuning-{name}"
    programs = folder / "bin"
    if (folder / "complete").is_file():
        return programs
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    command = [str(programs / "pip"), "install", "--quiet", *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot install {' '.join(packages)}: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    (folder / "complete").touch()
    return programs


def run(*command, folder=None):
    """Run a program without this package on its path, and give what it prints; its complaint where it fails."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=folder, env=clean)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout
