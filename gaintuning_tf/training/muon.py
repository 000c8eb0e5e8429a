"""Muon for convolutional networks, for pre-training."""

from __future__ import annotations

import collections
from typing import Any

import keras

from gaintuning_tf.gains.keras_types import Tensor, ops

# The coefficients of the quintic Newton-Schulz iteration, and how often it runs, are
# Jordan's. With them Muon needs a third of Adam's steps:
# docs/log/2026-11-23-muon-or-adam-for-pre-training.md.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# The update has this root mean square, by Liu et al., so that Adam's learning rates
# suit.
RMS = 0.2


@keras.saving.register_keras_serializable("gaintuning_tf")
class ConvMuon(keras.optimizers.Adam):
    """Muon for the kernels of convolutions, Adam for everything else.

    The momentum of a kernel, seen as a matrix M of (height * width * input channels) x output channels, is replaced
    by the nearest matrix with orthonormal rows or columns, `U V^T` of the singular value decomposition `M = U S V^T`,
    found approximately by five Newton-Schulz iterations. So every direction of the kernel moves at the same pace, not
    those alone in which the gradient is large. `keras.optimizers.Muon` does this for matrices but takes kernels of
    convolutions for Adam's.

    References: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/; J. Liu et al., "Muon is scalable for LLM training", 2025,
    arXiv:2502.16982, for the factor `0.2 * sqrt(max(rows, columns))` of the update.

    Args:
        learning_rate: As Adam's.
        momentum: That of the kernels' gradients, with Nesterov's look ahead.
        **kwargs: Further ones of `keras.optimizers.Adam`.

    Example:

    >>> ConvMuon(2e-3).momentum
    0.95
    """

    def __init__(self, learning_rate: Any = 1e-3, momentum: float = 0.95, **kwargs: Any):
        super().__init__(learning_rate, **kwargs)
        self.momentum = momentum

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Take a step for one variable."""
        if len(variable.shape) < 3:
            super().update_step(gradient, variable, learning_rate)
            return
        self._move(variable, orthogonalised(self._ahead(gradient, variable)), learning_rate)

    def _ahead(self, gradient, variable):
        """Update the momentum; returns the gradient with Nesterov's look ahead, as a matrix."""
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.momentum * momentum + gradient)
        return ops.reshape(gradient + self.momentum * momentum, (-1, variable.shape[-1]))

    def _move(self, variable, direction, learning_rate):
        rate = RMS * max(direction.shape) ** 0.5 * ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * ops.reshape(direction, variable.shape))

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Take the step for all variables at once: Keras's place for what a backend does faster so.

        On an accelerator, the iterations of one kernel after the other would be hundreds of small products.
        """
        if keras.backend.backend() != "jax":
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        alike = collections.defaultdict(list)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            if len(variable.shape) < 3:
                super().update_step(gradient, variable, learning_rate)
            else:
                ahead = self._ahead(gradient, variable)
                alike[tuple(ahead.shape)].append((variable, ahead))
        for kernels in alike.values():
            directions = orthogonalised(ops.stack([ahead for _, ahead in kernels]))
            for (variable, _), direction in zip(kernels, directions, strict=True):
                self._move(variable, direction, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum}


def orthogonalised(matrix: Tensor) -> Tensor:
    """Find about `U V^T` of the singular value decomposition `U S V^T`: singular values between 0.7 and 1.2.

    Args:
        matrix: (..., rows, columns), floating point: one, or several of a shape.

    Returns:
        Matrices of the same shape.

    Example:

    >>> import numpy as np
    >>> values = np.linalg.svd(orthogonalised(np.diag([3.0, 1.0, 0.5]).astype("float32")), compute_uv=False)
    >>> bool(values.min() > 0.6 and values.max() < 1.3)
    True
    """
    matrix = ops.convert_to_tensor(matrix)
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = ops.swapaxes(matrix, -1, -2) if tall else matrix
    x = x / (ops.sqrt(ops.sum(ops.square(x), axis=(-2, -1), keepdims=True)) + 1e-7)
    for _ in range(ITERATIONS):
        gram = ops.matmul(x, ops.swapaxes(x, -1, -2))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.swapaxes(x, -1, -2) if tall else x
