"""A denoiser as a SavedModel for TensorFlow Serving, which may adapt itself to each image."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError
from gaintuning_tf.gains.contrast import at_contrast
from gaintuning_tf.gains.normalization_layers import limits_of, within_limits
from gaintuning_tf.gains.surgery import fold_gains
from gaintuning_tf.losses.coupled_bootstrap import CoupledBootstrap
from gaintuning_tf.networks import sizes
from gaintuning_tf.networks.network import NetworkLike, network_of
from gaintuning_tf.serving import versions
from gaintuning_tf.serving.request_checks import checks_of_levels
from gaintuning_tf.serving.tuning_in_graph import TuningInGraph
from gaintuning_tf.serving.warmup_requests import write_warmup
from gaintuning_tf.support import atomic_files
from gaintuning_tf.support.normalization import MEAN_STD
from gaintuning_tf.tuning.defaults import WINDOW
from gaintuning_tf.tuning.steps import gain_steps
from gaintuning_tf.tuning.tunable_network import with_level

# What the warm-up requests hold: a small image, where the network takes any size.
_WARMUP_SIDE = 32
_WARMUP_CORRELATION = np.array([[[0.2, 0.5, 0.2], [0.5, 1.0, 0.5], [0.2, 0.5, 0.2]]], np.float32)
_NUMBERS = ("sigma", "slope", "intercept")


def export_saved_model(
    model: NetworkLike,
    path: str | Path,
    *,
    adaptive: bool = True,
    version: int | None = None,
    data_range: float | None = None,
) -> Path:
    """Write a denoiser as a new version of a model that TensorFlow Serving can serve.

    The version is a SavedModel with these signatures, for any number and size of images:

    - `serving_default`: `noisy` [N, H, W, C], float32, in [0, 1], to `denoised`. Gains are
      folded into the weights. A network of volumes takes [N, D, H, W, C] throughout; one that takes the level of
      the noise has `sigma` [N] here, too, above zero.
    - `gaintune`, if `adaptive`: `noisy`, `sigma` [N], float32, and `steps` [], int32, to
      `denoised` and `sure` [N]. Every image is tuned by itself, from gains of one on top of
      those folded in, as `gaintune` does in Python with seed 0 and so many steps; `sigma` of 0 or less means
      to estimate it. `sure` is the risk estimate of the gains that were kept, a mean squared
      error in squared units of the image. Nothing outlives the request, and requests that
      run at once do not touch each other.
    - `gaintune_noise`, if `adaptive`: `noisy`, the line of the noise's variance `slope` [N] and
      `intercept` [N], `correlation` [N, K, K] and `steps`, to the same. The variance is
      `slope * value + intercept` in units of `noisy`, the intercept negative where there is a black
      level. The correlation is the autocovariance over the variance, K odd, one at lag zero in
      the middle; zero elsewhere, or K of 1, is white noise. What is not such noise is refused.

    What the network needs as multiples of the sides is mirrored and cropped in the graph, and what its numbers
    mean is in there, too: all signatures take images in [0, 1].
    The version has warm-up requests in TensorFlow Serving's format. Beside the versions, a
    `models.config` and a `batching.config` are written unless they exist; the latter says
    why a server must not batch versions with `gaintune`: its `steps` has no batch axis.
    Versions without are ready for batching.

    Args:
        model: A denoiser (N, H, W, C) to the same shape, or a `Network`; never changed. Its gains, if it
            has any, are folded.
        path: Folder of the versions, made if absent: TensorFlow Serving's `base_path`.
        adaptive: Whether to include `gaintune` and `gaintune_noise`. They hold the network a second time.
        version: Number of the version, the next free one by default.
        data_range: Value of the images that is 1 in what clients send, for a network whose mean and
            standard deviation are given in units of the image.

    Returns:
        The folder of the version, `path/version`. It appears at once, complete, or not at all.

    Raises:
        InputError: The model is no denoiser, has no convolution (for `adaptive`) or gains that
            cannot be folded; the version exists or is no whole number; `path` cannot be written to.

    Example:

    >>> import tempfile
    >>> from gaintuning_tf import load_denoiser
    >>> folder = export_saved_model(load_denoiser("unet-bf-natural"), tempfile.mkdtemp(), adaptive=False)
    >>> folder.name
    '1'
    >>> denoise = tf.saved_model.load(folder).signatures["serving_default"]
    >>> denoise(noisy=tf.zeros((2, 31, 45, 1)))["denoised"].shape.as_list()
    [2, 31, 45, 1]
    """
    path = Path(path)
    versions.check_version(path, version)
    served = _Served(network_of(model), adaptive, data_range)
    with _made(path):
        chosen = versions.next_version(path) if version is None else version
        while True:
            try:
                return _write(served, path, chosen)
            except FileExistsError as error:
                # Somebody else wrote it meanwhile.
                versions.check_version(path, version)
                if versions.next_version(path) == chosen:
                    raise error
                chosen = versions.next_version(path)


class _Served:
    """The signatures of a network."""

    def __init__(self, network, adaptive, data_range):
        model = fold_gains(network.model)
        normalization = _as_sent(network, data_range)
        self._shape = network.shape
        self._dtype = tf.as_dtype(model.inputs[0].dtype)
        self._takes_level, self._normalization = network.takes_level, normalization
        seen = sizes.at_any_size(model, network.multiple)
        contrast = tf.constant(network.contrast, self._dtype)
        self._seen = lambda noisy, line: at_contrast(with_level(seen, noisy, contrast, line), noisy, contrast)
        self.adaptive = adaptive
        # Typed so, for only signatures that are there ask for it.
        self._tuning: Any = None
        if adaptive:
            way = gain_steps(model, CoupledBootstrap())
            self._tuning = TuningInGraph(way, window=WINDOW, normalization=normalization)

    def signatures(self):
        noisy = tf.TensorSpec([None, *self._shape], tf.float32, name="noisy")
        level = [tf.TensorSpec([None], tf.float32, name="sigma")] if self._takes_level else []
        functions = {"serving_default": tf.function(self._denoise, [noisy, *level], autograph=False)}
        if self.adaptive:
            steps = tf.TensorSpec([], tf.int32, name="steps")
            sigma, slope, intercept = (tf.TensorSpec([None], tf.float32, name=name) for name in _NUMBERS)
            correlation = tf.TensorSpec([None, None, None], tf.float32, name="correlation")
            noise = [slope, intercept, correlation]
            functions["gaintune"] = tf.function(self._at_sigma, [noisy, sigma, steps], autograph=False)
            functions["gaintune_noise"] = tf.function(self._at_noise, [noisy, *noise, steps], autograph=False)
        return {name: function.get_concrete_function() for name, function in functions.items()}

    def warmup(self):
        """Make a small request to each signature."""
        shape = [_WARMUP_SIDE if side is None else side for side in self._shape]
        noisy = np.random.default_rng(0).normal(0.5, 0.1, [1, *shape]).astype(np.float32)
        level = {"sigma": np.array([0.1], np.float32)} if self._takes_level else {}
        requests: dict[str, dict[str, Any]] = {"serving_default": {"noisy": noisy, **level}}
        if self.adaptive:
            sigma, slope, intercept = (np.array([number], np.float32) for number in (0.1, 0.01, 0.005))
            noise = {"slope": slope, "intercept": intercept, "correlation": _WARMUP_CORRELATION}
            requests["gaintune"] = {"noisy": noisy, "sigma": sigma, "steps": np.int32(1)}
            requests["gaintune_noise"] = {"noisy": noisy, **noise, "steps": np.int32(1)}
        return requests

    def _denoise(self, noisy, sigma=None):
        images = tf.cast(noisy, self._dtype)
        line = None
        if sigma is not None:
            with tf.control_dependencies(checks_of_levels(noisy, sigma)):
                _, span = limits_of(self._normalization, tf.identity(images))
            line = None, tf.square(tf.cast(sigma, span.dtype) / span)
        denoised = within_limits(self._normalization, lambda seen: self._seen(seen, line))(images)
        return {"denoised": tf.cast(denoised, tf.float32)}

    def _at_sigma(self, noisy, sigma, steps):
        return self._answer(self._tuning.at_sigma, steps, noisy, sigma)

    def _at_noise(self, noisy, slope, intercept, correlation, steps):
        return self._answer(self._tuning.at_noise, steps, noisy, slope, intercept, correlation)

    def _answer(self, tune, steps, *parts):
        """Tune in the network's dtype, and answer in that of the request."""
        denoised, risk = tune(*(tf.cast(part, self._dtype) for part in parts), steps)
        return {"denoised": tf.cast(denoised, tf.float32), "sure": tf.cast(risk, tf.float32)}


def _as_sent(network, data_range):
    """Say what the network's numbers mean in units of what clients send."""
    if network.normalization.kind != MEAN_STD:
        return network.normalization
    if data_range is None or not data_range > 0:
        raise InputError(
            f"expected data_range (--data-range), the value that is 1 in what clients send, with the mean and standard "
            f"deviation of {network.name!r}, which are in units of the image; received {data_range}"
        )
    return network.normalization.of_frames(data_range, 0.0)


def _write(served, path, version):
    folder = path / str(version)
    if folder.exists():
        raise FileExistsError(f"{folder} exists already")
    with atomic_files.new_folder(folder) as temporary:
        signatures = served.signatures()
        module: Any = tf.Module()
        # What they read and no more; with the Keras model itself, each weight would be written twice.
        module.weights = [variable for function in signatures.values() for variable in function.variables]
        tf.saved_model.save(module, str(temporary), signatures)
        write_warmup(temporary, served.warmup(), path.resolve().name)
        if not served.adaptive:
            (temporary / versions.BATCHING_OF_VERSION).write_text(versions.batching_of_version())
        versions.write_configurations(path)
    return folder


@contextlib.contextmanager
def _made(path):
    """Make the folder if it is absent; it goes again if it was, and the block fails."""
    absent = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if absent:
            with contextlib.suppress(OSError):  # not empty: somebody else's
                path.rmdir()
        raise
