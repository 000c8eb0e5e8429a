"""One run over an array: the result of `gaintune`, kept when it is stopped, with its gains."""

import numpy as np
import pytest

from gaintuning_tf import InputError, gaintune, load_gains
from gaintuning_tf.gains.surgery import gain_layers
from gaintuning_tf.viewer.request import Request
from gaintuning_tf.viewer.run import Run, Stopped
from helpers.networks import make_tiny

STEPS = 2


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """One file for all tests, which is compiled once."""
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    make_tiny().save(path)
    return path


def image_of(run, stop_after=None):
    """The result; stops after so many frames."""
    image = None
    for count, done in enumerate(run, 1):
        image = np.zeros(done.shape, done.part.dtype) if image is None else image
        image[done.index] = done.part
        if count == stop_after:
            run.stop()
    return image


def noisy(*shape, seed=0):
    ramp = np.linspace(60, 180, shape[-1])
    return (ramp + np.random.default_rng(seed).normal(0, 10, shape)).clip(0, 255).astype(np.uint8)


def test_an_image_becomes_what_gaintune_makes_of_it(network, tmp_path, tiny):
    image = noisy(32, 32)
    said = []
    run = Run(Request(network, sigma=10, steps=STEPS), image, "YX", report=said.append)
    denoised = image_of(run)
    assert said[-1].share == 1 and [one.words for one in said][-3:] == ["step 1 of 2", "step 2 of 2", ""]
    expected = gaintune(image, tiny, sigma=10, steps=STEPS, progress=False)
    assert denoised.dtype == np.float32
    # That one is rounded to whole numbers, by up to a half.
    np.testing.assert_allclose(denoised, expected.denoised, atol=0.501)
    assert f"({STEPS} steps)" in run.summary[0] and run.summary[1] == "Noise: sigma 10 (given)."
    run.save_gains(tmp_path / "a.gains.h5")
    loaded = load_gains(tiny, tmp_path / "a.gains.h5")
    for layer, gains in zip(gain_layers(loaded), expected.gains.values(), strict=True):
        np.testing.assert_array_equal(layer.gain, gains)


def test_a_stopped_movie_keeps_the_frames_that_are_done(network, tmp_path, tiny):
    movie = noisy(3, 32, 32)
    run = Run(Request(network, sigma=10, steps=50), movie, "TYX")
    image = image_of(run, stop_after=1)
    assert run.stopped and image[0].any() and not image[1:].any()
    assert run.summary[0] == "Stopped: 1 of 3 frames, the last after 50 steps; the others are empty."
    run.save_gains(tmp_path / "a.gains.h5")
    assert load_gains(tiny, tmp_path / "a.gains.h5") is not tiny


def test_stop_ends_an_image_after_the_step_that_it_is_in(network):
    run = Run(Request(network, sigma=10, steps=50), noisy(32, 32), "YX")
    said = []

    def look(words, done, frames):
        said.append(words)
        if words.startswith("step 2 of 50"):
            run.stop()

    run._say = look
    assert image_of(run).any()
    assert len(run.rows[0]["risk"]) == 2 and said[-2] == "step 2 of 50"
    assert run.summary[0] == "Stopped after 2 steps: the best so far."


def test_stop_before_the_first_frame_leaves_nothing(network):
    run = Run(Request(network, sigma=10, steps=STEPS), noisy(32, 32), "YX")
    run.stop()
    with pytest.raises(Stopped):
        list(run)
    assert run.summary == ["stopped before the first step: nothing is changed"]


def test_a_preview_is_the_slice_that_is_seen(network):
    movie = noisy(3, 32, 32)
    run = Run(Request(network, sigma=10, steps=STEPS), movie, "TYX", at=(2, 0, 0))
    seen = image_of(run)
    assert seen.shape == (1, 32, 32)
    np.testing.assert_array_equal(seen[0], image_of(Run(Request(network, sigma=10, steps=STEPS), movie, "TYX"))[2])


def test_frames_without_an_image_are_said_and_passed_on(network, tmp_path):
    movie = noisy(2, 32, 32)
    movie[1] = 7
    run = Run(Request(network, sigma=10, steps=STEPS), movie, "TYX")
    np.testing.assert_array_equal(image_of(run)[1], movie[1])
    assert "Frame 1: not denoised, all pixels are 7." in run.summary
    alone = Run(Request(network, sigma=10, steps=STEPS), movie[1], "YX")
    with pytest.raises(InputError, match="all pixels are 7"):
        list(alone)
    with pytest.raises(InputError, match="no gains to save"):
        alone.save_gains(tmp_path / "a.gains.h5")


def test_the_network_is_chosen_by_the_noise_which_is_said():
    run = Run(Request("auto", steps=0), noisy(64, 64), "YX")
    list(run)
    assert run.network.startswith("drunet-grey (a grey picture with white Gaussian noise")
    assert "white, the same everywhere" in run.noise
