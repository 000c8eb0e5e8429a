"""The inputs of one round of tuning, its step limits, and what a step knows of the risk."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from gaintuning_tf.noise.tensors import NoiseTensors
from gaintuning_tf.tuning.windows import Windows


class StepLimits(NamedTuple):
    """How far a round of steps lets the gains go.

    Attributes:
        prior: Standard deviation of the prior on the gains about one, (), float64.
        limit: Largest change of a gain in a step, before the learning rate, (), float64.
    """

    prior: tf.Tensor
    limit: tf.Tensor


class RoundInputs(NamedTuple):
    """What a round of tuning looks at: the same at every step.

    A group is a set of gains: one for all images, or one for each of them.

    Attributes:
        noisy: (N, ..., C).
        noise: What is known of its noise.
        reference: The denoised images before tuning, (N, ..., C), for losses that use
            them; else without channels.
        curvature: Samples of the Gauss-Newton curvature, (groups, samples, gains);
            no samples where it is not used.
        windows: What a step sees of the images.
        limits: How far the round may go.
    """

    noisy: tf.Tensor
    noise: NoiseTensors
    reference: tf.Tensor
    curvature: tf.Tensor
    windows: Windows
    limits: StepLimits

    def pixels(self) -> tf.Tensor:
        """Count the values that a step sees of each image, ()."""
        return tf.reduce_prod(self.windows.size) * tf.shape(self.noisy)[-1] * self.windows.count


class RiskSlope(NamedTuple):
    """The risk at some values, and what a step down makes of it.

    Attributes:
        risk: By group, (groups,), float64.
        gradients: Those of the sum of the risks, one for each tuned variable.
        variance: The mean variance of the noise by group, float64; where nothing is
            known of the noise, the risk, which contains it.
    """

    risk: tf.Tensor
    gradients: list[tf.Tensor]
    variance: tf.Tensor
