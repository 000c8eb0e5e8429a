"""Which frames an array has, in which order."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.images.frame_order import FrameOrder


@pytest.mark.parametrize(
    ("shape", "axes", "channels"),
    [
        ((7, 5), "YX", 1),
        ((5, 7), "XY", 1),
        ((7, 5, 3), "YXC", 1),
        ((7, 5, 3), "YXC", 3),
        ((4, 7, 5), "TYX", 1),
        ((7, 5, 4), "YXT", 1),
        ((4, 3, 7, 5), "TCYX", 1),
        ((4, 3, 7, 5), "TCYX", 3),
        ((3, 5, 4, 2, 7), "CXTZY", 1),
        ((3, 5, 4, 2, 7), "CXTZY", 3),
    ],
)
def test_frames_are_those_of_the_layout(shape, axes, channels):
    array = np.random.default_rng(0).random(shape).astype("float32")
    frames = layout(array, channels, axes=axes).frames(array)
    order = FrameOrder(axes, shape, channels)
    assert order.frame_count == len(frames)
    back = np.zeros_like(array)
    for i in range(order.frame_count):
        frame = order.frame(array[order.index(i)])
        assert frame.shape == order.frame_shape
        assert order.number(order.index(i)) == i
        np.testing.assert_array_equal(frame.reshape(frames.shape[1:]), frames[i])
        back[order.index(i)] = order.part(frame)
    np.testing.assert_array_equal(back, array)
    together = order.frames(array)
    np.testing.assert_array_equal(together.reshape(frames.shape), frames)
    np.testing.assert_array_equal(order.array(together), array)


def test_frames_are_numbered_by_time_then_depth_then_channel():
    array = np.arange(2 * 3 * 2)[:, None, None, None, None] + np.zeros((1, 1, 1, 4, 5))
    order = FrameOrder("CZTYX", (2, 3, 2, 4, 5), 1)
    # Counted by C, then Z, then T, a frame has another number.
    array = array.reshape(2, 3, 2, 4, 5)
    numbers = [int(array[order.index(i)][0, 0]) for i in range(12)]
    assert numbers == [c * 6 + z * 2 + t for t in range(2) for z in range(3) for c in range(2)]
    assert order.number((1, 2, 0, 7, 7)) == 5


def test_numbers_out_of_range_and_other_channels_are_refused():
    for i in (-1, 8):
        with pytest.raises(InputError, match="of 0 to 7"):
            FrameOrder("TCYX", (4, 2, 7, 5), 1).index(i)
    with pytest.raises(InputError, match="3 channels, received 2"):
        FrameOrder("TCYX", (4, 2, 7, 5), 3)


@pytest.mark.parametrize(
    ("shape", "axes", "channels", "frames", "own"),
    [
        ((4, 7, 5), "ZYX", 1, 1, "ZYX"),
        ((2, 4, 7, 5), "TZYX", 1, 2, "ZYX"),
        ((4, 3, 7, 5), "ZCYX", 1, 3, "ZYX"),
        ((4, 3, 7, 5), "ZCYX", 3, 1, "ZYXC"),
        ((3, 5, 4, 2, 7), "CXTZY", 3, 4, "ZYXC"),
    ],
)
def test_to_a_network_of_volumes_a_frame_is_a_volume(shape, axes, channels, frames, own):
    array = np.random.default_rng(0).random(shape).astype("float32")
    order = FrameOrder(axes, shape, channels, 3)
    assert (order.frame_count, order.frame_axes) == (frames, own)
    arrangement = layout(array, channels, axes=axes, dimensions=3)
    volumes, back = arrangement.frames(array), np.zeros_like(array)
    for i in range(frames):
        frame = order.frame(array[order.index(i)])
        assert frame.shape == order.frame_shape == order.own.shape
        np.testing.assert_array_equal(frame.reshape(volumes.shape[1:]), volumes[i])
        back[order.index(i)] = order.part(frame)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_allclose(arrangement.image(volumes), array, atol=2**-24)
    # To a network of images, each plane is one: there are as many more frames as it has depth.
    assert order.planes.frame_count == frames * shape[axes.index("Z")]


def test_volumes_need_a_depth_and_networks_two_or_three_dimensions():
    with pytest.raises(InputError, match=r"takes volumes, received the axes TYX: .* axes='ZYX' or --axes ZYX"):
        FrameOrder("TYX", (4, 7, 5), 1, 3)
    with pytest.raises(InputError, match="images or volumes, received one of 1 spatial axes"):
        FrameOrder("YX", (7, 5), 1, 1)
