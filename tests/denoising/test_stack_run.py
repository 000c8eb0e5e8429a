"""Stacks from file to file: what gaintune makes of the whole array, in less memory and however often interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile

from gaintuning_tf import (
    CoupledBootstrap,
    GainTuningWarning,
    GaussianNoise,
    InputError,
    WeightedSum,
    gain_layers,
    gaintune,
    insert_gains,
    load_gains,
)
from gaintuning_tf.denoising.stack_record import StackRecord
from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.support.journal import Journal
from helpers import correlations
from helpers.networks import make_tiny


@pytest.fixture(scope="module")
def network():
    """Never changed, so that it is compiled once."""
    return make_tiny()


@pytest.fixture
def movie(photograph):
    """Counts of a camera: a photograph that moves and fades, (5, 32, 36) uint16."""
    rng = np.random.default_rng(0)
    frames = [photograph[t : t + 32, 2 * t : 2 * t + 36] * (900 - 100 * t) for t in range(5)]
    return (rng.poisson(frames) + rng.normal(100, 5, (5, 32, 36))).clip(0).astype(np.uint16)


def stack(folder, model, image, **options):
    """Run on an array, and return the result and the denoised array."""
    if not (folder / "in.tif").exists():
        tifffile.imwrite(folder / "in.tif", image, photometric="minisblack")
    options = {"axes": "TYX", "steps": 2, "progress": False, **options}
    result = denoise_stack(folder / "in.tif", folder / "out.tif", model, **options)
    return result, tifffile.imread(folder / "out.tif")


@pytest.mark.parametrize("noise", ["gaussian", "poisson", "poisson-gaussian"])
def test_every_frame_is_what_gaintune_makes_of_it_within_the_whole(tmp_path, network, movie, noise):
    whole = gaintune(movie, network, axes="TYX", noise=noise, steps=2, progress=False)
    result, denoised = stack(tmp_path, network, movie, noise=noise)
    np.testing.assert_array_equal(denoised, whole.denoised)
    assert denoised.dtype == movie.dtype
    np.testing.assert_array_equal(result.column("risk_after"), whole.history["risk_after"])
    np.testing.assert_array_equal(result.column("risk_before"), whole.history["risk_before"])
    np.testing.assert_array_equal([row["risk"] for row in result.rows], whole.history["risk"])
    for name, value in vars(whole.noise).items():
        np.testing.assert_array_equal([row["noise"][name] for row in result.rows], value)
    for number in range(5):
        for found, name in zip(result.gains(number), result.gain_names(), strict=False):
            np.testing.assert_array_equal(found, whole.gains[name][number])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.tif", "out.tif"]


def test_floats_axes_and_ranges_as_in_the_whole(tmp_path, network, movie):
    image = np.moveaxis(movie[:4].reshape(2, 2, 32, 36), 1, -1).astype(np.float32) - 500
    whole = gaintune(image, network, axes="TYXC", sigma=20, steps=1, progress=False)
    np.save(tmp_path / "in.npy", image)
    denoise_stack(tmp_path / "in.npy", tmp_path / "out.npy", network, axes="TYXC", sigma=20, steps=1, progress=False)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), whole.denoised)
    options = {"data_range": 2000.0, "sigma": [10.0, 20.0, 30.0, 40.0], "steps": 1, "progress": False}
    whole = gaintune(image, network, axes="TYXC", **options)
    denoise_stack(tmp_path / "in.npy", tmp_path / "out.npy", network, axes="TYXC", **options)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), whole.denoised)


def test_colour_networks_take_frames_whole(tmp_path, movie):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    image = np.stack([movie[:2]] * 3, 1)
    np.save(tmp_path / "in.npy", image)
    whole = gaintune(image, model, axes="TCYX", sigma=20, steps=1, progress=False)
    denoise_stack(tmp_path / "in.npy", tmp_path / "out.npy", model, axes="TCYX", sigma=20, steps=1, progress=False)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), whole.denoised)


def test_another_dtype_has_the_unrounded_values(tmp_path, network, movie):
    _, rounded = stack(tmp_path, network, movie)
    _, exact = stack(tmp_path, network, movie, dtype="float32")
    assert exact.dtype == np.float32
    assert np.any(exact != np.rint(exact))
    np.testing.assert_array_equal(np.rint(exact).clip(0), rounded)


def broken(movie):
    image = movie.astype(np.float32)
    image[0, 3, 4] = np.nan
    image[2] = 7
    image[3] = np.inf
    return image


@pytest.mark.parametrize("on_failure", ["pass", "blank"])
def test_frames_that_cannot_be_denoised_do_not_end_the_run(tmp_path, network, movie, on_failure):
    image = broken(movie)
    options = {"noise": "poisson", "data_range": 1023.0}
    result, denoised = stack(tmp_path, network, image, on_failure=on_failure, dtype="uint16", **options)
    assert list(result.failed) == [0, 2, 3]
    assert result.failed[0].startswith("1 pixels are NaN or infinite; nan='missing'")
    assert result.failed[2] == "all pixels are 7"
    assert result.column("risk_after")[0] is None
    alone = gaintune(movie[4].astype(np.float32), network, steps=2, progress=False, **options)
    np.testing.assert_array_equal(denoised[4], np.rint(alone.denoised))
    if on_failure == "blank":
        assert not denoised[[0, 2, 3]].any()
        return
    kept = np.isfinite(image[0])
    np.testing.assert_array_equal(denoised[0][kept], movie[0][kept])
    assert denoised[0][~kept] == [0]
    assert (denoised[2] == 7).all()
    assert (denoised[3] == 65535).all()


def test_saturated_frames_and_those_whose_tuning_fails_are_told(tmp_path, network, movie, monkeypatch):
    movie[1] = 4095
    movie[1, 0] = 4000
    movie[3] = np.arange(32 * 36, dtype=np.uint16).reshape(32, 36)  # a ramp has no noise
    result, denoised = stack(tmp_path, network, movie)
    assert result.failed == {
        1: "97% of the pixels are saturated, at 4095",
        3: "found no noise in the image: it is constant, or synthetic and clean; pass sigma",
    }
    np.testing.assert_array_equal(denoised[[1, 3]], movie[[1, 3]])


def test_stopped_by_a_failure_the_run_can_be_continued(tmp_path, network, movie):
    image = broken(movie)[[1, 0, 4]]
    with pytest.raises(InputError, match="frame 1: 1 pixels are NaN"):
        stack(tmp_path, network, image, on_failure="stop")
    done = []
    result, _ = stack(tmp_path, network, image, listeners=[lambda result, noisy: done.append(result.number)])
    assert done == [1, 2]
    assert list(result.failed) == [1]


def test_if_no_frame_can_be_denoised_nothing_is_written(tmp_path, network, movie):
    with pytest.raises(InputError, match=r"no frame of .* the first: all pixels are 0"):
        stack(tmp_path, network, 0 * movie)
    assert [file.name for file in tmp_path.iterdir()] == ["in.tif"]


def test_one_noise_is_that_of_the_median_of_five_frames(tmp_path, network, movie):
    alone, _ = stack(tmp_path, network, movie, noise="gaussian", steps=0)
    sigmas = [row["noise"]["sigma"] for row in alone.rows]
    (tmp_path / "out.tif").unlink()
    result, _ = stack(tmp_path, network, movie, noise="gaussian", steps=0, one_noise=True)
    # The movie has five frames.
    assert [row["noise"]["sigma"] for row in result.rows] == pytest.approx([np.median(sigmas)] * 5)
    with pytest.raises(InputError, match="one_noise where noise is estimated"):
        stack(tmp_path, network, movie, sigma=3, one_noise=True)


@pytest.mark.parametrize("option", [{"one_noise": True}, {"share_gains": 1}])
def test_what_frames_share_is_found_with_the_doubt_of_correlated_noise(tmp_path, network, option):
    noise = GaussianNoise(10.0, correlation=correlations.BLURRED)
    image = noise.sample(np.full((1, 96, 96), 128.0), np.random.default_rng(0)).astype(np.float32)
    options = {"data_range": 256.0, "steps": 3}
    alone, denoised = stack(tmp_path, network, image, **options)
    assert alone.rows[0]["noise"]["correlation"]
    # A frame that is all of its movie is tuned as it is alone: with its noise taken for
    # sure, gains go further.
    together, shared = stack(tmp_path, network, image, **options, **option, restart=True)
    np.testing.assert_array_equal(shared, denoised)
    assert together.rows[0]["risk_after"] == alone.rows[0]["risk_after"]


def test_what_frames_are_warned_of_is_said_once_and_frames_that_are_not_there_are_an_index_error(
    tmp_path, network, movie
):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GainTuningWarning)
        result, _ = stack(tmp_path, network, movie, sigma=3000, steps=0)
    said = [str(one.message) for one in caught if "negative" in str(one.message)]
    assert len(said) == 1 and said[0].startswith("frames 0, 1, 2, 3, 4: the risk estimate is negative")
    for number in (5, 17, -1):
        with pytest.raises(IndexError, match=f"from 0 to 4, received {number}"):
            result.gains(number)
    assert repr(result) == f"<StackResult: {tmp_path / 'out.tif'}, 5 frames>"


def test_shared_gains_are_tuned_once_on_usable_frames_and_applied_to_all(tmp_path, network, movie):
    movie[4] = 0
    result, denoised = stack(tmp_path, network, movie, share_gains=2, steps=3)
    assert result.tuned_on == [1, 3]
    assert result.steps == 3
    for number in range(1, 4):
        for found, first in zip(result.gains(number), result.gains(0), strict=True):
            np.testing.assert_array_equal(found, first)
    assert any(np.any(gains != 1) for gains in result.gains(0))
    model = result.model(2)
    frame = (movie[2] / 1023).astype(np.float32)[None, ..., None]
    np.testing.assert_allclose(1023 * model.predict(frame, verbose=0)[0, ..., 0], denoised[2], atol=0.51)
    assert np.all(np.array(result.column("risk_after")[:4]) < np.array(result.column("risk_before")[:4]))


def test_a_warm_start_is_from_the_frame_before_or_from_the_network_where_that_failed(tmp_path, tiny, movie):
    tiny.get_layer("last").kernel.assign(0.8 * tiny.get_layer("last").kernel)
    result, _ = stack(tmp_path, tiny, movie[:2], warm_start=True, sigma=20)
    cold = gaintune(movie[:2], tiny, axes="TYX", sigma=20, steps=2, progress=False)
    second = gaintune(movie[:2][1:], result.model(0), axes="TYX", sigma=20, steps=2, progress=False, data_range=1023)
    np.testing.assert_array_equal(result.column("risk_before"), cold.history["risk_before"])
    assert result.column("risk_after")[0] == cold.history["risk_after"][0]
    assert result.column("risk_after")[1] == second.history["risk_after"]
    assert result.column("risk_after")[1] < cold.history["risk_after"][1]
    (tmp_path / "in.tif").unlink()
    movie[1] = 0
    result, denoised = stack(tmp_path, tiny, movie[:3], warm_start=True, sigma=20)
    cold = gaintune(movie[:3], tiny, axes="TYX", sigma=20, steps=2, progress=False)
    np.testing.assert_array_equal(denoised[2], cold.denoised[2])


def test_saved_gains_have_a_row_for_each_frame_and_are_a_start(tmp_path, network, movie):
    movie[2] = 0
    _, denoised = stack(tmp_path, network, movie, gains=tmp_path / "m.gains.h5")
    model = load_gains(network, tmp_path / "m.gains.h5")
    assert {gain.gain.shape[0] for gain in gain_layers(model)} == {5}
    _, same = stack(tmp_path, model, movie, steps=0)
    np.testing.assert_array_equal(same, denoised)
    further = gaintune(movie[[0, 1, 3, 4, 0]], model, axes="TYX", steps=0, sigma=20, progress=False)
    np.testing.assert_array_equal(further.gains["first_gain"], gain_layers(model)[0].gain)
    with pytest.raises(InputError, match="gains for each of 5 frames, the image has 1"):
        gaintune(movie[0], model, steps=0, progress=False)


def test_the_errors_of_a_reference_are_those_of_the_whole(tmp_path, network, movie):
    clean = movie[::-1].copy()
    tifffile.imwrite(tmp_path / "clean.tif", clean)
    result, denoised = stack(tmp_path, network, movie, reference=tmp_path / "clean.tif")
    errors = [row["mse"] for row in result.rows]
    squared = np.square(movie.astype(float) - clean)
    assert np.mean([mse["noisy"] for mse in errors]) == pytest.approx(squared.mean())
    squared = np.square(denoised.astype(float) - clean)
    assert np.mean([mse["tuned"] for mse in errors]) == pytest.approx(squared.mean())


def interrupted_at(number):
    def listener(result, noisy):
        if result.number == number:
            raise KeyboardInterrupt

    return listener


@pytest.mark.parametrize("options", [{}, {"warm_start": True}, {"share_gains": 2}])
def test_interrupted_and_continued_is_the_same_bit_for_bit(tmp_path, network, movie, options):
    _, straight = stack(tmp_path, network, movie, gains=tmp_path / "a.gains.h5", **options)
    (tmp_path / "out.tif").unlink()
    with pytest.raises(KeyboardInterrupt):
        stack(tmp_path, network, movie, listeners=[interrupted_at(2)], **options)
    assert not (tmp_path / "out.tif").exists()
    done = []
    note = [lambda result, noisy: done.append(result.number)]
    _, continued = stack(tmp_path, network, movie, gains=tmp_path / "b.gains.h5", listeners=note, **options)
    assert done == [3, 4]
    np.testing.assert_array_equal(continued, straight)
    one, other = (load_gains(network, tmp_path / f"{name}.gains.h5") for name in "ab")
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"steps": 3}, "another steps"), ({"sigma": 20.0}, "another sigma"), ({"warm_start": True}, "another warm_start")],
)
def test_other_settings_do_not_continue(tmp_path, network, movie, changed, message):
    with pytest.raises(KeyboardInterrupt):
        stack(tmp_path, network, movie, listeners=[interrupted_at(1)])
    with pytest.raises(InputError, match=rf"{message}.*--restart"):
        stack(tmp_path, network, movie, **changed)
    result, _ = stack(tmp_path, network, movie, restart=True, **changed)
    assert len(result.rows) == 5


def fit(denoise, noisy, noise=None, *, seed):
    """A loss of the user's own."""
    return tf.reduce_mean(tf.square(denoise(noisy) - noisy), axis=(1, 2, 3))


def doubled(denoise, noisy, noise=None, *, seed):
    """Another."""
    return 2 * fit(denoise, noisy, noise, seed=seed)


def summed(function=fit, weight=0.5):
    return WeightedSum([(CoupledBootstrap(), 1.0), (function, weight)])


@pytest.mark.parametrize(
    ("make", "others"), [(summed, [summed(doubled), summed(weight=0.25)]), (lambda: fit, [doubled])], ids=["sum", "own"]
)
def test_a_loss_is_the_same_if_it_is_made_of_the_same(tmp_path, network, movie, make, others):
    with pytest.raises(KeyboardInterrupt):
        stack(tmp_path, network, movie, loss=make(), listeners=[interrupted_at(1)])
    for other in others:
        with pytest.raises(InputError, match="another loss"):
            stack(tmp_path, network, movie, loss=other)
    done = []
    stack(tmp_path, network, movie, loss=make(), listeners=[lambda result, noisy: done.append(result.number)])
    assert done == [2, 3, 4]


def test_another_input_or_network_does_not_continue(tmp_path, network, movie):
    with pytest.raises(KeyboardInterrupt):
        stack(tmp_path, network, movie, listeners=[interrupted_at(1)])
    changed = keras.models.clone_model(network)
    with pytest.raises(InputError, match="another network"):
        stack(tmp_path, changed, movie)
    with pytest.raises(InputError, match="another start gains"):
        stack(tmp_path, insert_gains(network), movie)
    tifffile.imwrite(tmp_path / "in.tif", movie[::-1])
    with pytest.raises(InputError, match="another input"):
        stack(tmp_path, network, movie)


def test_what_was_kept_without_its_partial_file_is_done_again(tmp_path, network, movie):
    with pytest.raises(KeyboardInterrupt):
        stack(tmp_path, network, movie, listeners=[interrupted_at(1)])
    (tmp_path / ".out.tif.partial").unlink()
    with pytest.warns(GainTuningWarning, match="all frames are done again"):
        result, _ = stack(tmp_path, network, movie)
    assert len(result.rows) == 5


def test_ended_after_the_output_took_its_place_nothing_is_done_again(tmp_path, network, movie, monkeypatch):
    def killed(self):
        self._writer.commit()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StackRecord, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            stack(tmp_path, network, movie)
    written = (tmp_path / "out.tif").read_bytes()
    result, _ = stack(tmp_path, network, movie, listeners=[lambda *_: pytest.fail("done again")])
    assert len(result.rows) == 5
    assert (tmp_path / "out.tif").read_bytes() == written
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.tif", "out.tif"]


def opened(folder):
    """What this process has open there, deleted or not."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open files are found in /proc")
    names = [os.readlink(file) for file in descriptors.iterdir() if file.is_symlink()]
    return [name for name in names if name.startswith(str(folder))]


def deleted_closed(folder, monkeypatch):
    """From here on, the gains must not be deleted while they are open: not every system can."""

    def unlink(path, **options):
        assert path.suffix != ".gains" or str(path) not in opened(folder)
        return plain(path, **options)

    plain = Path.unlink
    monkeypatch.setattr(Path, "unlink", unlink)


@pytest.mark.parametrize("how", ["at once", "saved", "shared", "continued", "after the output took its place"])
def test_the_result_has_its_gains_and_no_file_when_the_run_is_over(tmp_path, network, movie, monkeypatch, how):
    movie[1] = 0
    options = {"saved": {"gains": tmp_path / "a.gains.h5"}, "shared": {"share_gains": 2}}.get(how, {})
    expected, _ = stack(tmp_path, network, movie, **options)
    expected = [expected.gains(number) for number in range(5)]
    (tmp_path / "out.tif").unlink()
    if how == "continued":
        with pytest.raises(KeyboardInterrupt):
            stack(tmp_path, network, movie, listeners=[interrupted_at(2)])
        assert opened(tmp_path) == []
    if how == "after the output took its place":
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "remove", full)
            with pytest.raises(OSError, match="full"):
                stack(tmp_path, network, movie)
        assert (tmp_path / "out.tif").exists()
        assert opened(tmp_path) == []
    deleted_closed(tmp_path, monkeypatch)
    result, _ = stack(tmp_path, network, movie, **options)
    assert opened(tmp_path) == []
    shutil.rmtree(tmp_path)
    for number, gains in enumerate(expected):
        for found, known in zip(result.gains(number), gains, strict=True):
            np.testing.assert_array_equal(found, known)
            found[:] = 0  # theirs, not the result's
    assert any(np.any(gains != 1) for gains in result.gains(0))
    assert all(np.all(gains == 1) for gains in result.gains(1))
    tmp_path.mkdir()
    result.save_gains(tmp_path / "b.gains.h5")
    rows = [layer.gain[3].numpy() for layer in gain_layers(load_gains(network, tmp_path / "b.gains.h5"))]
    for found, known in zip(rows, expected[3], strict=False):
        np.testing.assert_array_equal(found, known)


def full(journal):
    raise OSError("the disk is full")


def test_a_run_of_which_nothing_comes_leaves_no_file_open(tmp_path, network, movie, monkeypatch):
    deleted_closed(tmp_path, monkeypatch)
    with pytest.raises(InputError, match="no frame"):
        stack(tmp_path, network, 0 * movie)
    assert opened(tmp_path) == []


def test_two_at_one_output_are_refused(tmp_path, network, movie):
    def second(result, noisy):
        if result.number == 1:
            with pytest.raises(InputError, match="another process is writing"):
                stack(tmp_path, network, movie)
            with pytest.raises(InputError, match="another process is writing"):
                stack(tmp_path, network, movie, restart=True, steps=1)

    result, _ = stack(tmp_path, network, movie, listeners=[second])
    assert len(result.rows) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_failure": "hope"}, "'hope'"),
        ({"share_gains": 0}, "at least 1"),
        ({"share_gains": 2, "warm_start": True}, "no warm_start with share_gains"),
        ({"loss": "mse"}, "'mse'"),
        ({"noise": "salt"}, "'salt'"),
        ({"data_range": -1.0}, "data_range"),
        ({"dtype": "complex64"}, "complex64"),
        ({"sigma": [1.0, 2.0]}, "one for each of 5 frames"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, network, movie, options, message):
    with pytest.raises(InputError, match=message):
        stack(tmp_path, network, movie, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["in.tif"]


PROGRAM = """
import sys, keras
from gaintuning_tf.denoising.stack_run import denoise_stack
source, output, model = sys.argv[1:]
denoise_stack(source, output, keras.models.load_model(model, compile=False), axes="TYX", steps=2, progress=False)
"""


def test_killed_at_any_moment_and_continued_is_the_same_bit_for_bit(tmp_path, network, movie):
    network.save(tmp_path / "m.keras")
    _, straight = stack(tmp_path, network, np.concatenate([movie] * 4))
    command = [sys.executable, "-c", PROGRAM, *(str(tmp_path / name) for name in ("in.tif", "b.tif", "m.keras"))]
    journal = tmp_path / ".b.tif.partial.jsonl"
    process = subprocess.Popen(command)
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") >= 4):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    known = [json.loads(line)["row"]["frame"] for line in journal.read_text().splitlines()[1:] if line.endswith("}}")]
    assert 3 <= len(known) < 20
    assert not (tmp_path / "b.tif").exists()
    subprocess.run(command, check=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), straight)
    assert not journal.exists()
