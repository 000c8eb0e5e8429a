"""Files made wrong: what a bad disk, a broken transfer or an enemy makes of a valid one, from a seed."""

import json
import os
import re
import shutil
import struct
import zipfile

import numpy as np

INTEGERS = [0, 1, -1, 2, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
OTHERS = [float("nan"), float("inf"), 1e308, -1.5, "", "x" * 5000, "../../evil", None, True, [], {}, [0], [-1, -1]]
# Headers, where integers are sizes and offsets, are at the front.
HEAD = 1024


def mutate(source, target, rng, donor=b""):
    """Write to `target` a file or folder that is `source` with one to three things wrong.

    Args:
        source: A valid file or folder.
        target: Must not exist.
        rng: NumPy's generator: the same state, the same result.
        donor: Bytes of another file, of which pieces are taken.
    """
    if source.is_dir():
        shutil.copytree(source, target)
        files = sorted(file for file in target.rglob("*") if file.is_file())
        file = files[rng.integers(len(files))]
        if rng.random() < 0.15:
            _misplace(file, rng)
            return
    else:
        shutil.copy(source, target)
        file = target
    for _ in range(rng.integers(1, 4)):
        _mutate_file(file, rng, donor)


def _misplace(file, rng):
    """A file of a folder that is gone, is a folder, or leads to itself."""
    file.unlink()
    kind = rng.integers(3)
    if kind == 0:
        file.mkdir()
    elif kind == 1:
        file.symlink_to(file.name)


def _mutate_file(file, rng, donor):
    structured = rng.random() < 0.7
    if structured and zipfile.is_zipfile(file):
        _mutate_zip(file, rng, donor)
    elif structured and file.suffix in (".h5", ".emd") and file.read_bytes()[:4] == b"\x89HDF":
        mutate_hdf5(file, rng)
    else:
        file.write_bytes(mutate_bytes(file.read_bytes(), rng, donor))


def mutate_bytes(data, rng, donor=b""):
    """Bytes with one thing wrong; JSON mostly stays JSON."""
    if data[:1] in (b"{", b"[") and rng.random() < 0.8:
        changed = mutate_json(data, rng)
        if changed is not None:
            return changed
    kinds = [_flip, _set_integer, _set_digits, _truncate, _repeat, _clear, _splice]
    return kinds[rng.choice(len(kinds), p=[0.2, 0.35, 0.15, 0.1, 0.05, 0.05, 0.1])](data, rng, donor)


def _place(size, rng):
    """Half of the time in the header."""
    return int(rng.integers(min(size, HEAD) if rng.random() < 0.5 else size))


def _flip(data, rng, _):
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9) if changed else 0):
        changed[_place(len(changed), rng)] ^= 1 << rng.integers(8)
    return bytes(changed)


def _set_integer(data, rng, _):
    width, order = [(1, "B"), (2, "H"), (4, "I"), (8, "Q")][rng.integers(4)], "<>"[rng.integers(2)]
    value = INTEGERS[rng.integers(len(INTEGERS))] % 2 ** (8 * width[0])
    if len(data) < width[0]:
        return struct.pack(order + width[1], value)
    start = _place(len(data) - width[0] + 1, rng)
    start -= start % 2 if rng.random() < 0.8 else 0
    return data[:start] + struct.pack(order + width[1], value) + data[start + width[0] :]


def _set_digits(data, rng, donor):
    """A number in text, such as of a .npy header or of OME's XML, becomes another."""
    numbers = list(re.finditer(rb"\d+", data[: 8 * HEAD]))
    if not numbers:
        return _flip(data, rng, donor)
    chosen = numbers[rng.integers(len(numbers))]
    text = str(INTEGERS[rng.integers(len(INTEGERS))]).encode()
    return data[: chosen.start()] + text + data[chosen.end() :]


def _truncate(data, rng, _):
    return data[: rng.integers(len(data) + 1)]


def _repeat(data, rng, _):
    start, size = _place(len(data) + 1, rng), int(rng.integers(1, 512))
    return data[: start + size] + data[start : start + size] * int(rng.integers(1, 50)) + data[start + size :]


def _clear(data, rng, _):
    start, size = _place(len(data) + 1, rng), int(rng.integers(1, 256))
    size = min(size, len(data) - start)
    return data[:start] + (bytes(size) if rng.random() < 0.5 else rng.bytes(size)) + data[start + size :]


def _splice(data, rng, donor):
    donor = donor or data
    start, size = _place(len(donor) + 1, rng), int(rng.integers(1, 512))
    place = _place(len(data) + 1, rng)
    return data[:place] + donor[start : start + size] + data[place + (size if rng.random() < 0.5 else 0) :]


def mutate_json(data, rng):
    """JSON with one value replaced, dropped, nested or taken from elsewhere in it; None if it is no JSON."""
    # What was nested deep before is too deep to be taken apart.
    if data.count(b"[[[[[[[[[") or data.count(b"{") > 500:
        return None
    try:
        tree = json.loads(data)
    except ValueError:
        return None
    slots = list(_slots(tree))
    if not slots:
        return None
    holder, key = slots[rng.integers(len(slots))]
    kind = rng.integers(6)
    if kind <= 1 and type(holder[key]) is int:
        holder[key] = INTEGERS[rng.integers(len(INTEGERS))]
    elif kind <= 2:
        values = INTEGERS + OTHERS
        holder[key] = values[rng.integers(len(values))]
    elif kind == 3:
        del holder[key]
    elif kind == 4:
        other, name = slots[rng.integers(len(slots))]
        holder[key] = json.loads(json.dumps(other[name]))
    else:
        depth = int(rng.choice([1, 3, 900]))
        text = json.dumps(holder[key])
        holder[key] = "@nested@"
        return json.dumps(tree).replace('"@nested@"', "[" * depth + text + "]" * depth).encode()
    return json.dumps(tree).encode()


def _slots(tree):
    """Each value of a tree, as the list or dictionary that it is in, and its key."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _slots(tree[key])


def _mutate_zip(file, rng, donor):
    """A member of an archive changed, doubled, dropped or renamed, the archive itself being sound."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        members = {}
    if not members:
        file.write_bytes(mutate_bytes(file.read_bytes(), rng, donor))
        return
    # The configuration is where the meaning is, the weights where the bytes are.
    name = sorted(members)[rng.integers(len(members))]
    kind = rng.random()
    if kind < 0.85 and name.endswith(".h5"):
        inner = file.with_name(f"{file.name}.h5")
        inner.write_bytes(members[name])
        mutate_hdf5(inner, rng)
        members[name] = inner.read_bytes()
        inner.unlink()
    elif kind < 0.85:
        members[name] = mutate_bytes(members[name], rng, donor)
    elif kind < 0.9:
        del members[name]
    else:
        renamed = ["../evil", "/evil", "assets/x", "config.json", "model.weights.h5"][rng.integers(5)]
        members[renamed] = members.pop(name)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def mutate_hdf5(file, rng):
    """An HDF5 file with an object or an attribute wrong; or, a third of the time, with wrong bytes."""
    import h5py

    if rng.random() < 0.35:
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))
        return
    try:
        with h5py.File(file, "r+") as opened:
            _change_object(opened, rng)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        # It was damaged before.
        file.write_bytes(mutate_bytes(file.read_bytes(), rng))


def _change_object(file, rng):
    import h5py

    names = [""]
    file.visit(names.append)
    name = names[rng.integers(len(names))]
    chosen = file[name] if name else file
    if chosen.attrs and (not name or rng.random() < 0.4):
        _change_attribute(chosen.attrs, rng)
        return
    if not name:
        return
    kind = rng.integers(7)
    del file[name]
    if kind == 1:
        file.create_dataset(name, data=np.zeros(tuple(rng.integers(0, 4, rng.integers(4)))))
    elif kind == 2:
        # Of a few bytes, until it is read.
        file.create_dataset(name, shape=(10**6, 10**6), chunks=(1000, 1000), dtype="float32")
    elif kind == 3:
        file.create_dataset(name, data=["text", "more"], dtype=h5py.string_dtype())
    elif kind == 4:
        file[name] = h5py.SoftLink(f"/{name}")
    elif kind == 5:
        file[name] = h5py.ExternalLink(os.path.basename(file.filename), "/")
    elif kind == 6:
        file[name] = file["/"]


def _change_attribute(attributes, rng):
    name = sorted(attributes)[rng.integers(len(attributes))]
    value = attributes[name]
    text = value.encode() if isinstance(value, str) else value
    changed = mutate_json(text, rng) if isinstance(text, bytes) and text[:1] in (b"{", b"[") else None
    if changed is not None:
        attributes[name] = changed.decode()
    elif rng.random() < 0.3:
        del attributes[name]
    else:
        values = [value for value in INTEGERS + OTHERS if isinstance(value, (float, str)) or type(value) is int]
        attributes[name] = values[rng.integers(len(values))]
