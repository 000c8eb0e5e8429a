"""A stack beside its clean counterpart: mean squared errors by frame, and the PSNR of the whole."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gaintuning_tf.denoising.frame_job import FrameResult
from gaintuning_tf.errors import InputError
from gaintuning_tf.images.stack_files import Stack, open_stack

SHOWN = ("noisy", "pretrained", "tuned")


class StackScores:
    """Adds to the rows of results what they miss of the clean frame.

    Args:
        clean: The clean stack, or None: then nothing is added.
    """

    def __init__(self, clean: Stack | None):
        self.clean = clean

    def identity(self) -> dict | None:
        """Describe the clean stack, so that a later run sees whether it is still the same, see `Stack.identity`."""
        return self.clean.identity() if self.clean else None

    def add(self, result: FrameResult, noisy: np.ndarray) -> None:
        """Put `mse` into the row of a frame that did not fail: of the noisy frame, and before and after tuning.

        Pixels that do not count are left out.
        """
        if self.clean is None or result.row["failed"]:
            return
        assert result.pretrained is not None, "a job whose frames are scored keeps them"
        clean = self.clean.frame(result.number).astype(np.float64)
        counted = ... if result.mask is None else ~result.mask
        images = zip(SHOWN, (noisy, result.pretrained, result.image), strict=True)
        result.row["mse"] = {name: float(np.mean(np.square(image - clean)[counted])) for name, image in images}


@contextlib.contextmanager
def scores_for(
    reference: str | Path | Stack | None, stack: Stack, model_channels: int, dimensions: int = 2
) -> Iterator[StackScores]:
    """Open the scores of a stack by the clean one, `reference`, as for `open_stack`; by none if it is None.

    Raises:
        InputError: It cannot be read, or has another shape.
    """
    if reference is None:
        yield StackScores(None)
        return
    with open_stack(reference, axes=stack.axes, model_channels=model_channels, dimensions=dimensions) as clean:
        if clean.shape != stack.shape:
            raise InputError(f"expected a reference of the image's shape {stack.shape}, received {clean.shape}")
        yield StackScores(clean)


def stack_psnr(rows: Sequence[dict], data_range: float) -> dict[str, float]:
    """Compute the PSNR in dB of the noisy, pretrained and tuned stack, over the frames that were scored.

    Example:

    >>> stack_psnr([{"mse": {"noisy": 1.0, "pretrained": 0.1, "tuned": 0.01}}, {"failed": "NaN"}], 10.0)
    {'noisy': 20.0, 'pretrained': 30.0, 'tuned': 40.0}
    """
    scored = [row["mse"] for row in rows if "mse" in row]
    if not scored:
        return {}
    means = {name: sum(mse[name] for mse in scored) / len(scored) for name in SHOWN}
    return {name: 10 * math.log10(data_range**2 / mse) if mse else math.inf for name, mse in means.items()}
