"""Other ways to denoise the same image, by name, to measure tuning against."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.evaluation.variance_stabilisation import VarianceStabilisation
from gaintuning_tf.noise.models import GaussianNoise, NoiseModel, PoissonNoise
from gaintuning_tf.noise.residuals import mean_variance
from gaintuning_tf.support.extras import check_installed

if TYPE_CHECKING:
    from gaintuning_tf.losses.base import Loss
    from gaintuning_tf.networks.network import NetworkLike

# In the order in which they are measured, and what to say of each.
BASELINES = {
    "bm3d": "BM3D, of the extra [evaluate], whose licence allows non-commercial use only",
    "nlm": "non-local means of scikit-image",
    "all-weights": "the same network with all its weights tuned under the same loss",
    "last-layer": "the same with the weights of its last convolution",
    "scratch": "Self2Self-style training on the one image, without a pre-trained network",
}


def check_baselines(names: Sequence[str]) -> None:
    """Refuse names that are unknown, and methods that are not installed; needs no TensorFlow.

    Raises:
        InputError: With what to install.
    """
    for name in names:
        if name not in BASELINES:
            raise InputError(f"expected methods to compare with in {', '.join(BASELINES)}, received {name!r}")
    if "bm3d" in names:
        check_installed("bm3d", "comparing with bm3d", "evaluate")


def methods(
    names: Sequence[str],
    model: NetworkLike | None,
    *,
    loss: Loss | str = "sure",
    steps: int | None = None,
    seed: int = 0,
    iterations: int | None = None,
) -> dict[str, Callable[[np.ndarray, float | NoiseModel], np.ndarray]]:
    """Make the methods of these names, for `evaluate(..., compare=...)`.

    Args:
        names: Some of `BASELINES`.
        model: The network whose weights `all-weights` and `last-layer` tune; never changed.
        loss: Their loss: a name from `names.LOSSES` or a loss object.
        steps: Their steps, by default 40.
        seed: That of those two and of `scratch`.
        iterations: Those of `scratch`, by default `self2self.ITERATIONS`.

    Returns:
        For each name a function of the noisy image, (H, W) or (H, W, 3), float32 in [0, 1] but for the noise, and of
        the noise in the same units, a model or a standard deviation, to the denoised image of the same shape.

    Raises:
        InputError: A name is unknown, a package is missing, or the model's weights cannot be tuned.

    Example:

    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((32, 32), "float32")
    >>> denoised = methods(["nlm"], model=None)["nlm"](noisy, 0.1)
    >>> bool(denoised.std() < 0.3 * noisy.std())
    True
    """
    check_baselines(names)
    makers = {
        "bm3d": lambda: denoise_bm3d,
        "nlm": lambda: denoise_nlm,
        "all-weights": lambda: _weights("all", model, loss, steps, seed),
        "last-layer": lambda: _weights("last", model, loss, steps, seed),
        "scratch": lambda: _scratch(iterations, seed),
    }
    return {name: makers[name]() for name in BASELINES if name in names}


def denoise_bm3d(noisy: np.ndarray, noise: float | NoiseModel) -> np.ndarray:
    """Denoise by BM3D of its authors, both stages, their standard profile, told all that is known of the noise.

    Of correlated noise it is told the power spectral density, see `power_spectrum`. Noise that
    depends on the signal is made the same everywhere first, see `VarianceStabilisation`. Colour goes through its
    authors' `bm3d_rgb`, which takes the noise of the channels to be independent.

    Y. Makinen, L. Azzari, A. Foi, "Collaborative filtering of correlated noise", IEEE TIP 2020; Dabov, Foi,
    Katkovnik, Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative filtering", IEEE TIP 2007.
    The package is licensed for non-commercial use only.

    Args:
        noisy: (H, W) or (H, W, 3), of a range of about 1, which BM3D compares blocks by.
        noise: Its noise in the same units: a standard deviation, or a model.

    Returns:
        float32 of the same shape.

    Raises:
        InputError: The package is not installed.

    Example:

    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((32, 32))
    >>> denoise_bm3d(noisy, 0.1).shape  # doctest: +SKIP
    (32, 32)
    """
    check_baselines(["bm3d"])
    noise = noise if isinstance(noise, NoiseModel) else GaussianNoise(noise)
    noisy = np.asarray(noisy, np.float64)
    (slope,), (intercept,) = noise.level(1)
    if slope <= 0:
        return _bm3d(noisy, noise.correlation, float(intercept)).astype(np.float32)
    way = VarianceStabilisation(float(slope), float(intercept))
    stable = way.forward(noisy)
    # Blocks are compared by a threshold for images in [0, 1]. Black is 0 already.
    scale = float(stable.max()) or 1.0
    return way.back(_bm3d(stable / scale, noise.correlation, 1 / scale**2) * scale).astype(np.float32)


def _bm3d(noisy, correlation, variance):
    """Denoise by BM3D; the noise has the same variance everywhere."""
    import bm3d

    filtered: Any = bm3d.bm3d if noisy.ndim == 2 else bm3d.bm3d_rgb  # typed for all that they may return
    if correlation is None:
        return filtered(noisy, variance**0.5)
    if noisy.ndim == 3:
        # Of each channel its own, and those between channels are left out: it has no place for them.
        each = correlation if correlation.ndim == 4 else correlation[..., None, None] * np.eye(noisy.shape[2])
        density = [power_spectrum(each[..., c, c], noisy.shape[:2]) for c in range(noisy.shape[2])]
        density = np.stack(density, axis=-1)
    else:
        density = power_spectrum(correlation, noisy.shape)
    with _trapz():
        return filtered(noisy, variance * density)


@contextlib.contextmanager
def _trapz():
    """Lend NumPy the function that bm3d 4.0 asks for, and that NumPy 2.4 calls `trapezoid` only."""
    if hasattr(np, "trapz"):
        yield
        return
    numpy: Any = np  # which is typed without what is lent
    numpy.trapz = np.trapezoid
    try:
        yield
    finally:
        del numpy.trapz


def power_spectrum(correlation: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the power spectral density of noise of variance one, as BM3D wants it: `|DFT of rho| H W`.

    The mean over the frequencies is H W, as that of `|DFT|^2` of white noise of variance one.

    Args:
        correlation: That of a grey image, (2r+1, 2r+1), see `NoiseModel`.
        shape: (H, W).

    Returns:
        (H, W), frequency zero first, nowhere negative.

    Raises:
        InputError: It is that of colours.

    Example:

    >>> power_spectrum(np.array([[0.5, 1.0, 0.5]]), (1, 4)).round(6).tolist()
    [[8.0, 4.0, 0.0, 4.0]]
    """
    if correlation.ndim != 2:
        raise InputError(f"expected a correlation (2r+1, 2r+1) of a grey image, received shape {correlation.shape}")
    wrapped = np.zeros(shape)
    places = [(np.arange(side) - side // 2) % size for side, size in zip(correlation.shape, shape, strict=True)]
    np.add.at(wrapped, np.ix_(*places), correlation)
    return np.maximum(np.fft.fft2(wrapped).real, 0) * wrapped.size


def anscombe_bm3d(counts: np.ndarray) -> np.ndarray:
    """Denoise counts by BM3D, between Anscombe's transform and its exact unbiased inverse.

    Args:
        counts: (H, W), Poisson distributed: numbers of electrons or photons, not scaled.

    Returns:
        (H, W), float32, in counts.

    Raises:
        InputError: The package is not installed.

    Example:

    >>> counts = np.random.default_rng(0).poisson(2, (64, 64))
    >>> bool(abs(anscombe_bm3d(counts).mean() - 2) < 0.1)  # doctest: +SKIP
    True
    """
    return denoise_bm3d(counts, PoissonNoise(1.0))


def denoise_nlm(noisy: np.ndarray, noise: float | NoiseModel) -> np.ndarray:
    """Denoise by scikit-image's non-local means, given the noise, with the settings of its own example.

    It knows white noise only, the same everywhere: of other noise it is given the mean standard deviation.

    `h = 0.6 sigma`, patches of 5x5 up to 6 pixels away, `fast_mode`: those of "Non-local means denoising for
    preserving textures" in scikit-image's gallery (Buades, Coll, Morel, "A non-local algorithm for image denoising",
    CVPR 2005; the fast mode: Froment, IPOL 2014).

    Args:
        noisy: (H, W) or (H, W, 3).
        noise: Its noise in the same units: a standard deviation, or a model.

    Returns:
        float32 of the same shape.

    Example:

    >>> noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((32, 32))
    >>> bool(abs(denoise_nlm(noisy, 0.1).mean() - 0.5) < 0.02)
    True
    """
    from skimage.restoration import denoise_nl_means

    sigma = mean_variance(noise, noisy) ** 0.5 if isinstance(noise, NoiseModel) else noise
    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": True}
    options["channel_axis"] = -1 if noisy.ndim == 3 else None
    denoised = denoise_nl_means(np.asarray(noisy, np.float64), h=0.6 * sigma, sigma=sigma, **options)
    return denoised.astype(np.float32)


def _weights(which, model, loss, steps, seed):
    from gaintuning_tf.evaluation.weight_tuning import WeightTuner
    from gaintuning_tf.losses.names import loss_named

    tuner = WeightTuner(model, loss_named(loss) if isinstance(loss, str) else loss, which)

    def denoise(noisy, noise):
        images = noisy.reshape(1, *noisy.shape[:2], -1)
        return tuner.denoise(images, sigma=noise, steps=steps, seed=seed).reshape(noisy.shape)

    return denoise


def _scratch(iterations, seed):
    from gaintuning_tf.evaluation import self2self

    count = self2self.ITERATIONS if iterations is None else iterations

    def denoise(noisy, noise):
        if noisy.ndim != 2:
            raise InputError("expected grey images for the method scratch, received colour; leave it out")
        return self2self.denoise_from_scratch(noisy, iterations=count, seed=seed)

    return denoise
