"""A denoiser as a package of bioimage.io: weights, axes, processing, test tensors, cover and documentation."""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.gains.normalization_layers import bare
from gaintuning_tf.gains.surgery import fold_gains
from gaintuning_tf.networks.network import Network, NetworkLike, network_of
from gaintuning_tf.support import atomic_files
from gaintuning_tf.support.extras import required
from gaintuning_tf.support.normalization import MEAN_STD, PERCENTILES, RANGE, STANDARDIZE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

EXTRA = "bioimageio"
# Sides of the image in the package, for test and cover: enough for three levels of a UNet.
_SIDE, _DEPTH = 128, 32
# Without one that is said.
_NAME = "Denoiser {name}"
_DESCRIPTION = "A network that denoises images, written by gaintuning_tf."
_PAPER = ("Mohan et al., Adaptive denoising via GainTuning, NeurIPS 2021", "https://arxiv.org/abs/2107.12815")


class About(NamedTuple):
    """What a package says of its network, for people.

    Attributes:
        name: 5 to 128 letters, digits, spaces and `_+-()`; by default after the model.
        description: What it is for.
        authors: Their names.
        license: Its identifier of SPDX, such as `"CC-BY-4.0"`.
        documentation: Text in Markdown, in place of what is written of its own accord.
    """

    name: str | None = None
    description: str | None = None
    authors: Sequence[str] = ()
    license: str | None = None
    documentation: str | None = None


def export_bioimageio(
    model: NetworkLike, path: str | Path, *, example: ArrayLike | None = None, about: About | None = None
) -> Path:
    """Write a denoiser as a package of bioimage.io, which its other programs read.

    Gains are folded into the weights. Weights are those of Keras 3 (`keras_v3`) where Keras alone can read them, and
    a SavedModel (`tensorflow_saved_model_bundle`). What the network's numbers mean becomes its preprocessing, and
    the inverse of that its postprocessing, but for what is found in each image (`percentiles`, `standardize`):
    bioimage.io has no inverse of that, and there the output is in the normalised numbers.

    Args:
        model: A denoiser (N, H, W, C), or of volumes (N, D, H, W, C), to the same shape, or a `Network`; never changed.
        path: The package, `.zip`.
        example: A noisy image in units of the image, (H, W), (H, W, C), or of volumes (D, H, W) or (D, H, W, C), for
            the test tensors and the cover; by default one that is made up.
        about: What is to be said of it.

    Returns:
        The package.

    Raises:
        InputError: `bioimageio.spec` is not installed; the network takes the level of the noise, or has gains of its
            own for each image; the example is no image that it takes; or `path` cannot be written to.
    """
    path = Path(path)
    if path.suffix != ".zip":
        raise InputError(f"expected the path of a package of bioimage.io to end in .zip, received {path}")
    spec = required("bioimageio.spec", "a package of bioimage.io", EXTRA)
    atomic_files.check_writable(path)
    network = network_of(model)
    plain = plain_model(network)
    with tempfile.TemporaryDirectory() as folder:
        test = _example(network, example)
        description = _description(spec, network, plain, test, Path(folder), about or About())
        with atomic_files.replacing(path) as temporary:
            # Its own name, for it refuses files that exist.
            packed = Path(folder) / "package.zip"
            _attempt(spec.save_bioimageio_package, description, output_path=packed)
            shutil.copyfile(packed, temporary)
    return path


def plain_model(network: Network) -> keras.Model:
    """Make one Keras model of a network, its gains, its contrast and its range, of Keras's own layers where it was.

    Args:
        network: The network.

    Returns:
        A model of images in [0, 1], or, with a normalisation other than a range, in the numbers of that.

    Raises:
        InputError: It takes the level of the noise, or has gains of its own for each image.
    """
    if network.takes_level:
        raise InputError(
            f"expected a network of images alone, received {network.name!r}, which takes the level of the noise, too"
        )
    if np.size(network.contrast) != 1:
        raise InputError(
            f"expected a network with one set of gains, received one with gains for {np.size(network.contrast)} images"
        )
    model = bare(fold_gains(network.model))
    known = network.normalization
    low, high = (np.asarray(end, float) for end in (known.ends if known.kind == RANGE else ((0.0,), (1.0,))))
    # The contrast turns about the middle of the network's range.
    middle = 0.0 if known.kind in (MEAN_STD, STANDARDIZE) else 0.5
    contrast = float(np.reshape(network.contrast, ()))
    gain, offset = (high - low) * contrast, low + (high - low) * middle * (1 - contrast)
    given = model.inputs[0]
    inputs = keras.Input(given.shape[1:], dtype=given.dtype, name="noisy")
    seen = _rescaled(inputs, gain, offset, "seen")
    outputs = model(seen)
    if known.predicts == "noise":
        outputs = keras.layers.Subtract(name="without_noise", dtype=given.dtype)([seen, outputs])
    return keras.Model(inputs, _rescaled(outputs, 1 / gain, -offset / gain, "denoised"), name=network.name)


def _rescaled(tensor, gain, offset, name):
    if np.all(gain == 1) and np.all(offset == 0):
        return tensor
    numbers = [float(part[0]) if len(part) == 1 else part.tolist() for part in (gain, offset)]
    return keras.layers.Rescaling(*numbers, dtype=tensor.dtype, name=name)(tensor)


def _example(network, example):
    """Give an image, (1, ..., C), float32: as it came, of sides that the network takes."""
    if example is None:
        return _made_up(network)
    image = np.asarray(example, np.float32)
    image = image[..., None] if image.ndim == network.dimensions else image
    if image.ndim != network.dimensions + 1 or image.shape[-1] != network.channels:
        raise InputError(
            f"expected an example with {network.dimensions} axes and {network.channels} channel(s) behind, received "
            f"the shape {np.shape(example)}"
        )
    sides = [_side(network, place, side) for place, side in enumerate(image.shape[:-1])]
    if min(sides) < 1:
        raise InputError(f"expected an example of at least {network.multiple} pixels each way, received {image.shape}")
    return image[tuple(slice(0, side) for side in sides)][None]


def _side(network, place, there):
    """Find how much of a side the network takes: what it fixes, or a multiple of what it wants."""
    fixed = network.fixed_sides[place]
    wanted = min(there, _DEPTH if network.dimensions == 3 and place == 0 else _SIDE)
    if fixed is not None:
        return fixed if fixed <= there else 0
    return wanted // network.multiple * network.multiple or (there // network.multiple) * network.multiple


def _made_up(network):
    """Make an image of smooth shapes, with noise, in units of the image."""
    large = [10**4] * network.dimensions
    sides = [max(_side(network, place, side), 1) for place, side in enumerate(large)]
    grid = np.meshgrid(*(np.arange(side, dtype=np.float64) for side in sides), indexing="ij")
    waves = np.prod([np.cos(axis / (5 + 3 * number)) for number, axis in enumerate(grid)], axis=0)
    image = 0.5 + 0.2 * waves + 0.15 * np.sign(waves)
    shape = (1, *sides, network.channels)
    noise = np.random.default_rng(0).normal(0, 0.05, shape)
    values = np.clip(image[None, ..., None] + noise, 0, 1)
    known = network.normalization
    if known.kind == MEAN_STD:
        low, high = known.limits()
        values = low + (high - low) * values
    return values.astype(np.float32)


def _description(spec, network, plain, test, folder, about):
    """Write the files of a package and describe them."""
    model = spec.model.v0_5
    numbers = _processed(network, test)
    outputs = _unprocessed(network, np.asarray(plain(numbers, training=False)))
    for name, values in (("test_input", test), ("test_output", outputs)):
        np.save(folder / f"{name}.npy", values.astype(np.float32))
    name = about.name or _NAME.format(name=re.sub(r"[^\w+ ()-]", "_", network.name))[:128]
    (folder / "README.md").write_text(about.documentation or _documentation(network, name, about), encoding="utf-8")
    paper, link = _PAPER
    return _attempt(
        model.ModelDescr,
        name=name,
        description=about.description or _DESCRIPTION,
        authors=[spec.generic.v0_3.Author(name=author) for author in about.authors],
        license=about.license,
        cite=[spec.generic.v0_3.CiteEntry(text=paper, url=link)],
        tags=["denoising", "image-restoration", "tensorflow", f"{network.dimensions}d"],
        documentation={"source": folder / "README.md"},
        covers=[],
        inputs=[model.InputTensorDescr(**_tensor(model, network, "noisy", folder / "test_input.npy"))],
        outputs=[model.OutputTensorDescr(**_tensor(model, network, "denoised", folder / "test_output.npy"))],
        weights=_weights(model, plain, folder),
    )


def _attempt(make, *args, **options):
    """Call `bioimageio.spec`, whose faults are the user's: a name that it does not take, a licence that is none."""
    try:
        with warnings.catch_warnings():
            # It advises on what else might be said, and looks for links on the web.
            warnings.simplefilter("ignore")
            return make(*args, **options)
    except Exception as error:
        words = " ".join(str(error).split())
        raise InputError(f"cannot write a package of bioimage.io: {reason_of(error, words)}") from error


def _tensor(model, network, name, test):
    """Describe the input, or the output, which is as large."""
    output = name == "denoised"
    steps = _after(model, network) if output else _before(model, network)
    return {
        "id": model.TensorId(name),
        "axes": _axes(model, network, output),
        "test_tensor": {"source": test},
        "data": model.IntervalOrRatioDataDescr(type="float32", range=_range(network, output)),
        "postprocessing" if output else "preprocessing": steps,
    }


def _range(network, output):
    """Say the range of an image, where that is known: nothing is clipped to it."""
    return (None, None) if output or network.normalization.kind != RANGE else (0.0, 1.0)


def _axes(model, network, output):
    kind = model.SpaceOutputAxis if output else model.SpaceInputAxis
    names = "zyx"[-network.dimensions :]
    sides = []
    for name, fixed in zip(names, network.fixed_sides, strict=True):
        reference = model.SizeReference(tensor_id=model.TensorId("noisy"), axis_id=model.AxisId(name))
        step = network.multiple
        open_size = model.ParameterizedSize(min=max(step, 8 // step * step), step=step)
        size = fixed if fixed is not None else reference if output else open_size
        sides.append(kind(id=model.AxisId(name), size=size))
    channels = [model.Identifier(f"channel{number}") for number in range(network.channels)]
    return [model.BatchAxis(), *sides, model.ChannelAxis(channel_names=channels)]


def _before(model, network):
    """Say the normalisation as preprocessing."""
    known = network.normalization
    if known.kind == MEAN_STD:
        return [_fixed(model, known)]
    if known.kind == PERCENTILES:
        kwargs = model.ScaleRangeKwargs(
            min_percentile=known.low[0], max_percentile=known.high[0], axes=_all(model, network)
        )
        return [model.ScaleRangeDescr(kwargs=kwargs)]
    if known.kind == STANDARDIZE:
        kwargs = model.ZeroMeanUnitVarianceKwargs(axes=_all(model, network))
        return [model.ZeroMeanUnitVarianceDescr(kwargs=kwargs)]
    return []


def _all(model, network):
    """Name the axes of one image."""
    return [model.AxisId(name) for name in [*"zyx"[-network.dimensions :], "channel"]]


def _fixed(model, known):
    if len(known.low) == 1:
        kwargs = model.FixedZeroMeanUnitVarianceKwargs(mean=known.low[0], std=known.high[0])
    else:
        numbers = {"mean": list(known.low), "std": list(known.high)}
        kwargs = model.FixedZeroMeanUnitVarianceAlongAxisKwargs(axis=model.AxisId("channel"), **numbers)
    return model.FixedZeroMeanUnitVarianceDescr(kwargs=kwargs)


def _after(model, network):
    """Say the inverse of the normalisation as postprocessing, where bioimage.io has one."""
    known = network.normalization
    if known.kind != MEAN_STD or (set(known.low), set(known.high)) == ({0.0}, {1.0}):
        return []
    if len(known.low) == 1:
        return [model.ScaleLinearDescr(kwargs=model.ScaleLinearKwargs(gain=known.high[0], offset=known.low[0]))]
    numbers = {"gain": list(known.high), "offset": list(known.low)}
    return [model.ScaleLinearDescr(kwargs=model.ScaleLinearAlongAxisKwargs(axis=model.AxisId("channel"), **numbers))]


def _processed(network, image):
    """Do the preprocessing to an image, with the epsilon that bioimage.io adds."""
    known, values = network.normalization, image.astype(np.float64)
    if known.kind == MEAN_STD:
        values = (values - known.low) / known.high
    elif known.kind == PERCENTILES:
        low, high = np.percentile(values, [known.low[0], known.high[0]])
        values = (values - low) / (high - low + 1e-6)
    elif known.kind == STANDARDIZE:
        values = (values - values.mean()) / (values.std() + 1e-6)
    return values.astype(np.float32)


def _unprocessed(network, values):
    known = network.normalization
    return values * known.high + known.low if known.kind == MEAN_STD else values


def _weights(model, plain, folder):
    """Write the weights in both formats, or as a SavedModel alone where Keras needs this package's layers."""
    weights: dict[str, Any] = {}
    if _is_of_keras(plain):
        plain.save(folder / "weights.keras")
        versions = {"keras_version": model.Version(keras.__version__)}
        versions["backend"] = ("tensorflow", model.Version(tf.__version__))
        weights["keras_v3"] = model.KerasV3WeightsDescr(source=folder / "weights.keras", **versions)
    _save_graph(plain, folder / "saved_model")
    shutil.make_archive(str(folder / "saved_model"), "zip", folder / "saved_model")
    parent = {"parent": "keras_v3"} if weights else {}
    weights["tensorflow_saved_model_bundle"] = model.TensorflowSavedModelBundleWeightsDescr(
        source=folder / "saved_model.zip", tensorflow_version=model.Version(tf.__version__), **parent
    )
    return model.WeightsDescr(**weights)


def _save_graph(model, folder):
    """Write a SavedModel with one signature, whose result has a name: what bioimage.io's programs look for."""
    given = tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name="noisy")
    dtype = model.inputs[0].dtype

    def denoise(noisy):
        return {"denoised": tf.cast(model(tf.cast(noisy, dtype), training=False), tf.float32)}

    function = tf.function(denoise, [given], autograph=False).get_concrete_function()
    module: Any = tf.Module()
    module.weights = list(function.variables)
    tf.saved_model.save(module, str(folder), {"serving_default": function})


def _is_of_keras(model):
    """Whether all layers are Keras's own, at any depth: a class of others has its package in its registered name."""
    registered = re.findall(r'"registered_name": "([^"]*)"', model.to_json())
    modules = re.findall(r'"module": "([^"]*)"', model.to_json())
    return not any(">" in name for name in registered) and all(name.split(".")[0] == "keras" for name in modules)


def _documentation(network, name, about):
    known = network.normalization
    meaning = {
        RANGE: "Images are expected in [0, 1].",
        MEAN_STD: "Images are expected in their own units: a mean and a standard deviation are those of the training.",
        PERCENTILES: "Images may be in any units. The output is in the numbers of the normalisation.",
        STANDARDIZE: "Images may be in any units. The output is in the numbers of the normalisation.",
    }[known.kind]
    return f"""# {name}

{about.description or _DESCRIPTION}

It takes {"volumes" if network.dimensions == 3 else "images"} of {network.channels} channel(s). {meaning}

Written by [gaintuning_tf](https://arxiv.org/abs/2107.12815), which adapts such a network to each image:

    gaintuning-tf denoise noisy.tif -o denoised.tif --model PACKAGE.zip

## Validation

Compare the output with an image of the same specimen at little noise, such as the mean of many exposures, by PSNR and
SSIM; without one, `gaintuning-tf denoise` estimates the mean squared error from the noisy image alone.
"""
