"""Which module writes an image file, by its suffix, and which reads it, where they differ by its content."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.container import Source, is_transparent, parsing
from gaintuning_tf.images.content import content_of


@dataclasses.dataclass(frozen=True)
class Format:
    """What there is to know of a format before its module is imported.

    Attributes:
        module: Name of the module in this folder that has `open_source` and, if the format is written,
            `create_target` and `resume_target`.
        suffixes: Of its files, in lower case.
        written: Whether it is written, too.
        folder: Whether an image is a folder.
        series: Whether a file may hold several images, and `open_source` takes the number of one.
    """

    module: str
    suffixes: tuple[str, ...]
    written: bool = True
    folder: bool = False
    series: bool = False


FORMATS = (
    Format("pictures", (".png", ".jpg", ".jpeg", ".bmp", ".webp")),
    Format("pictures", (".gif",), written=False),
    Format("tiff", (".tif", ".tiff", ".btf", ".tf8"), series=True),
    Format("tiff", (".lsm", ".stk", ".svs", ".qptiff", ".scn", ".ndpi"), written=False, series=True),
    Format("npy", (".npy",)),
    Format("mrc", (".mrc", ".mrcs", ".rec")),
    Format("zarr_arrays", (".zarr",), folder=True, series=True),
    Format("vendors.rosettasciio", (".dm3", ".dm4", ".ser", ".emd"), written=False),
    Format("vendors.czi", (".czi",), written=False, series=True),
    Format("vendors.nd2", (".nd2",), written=False, series=True),
    Format("vendors.lif", (".lif", ".lof"), written=False, series=True),
    Format("vendors.oif", (".oib", ".oif"), written=False, series=True),
)
# Files of microscopes for which there is no reader in Python that is kept well, or is free to be used here.
_TO_CONVERT = (
    *(".oir", ".poir", ".vsi", ".ets", ".ims", ".nd", ".sld", ".sldy", ".lifext", ".xlef", ".zvi", ".dv", ".r3d"),
    *(".ids", ".ics", ".mvd2", ".flex", ".htd", ".mrxs", ".bif", ".spe"),
)
_BY_SUFFIX = {suffix: row for row in FORMATS for suffix in row.suffixes}
READABLE = tuple(_BY_SUFFIX)
WRITABLE = tuple(suffix for suffix, row in _BY_SUFFIX.items() if row.written)
# Modules that need no suffix to tell their files from others.
_BY_CONTENT = ("pictures", "tiff", "npy")
# Files that begin as those of another kind, by their own modules.
_BUILT_ON = {".h5": ("vendors.rosettasciio",), ".jp2": ("vendors.nd2",)}
# Axes of an array, those of length 1 included, that are worth an error message which lists them.
MOST_AXES = 8


def suffix_of(path: str | Path) -> str:
    """Give the suffix of a file, in lower case; that of the folder for what is inside one, such as a Zarr.

    Example:

    >>> suffix_of("a.ome.TIF"), suffix_of("a.zarr/0")
    ('.tif', '.zarr')
    """
    own = Path(path).suffix.lower()
    if own in _BY_SUFFIX:
        return own
    around = (parent.suffix.lower() for parent in Path(path).parents)
    return next((suffix for suffix in around if suffix in _BY_SUFFIX and _BY_SUFFIX[suffix].folder), own)


def is_folder(path: str | Path) -> bool:
    """Tell by its suffix whether an image is a folder.

    Example:

    >>> is_folder("a.zarr"), is_folder("a.tif"), is_folder("a")
    (True, False, False)
    """
    row = _BY_SUFFIX.get(suffix_of(path))
    return row is not None and row.folder


def row_of(path: str | Path) -> Format:
    """Give what there is to know of the format of a file, by its suffix, which must be one that is readable."""
    return _BY_SUFFIX[suffix_of(path)]


def row_to_read(path: str | Path) -> Format:
    """Give what there is to know of the format that a file has by its content, which its suffix may not say.

    Raises:
        InputError: Its content is known, and is not that of its suffix nor of a format that is safe to choose by it.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.tif"
    >>> np.save(path.with_suffix(".npy"), np.zeros((5, 4)))
    >>> row_to_read(path.with_suffix(".npy").rename(path)).module
    'npy'
    """
    named, content = row_of(path), content_of(path)
    if content is None or named.folder or named.module in _BUILT_ON.get(content.suffix, ()):
        return named
    found = _BY_SUFFIX.get(content.suffix)
    if found is not None and found.module == named.module:
        return named
    if found is None or found.module not in _BY_CONTENT:
        raise InputError(f"{path} is {content.words} by its content: {_way_out(content)}")
    return found


def _way_out(content):
    if content.words.endswith("archive"):
        return "it has to be unpacked first"
    if content.suffix in _BY_SUFFIX:
        return f"give it the suffix {content.suffix}"
    return f"expected an image file ({', '.join(READABLE)})"


def holds_volumes(path: str | Path) -> bool:
    """Tell by its suffix whether an image file can hold a volume.

    Example:

    >>> holds_volumes("a.tif"), holds_volumes("a.png")
    (True, False)
    """
    row = _BY_SUFFIX.get(suffix_of(path))
    return row is not None and row.module != "pictures"


def check_readable(path: str | Path) -> None:
    """Refuse a file that is not there, or whose suffix names no format that can be read.

    Raises:
        InputError: It does, with the suffixes that can be.
    """
    path = Path(path)
    if not (path.is_dir() if is_folder(path) else path.is_file()):
        kind = "a folder" if is_folder(path) else "an image file"
        raise InputError(f"no such file: {path}" if not path.exists() else f"expected {kind}, {path} is none")
    if suffix_of(path) in _TO_CONVERT:
        raise InputError(
            f"{path} is of a microscope's format that is not read here: convert it to OME-TIFF first, such as by "
            f"`bfconvert {path.name} {path.stem}.ome.tif` of Bio-Formats, or with ImageJ"
        )
    if suffix_of(path) not in READABLE:
        content = content_of(path)
        if content is not None and content.suffix in READABLE:
            raise InputError(f"{path} is {content.words} by its content: {_way_out(content)}")
        raise InputError(f"expected an image file ({', '.join(READABLE)}), received {path}")


def check_suffix(path: str | Path) -> None:
    """Refuse an output file whose suffix names no format that can be written.

    Raises:
        InputError: It does not.
    """
    suffix = Path(path).suffix.lower()  # nothing is written inside a Zarr
    if suffix not in WRITABLE:
        only = f", which is read but not written ({suffix})" if suffix in READABLE else ""
        raise InputError(
            f"expected an output file with one of the suffixes {', '.join(WRITABLE)}, received {path}{only}"
        )


def check_replaceable(path: Path) -> None:
    """Refuse an output that is there and is no image of that kind: a folder that holds other things.

    Raises:
        InputError: It is.
    """
    marks = (".zgroup", ".zarray", "zarr.json")
    if not is_folder(path) or not path.exists():
        if path.is_dir():
            raise InputError(f"expected a file name for the output, {path} is a folder")
        return
    if not path.is_dir() or (any(path.iterdir()) and not any((path / mark).exists() for mark in marks)):
        raise InputError(f"expected an output that is new or a Zarr folder, {path} is something else")


def open_source(path: str | Path, series: int | None = None) -> Source:
    """Open an image file, to be read in parts.

    Args:
        path: The file.
        series: Which of several images in it, from 0; by default the one that is not a thumbnail or a smaller copy.

    Raises:
        InputError: It cannot be read, or what reads it is not installed, or it has no series of that number.
    """
    check_readable(path)
    row, content = row_to_read(path), content_of(path)
    if content is not None and row.module != row_of(path).module:
        warnings.warn(f"{path} is {content.words} by its content, and read as one", GainTuningWarning, stacklevel=1)
    options = {} if series is None else {"series": _series(path, row, series)}
    with parsing(path):
        source = _imported(row).open_source(Path(path), **options)
    if len(source.shape) > MOST_AXES:
        source.close()
        raise InputError(f"expected an image of up to {MOST_AXES} axes, {path} has {len(source.shape)}")
    return source


def _series(path, row, series):
    if not row.series:
        raise InputError(f"expected no number of a series, for a {suffix_of(path)} file holds one, received {series}")
    if series < 0:
        raise InputError(f"expected a number of a series from 0, received {series}")
    return series


def module_of(path: str | Path) -> ModuleType:
    """Import the module for the format of `path`, by its suffix."""
    return _imported(row_of(path))


def _imported(row):
    return importlib.import_module(f"gaintuning_tf.images.{row.module}")


def load_array(path: str | Path) -> np.ndarray:
    """Read the whole array of an image file; an alpha channel is dropped, with a warning if it is not opaque.

    Raises:
        InputError: It cannot be read.
    """
    source = open_source(path)
    if is_transparent(source.metadata):
        warnings.warn(f"{path}: the alpha channel is dropped", GainTuningWarning, stacklevel=3)
    with contextlib.closing(source), parsing(path):
        return source.read((slice(None),) * len(source.shape))


def save_array(
    path: str | Path, array: np.ndarray, axes: str, module: ModuleType, metadata: dict | None = None
) -> None:
    """Write a whole array as an image file.

    Args:
        path: The file; its name need not say the format.
        array: What it is to hold.
        axes: A letter per axis.
        module: The format's, see `module_of`.
        metadata: That of the file it came from; the format keeps what it can of it.

    Raises:
        InputError: The format cannot hold it.
    """
    target = module.create_target(path, array.shape, array.dtype.newbyteorder("="), axes, metadata or {})
    with contextlib.closing(target):
        target.write((slice(None),) * array.ndim, array)
        target.finish()
