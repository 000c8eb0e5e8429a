"""gaintune and gaintune_array take scikit-image's channel_axis and xarray's DataArray, and give labels back."""

import numpy as np
import pytest

from gaintuning_tf import InputError, Network, gaintune
from gaintuning_tf.denoising.dask_arrays import gaintune_array
from gaintuning_tf.support.labelled_arrays import axes_said
from helpers.networks import make_tiny

# Nothing is tuned: only how arrays go in and come out is looked at.
HOW = {"sigma": 20, "steps": 0, "progress": False}


@pytest.fixture(scope="module")
def noisy(photograph):
    frames = np.stack([photograph[:32, 5 * t : 5 * t + 36] for t in range(3)])
    return (200 * frames + np.random.default_rng(0).normal(0, 20, frames.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def tiny():
    return Network(make_tiny())


@pytest.fixture(scope="module")
def plain(tiny, noisy):
    return gaintune(noisy, tiny, axes="TYX", **HOW).denoised


@pytest.fixture(scope="module")
def xarray():
    return pytest.importorskip("xarray")


@pytest.mark.parametrize(
    ("shape", "channel_axis", "axes"),
    [
        ((8, 9, 3), -1, "YXC"),
        ((8, 9, 3), 2, "YXC"),
        ((5, 8, 9), 0, "CYX"),
        ((8, 5, 9), np.int64(1), "YCX"),
        ((4, 2, 8, 9), 1, "ZCYX"),
        ((6, 4, 2, 8, 9), -3, "TZCYX"),
        ((8, 9, 3), None, None),
    ],
)
def test_channel_axis_says_the_axes(shape, channel_axis, axes):
    assert axes_said(np.zeros(shape), channel_axis=channel_axis) == axes


@pytest.mark.parametrize(
    ("shape", "axes", "channel_axis", "message"),
    [
        ((8, 9, 3), None, 3, "number of an axis"),
        ((8, 9, 3), None, -4, "number of an axis"),
        ((8, 9, 3), None, (0, 1), "number of an axis"),
        ((8, 9, 3), None, 1.0, "number of an axis"),
        ((8, 9, 3), None, True, "number of an axis"),
        ((8, 9), None, 0, "2 to 4 axes beside"),
        ((8, 9, 3), "TYX", 0, "to be C of axes 'TYX'"),
    ],
)
def test_a_channel_axis_that_cannot_be_is_refused(shape, axes, channel_axis, message):
    with pytest.raises(InputError, match=message):
        axes_said(np.zeros(shape), axes, channel_axis)


@pytest.mark.parametrize("place", [0, 1, -1])
def test_channel_axis_is_the_axes_in_other_words(tiny, noisy, place):
    image = np.moveaxis(noisy, 0, place)
    axes = {0: "CYX", 1: "YCX", -1: "YXC"}[place]
    result = gaintune(image, tiny, channel_axis=place, **HOW)
    np.testing.assert_array_equal(result.denoised, gaintune(image, tiny, axes=axes, **HOW).denoised)
    assert result.layout.axes == axes


def test_a_data_array_comes_back_with_its_labels(tiny, noisy, plain, xarray):
    coordinates = {"time": ("t", [0.5, 1.0, 1.5]), "y": 0.1 * np.arange(32), "x": 0.1 * np.arange(36), "dose": 3}
    array = xarray.DataArray(noisy, coordinates, ("t", "y", "x"), name="movie", attrs={"microscope": "A"})
    before = array.copy(deep=True)
    result = gaintune(array, tiny, **HOW)
    expected = array.copy(data=plain)
    xarray.testing.assert_identical(result.denoised, expected)
    assert result.pretrained.attrs == {"microscope": "A"} and result.pretrained.name == "movie"
    xarray.testing.assert_identical(array, before)
    assert result.layout.picture(result.denoised).shape == (32, 36)


def test_the_order_of_dimensions_is_taken_from_their_names(tiny, noisy, plain, xarray):
    array = xarray.DataArray(noisy, dims=("T", "Y", "X")).transpose("X", "T", "Y")
    result = gaintune(array, tiny, **HOW)
    assert result.denoised.dims == ("X", "T", "Y")
    np.testing.assert_array_equal(result.denoised.transpose("T", "Y", "X"), plain)


def test_dimensions_of_other_names_are_told_or_guessed_as_without(tiny, noisy, xarray):
    array = xarray.DataArray(noisy[0], dims=("row", "column"))
    np.testing.assert_array_equal(gaintune(array, tiny, **HOW).denoised, gaintune(noisy[0], tiny, **HOW).denoised)
    mixed = xarray.DataArray(noisy, dims=("time", "y", "x"))
    with pytest.raises(InputError, match=r"received time, y, x: rename"):
        gaintune(mixed, tiny, **HOW)
    assert gaintune(mixed, tiny, axes="TYX", **HOW).denoised.dims == ("time", "y", "x")
    with pytest.raises(InputError, match="a Dataset of a, b"):
        gaintune(xarray.Dataset({"a": array, "b": mixed}), tiny, **HOW)


def test_a_mask_with_labels_is_laid_over_the_image_by_them(tiny, noisy, xarray):
    array = xarray.DataArray(noisy, {"x": np.arange(36)}, ("t", "y", "x"))
    missing = np.zeros((32, 36), bool)
    missing[3:6, 7:20] = True
    mask = xarray.DataArray(missing.T, {"x": np.arange(36)}, ("x", "y"))
    result = gaintune(array, tiny, mask=mask, **HOW)
    np.testing.assert_array_equal(result.denoised, gaintune(noisy, tiny, axes="TYX", mask=missing, **HOW).denoised)
    with pytest.raises(InputError, match="dimensions and coordinates of the image"):
        gaintune(array, tiny, mask=mask.assign_coords(x=np.arange(36) + 1), **HOW)


def test_a_data_array_of_a_dask_array_stays_lazy_and_labelled(tiny, noisy, xarray):
    how = {"sigma": 20, "steps": 0}
    array = xarray.DataArray(noisy, {"x": np.arange(36)}, ("t", "y", "x"), name="movie", attrs={"a": 1})
    lazy = gaintune_array(array.chunk({"t": 2}), tiny, **how)
    assert lazy.chunks == ((1, 1, 1), (32,), (36,))
    computed = lazy.compute(scheduler="sync")
    xarray.testing.assert_identical(computed, gaintune(array, tiny, **HOW).denoised)
    np.testing.assert_array_equal(gaintune(array.chunk(), tiny, **HOW).denoised, computed)
    channels = gaintune_array(noisy, tiny, channel_axis=0, **how).compute(scheduler="sync")
    np.testing.assert_array_equal(channels, gaintune(noisy, tiny, channel_axis=0, **HOW).denoised)
