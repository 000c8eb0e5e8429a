"""The folder of a served model: numbered versions, and the server's configuration beside them."""

from __future__ import annotations

from pathlib import Path

from gaintuning_tf.errors import InputError
from gaintuning_tf.support import atomic_files

MODELS = "models.config"
BATCHING = "batching.config"
# In the folder of a version: TensorFlow Serving's name for its batching parameters.
BATCHING_OF_VERSION = "batching_params.pbtxt"

_MODELS = """\
# For: tensorflow_model_server --model_config_file=THIS_FILE
# base_path is where the server sees the folder that this file is in, such as the target of docker's --mount.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

_BATCHING = """\
# For: tensorflow_model_server --enable_batching --enable_per_model_batching_parameters \\
#          --batching_parameters_file=THIS_FILE
# With the second flag the server batches only versions with a file batching_params.pbtxt of their own: those exported
# with `serving_default` alone. Do not leave it out where there are others. The server batches all signatures of a
# version or none, and joins requests along the first axis of every input, which the number of steps, of the whole
# request, does not have: it would refuse each such request, and the version, whose warm-up has one. Tuning loses
# nothing: it takes one image after the other, each with its own gains, however many share a request.
# Requests are joined only if their images have the same size, and refused if they do not: for images of one size.
max_batch_size { value: 8 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 100 }
"""


def check_version(path: str | Path, version: int | None = None) -> None:
    """Refuse a folder that no new version can be put into; makes nothing.

    Raises:
        InputError: With the reason.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"expected a folder for the versions, {path} is a file")
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    atomic_files.check_writable(existing / "version")
    if version is None:
        return
    # TensorFlow Serving's versions are 64 bits; bool is an int to Python.
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**63:
        raise InputError(f"expected version to be a whole number of at least 0, received {version!r}")
    if version in _versions(path):
        raise InputError(f"expected a new version, {path} has {version} already; the next free is {next_version(path)}")


def next_version(path: str | Path) -> int:
    """Return one more than the highest version in a folder, 1 if there is none.

    Example:

    >>> next_version("no-such-folder")
    1
    """
    return max(_versions(Path(path)), default=0) + 1


def write_configurations(path: str | Path) -> None:
    """Write a server's configuration of models and of batching into a folder, where they are absent."""
    path = Path(path)
    name = path.resolve().name.replace("\\", "\\\\").replace('"', '\\"')
    for file, text in ((MODELS, _MODELS.format(name=name)), (BATCHING, _BATCHING)):
        if not (path / file).exists():
            with atomic_files.replacing(path / file) as temporary:
                temporary.write_text(text)


def batching_of_version() -> str:
    """Return the content of `batching_params.pbtxt`: the parameters of the batching configuration."""
    return "".join(line for line in _BATCHING.splitlines(keepends=True) if not line.startswith("#"))


def _versions(path):
    # "003" is 3 to the server, too.
    return {int(entry.name) for entry in path.iterdir() if entry.name.isdecimal()} if path.is_dir() else set()
