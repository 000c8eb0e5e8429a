"""Stacks, frame by frame."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from gaintuning_tf import InputError
from gaintuning_tf.images.array_layout import convert
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.stack_files import create_stack, may_be_volume, open_stack
from helpers import samples

RNG = np.random.default_rng(0)
# What each format that is written can hold.
HOLDS = {
    ".tif": "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64",
    ".npy": "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64",
    ".mrc": "int8 uint16 int16 float16 float32",
    ".zarr": "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64",
}
NEEDS = {".mrc": "mrcfile", ".zarr": "zarr"}
PAIRS = [(suffix, dtype) for suffix, dtypes in HOLDS.items() for dtype in dtypes.split()]


@pytest.fixture(autouse=True)
def installed(request):
    """Skips where the format's library is absent."""
    suffix = getattr(request.node, "callspec", None) and request.node.callspec.params.get("suffix")
    if suffix in NEEDS:
        pytest.importorskip(NEEDS[suffix], reason="needs the extra `microscopy`")


def draw(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def make(path, array):
    np.save(path, array)
    return path


def copy(stack, path, order=None):
    with create_stack(path, stack) as writer:
        for i in order if order is not None else range(stack.frame_count):
            writer.write(i, stack.frame(i))
        writer.commit()


@pytest.mark.parametrize(("suffix", "dtype"), PAIRS)
def test_every_dtype_comes_back_exactly(tmp_path, suffix, dtype):
    array = draw((6, 7, 5), dtype)
    with open_stack(make(tmp_path / "a.npy", array), axes="TYX") as stack:
        copy(stack, tmp_path / f"b{suffix}", RNG.permutation(6))
    np.testing.assert_array_equal(load_image(tmp_path / f"b{suffix}"), array)
    with open_stack(tmp_path / f"b{suffix}", axes="TYX") as stack:
        assert (stack.axes, stack.shape, stack.dtype) == ("TYX", array.shape, array.dtype)
        assert (stack.frame_axes, stack.frame_shape, stack.frame_count) == ("YX", (7, 5), 6)
        for i in range(6):
            np.testing.assert_array_equal(stack.frame(i), array[i])
        assert stack.extent() == (array.min(), array.max())
    assert sorted(os.listdir(tmp_path)) == ["a.npy", f"b{suffix}"]


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
@pytest.mark.parametrize(
    ("shape", "axes", "channels"),
    [
        ((7, 5), "YX", 1),
        ((7, 5, 3), "YXC", 1),
        ((7, 5, 3), "YXC", 3),
        ((7, 5, 1), "YXC", 1),
        ((7, 5, 2), "YXC", 2),
        ((4, 7, 5, 3), "TYXC", 3),
        ((7, 5, 4), "YXT", 1),
        ((4, 3, 7, 5), "TCYX", 3),
        ((1, 3, 7, 5), "TCYX", 1),
        ((3, 5, 4, 2, 7), "CXTZY", 3),
    ],
)
def test_every_arrangement_comes_back(tmp_path, suffix, shape, axes, channels):
    array = draw(shape, "uint16")
    with open_stack(make(tmp_path / "a.npy", array), axes=axes, model_channels=channels) as stack:
        copy(stack, tmp_path / f"b{suffix}", range(stack.frame_count)[::-1])
    np.testing.assert_array_equal(load_image(tmp_path / f"b{suffix}").squeeze(), array.squeeze())


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("a.png", (9, 8), "uint8"),
        ("a.png", (9, 8), "uint16"),
        ("a.png", (9, 8, 3), "uint8"),
        ("a.bmp", (9, 8), "uint8"),
    ],
)
def test_pictures_are_stacks_of_one_frame(tmp_path, name, shape, dtype):
    image = draw(shape, dtype)
    imsave(tmp_path / name, image, check_contrast=False)
    with open_stack(tmp_path / name, model_channels=3 if len(shape) == 3 else 1) as stack:
        assert stack.frame_count == 1
        np.testing.assert_array_equal(stack.frame(0), image)
        with create_stack(tmp_path / f"b{name}", stack) as writer:
            writer.write(0, stack.frame(0))
        with create_stack(tmp_path / f"b{name}", stack, resume=True) as writer:
            np.testing.assert_array_equal(writer.read(0), 0)  # not flushed: never written
            writer.write(0, stack.frame(0))
            writer.commit()
    np.testing.assert_array_equal(load_image(tmp_path / f"b{name}"), image)


def test_what_a_picture_cannot_hold_is_refused(tmp_path):
    with open_stack(make(tmp_path / "a.npy", draw((4, 7, 5), "uint8")), axes="TYX") as stack:
        with pytest.raises(InputError, match=r"choose an output such as .tif"):
            create_stack(tmp_path / "b.png", stack)
        with pytest.raises(InputError, match="one of the suffixes"):
            create_stack(tmp_path / "b.docx", stack)
    assert os.listdir(tmp_path) == ["a.npy"]


def test_an_output_of_another_dtype(tmp_path):
    stack = open_stack(make(tmp_path / "a.npy", draw((4, 7, 5), "uint8")), axes="TYX")
    with stack, create_stack(tmp_path / "b.tif", stack, dtype="float32") as writer:
        writer.write(1, np.full((7, 5), 0.5, "float32"))
        with pytest.raises(InputError, match="dtype float32"):
            writer.write(1, stack.frame(1))
        with pytest.raises(InputError, match="shape"):
            writer.write(1, np.zeros((5, 7), "float32"))
        writer.commit()
    assert load_image(tmp_path / "b.tif").dtype == np.float32


@pytest.mark.parametrize("suffix", list(HOLDS))
def test_an_interrupted_output_is_gone_on_with(tmp_path, suffix):
    array = draw((6, 7, 5), "uint16")
    output = tmp_path / f"b{suffix}"
    with open_stack(make(tmp_path / "a.npy", array), axes="TYX") as stack:
        with pytest.raises(InputError, match="found none"):
            create_stack(output, stack, resume=True)
        with create_stack(output, stack) as writer:
            for i in (0, 3):
                writer.write(i, stack.frame(i))
            writer.flush()
            partial = writer.partial
        assert partial.exists() and not output.exists()
        with create_stack(output, stack, resume=True) as writer:
            np.testing.assert_array_equal(writer.read(3), array[3])
            for i in (5, 1, 2, 4):
                writer.write(i, stack.frame(i))
            writer.commit()
    np.testing.assert_array_equal(load_image(output), array)
    assert not partial.exists()


@pytest.mark.parametrize("suffix", list(HOLDS))
def test_a_partial_file_of_another_stack_is_not_gone_on_with(tmp_path, suffix):
    with open_stack(make(tmp_path / "a.npy", draw((6, 7, 5), "uint16")), axes="TYX") as stack:
        create_stack(tmp_path / f"b{suffix}", stack).close()
        with pytest.raises(InputError, match="delete it"):
            create_stack(tmp_path / f"b{suffix}", stack, dtype="float32", resume=True)
    with open_stack(make(tmp_path / "c.npy", draw((5, 7, 5), "uint16")), axes="TYX") as stack:
        with pytest.raises(InputError, match="delete it"):
            create_stack(tmp_path / f"b{suffix}", stack, resume=True)
        create_stack(tmp_path / f"b{suffix}", stack).discard()  # but a new one takes its place
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "c.npy"]


def test_axes_come_from_the_file_where_it_says_them(tmp_path):
    tifffile.imwrite(tmp_path / "told.tif", draw((4, 7, 5), "uint16"), imagej=True, metadata={"axes": "TYX"})
    with open_stack(tmp_path / "told.tif") as stack:
        assert stack.axes == "TYX"
    tifffile.imwrite(tmp_path / "ome.ome.tif", draw((4, 2, 7, 5), "uint16"), metadata={"axes": "ZCYX"})
    with open_stack(tmp_path / "ome.ome.tif") as stack:
        assert (stack.axes, stack.frame_count) == ("ZCYX", 8)
    tifffile.imwrite(tmp_path / "plain.tif", draw((4, 7, 5), "uint16"), photometric="minisblack")
    with pytest.raises(InputError, match="--axes TYX"):
        open_stack(tmp_path / "plain.tif")
    with open_stack(tmp_path / "plain.tif", axes="zyx") as stack:
        assert stack.axes == "ZYX"
    with pytest.raises(InputError, match="names 2 axes"):
        open_stack(tmp_path / "plain.tif", axes="YX")


def test_a_crash_leaves_the_previous_output_untouched(tmp_path):
    array = draw((6, 7, 5), "uint16")
    make(tmp_path / "a.npy", array)
    (tmp_path / "b.tif").write_text("previous")
    script = (
        "import os, sys; from gaintuning_tf.images.stack_files import *\n"
        "stack = open_stack('a.npy', axes='TYX'); writer = create_stack('b.tif', stack)\n"
        "writer.write(2, stack.frame(2)); writer.flush(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 9
    assert (tmp_path / "b.tif").read_text() == "previous"
    with open_stack(tmp_path / "a.npy", axes="TYX") as stack:
        writer = create_stack(tmp_path / "b.tif", stack, resume=True)
        np.testing.assert_array_equal(writer.read(2), array[2])
        writer.commit()
    np.testing.assert_array_equal(load_image(tmp_path / "b.tif")[2], array[2])


def test_the_identity_changes_with_the_file(tmp_path):
    import json

    path = make(tmp_path / "a.npy", draw((6, 7, 5), "uint16"))
    with open_stack(path, axes="TYX") as stack:
        before = json.loads(json.dumps(stack.identity()))
        assert stack.identity() == before
        os.utime(path, ns=(1, 1))
        assert stack.identity() != before


def test_the_extent_is_that_of_finite_values(tmp_path):
    array = draw((3, 7, 5), "float32")
    array[0, 0, 0], array[1, 1, 1] = np.nan, np.inf
    array[2] = np.nan
    with open_stack(make(tmp_path / "a.npy", array), axes="TYX") as stack:
        finite = array[np.isfinite(array)]
        assert stack.extent() == (finite.min(), finite.max())
    with open_stack(make(tmp_path / "a.npy", array * np.nan), axes="TYX") as stack:
        assert np.isnan(stack.extent()).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int32", "uint64", "int64"])
def test_conversion_clips_and_rounds(dtype):
    limits = np.iinfo(dtype)
    frame = np.array([-1e30, 1e30, 2.6, float(limits.max)], "float32")
    assert convert(frame, dtype).tolist() == [limits.min, limits.max, 3, limits.max]
    assert convert(frame, dtype).dtype == dtype
    with pytest.raises(InputError, match="NaN"):
        convert(np.array([np.nan], "float32"), dtype)


def test_conversion_to_floats_makes_nothing_infinite():
    assert convert(np.array([1e6, -1e6, 1.5, np.inf], "float32"), "float16").tolist() == [65504, -65504, 1.5, np.inf]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5)), "at least 2 pixels"),
        (np.zeros((1, 1)), "at least 2 pixels"),
        (np.zeros((5, 5), bool), "dtype bool"),
        (np.zeros((5, 5), complex), "dtype complex"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array, message):
    with pytest.raises(InputError, match=message):
        open_stack(make(tmp_path / "a.npy", array))


PEAK = """
import resource, sys
import numpy as np
from gaintuning_tf.images.stack_files import create_stack, may_be_volume, open_stack
with open_stack(sys.argv[1], axes="TYX") as stack:
    stack.frame(0)  # with what its library needs
    with create_stack(sys.argv[2], stack) as writer:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(stack.frame_count):
            writer.write(i, stack.frame(i))
        writer.commit()
    stack.extent()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures in the units of Linux")
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".tif", {}),
        (".tif", {"compression": "zlib"}),
        (".npy", {}),
        (".mrc", {}),
        (".zarr", {}),
        (".dm3", {}),
        (".emd", {}),
    ],
)
def test_memory_does_not_grow_with_the_frames(tmp_path, suffix, options):
    # Frames of half a MB: 70 more of them are 35 MB.
    frame = draw((512, 512), "uint16")
    grown = []
    for count in (10, 80):
        stack = np.broadcast_to(frame, (count, 512, 512))
        source = tmp_path / f"{count}{suffix}"
        write_source(source, stack, **options)
        output = tmp_path / f"out{suffix if suffix in HOLDS else '.tif'}"
        run = subprocess.run(
            [sys.executable, "-c", PEAK, str(source), str(output)], capture_output=True, text=True, check=True
        )
        grown.append(int(run.stdout) / 1024)
    assert grown[1] < grown[0] + 8, f"MB beyond the first frame, for 10 and for 80 frames: {grown}"


def write_source(path, stack, **options):
    if path.suffix == ".tif":
        tifffile.imwrite(path, stack, photometric="minisblack", **options)
    elif path.suffix == ".npy":
        np.save(path, stack)
    elif path.suffix == ".dm3":
        samples.write_dm3(path, stack)
    elif path.suffix == ".emd":
        samples.write_emd(path, stack, chunks=(512, 512, 1))
    else:
        with open_stack(make(path.with_suffix(".npy"), stack), axes="TYX") as read:
            copy(read, path)


@pytest.mark.parametrize("suffix", list(HOLDS))
def test_a_full_disk_is_an_error_that_leaves_the_previous_output(tmp_path, suffix):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system of 300 kB")
    try:
        array = RNG.integers(0, 60000, (20, 100, 100)).astype("uint16")  # 400 kB that do not pack
        small = disk / f"b{suffix}"
        with open_stack(make(tmp_path / "small.npy", array[:2]), axes="TYX") as stack:
            copy(stack, small)
        stack = open_stack(make(tmp_path / "a.npy", array), axes="TYX")
        with stack, pytest.raises(OSError, match="No space left"):
            copy(stack, small)
        np.testing.assert_array_equal(load_image(small), array[:2])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("suffix", list(HOLDS))
def test_two_at_the_same_output_do_not_mix(tmp_path, suffix):
    with open_stack(make(tmp_path / "a.npy", draw((4, 7, 5), "uint16")), axes="TYX") as stack:
        first = create_stack(tmp_path / f"b{suffix}", stack)
        (tmp_path / f"link{suffix}").symlink_to(tmp_path / f"b{suffix}")
        for name in ("b", "link"):
            for resume in (False, True):
                with pytest.raises(InputError, match="another process is writing"):
                    create_stack(tmp_path / f"{name}{suffix}", stack, resume=resume)
        for i in range(4):
            first.write(i, stack.frame(i))
        first.commit()
        np.testing.assert_array_equal(load_image(tmp_path / f"b{suffix}"), load_image(tmp_path / "a.npy"))
        copy(stack, tmp_path / f"link{suffix}")  # free again
        assert (tmp_path / f"link{suffix}").is_symlink()


def test_an_open_stack_is_seen_for_another_network_without_being_read_again(tmp_path, monkeypatch):
    image = draw((9, 8, 3), "uint8")
    imsave(tmp_path / "a.png", image, check_contrast=False)
    with open_stack(tmp_path / "a.png") as grey:
        monkeypatch.setattr(
            "gaintuning_tf.images.pictures.targets.read_picture", lambda path: pytest.fail("read again")
        )
        with open_stack(grey, model_channels=3) as colour:
            assert (grey.frame_count, colour.frame_count, colour.identity()) == (3, 1, grey.identity())
            np.testing.assert_array_equal(colour.frame(0), image)
        np.testing.assert_array_equal(grey.frame(2), image[..., 2])
        np.testing.assert_array_equal(grey.array(), image)
    source = make(tmp_path / "a.npy", draw((4, 5, 6), "uint16"))
    with open_stack(source, axes="TYX") as stack:
        open_stack(stack).close()
        assert open_stack(stack).axes == "TYX"
        np.testing.assert_array_equal(stack.array(), np.load(source))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are found in /proc")
def test_a_closed_stack_has_no_file_open_whatever_the_format(tmp_path):
    for module in ("mrcfile", "rsciio", "zarr"):
        pytest.importorskip(module, reason="needs the extra `microscopy`")
    for path in samples.write_samples(tmp_path):
        axes = "TYX" if len(load_image(path).shape) == 3 else None
        with open_stack(path, axes=axes) as stack:
            stack.frame(0)
        names = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        assert [name for name in names if name.startswith(str(tmp_path))] == [], stack.path.name


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
@pytest.mark.parametrize(
    ("shape", "axes", "channels"), [((4, 7, 5), "ZYX", 1), ((2, 4, 7, 5), "TZYX", 1), ((4, 3, 7, 5), "ZCYX", 3)]
)
def test_volumes_are_frames_of_a_network_of_volumes(tmp_path, suffix, shape, axes, channels):
    array = draw(shape, "uint16")
    how = {"model_channels": channels, "dimensions": 3}
    with open_stack(make(tmp_path / "a.npy", array), axes=axes, **how) as stack:
        copy(stack, tmp_path / f"b{suffix}", range(stack.frame_count)[::-1])
        assert stack.frame_axes == ("ZYX" if channels == 1 else "ZYXC")
        assert stack.extent() == (array.min(), array.max())
    np.testing.assert_array_equal(load_image(tmp_path / f"b{suffix}"), array)
    with open_stack(tmp_path / f"b{suffix}", axes=axes) as stack:
        assert (stack.frame_count, stack.frame_axes) == (array.size // 35, "YX")


def test_what_may_be_a_volume(tmp_path):
    volume = draw((4, 7, 5), "uint16")
    for axes, expected in (("ZYX", True), ("TYX", False)):
        tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, metadata={"axes": axes})
        assert may_be_volume(tmp_path / "a.tif") is expected
    assert may_be_volume(make(tmp_path / "a.npy", volume)) and not may_be_volume(tmp_path / "a.npy", "TYX")
    assert not may_be_volume(make(tmp_path / "a.npy", volume[..., :3]))
    # A file that says nothing has a volume, where there can be no other.
    with open_stack(make(tmp_path / "a.npy", volume), dimensions=3) as stack:
        assert stack.axes == "ZYX"
