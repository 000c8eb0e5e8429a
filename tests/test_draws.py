"""Random numbers for the images of a batch."""

import numpy as np
import tensorflow as tf

from gaintuning_tf import draws
from gaintuning_tf.divergence import draw_probe


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
        return tf.random.stateless_poisson(tf.shape(rate), (0, 1), rate, tf.float32)

    with draws.alike():
        together = draws.of_images(draw, means)
    for index in range(3):
        np.testing.assert_array_equal(together[index], draw(means[index : index + 1])[0])
    np.testing.assert_array_equal(draws.of_images(draw, means), draw(means))


def test_an_error_within_ends_it():
    try:
        with draws.alike():
            raise ValueError
    except ValueError:
        found = draw_probe((2, 50), (0, 1)).numpy()
    assert not np.array_equal(found[0], found[1])
