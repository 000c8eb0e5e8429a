"""What a round of tuning looks at, how far a round may go, and the prior's weight."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from gaintuning_tf.tuning import windows as tuning_windows


class Reach(NamedTuple):
    """How far a round of steps lets the gains go.

    Attributes:
        prior: Width of the prior on the gains about one, (), float64.
        limit: Largest change of a gain in a step, before the learning rate, (), float64.
    """

    prior: tf.Tensor
    limit: tf.Tensor


class Scene(NamedTuple):
    """What a round of tuning looks at, the same at every step.

    Attributes:
        noisy: (N, H, W, C).
        noise: The standard deviation of Gaussian noise, (N,); a `NoiseLevel`; or () for losses without noise.
        reference: The denoised images before tuning, (N, H, W, C), for losses that use them; else without channels.
        curvature: Rows of the Gauss-Newton curvature, (rows, samples, gains); without samples if not used.
        windows: What a step sees of the image.
        reach: Of Gauss-Newton steps.
    """

    noisy: tf.Tensor
    noise: object
    reference: tf.Tensor
    curvature: tf.Tensor
    windows: tuning_windows.Windows
    reach: Reach

    def pixels(self) -> tf.Tensor:
        """How many values a step sees of each image."""
        return tf.reduce_prod(self.windows.size) * self.noisy.shape[-1] * self.windows.count


class Slope(NamedTuple):
    """The risk at some gains, and what a step down makes of it.

    Attributes:
        risk: Of each image, (N,).
        gradients: Of the sum of the risks, by layer.
        variance: The mean variance of the noise, by row, float64; for losses without noise the risk, which has it.
    """

    risk: tf.Tensor
    gradients: list[tf.Tensor]
    variance: tf.Tensor


def damping(variance: tf.Tensor, pixels: tf.Tensor, prior: tf.Tensor) -> tf.Tensor:
    """The prior's curvature, by row: `2 v / (n prior^2)`.

    Of Gaussian noise of variance v, n pixels have the log-likelihood `-n risk / (2 v)`, gains
    the prior `-|gains - 1|^2 / (2 prior^2)`: their sum times `-2 v / n` is least where
    `risk + v / (n prior^2) |gains - 1|^2` is.
    """
    width = tf.cast(prior, tf.float64)
    return tf.maximum(2 * variance / (tf.cast(pixels, tf.float64) * width**2), 1e-12)
