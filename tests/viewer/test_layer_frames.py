"""The pixels of a layer frame by frame: what is read, and which axes and places there are."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.viewer.layer_frames import LayerFrames, place_of, suggested_axes


class Watched:
    """An array that remembers what was read of it."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.most = values, values.shape, values.dtype, 0

    def __getitem__(self, index):
        part = self.values[index]
        self.most = max(self.most, part.size)
        return part


def test_a_movie_is_read_frame_by_frame():
    values = np.arange(5 * 8 * 6, dtype=np.uint16).reshape(5, 8, 6)
    watched = Watched(values)
    frames = LayerFrames(watched, "TYX")
    read = []
    frames.reading = read.append
    assert frames.extent() == (0.0, 239.0)
    assert read == [0, 1, 2, 3, 4] and watched.most == 48
    np.testing.assert_array_equal(frames.frame(3), values[3])


def test_one_frame_keeps_the_axes_of_the_array():
    values = np.arange(2 * 3 * 8 * 6).reshape(2, 3, 8, 6)
    frames = LayerFrames(values, "TZYX")
    only = frames.only((1, 2, 5, 5))
    assert only.shape == (1, 1, 8, 6) and only.order.frame_count == 1
    np.testing.assert_array_equal(only.frame(0), values[1, 2])
    volume = frames.seen_by(None, 1, dimensions=3).only((1, 2, 5, 5))
    assert volume.shape == (1, 3, 8, 6)
    np.testing.assert_array_equal(volume.frame(0), values[1])


def test_colours_are_one_frame_or_three_by_what_the_network_takes():
    colours = np.arange(8 * 6 * 3).reshape(8, 6, 3)
    frames = LayerFrames(colours, "YXC")
    assert frames.order.frame_count == 3
    whole = frames.seen_by(None, 3).only((0, 0, 0))
    np.testing.assert_array_equal(whole.frame(0), colours)


def test_axes_that_labels_do_not_say_follow_from_their_number():
    assert suggested_axes((4, 5, 64, 64), labels=("-4", "-3", "-2", "-1")) == "TZYX"
    assert suggested_axes((4, 5, 64, 64), labels=("time", "channel", "y", "x")) == "TCYX"
    assert suggested_axes((4, 64, 64, 3), rgb=True, labels=("t", "y", "x")) == "TYXC"
    with pytest.raises(InputError, match="two to five axes"):
        suggested_axes((64,))


def test_labels_and_complex_layers_are_refused():
    with pytest.raises(InputError, match="integers or floats, cells has dtype bool"):
        LayerFrames(np.zeros((8, 8), bool), "YX", name="cells")


def test_a_preview_lies_where_its_frame_does():
    look = {"scale": [2.0, 0.5, 0.5], "translate": [10.0, 1.0, 1.0]}
    placed = place_of(look, (3, 7, 7), "TYX", "YX")
    np.testing.assert_allclose(placed["translate"], [16, 1, 1])
