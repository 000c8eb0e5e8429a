"""MRC files of electron microscopy, in parts; needs the extra `microscopy`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.array_file import ArrayFile, reserve
from gaintuning_tf.images.container import Source, Target, parsing
from gaintuning_tf.support.extras import required
from gaintuning_tf.support.limits import check_declared

# Space groups: of images in a row, of a volume, of volumes in a row.
_IMAGES, _VOLUME, _VOLUMES = 0, 1, 401
_DTYPES = ("int8", "int16", "uint16", "float16", "float32")


def open_source(path: str | Path) -> Source:
    """Open an MRC file. One section is an image; several are a stack whose axes it does not say.

    Raises:
        InputError: It is no MRC file, is truncated, or holds complex numbers.
    """
    shape, stored, offset, metadata = _header(path)
    array = ArrayFile(path, shape, stored, offset)
    return Source(shape, array.dtype, "YX" if len(shape) == 2 else None, metadata, array.read, array.close)


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start an MRC file of that shape, with the voxel size and the extended header of `metadata`.

    Raises:
        InputError: MRC has no such dtype or arrangement.
    """
    mrcfile = _mrcfile()
    if dtype not in _DTYPES:
        raise InputError(f"an MRC file holds {', '.join(_DTYPES)}, not {dtype}: choose an output such as .tif")
    if not axes.endswith("YX") or len(axes) > 4:
        raise InputError(f"an MRC file holds up to four axes, the last two Y and X, not {axes}")
    # mrcfile writes it with one voxel, and its size is put in afterwards: the data comes later.
    with mrcfile.new(path, np.zeros((1,) * max(3, len(shape)), dtype), overwrite=True) as mrc:
        if metadata.get("extended_header"):
            mrc.set_extended_header(np.frombuffer(metadata["extended_header"], "V1"))
            mrc.header.exttyp = metadata["exttyp"]
        _describe(mrc.header, shape, axes, metadata)
    offset = 1024 + len(metadata.get("extended_header", b""))
    with open(path, "r+b") as file:
        reserve(file, offset, int(np.prod(shape, dtype=object)) * dtype.itemsize)
    return resume_target(path, shape, dtype)


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a file that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    found, stored, offset, _ = _header(path)
    wanted = tuple(shape[1:] if len(shape) == 3 and shape[0] == 1 else shape)
    if found != wanted or stored.newbyteorder("=") != dtype:
        raise InputError(f"{path} was begun for {found} of {stored}, not {tuple(shape)} of {dtype}: delete it")
    array = ArrayFile(path, shape, stored, offset, writable=True)

    def finish():
        _write_statistics(path, array)
        array.flush()

    return Target(array.write, array.read, array.flush, finish, array.close)


def _mrcfile():
    return required("mrcfile", "an MRC file", "microscopy")


def _header(path):
    mrcfile = _mrcfile()
    _check_head(path, mrcfile)
    with parsing(path), warnings.catch_warnings(), mrcfile.open(path, header_only=True) as mrc:
        warnings.simplefilter("ignore")
        shape = mrcfile.utils.data_shape_from_header(mrc.header)
        stored = mrcfile.utils.data_dtype_from_header(mrc.header)
        offset = mrc.header.nbytes + int(mrc.header.nsymbt)
        size = mrc.voxel_size
        metadata = {
            "voxel_size": (float(size.x), float(size.y), float(size.z)),
            "origin": tuple(float(mrc.header.origin[axis]) for axis in "xyz"),
            "start": tuple(int(mrc.header[name]) for name in ("nxstart", "nystart", "nzstart")),
            "space_group": int(mrc.header.ispg),
            "exttyp": bytes(mrc.header.exttyp),
            "extended_header": bytes(mrc.extended_header.tobytes()),
        }
    check_declared(path, shape, stored)
    return (shape[1:] if len(shape) == 3 and shape[0] == 1 else shape), stored, offset, metadata


def _check_head(path, mrcfile):
    """Check what mrcfile trusts: it reserves what the extended header is said to need, and unpacks packed files."""
    with open(path, "rb") as file:
        head = file.read(1024)
    if head[208:211] != b"MAP":
        raise InputError(f"cannot read {path} as an image: no header of MRC (a packed file has to be unpacked first)")
    try:
        order = mrcfile.utils.byte_order_from_machine_stamp(np.frombuffer(head[212:216], "u1"))
    except ValueError:
        order = "<"  # as mrcfile then takes it, or refuses it
    extended = int.from_bytes(head[92:96], "big" if order == ">" else "little", signed=True)
    present = os.path.getsize(path)
    if not 0 <= extended <= present - len(head):
        raise InputError(
            f"{path} is truncated or damaged: its header says that {extended} bytes of header follow, "
            f"the file has {present}"
        )


def _describe(header, shape, axes, metadata):
    x, y, z = metadata.get("voxel_size", (0.0, 0.0, 0.0))
    depth = shape[-3] if len(shape) > 2 else 1
    header.nx, header.ny, header.nz = shape[-1], shape[-2], int(np.prod(shape[:-2], dtype=object))
    if len(shape) == 4:
        header.ispg = _VOLUMES
    else:
        header.ispg = metadata.get("space_group", _VOLUME if "Z" in axes else _IMAGES)
    # The sections that the cell spans: all of a volume, one of images in a row.
    header.mx, header.my, header.mz = shape[-1], shape[-2], 1 if header.ispg == _IMAGES else depth
    header.cella = (x * header.mx, y * header.my, z * header.mz)
    header.origin = metadata.get("origin", (0.0, 0.0, 0.0))
    header.nxstart, header.nystart, header.nzstart = metadata.get("start", (0, 0, 0))


def _write_statistics(path, array):
    """Put minimum, maximum, mean and deviation into the header, section by section."""
    lowest, highest, total, squares, count = np.inf, -np.inf, 0.0, 0.0, 0
    for outer in np.ndindex(*array.shape[:-2]):
        section = array.read((*outer, slice(None), slice(None))).astype(np.float64)
        lowest, highest = min(lowest, section.min()), max(highest, section.max())
        # Combined as deviations from the means so far, which loses no digits to a large mean.
        mean, more = section.mean(), section.size
        squares += ((section - mean) ** 2).sum() + (mean - total / max(count, 1)) ** 2 * count * more / (count + more)
        total, count = total + mean * more, count + more
    with _mrcfile().open(path, header_only=True) as mrc:
        header = mrc.header.copy()
    header.dmin, header.dmax, header.dmean, header.rms = lowest, highest, total / count, (squares / count) ** 0.5
    # Not through mrcfile, which where it opens a header alone cuts the file off behind it.
    with open(path, "r+b") as file:
        file.write(header.tobytes())
