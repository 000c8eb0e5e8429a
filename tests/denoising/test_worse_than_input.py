"""A result whose risk is larger than the noise is said to be worse than its input."""

import warnings

import keras
import numpy as np
import pytest
import tifffile

from gaintuning_tf import GainTuningWarning, gaintune
from gaintuning_tf.denoising.stack_run import denoise_stack
from helpers.networks import make_tiny

SIGMA = 20.0
WORSE = "worse than the input"


@pytest.fixture(scope="module")
def network():
    """Takes the noise away, a little."""
    return make_tiny()


@pytest.fixture(scope="module")
def scaled(network):
    """The network for images in [0, 255], which returns images in [0, 1]: shared, so that it is compiled once."""
    image = keras.Input((None, None, 1))
    return keras.Model(image, network(keras.layers.Rescaling(1 / 255)(image)), name="scaled")


def noise_of(network):
    image = keras.Input((None, None, 1))
    return keras.Model(image, keras.layers.Subtract()([image, network(image)]), name="noise")


@pytest.fixture
def noisy(photograph):
    noise = SIGMA * np.random.default_rng(0).standard_normal(photograph.shape)
    return (255 * photograph + noise).round().clip(0, 255).astype("uint8")


@pytest.fixture
def striped(noisy):
    """A frame with stripes, and one without, (2, 96, 80)."""
    stripes = SIGMA * np.random.default_rng(1).standard_normal((96, 1))
    return np.stack([(noisy + stripes).round().clip(0, 255).astype("uint8"), noisy])


UNFIT = "the noise has stripes along the rows, .* which no model fits: nothing was tuned; with --sigma"


def test_on_noise_that_no_model_fits_nothing_is_tuned_and_it_is_said(network, striped):
    with pytest.warns(GainTuningWarning, match=f"frame 0: {UNFIT}"):
        result = gaintune(striped, network, axes="TYX", steps=2, progress=False)
    assert result.not_tuned[0].startswith("the noise has stripes") and result.not_tuned[1] == ""
    np.testing.assert_array_equal(result.denoised[0], result.pretrained[0])
    assert np.isnan(result.history["risk"][0]).all() and np.isfinite(result.history["risk"][1]).all()
    # A noise that is given is not looked at, and no tuning needs no reason.
    for options in ({"noise": "gaussian", "steps": 1}, {"sigma": 20, "steps": 1}, {"steps": 0}):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "the noise has")
            result = gaintune(striped[0], network, progress=False, **options)
        assert list(result.not_tuned) == [""]


# Gains that are shared are tuned on the frames that a model fits, and hold for all.
@pytest.mark.parametrize(
    ("frames", "option", "untuned", "moved"),
    [
        ([0, 1], {}, [0], [False, True]),
        ([0, 1], {"share_gains": 2}, [0], [True, True]),
        ([0, 0], {"share_gains": 2}, [0, 1], [False, False]),
        ([0, 0], {"one_noise": True}, [0, 1], [False, False]),
    ],
)
def test_a_movie_says_of_which_frames_no_model_fits_the_noise(
    network, striped, tmp_path, frames, option, untuned, moved
):
    np.save(tmp_path / "in.npy", striped[frames])
    options = {"axes": "TYX", "steps": 1, "progress": False, **option}
    with pytest.warns(GainTuningWarning, match=UNFIT):
        result = denoise_stack(tmp_path / "in.npy", tmp_path / "out.npy", network, **options)
    assert [row["frame"] for row in result.rows if row["not_tuned"]] == untuned
    assert result.not_tuned().startswith("frame 0: the" if untuned == [0] else "frames 0, 1: the")
    assert [any(np.any(gains != 1) for gains in result.gains(number)) for number in range(2)] == moved


def test_a_network_of_another_scale_is_said_to_do_harm_and_a_good_one_is_not(network, scaled, noisy):
    with pytest.warns(GainTuningWarning, match="worse than the input.*network takes images of this range"):
        result = gaintune(noisy, scaled, sigma=SIGMA, steps=2, progress=False)
    assert result.worse_than_input.item() is True
    assert result.history["risk_after"] > 2 * SIGMA**2
    assert result.residuals[0].variance > 2
    with warnings.catch_warnings():
        warnings.simplefilter("error", GainTuningWarning)
        result = gaintune(noisy, network, sigma=SIGMA, steps=2, progress=False)
    assert result.worse_than_input.item() is False
    assert 0.2 < result.residuals[0].variance < 1.5


def test_a_network_that_returns_the_noise_is_found_without_tuning_in_each_frame(network, noisy):
    colour = np.stack([noisy, noisy // 2, noisy // 3], -1)
    with pytest.warns(GainTuningWarning, match=r"frames 0, 1, 2: .*not the noise"):
        result = gaintune(colour, noise_of(network), sigma=SIGMA, steps=0, progress=False)
    assert result.worse_than_input.tolist() == [True] * 3
    assert len(result.residuals) == 3


def test_a_loss_that_does_not_estimate_the_error_says_nothing_of_harm(scaled, noisy):
    # Its risk has the variance of the noise in it: a good result would seem to be worse.
    result = gaintune(noisy, scaled, sigma=SIGMA, loss="blind-spot", steps=0, progress=False)
    assert result.history["risk_after"] > 2 * SIGMA**2
    assert result.worse_than_input.item() is False


def test_a_movie_has_it_by_frame(network, noisy, tmp_path):
    # The second frame has far less noise than is said: taking away as much does harm.
    frames = np.stack([noisy[:64, :64], np.full((64, 64), 128) + 6 * np.indices((64, 64)).sum(0) % 120]).astype("uint8")
    tifffile.imwrite(tmp_path / "in.tif", frames, photometric="minisblack")
    options = {"axes": "TYX", "sigma": np.array([SIGMA, 1.0]), "steps": 0, "progress": False}
    with pytest.warns(GainTuningWarning, match="^frame 1: the result is estimated to be worse"):
        result = denoise_stack(tmp_path / "in.tif", tmp_path / "out.tif", network, **options)
    assert result.column("worse_than_input") == [False, True]
    assert result.column("noise_variance") == pytest.approx([SIGMA**2, 1])
    assert all(row["residual"]["by_brightness"] for row in result.rows)


def test_frames_of_dask_arrays_say_it_too(scaled, noisy):
    da = pytest.importorskip("dask.array")
    from gaintuning_tf.distributed import gaintune_array

    lazy = gaintune_array(da.from_array(noisy[None, :64, :64]), scaled, sigma=SIGMA, steps=0)
    with pytest.warns(GainTuningWarning, match="^frame 0: .*worse than the input"):
        lazy.compute(scheduler="sync")
