"""Dask clusters and arrays: a short name of `gaintuning_tf.denoising.clusters` and `.dask_arrays`."""

from gaintuning_tf.denoising.clusters import cluster
from gaintuning_tf.denoising.dask_arrays import gaintune_array

__all__ = ["cluster", "gaintune_array"]
