"""The noise that a request says: estimated here or given, and as arrays for the signature `gaintune_noise`."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.noise.automatic import SMALLEST, examine_noise, is_refined
from gaintuning_tf.noise.correlation import ROUNDING, joined_correlations
from gaintuning_tf.noise.estimation import estimate_noise
from gaintuning_tf.noise.models import NoiseModel, PoissonNoise
from gaintuning_tf.noise.residuals import mean_variance


def starts_at_zero(noise: str | NoiseModel | None) -> bool:
    """Whether the noise is that of counts alone, whose images begin at 0.

    Example:

    >>> starts_at_zero("poisson"), starts_at_zero("auto"), starts_at_zero(None)
    (True, False, False)
    """
    return isinstance(noise, PoissonNoise) or noise == "poisson"


def noise_of_frames(noise: str | NoiseModel, frames: np.ndarray, scale: float, offset: float) -> list[NoiseModel]:
    """Find the noise of each frame in the units of the network.

    Args:
        noise: A kind that `estimate_noise` knows, or a model in the units of the image. For `"auto"`, frames
            with a side of less than 64 pixels are too small to see more than the level of
            white noise.
        frames: (N, H, W, C) or (N, D, H, W, C), in the units of the network.
        scale: Difference of values of the image that is 1 to the network.
        offset: Value of the image that is 0 to the network.

    Raises:
        InputError: It cannot be estimated, no model fits it, or it is that of another number of frames.

    Example:

    >>> from gaintuning_tf import GaussianNoise
    >>> noise_of_frames(GaussianNoise(25.5), np.zeros((1, 8, 8, 1)), 255.0, 0.0)[0].sigma
    0.1
    """
    if isinstance(noise, NoiseModel):
        if noise.images not in (1, len(frames)):
            raise InputError(f"expected one noise, or one for each of {len(frames)} frames, received {noise.images}")
        return noise.scaled(1 / scale, -offset / scale).each(len(frames))
    small = noise == "auto" and min(frames.shape[-3:-1]) < SMALLEST
    # In the image's own units: a count is a whole number there.
    images = [frame * scale + offset for frame in frames]
    if noise == "auto" and not small:
        found = [_examined(image) for image in images]
    else:
        found = [estimate_noise(image, "gaussian" if small else noise) for image in images]
    return [one.scaled(1 / scale, -offset / scale) for one in found]


def _examined(image):
    """Find noise of any kind; refuse such as no model fits, for what a server tunes on is said by models."""
    found = examine_noise(image)
    if found.structure:
        raise InputError(
            f"expected noise that a model fits, received an image with {found.structure}: give sigma or a noise model, "
            "or denoise() it without tuning"
        )
    return found.noise


def refined(
    models: list[NoiseModel], frames: np.ndarray, denoise: Callable[[np.ndarray, float], np.ndarray]
) -> list[NoiseModel]:
    """Estimate the level of noise that was found once more, from what a server's network makes of the frames.

    As `gaintune` does here, see `residual_variance.refined_noise`: of each frame six images are asked for if its
    noise is correlated, three if it is white Gaussian noise.

    Args:
        models: The noise of each frame.
        frames: (N, H, W, C), in the same units.
        denoise: Denoises images (1, h, w, C) there, with noise of a standard deviation.

    Returns:
        The noise of each frame.
    """
    if min(frames.shape[-3:-1]) < SMALLEST or not any(map(is_refined, models)):
        return models  # without TensorFlow
    import tensorflow as tf

    from gaintuning_tf.noise.residual_variance import first_result, refined_by
    from gaintuning_tf.tuning.objective import FIRST_RESULT
    from gaintuning_tf.tuning.windows import step_seed

    def refined_one(model, frame):
        if not is_refined(model):
            return model
        sigma = mean_variance(model, frame[None]) ** 0.5
        seed = step_seed(0, FIRST_RESULT)

        def there(images):
            return tf.constant(denoise(images.numpy(), sigma))

        return refined_by(lambda part: first_result(there, tf.constant(part), model, seed), frame, model)[0]

    return [refined_one(model, frame) for model, frame in zip(models, frames, strict=True)]


def noise_inputs(models: list[NoiseModel]) -> dict[str, np.ndarray]:
    """Write the noise of each image of a request as the inputs of `gaintune_noise`.

    Args:
        models: Those of the images, in the units of the network.

    Returns:
        `slope` and `intercept` (N,), and `correlation` (N, K, K), float32; K is 1 for white noise.

    Warns:
        GainTuningWarning: There are covariances between channels, which the signature does not take.

    Example:

    >>> from gaintuning_tf import PoissonGaussianNoise
    >>> inputs = noise_inputs([PoissonGaussianNoise(0.5, 0.0, offset=0.25)])
    >>> {name: array.tolist() for name, array in inputs.items()}
    {'slope': [0.5], 'intercept': [-0.125], 'correlation': [[[1.0]]]}
    """
    levels = np.array([model.level(1) for model in models])[..., 0]
    joined = joined_correlations([_of_one_channel(model.correlation) for model in models])
    lags = np.ones((1, 1)) if joined is None else joined
    square = _square(lags if lags.ndim == 3 else np.broadcast_to(lags, (len(models), *lags.shape)))
    numbers = {"slope": levels[:, 0], "intercept": levels[:, 1], "correlation": square}
    return {name: np.asarray(values, np.float32) for name, values in numbers.items()}


def _of_one_channel(correlation):
    """Take the mean over the channels of the correlation of each with itself."""
    if correlation is None or correlation.ndim == 2:
        return correlation
    between = correlation * (1 - np.eye(correlation.shape[-1]))
    if np.abs(between).max() > ROUNDING:
        warnings.warn(
            f"the noise is correlated between channels, by up to {np.abs(between).max():.2g}, which a server does not "
            "take: each channel is taken for independent",
            GainTuningWarning,
            stacklevel=4,
        )
    return np.mean(np.diagonal(correlation, axis1=-2, axis2=-1), -1)


def _square(correlations):
    """Pad correlations (N, rows, columns) with zeros to squares."""
    side = max(correlations.shape[1:])
    margins = [((side - own) // 2,) * 2 for own in correlations.shape[1:]]
    return np.pad(correlations, [(0, 0), *margins])
