"""Random numbers for the images of a batch."""

import subprocess
import sys

import numpy as np
import tensorflow as tf

from gaintuning_tf.losses.divergence import draw_probe
from gaintuning_tf.noise import draws


def test_images_have_numbers_of_their_own_unless_told_to_be_alike():
    apart = draw_probe((3, 4, 4, 1), (0, 1)).numpy()
    assert len(np.unique(apart)) == apart.size
    with draws.alike():
        for shape in ((3, 4, 4, 1), tf.constant([3, 4, 4, 1])):
            together = draw_probe(shape, (0, 1)).numpy()
            np.testing.assert_array_equal(together, np.repeat(draw_probe((1, 4, 4, 1), (0, 1)).numpy(), 3, 0))
    np.testing.assert_array_equal(draw_probe((3, 4, 4, 1), (0, 1)), apart)


def test_numbers_that_depend_on_the_image_are_those_that_it_would_get_alone():
    means = tf.constant([[3.0, 3.0], [50.0, 50.0], [3.0, 3.0]])

    def draw(rate):
        return draws.poisson(rate, (0, 1))

    with draws.alike():
        together = draw(means)
    for index in range(3):
        np.testing.assert_array_equal(together[index], draw(means[index : index + 1])[0])
    assert np.any(draw(means)[0] != draw(means)[2])
    plain = tf.random.stateless_poisson(means.shape, (0, 1), means, tf.float32)
    np.testing.assert_array_equal(draw(means), plain)


def test_an_error_within_ends_it():
    try:
        with draws.alike():
            raise ValueError
    except ValueError:
        found = draw_probe((2, 50), (0, 1)).numpy()
    assert not np.array_equal(found[0], found[1])


# In a process of its own: TensorFlow's samplers never end at NaN, and are deaf to Ctrl-C.
ENDLESS = """
import tensorflow as tf
from gaintuning_tf import CountSplitting, NoiseLevel, NoiseResamplingLoss
from gaintuning_tf.noise import draws

values = tf.constant([[float("nan"), float("inf"), -float("inf"), 1e38, 1e15, 7.0]])
for dtype in (tf.float32, tf.float64):
    print(*draws.poisson(tf.cast(values, dtype), (0, 1)).numpy()[0])
    print(*draws.binomial(tf.cast(values, dtype), 0.5, (0, 1)).numpy()[0])

images = tf.constant([[[[0.0], [1.0]]]] * 4)


@tf.function(input_signature=[tf.TensorSpec([None]), tf.TensorSpec([None])])
def risk(slope, nan):
    level = NoiseLevel(slope, tf.zeros_like(slope))
    split = CountSplitting()(lambda y: y, images, level, seed=(0, 1))
    return split, NoiseResamplingLoss()(lambda y: y + nan, images, level, seed=(0, 1))


for found in risk(tf.constant([0.0, 1e-45, -1.0, 0.5]), tf.constant([float("nan")])):
    print(*found.numpy())
"""


def test_no_draw_is_endless():
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [list(map(float, line.split())) for line in done.stdout.splitlines()]
    for row in rows[:4]:
        assert np.isnan(row[:3]).all() and np.isfinite(row[3:]).all()
        assert 0 <= row[5] <= 20
    # A gain of zero, one so small that the counts are infinite, and one below zero.
    assert np.isnan(rows[4][:3]).all() and np.isfinite(rows[4][3])
    assert np.isnan(rows[5]).all()
