"""MRC files of electron microscopy, in parts; needs the extra `microscopy`."""

from __future__ import annotations

import dataclasses
import os
import warnings
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.array_file import ArrayFile, reserve
from gaintuning_tf.images.container import Source, Target, parsing
from gaintuning_tf.support.extras import required
from gaintuning_tf.support.limits import check_declared

# Space groups: of images in a row, of a volume, of volumes in a row.
_IMAGES, _VOLUME, _VOLUMES = 0, 1, 401
_DTYPES = ("int8", "int16", "uint8", "uint16", "float16", "float32")
# What cannot be read of the modes there are, by what their pixels are.
_MODES = {3: "complex integers", 16: "three bytes of colour", 101: "4 bits"}
# IMOD's stamp and flags, in words 39 and 40. Bytes with its stamp are unsigned unless the first flag says otherwise;
# the standard of 2014 has signed ones alone. The fifth says that a byte is two pixels.
_STAMP, _STAMP_AT, _FLAGS_AT = 1146047817, 152, 156
_SIGNED, _FOUR_BITS = 1, 16
_HEAD = 1024
_LABELS = 10
# Units of length in which OME may have it, in MRC's, ångström.
_ANGSTROMS = {"pm": 0.01, "Å": 1.0, "nm": 10.0, "µm": 1e4, "mm": 1e7, "cm": 1e8, "m": 1e10}


@dataclasses.dataclass(frozen=True)
class _Header:
    """What a header says.

    Attributes:
        shape: As it is stored.
        stored: Dtype of the pixels.
        offset: Of the first pixel.
        order: Where in the file Z, Y and X are, of the last three axes.
        kept: What a file written from this one keeps.
    """

    shape: tuple[int, ...]
    stored: np.dtype
    offset: int
    order: tuple[int, int, int]
    kept: dict

    @property
    def places(self):
        """Which axis of the file each axis of the array is."""
        outer = len(self.shape) - 3
        return (*range(outer), *(outer + place for place in self.order))


def open_source(path: str | Path) -> Source:
    """Open an MRC file. One section is an image; several are a stack whose axes it does not say.

    Sections, rows and columns that are other axes than Z, Y and X are put in that order.

    Raises:
        InputError: It is no MRC file, is truncated, or holds complex numbers or pixels of less than a byte.
    """
    header = _header(path)
    places = header.places
    shape = tuple(header.shape[place] for place in places)
    single = len(shape) == 3 and shape[0] == 1
    array = ArrayFile(path, header.shape, header.stored, header.offset)

    def read(index):
        index = (0, *index) if single else tuple(index)
        part = array.read(tuple(index[places.index(axis)] for axis in range(len(places))))
        kept = [place for place, one in zip(places, index, strict=True) if isinstance(one, slice)]
        return part.transpose([sorted(kept).index(place) for place in kept])

    shape = shape[1:] if single else shape
    return Source(shape, array.dtype, "YX" if single else None, _metadata(header), read, array.close)


def create_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, axes: str, metadata: dict) -> Target:
    """Start an MRC file of that shape, with the voxel size, origin, labels and extended header of `metadata`.

    Unsigned bytes are written as the input had them where it was an MRC file with IMOD's stamp, else as uint16, with
    a warning: MRC's own bytes are signed.

    Raises:
        InputError: MRC has no such dtype or arrangement.
    """
    mrcfile = _mrcfile()
    if dtype not in _DTYPES:
        raise InputError(f"an MRC file holds {', '.join(_DTYPES)}, not {dtype}: choose an output such as .tif")
    if not axes.endswith("YX") or len(axes) > 4:
        raise InputError(f"an MRC file holds up to four axes, the last two Y and X, not {axes}")
    own = metadata.get("mrc", {})
    stored = _stored(dtype, own)
    extended = own.get("extended_header", b"")
    # mrcfile writes it with one voxel, and its size is put in afterwards: the data comes later.
    voxel = np.zeros((1,) * max(3, len(shape)), "int8" if stored == "uint8" else stored)
    with mrcfile.new(path, voxel, overwrite=True) as mrc:
        _describe(mrc.header, shape, axes, metadata)
        mrc.header.nsymbt = len(extended)
        header = mrc.header.copy()
    if own.get("byte_order") == ">":
        header = header.byteswap().view(header.dtype.newbyteorder(">"))
        header.machst = mrcfile.utils.machine_stamp_from_byte_order(">")
    with open(path, "r+b") as file:
        file.write(_with_flags(header, own, stored) + extended)
        reserve(file, _HEAD + len(extended), int(np.prod(shape, dtype=object)) * stored.itemsize)
    return resume_target(path, shape, dtype)


def resume_target(path: str | Path, shape: tuple[int, ...], dtype: np.dtype) -> Target:
    """Go on with a file that `create_target` started.

    Raises:
        InputError: It is of another shape or dtype.
    """
    header = _header(path)
    found = header.stored.newbyteorder("=")
    wanted = (1,) * (3 - len(shape)) + tuple(shape)
    if header.shape != wanted or not (found == dtype or (found == "uint16" and dtype == "uint8")):
        raise InputError(f"{path} was begun for {header.shape} of {found}, not {tuple(shape)} of {dtype}: delete it")
    array = ArrayFile(path, shape, header.stored, header.offset, writable=True)

    def finish():
        _write_statistics(path, array)
        array.flush()

    return Target(array.write, lambda index: array.read(index).astype(dtype), array.flush, finish, array.close)


def _mrcfile():
    return required("mrcfile", "an MRC file", "microscopy")


def _stored(dtype, own):
    """Choose the dtype in the file: MRC has unsigned bytes only by IMOD's stamp, which not every reader knows."""
    if dtype != "uint8" or own.get("unsigned_bytes"):
        return np.dtype(dtype)
    warnings.warn(
        "bytes of an MRC file are signed: unsigned ones are written as uint16, the values as they are",
        GainTuningWarning,
        stacklevel=3,
    )
    return np.dtype("uint16")


def _header(path):
    mrcfile = _mrcfile()
    head = _check_head(path, mrcfile)
    with parsing(path), warnings.catch_warnings(), mrcfile.open(path, header_only=True) as mrc:
        warnings.simplefilter("ignore")
        header = mrc.header
        shape = mrcfile.utils.data_shape_from_header(header)
        stored = mrcfile.utils.data_dtype_from_header(header)
        offset = header.nbytes + int(header.nsymbt)
        unsigned = _unsigned_bytes(header, head)
        stored = np.dtype("uint8") if unsigned else stored
        order = _order(path, header)
        kept = _kept(mrc, head) | {"unsigned_bytes": unsigned}
    check_declared(path, shape, stored)
    return _Header((1,) * (3 - len(shape)) + tuple(shape), stored, offset, order, kept)


def _check_head(path, mrcfile):
    """Check what mrcfile trusts: it reserves what the extended header is said to need, and unpacks packed files."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if head[208:211] != b"MAP":
        raise InputError(f"cannot read {path} as an image: no header of MRC (a packed file has to be unpacked first)")
    try:
        order = mrcfile.utils.byte_order_from_machine_stamp(np.frombuffer(head[212:216], "u1"))
    except ValueError:
        order = "<"  # as mrcfile then takes it, or refuses it
    extended, mode = (int(np.frombuffer(head, f"{order}i4", 1, place)[0]) for place in (92, 12))
    present = os.path.getsize(path)
    if not 0 <= extended <= present - len(head):
        raise InputError(
            f"{path} is truncated or damaged: its header says that {extended} bytes of header follow, "
            f"the file has {present}"
        )
    four = mode == 0 and _flags(head, order) & _FOUR_BITS
    if mode in _MODES or four:
        held = _MODES[101] if four else _MODES[mode]
        raise InputError(
            f"cannot read {path} as an image: its pixels are {held} (mode {mode}); convert it, such as by IMOD's "
            "newstack -mode 1"
        )
    return head


def _flags(head, order):
    """Read IMOD's flags; 0 where its stamp is not."""
    stamp, flags = (int(np.frombuffer(head, f"{order}i4", 1, place)[0]) for place in (_STAMP_AT, _FLAGS_AT))
    return flags if stamp == _STAMP else 0


def _unsigned_bytes(header, head):
    order = header.mode.dtype.byteorder
    stamp = int(np.frombuffer(head, f"{order}i4", 1, _STAMP_AT)[0])
    return int(header.mode) == 0 and stamp == _STAMP and not _flags(head, order) & _SIGNED


def _order(path, header):
    """Find where Z, Y and X are: sections, rows and columns each say which of X, Y, Z, from 1, they are."""
    said = [int(header[name]) for name in ("maps", "mapr", "mapc")]
    if said == [0, 0, 0]:
        return 0, 1, 2  # by writers that leave it out
    if sorted(said) != [1, 2, 3]:
        raise InputError(f"cannot read {path} as an image: its sections, rows and columns are said to be axes {said}")
    return said.index(3), said.index(2), said.index(1)


def _kept(mrc, head):
    header, size = mrc.header, mrc.voxel_size
    names = ("nzstart", "nystart", "nxstart")  # of sections, rows and columns
    return {
        "voxel_size": (float(size.x), float(size.y), float(size.z)),
        "angles": tuple(float(header.cellb[name]) for name in ("alpha", "beta", "gamma")),
        "origin": tuple(float(header.origin[axis]) for axis in "xyz"),
        "start": tuple(int(header[name]) for name in names),
        "space_group": int(header.ispg),
        "exttyp": bytes(header.exttyp),
        "extended_header": bytes(mrc.extended_header.tobytes()),
        "extra": (head[96:104], head[112:196]),
        "byte_order": ">" if header.mode.dtype.str.startswith(">") else "<",
        "labels": [bytes(label) for label in header.label[: min(max(int(header.nlabl), 0), _LABELS)]],
    }


def _metadata(header):
    own = {**header.kept, "start": tuple(header.kept["start"][place] for place in header.order)}
    sizes = {
        f"PhysicalSize{axis}{end}": value
        for axis, size in zip("XYZ", own["voxel_size"], strict=True)
        for end, value in (("", size), ("Unit", "Å"))
        if np.isfinite(size) and size > 0
    }
    return {"mrc": own} | ({"ome": sizes} if sizes else {})


def _describe(header, shape, axes, metadata):
    own = metadata.get("mrc", {})
    x, y, z = own.get("voxel_size") or _angstroms(metadata.get("ome", {}))
    depth = shape[-3] if len(shape) > 2 else 1
    header.nx, header.ny, header.nz = shape[-1], shape[-2], int(np.prod(shape[:-2], dtype=object))
    group = own.get("space_group", _VOLUME if "Z" in axes else _IMAGES)
    header.ispg = _VOLUMES if len(shape) == 4 else (_IMAGES if group == _VOLUMES else group)
    # The sections that the cell spans: all of a volume, one of images in a row.
    header.mx, header.my, header.mz = shape[-1], shape[-2], 1 if header.ispg == _IMAGES else depth
    header.cella = (x * header.mx, y * header.my, z * header.mz)
    if any(own.get("angles", ())):
        header.cellb = own["angles"]
    header.origin = own.get("origin", (0.0, 0.0, 0.0))
    header.nzstart, header.nystart, header.nxstart = own.get("start", (0, 0, 0))
    header.exttyp = own.get("exttyp", header.exttyp)
    _label(header, own.get("labels", ()))


def _label(header, labels):
    """Keep the labels, and add one where there is room."""
    from gaintuning_tf import __version__

    mine = f"gaintuning-tf {__version__}: denoised".encode()
    labels = list(labels)
    if len(labels) < _LABELS and mine not in [label.rstrip() for label in labels]:
        labels.append(mine)
    header.label = np.array(labels + [b""] * (_LABELS - len(labels)), "S80")
    header.nlabl = len(labels)


def _with_flags(header, own, stored):
    """Give a header as bytes, with what programs put in its free places, and IMOD's flag of signed bytes set right."""
    data = bytearray(header.tobytes())
    if "extra" in own:
        data[96:104], data[112:196] = own["extra"]
    order = header.mode.dtype.str[0].replace("|", "<")
    if header.mode == 0 and int(np.frombuffer(data, f"{order}i4", 1, _STAMP_AT)[0]) == _STAMP:
        flags = int(np.frombuffer(data, f"{order}i4", 1, _FLAGS_AT)[0])
        flags = flags & ~_SIGNED if stored == "uint8" else flags | _SIGNED
        data[_FLAGS_AT : _FLAGS_AT + 4] = np.array(flags, f"{order}i4").tobytes()
    return bytes(data)


def _angstroms(sizes):
    """Convert OME's sizes of pixels; 0, for not known, where it has none."""
    found = []
    for axis in "XYZ":
        size = sizes.get(f"PhysicalSize{axis}")
        unit = str(sizes.get(f"PhysicalSize{axis}Unit", "µm")).replace("μ", "µ")
        found.append(float(size) * _ANGSTROMS.get(unit, 0.0) if isinstance(size, (int, float)) else 0.0)
    return found


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
