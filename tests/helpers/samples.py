"""Small files of every format that is read, the vendors' too, of which nothing here writes some."""

import struct

import numpy as np
import tifffile

from helpers.vendor_samples import write_vendor_samples


def draw(shape, dtype="uint16", seed=0):
    """Whole numbers that every dtype holds."""
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


def write_ser(path, frames):
    """A series of images, uint16, as FEI's TIA writes them: from the bottom up."""
    count, height, width = frames.shape
    # One dimension, of frames, without a description or units.
    dimension = struct.pack("<IddIII", count, 0.0, 1.0, 0, 0, 0)
    start = 30 + len(dimension) + 8 * count
    each = 50 + frames[0].nbytes + 8
    offsets = [start + n * each for n in range(count)]
    head = struct.pack("<HHHIIIIII", 0x4949, 0x197, 0x210, 0x4122, 0x4152, count, count, 30 + len(dimension), 1)
    with open(path, "wb") as file:
        file.write(head + dimension + struct.pack(f"<{count}I", *offsets) + bytes(4 * count))
        for frame in frames:
            calibration = struct.pack("<ddIddI", 0.0, 1e-9, 0, 0.0, 1e-9, 0)
            file.write(calibration + struct.pack("<HII", 2, width, height) + frame[::-1].astype("<u2").tobytes())
            file.write(struct.pack("<HHI", 0x4152, 0, 0))


def write_dm3(path, array, version=3):
    """An image or stack, uint16, as Gatan's DigitalMicrograph writes them, with the tags that a reader needs.

    Version 4 has numbers of 64 bits, and the sizes of tags and groups.
    """
    dimensions = {"": list(array.shape[::-1])}
    calibration = {"Origin": 0.0, "Scale": 0.5, "Units": "nm"}
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": {"": [dict(calibration) for _ in array.shape]},
            },
            "Data": array.astype("<u2"),
            "DataType": 10,
            "Dimensions": dimensions,
            "PixelDepth": 2,
        },
        "ImageTags": {},
        "Name": "sample",
    }
    number = "I" if version == 3 else "Q"
    body = _dm_group({"ImageList": {"": [image]}, "Thumbnails": {}}, number)
    with open(path, "wb") as file:
        file.write(struct.pack(f">I{number}I", version, len(body), 1) + body)


def _dm_group(tags, number):
    items = [(name, value) for name, value in tags.items() if name] + [("", value) for value in tags.get("", ())]
    head = struct.pack(f">BB{number}", 1, 0, len(items))
    return head + b"".join(_dm_tag(name, value, number) for name, value in items)


def _dm_tag(name, value, number):
    head = struct.pack(">BH", 20 if isinstance(value, dict) else 21, len(name)) + name.encode()
    if isinstance(value, dict):
        group = _dm_group(value, number)
        return head + group[:2] + (struct.pack(">Q", len(group)) if number == "Q" else b"") + group[2:]
    if isinstance(value, np.ndarray):
        kinds, data = (20, 4, value.size), value.tobytes()
    elif isinstance(value, str):
        kinds, data = (20, 4, len(value)), value.encode("utf-16-le")
    elif isinstance(value, float):
        kinds, data = (6,), struct.pack("<f", value)
    else:
        kinds, data = (5,), struct.pack("<I", value)
    body = b"%%%%" + struct.pack(f">{len(kinds) + 1}{number}", len(kinds), *kinds) + data
    return head + (struct.pack(">Q", len(body)) if number == "Q" else b"") + body


def write_emd(path, array, chunks=None):
    """An image or stack as the EMD files of Berkeley: x first."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/sample")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=array.T, chunks=chunks)
        for number, (name, size) in enumerate(zip("xyz", array.T.shape, strict=False), 1):
            group[f"dim{number}"] = np.arange(size, dtype="float64")
            group[f"dim{number}"].attrs["name"] = name
            group[f"dim{number}"].attrs["units"] = "nm"


def write_coloured_tiffs(folder):
    """TIFF stacks that are shown in another way than they are stored, packed by what others than tifffile decode."""
    colours, values = draw((4, 9, 8, 4), "uint8"), draw((4, 9, 8), "uint8")
    samples, plain = {"axes": "TYXS"}, {"axes": "TYX"}
    turned = [(274, "H", 1, 6, True), (306, "s", 0, "2024:01:02 03:04:05", True)]
    tifffile.imwrite(
        folder / "alpha.tif", colours.swapaxes(1, 2), photometric="rgb", extrasamples=["assocalpha"],
        compression="lzw", metadata=samples, extratags=turned,
    )  # fmt: skip
    tifffile.imwrite(folder / "inks.tif", colours, photometric="separated", compression="zstd", metadata=samples)
    planes = colours[..., :3].transpose(0, 3, 1, 2)
    tifffile.imwrite(folder / "planar.tif", planes, photometric="rgb", planarconfig=2, metadata={"axes": "TSYX"})
    table = (draw((3, 256), "uint16") * 257).astype("uint16")
    tifffile.imwrite(folder / "table.tif", values, photometric="palette", colormap=table, metadata=plain)
    tifffile.imwrite(folder / "negative.tif", values, photometric="miniswhite", compression="packbits", metadata=plain)
    tifffile.imwrite(folder / "lossy.tif", colours[..., :3], photometric="rgb", compression="jpeg", metadata=samples)


def write_samples(folder):
    """A file of every format in `folder`: the paths, each of (4, 9, 8) or, for pictures, (9, 8)."""
    import mrcfile
    import zarr
    from skimage.io import imsave

    stack, image = draw((4, 9, 8)), draw((9, 8), "uint8")
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".gif"):
        imsave(folder / f"picture{suffix}", image, check_contrast=False)
    plain = {"photometric": "minisblack"}
    tifffile.imwrite(folder / "plain.tif", stack, **plain)
    tifffile.imwrite(folder / "imagej.tif", stack, imagej=True, metadata={"axes": "TYX"})
    tifffile.imwrite(folder / "ome.ome.tif", stack, metadata={"axes": "TYX", "PhysicalSizeX": 0.1}, **plain)
    tifffile.imwrite(folder / "packed.tif", stack, compression="zlib", predictor=True, **plain)
    tifffile.imwrite(folder / "tiled.tif", stack, tile=(16, 16), bigtiff=True, byteorder=">", **plain)
    write_coloured_tiffs(folder)
    np.save(folder / "array.npy", stack)
    with mrcfile.new(folder / "stack.mrc", stack) as mrc:
        mrc.voxel_size = 2.5
    write_ser(folder / "series.ser", stack)
    write_dm3(folder / "stack.dm3", stack)
    write_dm3(folder / "stack.dm4", stack, version=4)
    write_emd(folder / "stack.emd", stack)
    for version in (2, 3):
        array = zarr.create_array(
            folder / f"v{version}.zarr", shape=stack.shape, dtype=stack.dtype, chunks=(1, 9, 8), zarr_format=version
        )
        array[:] = stack
    group = zarr.create_group(folder / "ome.zarr", zarr_format=2)
    group.create_array("0", shape=stack.shape, dtype=stack.dtype, chunks=(2, 9, 8))[:] = stack
    group.attrs["multiscales"] = [ome_multiscale()]
    _write_more_zarrs(folder, stack)
    write_vendor_samples(folder, stack)
    return sorted(folder.iterdir())


def _write_more_zarrs(folder, stack):
    """Zarrs packed by Blosc, in shards too, and one of bioformats2raw's."""
    import zarr
    from numcodecs import Blosc

    blosc = {2: {"compressors": Blosc()}, 3: {"compressors": zarr.codecs.BloscCodec(), "shards": (2, 9, 8)}}
    for version, options in blosc.items():
        array = zarr.create_array(
            folder / f"blosc{version}.zarr",
            shape=stack.shape,
            dtype=stack.dtype,
            chunks=(1, 9, 8),
            zarr_format=version,
            **options,
        )
        array[:] = stack
    root = zarr.create_group(folder / "several.zarr", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    group = root.create_group("0", attributes={"multiscales": [ome_multiscale()]})
    group.create_array("0", shape=stack.shape, dtype=stack.dtype, chunks=(2, 9, 8))[:] = stack


def ome_multiscale():
    """The description of a time series of 0.5 seconds and 0.1 micrometres."""
    return {
        "version": "0.4",
        "name": "sample",
        "axes": [
            {"name": "t", "type": "time", "unit": "second"},
            {"name": "y", "type": "space", "unit": "micrometer"},
            {"name": "x", "type": "space", "unit": "micrometer"},
        ],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.1, 0.1]}]},
        ],
    }


def tiny_network():
    """A small denoiser: two convolutions and a batch norm."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 1), name="noisy")
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same", name="last")(x), name="tiny")


def write_networks(folder):
    """A network in each form that is read, and its gains, in `folder`: the paths by kind."""
    from gaintuning_tf import insert_gains, save_gains

    model = tiny_network()
    with_gains = insert_gains(model)
    model.save(folder / "plain.keras")
    with_gains.save(folder / "gains.keras")
    model.save(folder / "plain.h5")
    model.export(folder / "exported", verbose=False)
    save_gains(with_gains, folder / "tiny.gains.h5")
    return {
        "keras": [folder / "plain.keras", folder / "gains.keras"],
        "h5": [folder / "plain.h5"],
        "savedmodel": [folder / "exported"],
        "gains": [folder / "tiny.gains.h5"],
    }
