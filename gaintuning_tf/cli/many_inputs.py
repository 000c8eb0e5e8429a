"""Several inputs of `denoise`: which images files, folders and patterns name, and where the output of each goes."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gaintuning_tf.errors import InputError
from gaintuning_tf.images import formats
from gaintuning_tf.support.atomic_files import check_folder


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its output.

    Attributes:
        input: The image file, or folder.
        output: Where it goes.
    """

    input: Path
    output: Path


def are_several(inputs: Sequence[str], output: str) -> bool:
    """Tell several images, that go into a folder, from one that goes to a file.

    Example:

    >>> are_several(["a.png"], "b.png"), are_several(["*.png"], "out"), are_several(["a.png"], "out/")
    (False, True, True)
    """
    first = inputs[0]
    return len(inputs) > 1 or _is_plain_folder(first) or _is_pattern(first) or _names_folder(output)


def pairs_of(inputs: Sequence[str], output: str, suffix: str | None = None) -> list[Pair]:
    """List the images that are named, each once, with the output of each: its path below its folder is kept.

    Args:
        inputs: Image files; folders, which are gone through with all in them; patterns such as `data/*.tif`.
        output: The folder of the outputs. What is in it is no input of a folder or a pattern.
        suffix: That of all outputs; by default each has its input's.

    Raises:
        InputError: An input is none, two would have the same output, or an output cannot be written.
    """
    _check_output_folder(output)
    if suffix is not None:
        _check_new_suffix(suffix)
    found: dict[Path, Pair] = {}
    for given in inputs:
        for path, below in _images_of(given, Path(output)):
            target = Path(output) / (below.with_suffix(suffix) if suffix else below)
            _check_written(path, target)
            there = found.setdefault(target, Pair(path, target)).input
            if not _is_same(there, path):
                raise InputError(f"expected inputs of different outputs, {there} and {path} both go to {target}")
    _check_no_input_is_replaced(found.values())
    return list(found.values())


def _check_output_folder(output):
    folder = Path(output)
    if folder.exists() or output.endswith(("/", os.sep)):
        if formats.is_folder(folder):
            raise InputError(f"expected a folder for the outputs of several images, received the image {output}")
    elif folder.suffix.lower() in formats.READABLE:
        raise InputError(f"expected a folder for the outputs of several images, received the file name {output}")
    # Of a/b/c, a has to be there: what is missing below is made.
    around = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    check_folder(around)


def _check_new_suffix(suffix):
    if not suffix.startswith("."):
        raise InputError(f"expected --suffix such as .tif, with a dot, received {suffix!r}")
    formats.check_suffix(f"output{suffix}")


def _check_written(path, target):
    """Refuse an image of a format that is only read, before the work."""
    if target.suffix.lower() not in formats.WRITABLE:
        raise InputError(f"expected outputs of a format that is written, {path} is only read: give them --suffix .tif")


def _check_no_input_is_replaced(pairs):
    inputs = {os.path.realpath(pair.input): pair.input for pair in pairs}
    for pair in pairs:
        replaced = inputs.get(os.path.realpath(pair.output))
        if replaced is not None:
            raise InputError(f"expected outputs that differ from the inputs, {replaced} would be replaced: another -o")


def _images_of(given, output) -> Iterator[tuple[Path, Path]]:
    """Give the images that an input names, and of each its path below the folder that was named."""
    if _is_plain_folder(given):
        return _below(Path(given), output)
    if _is_pattern(given):
        return _matching(given, output)
    formats.check_readable(given)
    return iter([(Path(given), Path(Path(given).name))])


def _below(folder, output):
    paths = list(_walk(folder, os.path.realpath(output)))
    if not paths:
        raise InputError(f"expected image files ({', '.join(formats.READABLE)}) in {folder}, found none")
    return ((path, path.relative_to(folder)) for path in paths)


def _walk(folder, output):
    """Go through a folder in order: hidden files, the outputs and what is inside of an image are left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or os.path.realpath(path) == output:
            continue
        if _is_image(path):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _walk(path, output)


def _matching(pattern, output):
    inside = os.path.realpath(output) + os.sep
    paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    paths = [path for path in paths if _is_image(path) and not os.path.realpath(path).startswith(inside)]
    if not paths:
        raise InputError(f"expected a pattern of image files ({', '.join(formats.READABLE)}), {pattern!r} matches none")
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    folder = Path(*parts[:fixed])
    return ((path, path.relative_to(folder)) for path in paths)


def _is_image(path):
    if path.suffix.lower() not in formats.READABLE:
        return False
    return path.is_dir() if formats.is_folder(path) else path.is_file()


def _is_plain_folder(path):
    return Path(path).is_dir() and not formats.is_folder(path)


def _is_pattern(text):
    return glob.has_magic(text) and not Path(text).exists()


def _names_folder(output):
    return output.endswith(("/", os.sep)) or _is_plain_folder(output)


def _is_same(one, other):
    return os.path.realpath(one) == os.path.realpath(other)
