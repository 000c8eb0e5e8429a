"""The analysis of a result: what moved, before and after, of the frame that is asked for."""

import dataclasses

import numpy as np
import pytest

from gaintuning_tf import InputError, gain_layers, gaintune, insert_gains
from gaintuning_tf.gains.contrast import take_contrast, with_contrast
from gaintuning_tf.reports.analysis import analyse, choose_pixels, frame_model, gain_changes
from gaintuning_tf.reports.equivalent import equivalent_filter, net_bias


@pytest.fixture
def noisy(photograph):
    noise = np.random.default_rng(0).standard_normal(photograph.shape).astype("float32")
    return photograph + 0.1 * noise


def test_gains_of_one_have_not_moved(tiny):
    for change in gain_changes(insert_gains(tiny)):
        assert (change.rms, change.moved(0.01)) == (0, 0)


def test_what_moved_is_counted_by_layer(tiny):
    model = insert_gains(tiny)
    gain_layers(model)[0].gain.assign([1.0, 0.98, 1.06, 1.005])
    first, last = gain_changes(model)
    assert (first.layer, last.layer) == ("first_gain", "last_gain")
    assert first.rms == pytest.approx(((0.02**2 + 0.06**2 + 0.005**2) / 4) ** 0.5, rel=1e-4)
    assert [first.moved(by) for by in (0.001, 0.01, 0.05)] == [0.75, 0.5, 0.25]
    assert last.rms == 0
    with pytest.raises(InputError, match="has none; see insert_gains"):
        gain_changes(tiny)


def test_before_is_the_network_and_after_is_the_tuned_one(tiny, noisy):
    tiny.get_layer("last").bias.assign([0.1])
    result = gaintune(noisy, tiny, sigma=0.1, steps=5, progress=False)
    found = analyse(result, noisy, pixels={"here": (40, 50)})
    assert list(found.filters) == ["here"]
    image = noisy[None, ..., None]
    for model, shown, bias in zip(
        (tiny, result.model), found.filters["here"], (found.before, found.after), strict=True
    ):
        np.testing.assert_allclose(shown.weights, equivalent_filter(model, image, (40, 50)).weights, atol=1e-7)
        np.testing.assert_allclose(bias.bias, net_bias(model, image).bias, atol=1e-6)
    before, after = found.filters["here"]
    assert np.abs(after.weights - before.weights).max() > 1e-3
    assert found.window == (slice(0, 96), slice(0, 80))
    np.testing.assert_array_equal(found.denoised[..., 0], result.denoised)


def test_without_tuning_nothing_changed(tiny, noisy):
    result = gaintune(noisy, tiny, sigma=0.1, steps=0, progress=False)
    found = analyse(result, noisy)
    assert list(found.filters) == ["edge", "flat"]
    for before, after in found.filters.values():
        np.testing.assert_array_equal(before.weights, after.weights)
    np.testing.assert_array_equal(found.before.bias, found.after.bias)


def test_of_a_stack_the_frame_asked_for_is_analysed(tiny, noisy):
    stack = np.stack([noisy, noisy[::-1]])
    result = gaintune(stack, tiny, sigma=0.1, steps=3, axes="TYX", progress=False)
    found = analyse(result, stack, frame=1, pixels={"here": (40, 50)})
    single = insert_gains(tiny)
    for gain, both in zip(gain_layers(single), result.gains.values(), strict=True):
        gain.gain.assign(both[1])
    expected = equivalent_filter(single, stack[1][None, ..., None], (40, 50))
    np.testing.assert_allclose(found.filters["here"][1].weights, expected.weights, atol=1e-7)
    np.testing.assert_array_equal(found.denoised[..., 0], result.denoised[1])
    with pytest.raises(InputError, match="frame from 0 to 1, received 2"):
        analyse(result, stack, frame=2)
    with pytest.raises(InputError, match="frame from 0 to 1, received -1"):
        frame_model(result.model, -1)


def test_another_image_than_the_tuned_one_is_refused(tiny, noisy):
    result = gaintune(noisy, tiny, sigma=0.1, steps=1, progress=False)
    with pytest.raises(InputError, match=r"of shape \(96, 80\), received \(96, 79\)"):
        analyse(result, noisy[:, :-1])
    with pytest.raises(InputError, match="pixel of a 96x80 image"):
        analyse(result, noisy, pixels={"outside": (0, 80)})


def test_of_a_large_image_the_bias_is_found_where_tuning_changed_most(tiny):
    noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((300, 400, 1)).astype("float32")
    noisy[200:240, 300:340] += 2  # what the gains make brighter changes here most
    result = gaintune(noisy, tiny, sigma=0.1, steps=2, progress=False)
    found = analyse(result, noisy, pixels={})
    rows, columns = found.window
    assert (rows.stop - rows.start, columns.stop - columns.start) == (256, 256)
    assert rows.stop == 300 and columns.start <= 300 < 340 <= columns.stop
    whole = net_bias(result.model, noisy[None])
    np.testing.assert_allclose(found.after.bias, whole.bias[:, rows, columns], atol=1e-6)


def test_pixels_are_chosen_where_there_is_something_to_see():
    before = np.zeros((80, 90, 1))
    before[:, 60:] = 1
    after = before.copy()
    after[30:34, 20:24] += 0.05
    chosen = choose_pixels(before, after)
    assert list(chosen) == ["most changed", "edge", "flat"]
    assert 29 <= chosen["most changed"][0] <= 34 and 19 <= chosen["most changed"][1] <= 24
    assert 58 <= chosen["edge"][1] <= 61
    flat = chosen["flat"]
    assert abs(flat[1] - 60) > 12 and max(abs(flat[0] - 32), abs(flat[1] - 22)) > 12
    line = np.zeros((1, 40, 1))
    assert choose_pixels(line, line)["edge"][0] == 0


def test_a_frame_keeps_its_contrast(tiny):
    noisy = np.random.default_rng(0).random((2, 16, 16, 1)).astype("float32")
    gained = insert_gains(tiny, images=2)
    for number, gain in enumerate(gain_layers(gained)):
        gain.gain.assign(1 + 0.1 * np.random.default_rng(number).standard_normal(gain.gain.shape))
    model = with_contrast(gained, np.float32([0.5, 0.8]))
    for frame in range(2):
        alone = frame_model(model, frame)(noisy[frame : frame + 1])
        np.testing.assert_allclose(alone, model(noisy)[frame : frame + 1], atol=1e-6)


def test_before_is_the_network_as_it_was_whatever_the_contrast(tiny, noisy):
    result = gaintune(noisy, tiny, sigma=0.1, steps=1, progress=False)
    seen = with_contrast(take_contrast(result.model)[0], 0.5)
    other = dataclasses.replace(result, make_model=lambda: seen)
    found = analyse(other, noisy, pixels={"middle": (20, 20)})
    before, after = found.filters["middle"]
    network = equivalent_filter(tiny, noisy[None, ..., None], (20, 20))
    np.testing.assert_allclose(before.sum, network.sum, rtol=1e-5)
    # f distinguishes contrasts by kinks and a bias only.
    assert abs(after.bias - before.bias) > 1e-4
