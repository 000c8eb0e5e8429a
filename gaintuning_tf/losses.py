"""What tuning minimises: unsupervised estimates of the mean squared error, from the noisy image alone.

Each is called as `RiskEstimate` says. Those after Stein are in `sure`; here are those that mask
pixels or draw noise, and sums of any.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping

import tensorflow as tf

from gaintuning_tf import draws
from gaintuning_tf.count_splitting import CountSplitting
from gaintuning_tf.coupled_bootstrap import CoupledBootstrap
from gaintuning_tf.divergence import Denoise, draw_probe, exact_divergence, mean, monte_carlo_divergence, probe_step
from gaintuning_tf.errors import InputError
from gaintuning_tf.risk import RiskEstimate, as_risk_estimate, draw_noise, own_noise
from gaintuning_tf.sure import UNSURE, MonteCarloSURE, PoissonGaussianSURE

__all__ = [
    "UNSURE",
    "BlindSpotLoss",
    "CountSplitting",
    "CoupledBootstrap",
    "Denoise",
    "MonteCarloSURE",
    "NoiseResamplingLoss",
    "PoissonGaussianSURE",
    "RiskEstimate",
    "SupervisedLoss",
    "WeightedSum",
    "draw_probe",
    "exact_divergence",
    "monte_carlo_divergence",
    "probe_step",
]

FILLS = ("mean", "neighbour")


class BlindSpotLoss(RiskEstimate):
    """The error of guessing pixels from those around them, whose noise is another.

    `mean_J (f(y_J) - y)^2`, where y_J is the noisy image with the pixels of a grid J of random
    phase replaced by their neighbours, and the error is counted on J alone (Batson, Royer,
    "Noise2Self: blind denoising by self-supervision", ICML 2019; Krull, Buchholz, Jug,
    "Noise2Void", CVPR 2019). If the noise is of mean zero and independent from pixel to pixel, its expectation
    is that of `mean_J (f(y_J) - x)^2` plus the noise's variance: the mean squared error of the masked
    denoiser, up to a constant, whatever the noise. That denoiser does not see the pixel, so it
    has more error than f itself, and gains tuned on it are not the best for f.

    A network that cannot see the pixel, such as `models.blind_spot`, needs no masks: with
    `masked=False` the loss is `|f(y) - y|^2 / n` (Laine, Karras, Lehtinen, Aila, NeurIPS 2019), in expectation
    the mean squared error plus the noise's variance. For any other network that is
    smallest where nothing is denoised.

    Args:
        masked: Whether to mask pixels.
        spacing: Distance of the masked pixels along each axis: one in `spacing^2` of an image is masked.
        fill: What replaces them: the `"mean"` of the nearest neighbours along the axes, or one
            `"neighbour"` of those at random.

    Raises:
        InputError: An option is not one of these.

    Example:

    >>> noisy = tf.random.stateless_normal((1, 64, 64, 1), (0, 1))  # the clean image is zero
    >>> risk = BlindSpotLoss(spacing=2)(lambda y: y, noisy, seed=(0, 0))  # a quarter of the variance, and the variance
    >>> bool(abs(risk[0] - 1.25) < 5 * 1.25 * (2 / 32**2) ** 0.5)
    True
    """

    needs_noise = False

    def __init__(self, *, masked: bool = True, spacing: int = 4, fill: str = "mean"):
        if int(spacing) != spacing or spacing < 2:
            raise InputError(f"BlindSpotLoss expects spacing to be a whole number of at least 2, received {spacing!r}")
        if fill not in FILLS:
            raise InputError(f"BlindSpotLoss expects fill in {FILLS}, received {fill!r}")
        self.masked = bool(masked)
        self.spacing = int(spacing)
        self.fill = fill

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise=None, *, seed, reference=None) -> tf.Tensor:
        """The risk of each image, (N,), in squared units of the image: see `RiskEstimate`. The noise is not used."""
        if not self.masked:
            return mean(tf.square(denoise(noisy) - noisy))
        mask_seed, fill_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        mask = grid_mask(tf.shape(noisy)[1:-1], self.spacing, mask_seed)
        guess = denoise(tf.where(mask, self._filling(noisy, fill_seed), noisy))
        error = tf.where(mask, tf.square(guess - noisy), tf.zeros_like(noisy))
        return mean(error) / tf.reduce_mean(tf.cast(mask, noisy.dtype))

    def _filling(self, noisy, seed):
        around = _neighbours(noisy)
        if self.fill == "mean":
            return tf.add_n(around) / len(around)
        # One for all channels of a pixel: the noise of one channel may be that of another.
        shape = tf.concat([tf.shape(noisy)[:-1], [1]], 0)
        which = draws.of_shape(
            lambda size: tf.random.stateless_uniform(size, seed, 0, len(around), dtype=tf.int32, alg="philox"), shape
        )
        return tf.add_n([tf.where(which == i, values, tf.zeros_like(values)) for i, values in enumerate(around)])


def grid_mask(size: tf.Tensor, spacing: int, seed) -> tf.Tensor:
    """Every `spacing`-th pixel along each axis, from a random place: booleans, (1, *size, 1).

    Args:
        size: Spatial size of the image, (axes,), integer.
        spacing: At an image with fewer pixels than that along an axis, one of them.
        seed: Two integers.

    Example:

    >>> int(tf.reduce_sum(tf.cast(grid_mask(tf.constant([8, 12]), 4, (0, 0)), tf.int32)))
    6
    """
    axes = size.shape[0]
    steps = tf.minimum(tf.fill([axes], spacing), size)
    bits = tf.random.stateless_uniform([axes], seed, None, None, tf.int32, alg="philox")
    phase = tf.math.floormod(bits, steps)
    mask = tf.ones([1] * (axes + 2), tf.bool)
    for axis in range(axes):
        line = tf.math.floormod(tf.range(size[axis]) - phase[axis], steps[axis]) == 0
        mask &= tf.reshape(line, [-1 if place == axis + 1 else 1 for place in range(axes + 2)])
    return mask


def _neighbours(images):
    """The nearest neighbours along each spatial axis, mirrored at the border: two images for each axis."""
    found = []
    for axis in range(1, len(images.shape) - 1):
        padded = tf.pad(images, [[int(place == axis)] * 2 for place in range(len(images.shape))], "REFLECT")
        for start in (0, 2):
            found.append(tf.slice(padded, [start * int(p == axis) for p in range(len(images.shape))], tf.shape(images)))
    return found


class NoiseResamplingLoss(RiskEstimate):
    """The error of denoising the denoised image once more, under fresh noise.

    `|f(x0 + e) - x0|^2 / n` with x0 the image as the network denoised it before tuning, and e drawn
    from the noise model: the loss "noise resampling" of Mohan, Vincent, Manzorro, Crozier,
    Fernandez-Granda, Simoncelli, "Adaptive denoising via GainTuning", NeurIPS 2021. x0 stands
    in for the clean image: what it has lost cannot be found again. Its noise is another than that
    of the image, so that noise cannot be fitted.

    Args:
        noise: A noise model in the units of the image that is tuned on, or a number, the
            sigma of Gaussian noise. May be left out here and given to the call.

    The call's `reference` is x0. Without it, it is `f(y)` as f is, through which no gradient
    flows: then the target moves with the gains, and as zero gains have no error at all, only few steps are safe.

    Under XLA the noise must be known to be Gaussian: it has no Poisson numbers.

    Example:

    >>> loss = NoiseResamplingLoss(0.1)
    >>> risk = loss(lambda y: 0.5 * y, tf.zeros((1, 128, 128, 1)), seed=(0, 2))
    >>> bool(abs(risk[0] - 0.0025) < 5 * 0.0025 * (2 / 128**2) ** 0.5)
    True
    """

    uses_reference = True

    def __init__(self, noise=None):
        self.noise = own_noise(noise)

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise=None, *, seed, reference=None) -> tf.Tensor:
        """The risk of each image, (N,), in squared units of the image: see `RiskEstimate`."""
        level = self._level(noise, noisy)
        target = tf.stop_gradient(denoise(noisy) if reference is None else tf.cast(reference, noisy.dtype))
        return mean(tf.square(denoise(target + draw_noise(level, target, seed)) - target))


class SupervisedLoss(RiskEstimate):
    """The true error, of an image that is known clean: the best that tuning could do, for comparison.

    `|f(x + e) - x|^2 / n` with e drawn afresh from the noise model at each call.

    Args:
        noise: A noise model in the units of the image that is tuned on, or a number, the
            sigma of Gaussian noise. May be left out here and given to the call.

    Under XLA the noise must be known to be Gaussian: it has no Poisson numbers.

    Example:

    >>> risk = SupervisedLoss(0.1)(lambda y: y, tf.zeros((1, 128, 128, 1)), seed=(0, 2))
    >>> bool(abs(risk[0] - 0.01) < 5 * 0.01 * (2 / 128**2) ** 0.5)
    True
    """

    def __init__(self, noise=None):
        self.noise = own_noise(noise)

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise=None, *, seed, reference=None) -> tf.Tensor:
        """The error of each image, (N,), in squared units of the image: see `RiskEstimate`; `noisy` is CLEAN here."""
        level = self._level(noise, noisy)
        return mean(tf.square(denoise(noisy + draw_noise(level, noisy, seed)) - noisy))


class WeightedSum(RiskEstimate):
    """The weighted sum of several losses, `sum_k w_k loss_k`, each with random numbers of its own.

    Args:
        losses: A mapping of losses to positive weights, or pairs of them. A loss may be a plain function, see
            `risk.as_risk_estimate`.

    Raises:
        InputError: There is no loss, one cannot be called, or a weight is not positive.

    Example:

    >>> loss = WeightedSum({MonteCarloSURE(0.1): 1.0, NoiseResamplingLoss(0.1): 0.5})
    >>> loss(lambda y: 0.5 * y, tf.zeros((2, 16, 16, 1)), seed=(0, 2)).shape.as_list()
    [2]
    """

    def __init__(self, losses):
        given = losses.items() if isinstance(losses, Mapping) else losses
        self.terms = [(as_risk_estimate(loss), weight) for loss, weight in given]
        if not self.terms:
            raise InputError("WeightedSum expects at least one loss, received none")
        for _, weight in self.terms:
            if not (isinstance(weight, numbers.Real) and 0 < weight < float("inf")):
                raise InputError(f"WeightedSum expects positive weights, received {weight!r}")

    def __call__(self, denoise: Denoise, noisy: tf.Tensor, noise=None, *, seed, reference=None) -> tf.Tensor:
        """The risk of each image, (N,), in squared units of the image: see `RiskEstimate`."""
        seeds = tf.unstack(tf.random.split(seed, len(self.terms), alg="philox"))
        return tf.add_n(
            [
                weight * loss.of(denoise, noisy, noise, seed=key, reference=reference)
                for (loss, weight), key in zip(self.terms, seeds, strict=True)
            ]
        )

    def check_noise(self, noise) -> None:
        """Refuse noise that one of the losses is not for.

        Raises:
            InputError: It is.
        """
        for loss, _ in self.terms:
            loss.check_noise(noise)

    @property
    def criterion(self) -> RiskEstimate:
        """The sum of the criteria of the losses."""
        return WeightedSum([(loss.criterion, weight) for loss, weight in self.terms])

    @property
    def noise(self):
        """The noise of the first loss that has its own."""
        return next((loss.noise for loss, _ in self.terms if loss.noise is not None), None)

    @property
    def needs_noise(self):
        """Whether one of the losses needs to be told the noise."""
        return any(loss.needs_noise for loss, _ in self.terms)

    @property
    def uses_reference(self):
        """Whether `reference` makes a difference to one of the losses."""
        return any(loss.uses_reference for loss, _ in self.terms)

    @property
    def step(self):
        """None if one of the losses leaves the length of its finite difference open, else 0."""
        return None if any(loss.step is None for loss, _ in self.terms) else 0.0

    def at_step(self, step: float) -> RiskEstimate:
        """The sum of the losses with this step where theirs is open."""
        return WeightedSum([(loss.at_step(step), weight) for loss, weight in self.terms])
