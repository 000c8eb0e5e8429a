"""What pre-training minimises beyond a plain loss: Stein's risk, for networks that never see a clean image."""

from __future__ import annotations

import keras

from gaintuning_tf.gains.keras_types import Tensor, ops

PROBE_STEP = 1e-3


@keras.saving.register_keras_serializable("gaintuning_tf")
class RiskMinimised(keras.Model):
    """A network whose loss in `fit` is the Monte-Carlo estimate of Stein's unbiased risk.

    For noisy images y with Gaussian noise of standard deviation sigma, and a standard normal probe b,

        mean (f(y) - y)^2 - sigma^2 + 2 sigma^2 mean b (f(y + e b) - f(y)) / e,  e = 1e-3

    which is, in expectation, the mean squared error against the clean image (S. Ramani, T. Blu, M. Unser,
    "Monte-Carlo SURE", IEEE TIP 2008; S. Soltanayev, S. Y. Chun, "Training deep learning based denoisers without
    ground truth data", NeurIPS 2018). It may be negative. It runs under every backend of Keras.

    Built as `RiskMinimised(inputs, outputs)` of a Functional model; `fit` takes (noisy, target) with the probe and
    sigma as channels behind each other in the target, see `batches.Batches`.

    Example:

    >>> inputs = keras.Input((None, None, 1))
    >>> model = RiskMinimised(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs))
    >>> model.compile("adam")
    """

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Compute the risk of noisy images `x`, of which the network made `y_pred`."""
        channels = y_pred.shape[-1]
        probe, variance = y[..., :channels], ops.square(y[..., channels:])
        shifted = self(x + PROBE_STEP * probe, training=training)
        divergence = probe * (shifted - y_pred) / PROBE_STEP
        return ops.mean(ops.square(y_pred - x) - variance + 2 * variance * divergence)
