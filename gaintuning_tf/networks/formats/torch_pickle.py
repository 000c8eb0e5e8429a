"""Files of PyTorch's `torch.save` that hold tensors alone, read without PyTorch and without running what is in them.

Such a file is a pickle that names tensors, and their numbers beside it: in a zip, or, before PyTorch 1.6, behind it.
A pickle is a program. Here it may call what makes dictionaries and tensors, and nothing else.
"""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from gaintuning_tf.errors import InputError, reason_of

# What the old form begins with, pickled, and the version of it that there is.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_BYTES_OF_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# No tensor of a network has more axes.
_MOST_AXES = 8
_DTYPES = {
    **{"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": ml_dtypes.bfloat16},
    **{"LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1"},
    "BoolStorage": "?",
}


@dataclasses.dataclass(frozen=True)
class TorchTensor:
    """A tensor of a file, whose numbers are read once all that names them has been."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def numpy(self) -> np.ndarray:
        """Give its numbers.

        Raises:
            InputError: The file does not have them.
        """
        numbers, whole = self.storage.numbers, (self.offset, *self.shape, *self.strides)
        # Whatever a pickle has made of it.
        whole_numbers = all(isinstance(one, int) and one >= 0 for one in whole)
        if not (
            isinstance(numbers, np.ndarray) and whole_numbers and len(self.shape) == len(self.strides) <= _MOST_AXES
        ):
            raise InputError("a tensor of no possible shape")
        size = math.prod(self.shape)
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if size and (last >= len(numbers) or size > len(numbers)):
            raise InputError(f"a tensor of shape {self.shape} in {len(numbers)} numbers")
        if not size:
            return np.zeros(self.shape, numbers.dtype)
        steps = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps).copy()


class _Storage:
    """Numbers that tensors look at."""

    def __init__(self, dtype, count):
        self.dtype, self.count = np.dtype(dtype), count
        self.numbers = np.zeros(0, dtype)

    def fill(self, data, order="little"):
        if len(data) != self.count * self.dtype.itemsize:
            raise InputError(f"{len(data)} bytes of {self.count} numbers of {self.dtype}")
        numbers = np.frombuffer(data, self.dtype)
        self.numbers = numbers.byteswap() if order == "big" else numbers


def load_tensors(path: str | Path) -> Any:
    """Read what `torch.save` has written: dictionaries, lists, numbers and texts, and for each tensor a `TorchTensor`.

    Args:
        path: The file.

    Raises:
        InputError: It holds other things, which it would take a program to make, or is damaged.
    """
    data = Path(path).read_bytes()
    try:
        if data.startswith(b"PK"):
            return _from_zip(zipfile.ZipFile(io.BytesIO(data)))
        if data.startswith(_BYTES_OF_MAGIC):
            return _from_stream(io.BytesIO(data))
    except InputError:
        raise
    except Exception as error:  # a pickle that is damaged, or made to, may raise anything
        raise InputError(f"damaged: {reason_of(error)}") from error
    raise InputError("no file of PyTorch's")


def _from_zip(archive):
    for info in archive.infolist():
        # As PyTorch writes them, so that no file is larger than it looks.
        if info.compress_type != zipfile.ZIP_STORED:
            raise InputError(f"{info.filename} is compressed")
    names = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(names) != 1:
        raise InputError("no data.pkl in the zip")
    folder = names[0].removesuffix("data.pkl")
    order = "little"
    if f"{folder}byteorder" in archive.namelist():
        order = archive.read(f"{folder}byteorder").decode()
    unpickler = _Tensors(io.BytesIO(archive.read(names[0])))
    content = unpickler.load()
    for key, storage in unpickler.storages.items():
        storage.fill(archive.read(f"{folder}data/{key}"), order)
    return content


def _from_stream(stream):
    head = [_Tensors(stream).load() for _ in range(3)]
    if head[:2] != [_MAGIC, _PROTOCOL] or not isinstance(head[2], dict):
        raise InputError(f"a form of PyTorch's files that is not known, {head[1]}")
    unpickler = _Tensors(stream)
    content = unpickler.load()
    order = "little" if head[2].get("little_endian", True) else "big"
    for key in _Tensors(stream).load():
        storage = unpickler.storages[key]
        if int.from_bytes(stream.read(8), order) != storage.count:
            raise InputError(f"another number of numbers than {storage.count}")
        storage.fill(stream.read(storage.count * storage.dtype.itemsize), order)
    for view, storage, offset in unpickler.views:
        view.numbers = storage.numbers[offset : offset + view.count]
    return content


class _Tensors(pickle.Unpickler):
    """Makes dictionaries, lists, numbers, texts and tensors; whatever else the pickle names is refused."""

    def __init__(self, stream):
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}
        self.views: list[tuple[_Storage, _Storage, int]] = []

        # Made for each file: a pickle may set attributes of what it gets.
        class Options:
            """Plain attributes, the options of a training."""

        def tensor(storage, offset, size, stride, *_):
            if not isinstance(storage, _Storage):
                raise InputError("a tensor without numbers")
            return TorchTensor(storage, offset, tuple(size), tuple(stride))

        def itself(value, *_):
            return value

        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("argparse", "Namespace"): Options,
            ("torch._utils", "_rebuild_tensor_v2"): tensor,
            ("torch._utils", "_rebuild_tensor"): tensor,
            ("torch._utils", "_rebuild_parameter"): itself,
            ("torch", "Size"): lambda sizes=(): tuple(sizes),
        }

    def find_class(self, module: str, name: str) -> Any:
        """Give what the pickle may call under that name."""
        if module in ("torch", "torch.cuda") and name in _DTYPES:
            return name
        if (module, name) not in self._known:
            raise InputError(f"it would call {module}.{name}")
        return self._known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Give the numbers that the pickle names by a key."""
        kind, name, key, _, count, *rest = pid
        if kind != "storage" or name not in _DTYPES or not isinstance(count, int) or count < 0:
            raise InputError(f"numbers of another kind, {kind} {name}")
        view = rest[0] if rest else None
        storage = self.storages.setdefault(str(key), _Storage(_DTYPES[name], count))
        if view is None:
            return storage
        _, offset, size = view
        seen = _Storage(storage.dtype, size)
        self.views.append((seen, storage, offset))
        return seen
