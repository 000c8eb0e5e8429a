"""Which gains are kept, the learning rate, and the windows: shared by Python's loop and the graph's."""

import math

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.tuning import selection, windows as tuning_windows


def test_the_lowest_running_average_is_remembered_group_by_group():
    risks = np.float32([[5, 1], [1, 5], [1, 5], [9, 0]])
    known = selection.nothing_seen([tf.zeros((2, 3))], groups=2)
    for number, risk in enumerate(risks):
        known = selection.remember(known, [tf.fill((2, 3), float(number))], tf.constant(risk))
    weights = [selection.SMOOTHING ** np.arange(n)[::-1] for n in range(1, 5)]
    averages = np.array([w @ risks[: len(w)] / w.sum() for w in weights])
    assert known.values[0].numpy()[:, 0].tolist() == averages.argmin(0).tolist() == [2, 0]
    np.testing.assert_allclose(known.lowest, averages.min(0), rtol=1e-6)


def test_one_group_stands_for_gains_that_all_images_share():
    known = selection.remember(selection.nothing_seen([tf.zeros(3)], groups=1), [tf.ones(3)], tf.constant([2.0]))
    assert known.values[0].numpy().tolist() == [1, 1, 1]
    assert known.lowest.numpy().tolist() == pytest.approx([2])


def test_a_risk_that_is_not_a_number_is_never_the_lowest():
    known = selection.nothing_seen([tf.zeros(3)], groups=1)
    for risk in (2.0, np.nan, 1.0):
        known = selection.remember(known, [tf.fill([3], risk)], tf.constant([risk]))
    assert known.values[0].numpy().tolist() == [2, 2, 2]


def test_the_first_of_equal_candidates_is_kept():
    candidates = [[tf.fill((2, 1), float(number))] for number in range(3)]
    kept, lowest = selection.keep_best(
        candidates, [tf.constant([1.0, 2.0]), tf.constant([1.0, 1.0]), tf.constant([3.0, 1.0])]
    )
    assert kept[0].numpy().ravel().tolist() == [0, 1]
    assert lowest.numpy().tolist() == [1, 1]


def test_held_out_probes_are_never_those_of_a_step():
    seen = []

    def risk(gains, seed):
        seen.append(seed.numpy().tolist())
        return tf.constant([float(len(seen)), np.inf])

    mean = selection.held_out(risk, [], 7)
    assert mean.numpy().tolist() == [1.5, np.inf]
    assert [seed[0] for seed in seen] == [7, 7]
    assert min(seed[1] for seed in seen) >= 2**30


def test_windows_reach_every_corner_and_stay_inside():
    image = tf.reshape(tf.range(5 * 4), (1, 5, 4, 1))
    size = tuning_windows.window_size(image, 3)
    assert size.numpy().tolist() == [3, 3]
    corners = {int(tuning_windows.random_window(image, [0, number], size)[0, 0, 0, 0]) for number in range(100)}
    assert corners == {row * 4 + column for row in range(3) for column in range(2)}


def test_an_image_smaller_than_the_window_is_seen_whole():
    image = tf.reshape(tf.range(6), (1, 2, 3, 1))
    np.testing.assert_array_equal(
        tuning_windows.random_window(image, [0, 1], tuning_windows.window_size(image, 512)), image
    )


def test_windows_are_the_same_compiled_or_not():
    image = tf.reshape(tf.range(900.0), (1, 30, 30, 1))
    size = tuning_windows.window_size(image, 8)
    for jit_compile in (False, True):
        compiled = tf.function(lambda seed: tuning_windows.random_window(image, seed, [8, 8]), jit_compile=jit_compile)
        for number in range(3):
            seed = tf.constant([2**40, number], tf.int64)
            np.testing.assert_array_equal(compiled(seed), tuning_windows.random_window(image, seed, size))


@pytest.mark.parametrize(("pixels", "probes"), [(0, 2), (128**2, 2), (256**2, 1), (512**2, 1)])
def test_of_many_pixels_one_held_out_probe_is_enough(pixels, probes):
    seen = []

    def risk(gains, seed):
        seen.append(seed)
        return tf.ones(1)

    selection.held_out(risk, [], 0, tf.constant(pixels))
    assert len(seen) == probes


@pytest.mark.parametrize(
    ("shape", "pixels", "side", "whole", "size", "count"),
    [
        ((30, 40), 64**2, 32, 64**2, (30, 40), 1),
        ((64, 64), 64**2, 32, 64**2, (64, 64), 1),
        ((65, 64), 64**2, 32, 64**2, (32, 32), 4),
        ((64, 64), 64**2, 32, 4000, (32, 32), 4),
        ((640, 640), 64**2, 32, 64**2, (32, 32), 4),  # no more than was asked for
        ((48, 48), 64**2, 32, 1000, (32, 32), 2),  # about as many as the image has
        ((20, 300), 64**2, 32, 64**2, (20, 32), 6),
        ((30, 40), math.inf, 32, math.inf, (30, 40), 1),
    ],
)
def test_an_image_is_seen_whole_or_in_windows_of_as_many_pixels(shape, pixels, side, whole, size, count):
    found = tuning_windows.windows_of(tf.zeros((2, *shape, 1)), pixels, side, whole)
    assert (tuple(found.size.numpy()), int(found.count)) == (size, count)


def test_the_first_window_of_a_step_has_its_seed_and_no_other_has_one_of_another_step():
    seeds = [
        tuning_windows.window_seed(tuning_windows.step_seed(5, step), number)
        for step in range(3)
        for number in range(3)
    ]
    assert seeds[0].numpy().tolist() == [5, 0]
    assert len({tuple(seed.numpy()) for seed in seeds}) == 9


def places(side, window, count, steps, seed=0):
    """Corners of all windows of a run on an image whose pixels are numbered."""
    image = tf.reshape(tf.range(side * side), (1, side, side, 1))
    windows = tuning_windows.Windows(tf.constant([window, window]), tf.constant(count))
    run = [(tuning_windows.step_seed(seed, step), number) for step in range(steps) for number in range(count)]
    parts = [tuning_windows.spread_window(image, key, number, windows).numpy()[0, :, :, 0] for key, number in run]
    assert {part.shape for part in parts} == {(window, window)}
    assert all(part[-1, -1] - part[0, 0] == (window - 1) * (side + 1) for part in parts), "one piece of the image"
    return parts


def test_windows_of_a_run_cover_an_image_more_evenly_than_random_ones():
    side, window, count, steps = 64, 16, 4, 4
    covered = [len(np.unique(places(side, window, count, steps, seed))) / side**2 for seed in range(5)]
    image = tf.reshape(tf.range(side**2), (1, side, side, 1))
    size = tf.constant([window, window])
    drawn = [
        [tuning_windows.random_window(image, [seed, number], size).numpy() for number in range(count * steps)]
        for seed in range(5)
    ]
    by_chance = [len(np.unique(parts)) / side**2 for parts in drawn]
    assert min(covered) > max(by_chance)


def test_windows_of_another_seed_are_elsewhere_and_those_of_an_image_of_their_size_are_it():
    assert places(64, 16, 2, 2, seed=0)[0][0, 0] != places(64, 16, 2, 2, seed=1)[0][0, 0]
    assert np.array_equal(places(16, 16, 1, 2)[1], np.arange(256).reshape(16, 16))


def test_windows_reach_both_ends():
    corners = np.array([part[0, 0] for part in places(12, 10, 1, 40)])
    assert {*(corners // 12)} == {*(corners % 12)} == {0, 1, 2}
