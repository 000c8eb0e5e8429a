"""What a network's numbers mean: read from words, and as layers around the network."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import InputError, insert_gains, load_gains, save_gains
from gaintuning_tf.gains.contrast import with_contrast
from gaintuning_tf.gains.normalization_layers import (
    fixed_on,
    limits_of,
    take_normalization,
    with_normalization,
    with_range,
    within_limits,
)
from gaintuning_tf.support.normalization import Normalization, as_normalization

WORDS = ["0..255", "-1..1", "0.5..2", "mean-std:100:20", "mean-std:1,2,3:4,5,6", "percentiles:3:99.8", "standardize"]


def images(shape=(2, 9, 7, 1)):
    return np.random.default_rng(0).gamma(2.0, 0.2, shape).astype("float32")


@pytest.mark.parametrize("words", WORDS)
def test_words_say_it_and_it_says_the_words(words):
    assert str(as_normalization(words)) == words
    assert as_normalization(as_normalization(words), "noise").predicts == "noise"


def test_nothing_said_is_the_usual():
    assert as_normalization(None).is_plain
    assert as_normalization("0..1", "image").is_plain
    assert not as_normalization(None, "noise").is_plain
    assert str(as_normalization("percentiles")) == "percentiles:3:99.8"


@pytest.mark.parametrize(
    "words",
    ["", "255", "1..0", "0..inf", "0..x", "mean-std", "mean-std:1", "mean-std:1:0", "mean-std:1,2:3"]
    + ["percentiles:3", "percentiles:-1:50", "percentiles:50:101", "percentiles:9:1", "standardize:1", "z-score"],
)
def test_other_words_are_refused(words):
    with pytest.raises(InputError, match="expected"):
        as_normalization(words)
    with pytest.raises(InputError, match="predicts"):
        as_normalization(None, "residual")


def test_the_usual_puts_nothing_around(tiny):
    assert with_range(tiny, Normalization()) is tiny
    assert with_normalization(tiny, as_normalization("0..255")) is tiny
    assert take_normalization(tiny) == (tiny, Normalization())


@pytest.mark.parametrize("predicts", ["image", "noise"])
def test_a_range_is_seen_and_undone(tiny, predicts):
    noisy = images()
    low, high = -1.0, 3.0
    seen = low + (high - low) * noisy
    expected = tiny(seen) if predicts == "image" else seen - tiny(seen)
    model = with_range(tiny, as_normalization("-1..3", predicts))
    np.testing.assert_allclose(model(noisy), (expected - low) / (high - low), atol=1e-6)
    assert take_normalization(model) == (model, as_normalization("-1..3", predicts))


def test_channels_may_have_means_of_their_own():
    normalization = as_normalization("mean-std:1,2,3:4,5,6")
    same = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Activation("linear")])
    seen = []
    inputs = keras.Input((None, None, 3))
    spy = keras.Model(inputs, keras.layers.Lambda(lambda x: seen.append(x) or x)(inputs))
    model = with_normalization(with_range(spy, normalization), normalization)
    noisy = 10 * images((1, 5, 4, 3))
    seen.clear()
    np.testing.assert_allclose(model(noisy), same(noisy), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(seen[-1], (noisy - [1, 2, 3]) / [4, 5, 6], rtol=1e-5, atol=1e-5)


def test_limits_are_those_of_numpy():
    noisy = images((3, 31, 17, 2))
    flat = noisy.reshape(3, -1).astype("float64")
    low, span = limits_of(as_normalization("percentiles:3:99.8"), tf.constant(noisy))
    expected = np.percentile(flat, (3, 99.8), axis=1)
    np.testing.assert_allclose([low, low + span], expected, rtol=1e-6)
    low, span = limits_of(as_normalization("standardize"), tf.constant(noisy))
    np.testing.assert_allclose([low + span / 2, span / 4], [flat.mean(1), flat.std(1)], rtol=1e-5)
    given = as_normalization("mean-std:100:20").of_frames(50.0, 10.0)
    low, span = limits_of(given, tf.constant(noisy))
    np.testing.assert_allclose([low, span], [[(60 - 10) / 50] * 3, [80 / 50] * 3], rtol=1e-6)


def test_limits_are_constants_of_the_image():
    noisy = tf.constant(images((1, 8, 8, 1)))
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        low, span = limits_of(as_normalization("standardize"), noisy)
        total = tf.reduce_sum(low + span)
    assert tape.gradient(total, noisy) is None
    flat = tf.fill((1, 4, 4, 1), 3.0)
    assert [part.numpy().tolist() for part in limits_of(as_normalization("percentiles"), flat)] == [[3.0], [1.0]]


@pytest.mark.parametrize("words", ["mean-std:0.4:0.2", "percentiles", "standardize"])
def test_layers_survive_saving_and_come_off_again(tiny, tmp_path, words):
    normalization = as_normalization(words, "noise").of_frames(2.0, 0.1)
    inner = with_contrast(with_range(insert_gains(tiny), normalization), 0.5)
    model = with_normalization(inner, normalization)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(images()), model(images()), atol=1e-6)
    taken, found = take_normalization(again)
    assert (found, found.scale, found.offset) == (normalization, 2.0, 0.1)
    expected = within_limits(normalization, lambda y: inner(y))(tf.constant(images()))
    np.testing.assert_allclose(model(images()), expected, atol=1e-6)
    np.testing.assert_allclose(taken(images()), inner(images()), atol=1e-6)


def test_parts_of_an_image_are_seen_as_the_whole_is(tiny):
    image, normalization = images((1, 40, 40, 1)), as_normalization("percentiles")
    image[:, 30:] *= 10
    whole = with_normalization(with_range(tiny, normalization), normalization)
    fixed = with_normalization(with_range(tiny, normalization), fixed_on(normalization, image))
    part = fixed(image[:, :20])[:, 2:18, 2:-2]
    np.testing.assert_allclose(part, whole(image)[:, 2:18, 2:-2], atol=1e-5)
    # The limits of the part alone are others, which shows: the network has biases.
    assert np.abs(part - whole(image[:, :20])[:, 2:18, 2:-2]).max() > 1e-4


def test_gains_of_a_normalised_network_fit_the_network_itself(tiny, tmp_path):
    normalization = as_normalization("percentiles", "noise")
    model = with_normalization(with_contrast(with_range(insert_gains(tiny), normalization), 0.5), normalization)
    save_gains(model, tmp_path / "a.gains.h5")
    again = load_gains(model, tmp_path / "a.gains.h5")
    np.testing.assert_array_equal(again(images()), model(images()))
    bare = load_gains(tiny, tmp_path / "a.gains.h5")
    assert take_normalization(bare)[1].is_plain
    assert json.loads(again.to_json())["config"]["name"] == tiny.name
