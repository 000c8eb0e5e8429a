"""A Dask array denoised lazily, a task for each frame."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.denoising.clusters import check_available
from gaintuning_tf.denoising.shipped_network import ShippedNetwork, run_frame
from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images.bad_pixels import PixelRules, common_extent, frame_extent, words_of
from gaintuning_tf.images.frame_order import FrameOrder
from gaintuning_tf.noise.residuals import of_frames, worse_words

if TYPE_CHECKING:
    import keras
    from dask.array import Array
    from numpy.typing import DTypeLike

    from gaintuning_tf.networks.network import Network


def gaintune_array(
    array: Array,
    model: Network | keras.Model | str | Path,
    *,
    axes: str | None = None,
    channel_axis: int | None = None,
    data_range: float | None = None,
    dtype: DTypeLike | None = None,
    on_failure: str = "pass",
    nodata: float | None = None,
    nan: str = "error",
    hot: str = "replace",
    **recipe: Any,
) -> Array:
    """Denoise a Dask array, lazily, a task for each frame, as `gaintune` would the whole.

    Nothing is computed until the result is, by whatever scheduler Dask then uses, nor is more than a few frames ever
    in memory: write it with `to_zarr`, say. If the range of the values is neither given nor that of the dtype, all of
    the array is read twice.

    Args:
        array: Dask array of integers or floats, with the axes `axes`, or a DataArray of xarray with one in it; a frame
            is made to be one chunk.
        model: As for `gaintune`; it is sent to each worker once.
        axes: A letter per axis: Y and X; C, T, Z where present. By default the dimensions of a DataArray that are
            named y, x, c, t and z, or else TYX.
        channel_axis: As for `gaintune`, in place of `axes`.
        data_range: As for `gaintune`.
        dtype: Of the result; by default the array's.
        on_failure: What becomes of a frame that cannot be denoised, see `denoise_stack`; with `"stop"` its task fails.
            A warning tells which, where the frame was done.
        nodata: As for `gaintune`. Of masked arrays (`dask.array.ma`), masked pixels do not count.
        nan: As for `gaintune`.
        hot: As for `gaintune`. A warning tells what was found in a frame, where it was done.
        **recipe: `sigma`, `noise`, `loss`, `prior`, `contrast`, `steps`, `seed`, `precision` of `gaintune`.

    Returns:
        Dask array of the same shape, or a DataArray with the labels of the one passed and that in it.

    Raises:
        InputError: An argument cannot be used, or Dask is not installed.

    Example:

    >>> import dask.array, numpy
    >>> noisy = dask.array.random.default_rng(0).normal(128, 25, (2, 32, 32), chunks=(2, 16, 16))
    >>> denoised = gaintune_array(noisy, "unet-bf-natural", data_range=255, steps=1, dtype="uint8")
    >>> denoised.chunks, denoised.dtype, denoised[1].compute(scheduler="sync").shape
    (((1, 1), (32,), (32,)), dtype('uint8'), (32, 32))
    """
    check_available()
    import dask.array as da
    from dask.delayed import delayed

    from gaintuning_tf.denoising.frame_job import ON_FAILURE
    from gaintuning_tf.denoising.recipe import Recipe
    from gaintuning_tf.images.array_layout import check_axes
    from gaintuning_tf.networks.network import network_of
    from gaintuning_tf.support.labelled_arrays import axes_said, values_of, with_labels

    if on_failure not in ON_FAILURE:
        raise InputError(f"expected on_failure to be one of {', '.join(ON_FAILURE)}, received {on_failure!r}")
    # Dask's own types have sizes that may be NaN, and chunks that are texts.
    noisy: Any = da.asarray(values_of(array))
    axes = check_axes(axes_said(array, axes, channel_axis) or "TYX", noisy.shape)
    # Loaded once: the file may change before the network is sent.
    network = network_of(model)
    channels = network.channels
    order = FrameOrder(axes, noisy.shape, channels, network.dimensions)
    whole = [letter in order.frame_axes for letter in axes]
    noisy = noisy.rechunk(tuple(-1 if kept else 1 for kept in whole))
    dtype = np.dtype(noisy.dtype if dtype is None else dtype)
    frames = _Frames(order, noisy.dtype)
    rules = PixelRules(nodata, nan, hot)
    how = {"data_range": data_range, "dtype": dtype, "on_failure": on_failure, "rules": rules}
    known = data_range is not None or noisy.dtype == np.uint8
    denoised = da.map_blocks(
        functools.partial(_block, frames, Recipe(**recipe), channels, how),
        noisy,
        extent=(0.0, 255.0) if known else _extent(noisy, order, rules),
        network=delayed(ShippedNetwork.of(network), pure=True),
        dtype=dtype,
        meta=np.empty((0,) * noisy.ndim, dtype),
    )
    return with_labels(denoised, array)


@dataclasses.dataclass
class _Frames:
    """An array as `frame_job.Frames`."""

    order: FrameOrder
    dtype: np.dtype
    path: str = "the array"
    limits: tuple[float, float] = (0.0, 0.0)

    def extent(self, rules):
        return self.limits


def _extent(array, order, rules):
    """Find the extent of the pixels that count of all frames, lazily."""
    from dask.delayed import delayed

    parts = [delayed(_extent_of)(block, order, rules) for block in array.to_delayed().ravel()]
    return delayed(_joined)(parts)


def _extent_of(block, order, rules):
    own = dataclasses.replace(order, shape=block.shape)
    return frame_extent(own.frame(block[own.index(0)]), rules, own.own)


def _joined(parts):
    return common_extent(itertools.chain.from_iterable(parts))


def _block(frames, recipe, channels, how, block, *, extent, network, block_id):
    """Denoise one chunk, which is one frame."""
    from gaintuning_tf.denoising.frame_job import frame_job

    frames = dataclasses.replace(frames, limits=tuple(extent))
    job = frame_job(frames, recipe, channels, **how)
    number = frames.order.number(block_id)
    order = dataclasses.replace(frames.order, shape=block.shape)
    index = order.index(0)
    result = run_frame(network, job, number, order.frame(block[index]))
    if result.row["failed"]:
        warnings.warn(f"frame {number}: {result.row['failed']}", GainTuningWarning, stacklevel=2)
    elif result.row["bad_pixels"]:
        words = words_of(result.row["bad_pixels"], block.size, job.rules.hot, result.row["constant_at"])
        warnings.warn(f"frame {number}: {words}", GainTuningWarning, stacklevel=2)
    for words in result.row["warnings"]:
        warnings.warn(of_frames(words, [number]), GainTuningWarning, stacklevel=2)
    if result.row.get("not_tuned"):
        warnings.warn(of_frames(result.row["not_tuned"], [number]), GainTuningWarning, stacklevel=2)
    if result.row.get("output_far"):
        warnings.warn(f"frame {number}: {result.row['output_far']}", GainTuningWarning, stacklevel=2)
    if result.row.get("worse_than_input"):
        words = worse_words(result.row["risk_after"], result.row["noise_variance"], [number])
        warnings.warn(words, GainTuningWarning, stacklevel=2)
    denoised = np.empty(block.shape, result.image.dtype)
    denoised[index] = order.part(result.image)
    return denoised
