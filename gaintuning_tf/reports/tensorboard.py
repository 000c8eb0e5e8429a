"""Denoising for TensorBoard: the risk, the gains as histograms, and a few frames as images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.support.extras import check_installed

if TYPE_CHECKING:
    from gaintuning_tf.denoising.frame_job import FrameResult
    from gaintuning_tf.denoising.pipeline import GainTuningResult

# About this many frames of a stack are shown.
SHOWN = 8


def check_tensorboard() -> None:
    """Refuse to promise a log that cannot be written.

    Raises:
        InputError: TensorBoard is not installed.
    """
    check_installed("tensorboard", "--tensorboard", "train")


class TensorBoardLog:
    """A log of denoising; for a stack, the step is the number of the frame.

    Args:
        folder: Where it goes.
        frames: How many frames the stack has, to show a few of them.
        dimensions: Spatial axes of a frame: of volumes, the middle plane is shown.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path, *, frames: int = 1, dimensions: int = 2):
        check_tensorboard()
        import tensorflow as tf

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(folder))
        self._every, self._dimensions = max(frames // SHOWN, 1), dimensions

    def frame(self, result: FrameResult, noisy: np.ndarray) -> None:
        """Log one frame of a stack; nothing of one that failed."""
        row, number = result.row, result.number
        if row["failed"]:
            return
        with self._writer.as_default(step=number):
            self._risks(row["risk"], row["risk_before"], row["risk_after"], number)
            self._summary.scalar("contrast", row["contrast"])
            for name, value in row["noise"].items():
                if isinstance(value, float):
                    self._summary.scalar(f"noise/{name}", value)
            for layer, gains in enumerate((result.gains or [])[:-1], 1):
                self._summary.histogram(f"gains/layer {layer:03d}", gains)
            if number % self._every == 0:
                self._summary.image("noisy, denoised", _side_by_side(*map(self._plane, (noisy, noisy, result.image))))
        self._writer.flush()

    def image(self, result: GainTuningResult, noisy: np.ndarray) -> None:
        """Log the tuning of one image; where it has several frames, each as one of a stack."""
        history = {name: np.atleast_1d(result.history[f"risk_{name}"]) for name in ("before", "after")}
        with self._writer.as_default(step=0):
            for number, risk in enumerate(np.atleast_2d(result.history["risk"])):
                found = [float(value) for value in risk[np.isfinite(risk)]]
                self._risks(found, float(history["before"][number]), float(history["after"][number]), number)
            for name, gains in result.gains.items():
                self._summary.histogram(f"gains/{name}", gains)
            display = result.layout.display(noisy)
            pictures = [display.picture(image) for image in (noisy, result.pretrained, result.denoised)]
            together = np.concatenate([picture.reshape(*picture.shape[:2], -1) for picture in pictures], 1)
            self._summary.image("noisy, pretrained, tuned", together[None])
        self._writer.flush()

    def close(self) -> None:
        """Write the rest of what was logged into the folder."""
        self._writer.close()

    def _plane(self, frame):
        return frame[len(frame) // 2] if self._dimensions == 3 else frame

    def _risks(self, steps, before, after, number):
        self._summary.scalar("risk/before tuning", before, step=number)
        self._summary.scalar("risk/after tuning", after, step=number)
        for step, risk in enumerate(steps):
            self._summary.scalar("risk/each step", risk, step=number * len(steps) + step)


def _side_by_side(noisy, *images):
    """Join images to (1, H, W, 1 or 3) floats in [0, 1], in the range of the noisy image."""
    lowest, highest = (float(value) for value in np.percentile(noisy, (0.1, 99.9)))
    parts = [image.reshape(*image.shape[:2], -1).astype(np.float64) for image in images]
    parts = [part if part.shape[-1] == 3 else part[..., :1] for part in parts]
    scaled = (np.concatenate(parts, 1) - lowest) / ((highest - lowest) or 1)
    return np.clip(scaled, 0, 1)[None].astype(np.float32)
