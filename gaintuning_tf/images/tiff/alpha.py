"""How opaque each pixel is, kept beside the colours of a single image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import GainTuningWarning
from gaintuning_tf.images.array_file import ArrayFile


def fit_alpha(alpha: np.ndarray | None, shape: Sequence[int], axes: str) -> np.ndarray | None:
    """Give back the opacity of an input if an output of a shape can have it; say so if it cannot."""
    if alpha is None:
        return None
    if axes in ("YX", "YXC") and np.shape(alpha) == tuple(shape[:2]) and tuple(shape[2:]) in ((), (1,), (3,)):
        return np.asarray(alpha)
    warnings.warn(
        f"the alpha channel is dropped: it is kept for one image of grey or RGB, not for {tuple(shape)} of axes {axes}",
        GainTuningWarning,
        stacklevel=2,
    )
    return None


def scaled_alpha(alpha: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Scale an opacity to another dtype: opaque is the largest integer, or the float 1.

    Example:

    >>> scaled_alpha(np.array([0, 255], "uint8"), np.dtype("uint16")), scaled_alpha(np.array([1.0]), np.dtype("int8"))
    (array([    0, 65535], dtype=uint16), array([127], dtype=int8))
    """
    if alpha.dtype == dtype:
        return alpha
    share = np.clip(alpha.astype(np.float64) / _opaque(alpha.dtype), 0, 1)
    if dtype.kind == "f":
        return share.astype(dtype)
    scaled = np.rint(share * _opaque(dtype)).clip(0, np.nextafter(float(2**63), 0)).astype(dtype)
    scaled[share == 1] = _opaque(dtype)
    return scaled


def _opaque(dtype):
    return np.iinfo(dtype).max if dtype.kind in "iu" else 1


class BesideAlpha:
    """The colours of one image in a file that has its opacity as the last sample of each pixel.

    Args:
        path: The file.
        shape: Of the colours, (H, W) or (H, W, C).
        dtype: As it is in the file.
        offset: Of its first byte.
        writable: Whether `write` is to work.
    """

    def __init__(self, path: str | Path, shape: Sequence[int], dtype: np.dtype, offset: int, *, writable: bool = False):
        self._shape = tuple(shape)
        self._colours = 1 if len(self._shape) == 2 else self._shape[2]
        self._file = ArrayFile(path, (*self._shape[:2], self._colours + 1), dtype, offset, writable=writable)
        self.flush, self.close = self._file.flush, self._file.close

    def read(self, index: tuple) -> np.ndarray:
        """Read a part of the colours, as `ArrayFile.read` does."""
        if len(index) == 2:
            return self._file.read((*index, 0))
        if isinstance(index[2], int):
            return self._file.read(index)
        return self._file.read(index)[..., :-1]

    def write(self, index: tuple, value: np.ndarray) -> None:
        """Set a part of the colours."""
        if len(index) == 2:
            self._file.write((*index, 0), value)
        elif isinstance(index[2], int):
            self._file.write(index, value)
        else:
            old = self._file.read(index)
            self._file.write(index, np.concatenate([value, old[..., -1:]], axis=-1))

    def put_alpha(self, alpha: np.ndarray) -> None:
        """Set the opacity of all pixels."""
        self._file.write((slice(None), slice(None), self._colours), alpha)
