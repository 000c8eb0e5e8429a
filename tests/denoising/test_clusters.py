"""Dask arrays are denoised as the whole array is."""

import warnings

import dask
import dask.array as da
import keras
import numpy as np
import pytest

from gaintuning_tf import GainTuningWarning, InputError, gaintune
from gaintuning_tf.denoising.clusters import cluster
from gaintuning_tf.denoising.dask_arrays import gaintune_array


@pytest.fixture
def movie(photograph):
    rng = np.random.default_rng(0)
    frames = [photograph[t : t + 32, 2 * t : 2 * t + 36] * 900 for t in range(4)]
    return rng.poisson(frames).astype(np.uint16)


def test_as_many_workers_are_started_as_were_asked_for():
    with cluster(workers=1, threads=1) as client:
        assert len(client.nthreads()) == 1


def warn():
    warnings.warn("ours", GainTuningWarning, stacklevel=1)
    warnings.warn("a library's", UserWarning, stacklevel=1)


def test_workers_of_this_machine_show_the_warnings_of_the_package_in_a_line_and_no_others(capfd):
    with cluster(workers=1, threads=1) as client:
        client.submit(warn).result()
    assert capfd.readouterr().err == "warning: ours\n"


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_each_frame_is_what_gaintune_makes_of_it_within_the_whole(tiny, movie, scheduler):
    whole = gaintune(movie, tiny, axes="TYX", steps=2, noise="poisson", progress=False)
    lazy = gaintune_array(da.from_array(movie, chunks=(3, 10, 10)), tiny, steps=2, noise="poisson")
    assert lazy.chunks == ((1, 1, 1, 1), (32,), (36,))
    np.testing.assert_array_equal(lazy.compute(scheduler=scheduler), whole.denoised)


def test_axes_floats_and_a_noise_level_for_each_frame(tiny, movie):
    image = np.moveaxis(movie.reshape(2, 2, 32, 36), 1, -1).astype(np.float32) - 300
    options = {"axes": "TYXC", "sigma": np.array([10.0, 20.0, 30.0, 40.0]), "steps": 1}
    whole = gaintune(image, tiny, progress=False, **options)
    lazy = gaintune_array(da.from_array(image), tiny, **options)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole.denoised)


def test_colour_networks_take_frames_whole(movie):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    image = np.stack([movie[:2]] * 3, 1)
    whole = gaintune(image, model, sigma=20, axes="TCYX", steps=1, progress=False)
    lazy = gaintune_array(da.from_array(image), model, sigma=20, axes="TCYX", steps=1)
    assert lazy.chunks == ((1, 1), (3,), (32,), (36,))
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole.denoised)


def test_nothing_is_computed_before_it_is_asked_for_and_then_frame_by_frame(tiny, movie):
    asked = []

    def load(block_id):
        asked.append(block_id[0])
        return movie[block_id[0]][None]

    array = da.map_blocks(load, chunks=((1,) * 4, (32,), (36,)), dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16))
    lazy = gaintune_array(array, tiny, data_range=1023, sigma=20, steps=1)
    assert asked == []
    lazy[2].compute(scheduler="sync")
    assert asked == [2]


def test_written_to_zarr_by_dask(tmp_path, tiny, movie):
    zarr = pytest.importorskip("zarr")
    lazy = gaintune_array(da.from_array(movie), tiny, steps=1, dtype="float32")
    with dask.config.set(scheduler="sync"):
        lazy.to_zarr(str(tmp_path / "out.zarr"))
    written = zarr.open(str(tmp_path / "out.zarr"), mode="r")
    whole = gaintune(movie, tiny, axes="TYX", steps=1, progress=False)
    np.testing.assert_array_equal(np.rint(written[:]).clip(0), whole.denoised)


def test_a_frame_that_cannot_be_denoised_is_passed_on_with_a_warning(tiny, movie):
    image = movie.astype(np.float32)
    image[1, 2, 3] = np.nan
    lazy = gaintune_array(da.from_array(image), tiny, sigma=20, steps=1)
    with pytest.warns(GainTuningWarning, match="frame 1: 1 pixels are NaN"):
        denoised = lazy.compute(scheduler="sync")
    np.testing.assert_array_equal(denoised[1], image[1])
    strict = gaintune_array(da.from_array(image), tiny, sigma=20, steps=1, on_failure="stop")
    with pytest.raises(InputError, match="frame 1: 1 pixels are NaN"):
        strict.compute(scheduler="sync")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"axes": "YX"}, "names 2 axes"), ({"on_failure": "hope"}, "'hope'"), ({"model": "none-such"}, "unet-bf-natural")],
)
def test_bad_arguments_are_refused_at_once(tiny, movie, options, message):
    model = options.pop("model", tiny)
    with pytest.raises(InputError, match=message):
        gaintune_array(da.from_array(movie), model, **options)
