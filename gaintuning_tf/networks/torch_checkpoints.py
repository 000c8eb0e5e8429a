"""Published PyTorch checkpoints as Keras models, weight by weight, read without PyTorch."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, reason_of
from gaintuning_tf.networks.formats.torch_pickle import TorchTensor, load_tensors
from gaintuning_tf.support.extras import required

if TYPE_CHECKING:
    import keras

State: TypeAlias = dict[str, np.ndarray]
# A batch norm in inference has these arrays and no more.
NORM = ("weight", "bias", "running_mean", "running_var")
# PyTorch's epsilon of batch norm, and that of DnCNN's authors.
EPSILON, AUTHORS_EPSILON = 1e-5, 1e-4
# What training scripts call the state dict that they keep beside other things.
WRAPPERS = ("state_dict", "model", "params", "params_ema", "net", "network", "model_state_dict")


def import_torch(path: str | Path, *, allow_pickle: bool = False, norm_epsilon: float | None = None) -> keras.Model:
    """Read a PyTorch checkpoint of a denoiser into a Keras model with the same outputs.

    Known layouts, told apart by the names and shapes of the tensors:

    - DnCNN and UNet of S. Mohan et al., "Robust and interpretable blind image denoising
      via bias-free convolutional neural networks", ICLR 2020, with and without biases.
    - DnCNN of any depth and width as a plain stack, `model.0.weight`, `model.2.weight`
      ... as in KAIR, or `dncnn.0.weight` ... as in DnCNN-PyTorch, with or without
      biases and batch norm. The stack says what to subtract from the image.
    - FFDNet and FDnCNN of KAIR, stacks of the same names whose shapes show a noise map
      among the channels, see `ffdnet`.
    - DRUNet of KAIR, `m_head.weight`, `m_down1.0.res.0.weight` ..., of any widths, with
      or without a noise map, see `drunet`. Sides that are no multiple of 8, which
      KAIR's own code refuses, are mirrored to one.

    Args:
        path: The checkpoint: a state dict, or a dict or list that holds one.
        allow_pickle: Read a file that holds more than tensors, by PyTorch, the extra `torch`. Doing so runs code
            from the file: only for files that you trust.
        norm_epsilon: The epsilon of batch norm, which is not in the file. By default
            1e-5, as PyTorch's, or 1e-4 where names and biases are those of the
            authors of DnCNN.

    Returns:
        The model, (N, H, W, C) to the same shape. One with a noise map has a second
        input, the standard deviation of the noise, (N, H, W, 1).

    Raises:
        InputError: The file cannot be read without running code from it, or, with `allow_pickle`, PyTorch is not
            installed; or its layout is none of those known: the names that were not understood are listed.
    """
    return network_of_state(read_state(path, allow_pickle=allow_pickle), norm_epsilon)


def read_state(path: str | Path, *, allow_pickle: bool = False) -> State:
    """Read the tensors of a PyTorch checkpoint by name, as NumPy arrays; see `import_torch`."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        content = load_tensors(path)
    except InputError as error:
        if not allow_pickle:
            raise InputError(
                f"{path} is no checkpoint of tensors alone; if it is a PyTorch file and you trust whoever made it, "
                f"--allow-pickle (allow_pickle=True) reads it by PyTorch, which runs code from it ({error})"
            ) from error
        content = _load_pickle(path)
    return _find_state(content, path)


def _load_pickle(path):
    torch = required("torch", "a PyTorch checkpoint that holds more than tensors", "torch")
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # an unpickler may raise anything
        raise InputError(f"{path} is no PyTorch checkpoint: {reason_of(error)}") from error


def _find_state(content, path):
    """Find the state dict inside what training scripts wrap around it."""
    while isinstance(content, dict):
        wrapped = [content[key] for key in WRAPPERS if isinstance(content.get(key), (dict, list))]
        if not wrapped:
            break
        content = wrapped[0]
    if isinstance(content, (list, tuple)) and content:
        content = content[0]
    if not isinstance(content, dict) or not all(hasattr(value, "numpy") for value in content.values()):
        raise InputError(f"expected a state dict of tensors in {path}, found {type(content).__name__}")
    tensors = {str(name).removeprefix("module."): _numbers_of(value) for name, value in content.items()}
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}


def _numbers_of(tensor):
    """Give the numbers of a tensor, ours or PyTorch's, which may be on another device."""
    array = tensor.numpy() if isinstance(tensor, TorchTensor) else tensor.detach().cpu().float().numpy()
    return array.astype(np.float32)


def network_of_state(state: State, norm_epsilon: float | None = None) -> keras.Model:
    """Make the Keras model of a state dict.

    Args:
        state: Arrays by the names of their tensors; kernels are (out, in, h, w).
        norm_epsilon: The epsilon of batch norm, see `import_torch`.

    Returns:
        The model, with the state's weights.

    Raises:
        InputError: The layout is not known, or a tensor is missing or has another shape.

    Example:

    >>> kernels = {"dncnn.0.weight": np.ones((4, 1, 3, 3)), "dncnn.2.weight": np.ones((1, 4, 3, 3))}
    >>> network_of_state(kernels).count_params()
    72
    """
    if norm_epsilon is not None and not norm_epsilon > 0:
        raise InputError(f"expected an epsilon of batch norm above 0, received {norm_epsilon}")
    if "m_head.weight" in state:
        return _drunet(state)
    if "conv9.weight" in state:
        return _unet(state)
    if "first_layer.weight" in state:
        return _published_dncnn(state, norm_epsilon)
    for prefix in ("model", "dncnn"):
        if f"{prefix}.0.weight" in state:
            return _stack(state, prefix, norm_epsilon)
    raise _unknown("a DnCNN, UNet, FFDNet or DRUNet", state)


def _drunet(state):
    from gaintuning_tf.networks.residual_unet import drunet

    # A stack of one block has no number.
    state = {re.sub(r"^m_body\.res\.", "m_body.0.res.", name): value for name, value in state.items()}
    scales = max(_numbers(state, r"m_down(\d+)\..*"), default=0)
    blocks = len(_numbers(state, r"m_down1\.(\d+)\.res\.0\.weight"))
    names = _drunet_names(scales, blocks)
    _only(state, (f"{name}.weight" for name in names.values()), "a DRUNet, strided convolutions and no biases")
    widths = [len(_kernel(state, "m_head")), *(len(_kernel(state, f"m_down{k}.{blocks}")) for k in _to(scales))]
    channels, given = len(_kernel(state, "m_tail")), _kernel(state, "m_head").shape[1]
    if scales < 1 or blocks < 1 or given - channels not in (0, 1):
        raise _unknown(f"a DRUNet, {channels} channels in, or one more for the noise", state)
    model = drunet(channels, widths=widths, blocks=blocks, noise_map=given > channels, residual=False)
    for layer, name in names.items():
        _set_convolution(model.get_layer(layer), state, name)
    return model


def _drunet_names(scales, blocks):
    """List the tensors of a DRUNet by the names of our layers."""
    names = {"head": "m_head", "tail": "m_tail"}
    # The way up begins with its stride, the way down ends with it.
    stacks = [("body", "m_body", 0)]
    for scale in _to(scales):
        names |= {f"down{scale}_stride": f"m_down{scale}.{blocks}", f"up{scale}_stride": f"m_up{scale}.0"}
        stacks += [(f"down{scale}", f"m_down{scale}", 0), (f"up{scale}", f"m_up{scale}", 1)]
    for ours, theirs, first in stacks:
        for block in range(blocks):
            for half, number in (("a", 0), ("b", 2)):
                names[f"{ours}_{block + 1}{half}"] = f"{theirs}.{first + block}.res.{number}"
    return names


def _unet(state):
    from gaintuning_tf.networks.architectures import unet

    _only(state, (f"conv{n}.{kind}" for n in _to(9) for kind in ("weight", "bias")), "the published UNet")
    first = _kernel(state, "conv1")
    model = unet(first.shape[1], bias_free="conv1.bias" not in state, width=len(first))
    for number in _to(9):
        _set_convolution(model.get_layer(f"conv{number}"), state, f"conv{number}")
    return model


def _published_dncnn(state, norm_epsilon):
    depth = len(_numbers(state, r"hidden_layer_list\.(\d+)\.weight"))
    convolutions = ["first_layer", *(f"hidden_layer_list.{i}" for i in range(depth)), "last_layer"]
    norms = [None, *(f"bn_layer_list.{i}" for i in range(depth)), None]
    return _dncnn(state, convolutions, norms, "first_layer.bias" not in state, norm_epsilon or EPSILON)


def _stack(state, prefix, norm_epsilon):
    """Make the network of a plain stack: what its channels are shows which."""
    convolutions, norms = _stacked(state, prefix)
    given, returned = _kernel(state, convolutions[0]).shape[1], len(_kernel(state, convolutions[-1]))
    if given == returned:
        if len(convolutions) == 7 and not any(norms):
            # Both have the same names: nothing in the file shows the dilations.
            message = "taken for a DnCNN of 7 layers; IRCNN, which looks the same, is not supported"
            warnings.warn(message, GainTuningWarning, stacklevel=4)
        biased = [f"{name}.bias" in state for name in convolutions]
        bias_free = not any(biased) and not any(norms)
        return _dncnn(state, convolutions, norms, bias_free, norm_epsilon or _epsilon(prefix, biased, norms))
    if given == returned + 1 and not any(norms):
        return _ffdnet(state, convolutions)
    raise InputError(
        f"expected a DnCNN, with as many channels out as in, or an FFDNet without batch norm, with one less, received "
        f"{given} channels in and {returned} out{' with' if any(norms) else ' without'} batch norm"
    )


def _stacked(state, prefix):
    """List the names of the convolutions, and of the batch norm after each, or None."""
    convolutions, norms = [], []
    for number in _numbers(state, rf"{prefix}\.(\d+)\.weight"):
        name = f"{prefix}.{number}"
        if state[f"{name}.weight"].ndim == 4:
            convolutions.append(name)
            norms.append(None)
        elif convolutions:
            norms[-1] = name
    if len(convolutions) < 2:
        raise _unknown("a stack of two or more convolutions", state)
    return convolutions, norms


def _epsilon(prefix, biased, norms):
    """Choose the epsilon of batch norm by who has written the network, which the file does not say."""
    if prefix == "dncnn" and biased == [True] + [False] * (len(biased) - 1):
        return AUTHORS_EPSILON
    if prefix == "model" and any(norms):
        warnings.warn(
            f"the epsilon of batch norm is not in the file; {EPSILON:g} is taken, PyTorch's own; "
            f"trained with KAIR it is another: --norm-epsilon {AUTHORS_EPSILON:g} (norm_epsilon={AUTHORS_EPSILON:g})",
            GainTuningWarning,
            stacklevel=5,
        )
    return EPSILON


def _dncnn(state, convolutions, norms, bias_free, epsilon):
    from gaintuning_tf.networks.architectures import dncnn

    known = [f"{name}.{kind}" for name in convolutions for kind in ("weight", "bias")]
    _only(state, known + [f"{name}.{kind}" for name in norms if name for kind in NORM], "a DnCNN")
    normalised = [name is not None for name in norms]
    if any(normalised) and normalised != [False, *[True] * (len(norms) - 2), False]:
        raise _unknown("a DnCNN, with batch norm after every convolution but the first and last or after none", state)
    first = _kernel(state, convolutions[0])
    options = {"depth": len(convolutions), "width": len(first), "normalised": any(normalised), "epsilon": epsilon}
    model = dncnn(first.shape[1], bias_free=bias_free, **options)
    for number, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True), start=1):
        # Some of the convolutions of a stack with batch norm have a bias: the others get one of zero.
        _set_convolution(model.get_layer(f"conv{number}"), state, convolution, zero_bias=any(normalised))
        if norm:
            _set_norm(model.get_layer(f"norm{number}"), state, norm, bias_free)
    return model


def _ffdnet(state, convolutions):
    """Make an FFDNet, whose output has four channels for each of the image, or else an FDnCNN."""
    from gaintuning_tf.networks.half_resolution import ffdnet

    _only(state, (f"{name}.{kind}" for name in convolutions for kind in ("weight", "bias")), "an FFDNet")
    returned, width = len(_kernel(state, convolutions[-1])), len(_kernel(state, convolutions[0]))
    scale = 2 if returned % 4 == 0 else 1
    options = {"depth": len(convolutions), "width": width, "bias_free": f"{convolutions[0]}.bias" not in state}
    model = ffdnet(returned // scale**2, scale=scale, name="ffdnet" if scale == 2 else "fdncnn", **options)
    for number, name in enumerate(convolutions, start=1):
        _set_convolution(model.get_layer(f"conv{number}"), state, name)
    return model


def _set_convolution(layer, state, name, zero_bias=False):
    # PyTorch: (out, in, h, w), transposed (in, out, h, w); Keras: (h, w, in, out), transposed (h, w, out, in).
    kernel = _kernel(state, name).transpose(2, 3, 1, 0)
    bias = state.get(f"{name}.bias", np.zeros(len(kernel.T), kernel.dtype) if zero_bias and layer.use_bias else None)
    if tuple(layer.kernel.shape) != kernel.shape or (bias is not None) != layer.use_bias:
        raise InputError(
            f"expected {name}.weight of shape {tuple(layer.kernel.shape)} with{'' if layer.use_bias else 'out'} bias "
            f"(height, width, in, out), received {kernel.shape} with{'out' if bias is None else ''}"
        )
    layer.kernel.assign(kernel)
    if bias is not None:
        layer.bias.assign(bias)


def _set_norm(layer, state, name, bias_free):
    values = {kind: _tensor(state, f"{name}.{kind}") for kind in (("weight", "running_var") if bias_free else NORM)}
    layer.gamma.assign(values["weight"])
    layer.moving_variance.assign(values["running_var"])
    if not bias_free:
        layer.beta.assign(values["bias"])
        layer.moving_mean.assign(values["running_mean"])


def _to(last):
    return range(1, last + 1)


def _numbers(state, pattern):
    """List, in order and each once, the numbers that a pattern finds in the names."""
    return sorted({int(found[1]) for found in (re.fullmatch(pattern, name) for name in state) if found})


def _kernel(state, name):
    kernel = _tensor(state, f"{name}.weight")
    if kernel.ndim != 4:
        raise InputError(f"expected {name}.weight of shape (out, in, height, width), received {kernel.shape}")
    return kernel


def _tensor(state, name):
    if name not in state:
        raise InputError(f"expected the tensor {name} in the checkpoint, it has none of that name")
    return state[name]


def _only(state: State, known: Iterable[str], what: str) -> None:
    unknown = sorted(set(state) - set(known))
    if unknown:
        raise _unknown(what, state, unknown)


def _unknown(what, state, names=None):
    names = sorted(state) if names is None else names
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return InputError(f"expected the layout of {what}; not understood: {shown}")
