"""The best that gains can do: tuned on the clean image, applied to the noisy one."""

from __future__ import annotations

import numpy as np

from gaintuning_tf.losses.drawn_noise import SupervisedLoss
from gaintuning_tf.networks.network import NetworkLike, network_of
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel
from gaintuning_tf.tuning.defaults import PRIOR, WINDOW
from gaintuning_tf.tuning.tuner import GainTuner


class Oracle:
    """Gains tuned with the clean image at hand, a bound to compare unsupervised tuning with.

    It never sees the noise of the image that it is judged on, only other noise of the same
    kind and level, so it cannot fit that noise: a fair bound, on average, for the gains of this network.

    Args:
        model: A denoiser of grey or colour pictures; copied, never changed.
        steps: Steps of optimisation, as many as tuning's own by default.
        seed: Same seed, same machine: same gains.
        prior: As for `GainTuner`: the recipe of the tuning that it is compared with.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    >>> clean = np.full((16, 16), 0.5, np.float32)
    >>> Oracle(model, steps=2).denoise(clean, clean, 0.1).shape
    (16, 16)
    """

    def __init__(self, model: NetworkLike, *, steps: int | None = None, seed: int = 0, prior: float | None = PRIOR):
        self._network = network_of(model)
        self._tuner = GainTuner(self._network.model, SupervisedLoss(), prior=prior)
        self._options = {"steps": steps, "seed": seed, "window": WINDOW, "progress": False}

    def denoise(self, noisy: np.ndarray, clean: np.ndarray, noise: float | NoiseModel) -> np.ndarray:
        """Denoise `noisy` with the gains for `clean`.

        Args:
            noisy: (H, W) or (H, W, C), float32 in [0, 1] but for the noise.
            clean: Of the same shape, float32 in [0, 1].
            noise: That of the noisy image, in its units: a standard deviation, or a model.

        Returns:
            float32 of the same shape.

        Raises:
            KeyboardInterrupt: Ctrl-C while tuning.
        """
        limits = self._network.limits(noisy)
        known = limits.noise(noise if isinstance(noise, NoiseModel) else GaussianNoise(noise))
        self._tuner.reset()
        shape = (1, *noisy.shape[:2], -1)
        history = self._tuner.tune(limits.seen(clean).reshape(shape), sigma=known, **self._options)
        if history.interrupted:
            raise KeyboardInterrupt
        return limits.image(self._tuner.denoise(limits.seen(noisy).reshape(shape)).reshape(noisy.shape))
