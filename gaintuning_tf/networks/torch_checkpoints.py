"""Published PyTorch checkpoints as Keras models, weight by weight."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, reason_of
from gaintuning_tf.support.extras import required

if TYPE_CHECKING:
    import keras

State = dict[str, np.ndarray]
# A batch norm in inference has these arrays and no more.
NORM = ("weight", "bias", "running_mean", "running_var")


def import_torch(path: str | Path, *, allow_pickle: bool = False) -> keras.Model:
    """Read a PyTorch checkpoint of a DnCNN or UNet into a Keras model with the same outputs.

    Known layouts: the networks of "Robust and interpretable blind image denoising via
    bias-free convolutional neural networks" (Mohan et al., ICLR 2020), with and
    without biases; and a DnCNN of any depth and width as a plain stack, `model.0.weight`,
    `model.0.bias`, `model.2.weight` ..., with or without batch norm, as in KAIR.

    Args:
        path: The checkpoint: a state dict, or a dict or list that holds one.
        allow_pickle: Read a file that holds more than tensors. Doing so runs code
            from the file: only for files that you trust.

    Returns:
        The model, (N, H, W, C) to the same shape.

    Raises:
        InputError: PyTorch is not installed, the file cannot be read without running
            code from it, or its layout is none of those known: the names that were not
            understood are listed.
    """
    state = read_state(path, allow_pickle=allow_pickle)
    if "conv9.weight" in state:
        return _unet(state)
    if "first_layer.weight" in state:
        return _dncnn(_published_dncnn(state), state)
    if "model.0.weight" in state:
        return _dncnn(_stacked_dncnn(state), state)
    raise _unknown("a DnCNN or UNet", state)


def read_state(path: str | Path, *, allow_pickle: bool = False) -> State:
    """Read the tensors of a PyTorch checkpoint by name, as NumPy arrays; see `import_torch`."""
    torch = _torch()
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        # The published files hold their training's options, a Namespace, beside the tensors: plain attributes, no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler may raise anything
        if not allow_pickle:
            raise InputError(
                f"{path} is no checkpoint of tensors alone; if it is a PyTorch file and you trust whoever made it, "
                f"--allow-pickle (allow_pickle=True) reads it, which runs code from it ({reason_of(error)})"
            ) from error
        content = _load_pickle(torch, path)
    return _find_state(content, path)


def _load_pickle(torch, path):
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # the same, for the pickle of the user's choice
        raise InputError(f"{path} is no PyTorch checkpoint: {reason_of(error)}") from error


def _find_state(content, path):
    """Find the state dict inside what training scripts wrap around it."""
    torch = _torch()
    for key in ("state_dict", "model", "params", "params_ema"):
        if isinstance(content, dict) and isinstance(content.get(key), (dict, list)):
            content = content[key]
            break
    if isinstance(content, (list, tuple)) and content:
        content = content[0]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"expected a state dict of tensors in {path}, found {type(content).__name__}")
    tensors = {name.removeprefix("module."): value.detach().cpu().numpy() for name, value in content.items()}
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}


def _unet(state):
    from gaintuning_tf.networks.architectures import unet

    _only(state, {f"conv{n}.{kind}" for n in range(1, 10) for kind in ("weight", "bias")}, "the published UNet")
    first = state["conv1.weight"]
    model = unet(first.shape[1], bias_free="conv1.bias" not in state, width=first.shape[0])
    for number in range(1, 10):
        _set_convolution(model.get_layer(f"conv{number}"), state, f"conv{number}")
    return model


def _published_dncnn(state):
    """List the names of the convolutions and of the batch norms, in order."""
    depth = sum(bool(re.fullmatch(r"hidden_layer_list\.\d+\.weight", name)) for name in state)
    convolutions = ["first_layer", *(f"hidden_layer_list.{i}" for i in range(depth)), "last_layer"]
    return convolutions, [None, *(f"bn_layer_list.{i}" for i in range(depth)), None]


def _stacked_dncnn(state):
    numbers = sorted({int(name.split(".")[1]) for name in state if re.fullmatch(r"model\.\d+\.weight", name)})
    convolutions, norms = [], []
    for number in numbers:
        if state[f"model.{number}.weight"].ndim == 4:
            convolutions.append(f"model.{number}")
            norms.append(None)
        else:
            norms[-1] = f"model.{number}"
    if len(convolutions) == 7:
        # Both have the same names: nothing in the file shows the dilations.
        warnings.warn(
            "taken for a DnCNN of 7 layers; IRCNN, which looks the same, is not supported",
            GainTuningWarning,
            stacklevel=3,
        )
    return convolutions, norms


def _dncnn(names, state):
    from gaintuning_tf.networks.architectures import dncnn

    convolutions, norms = names
    known = {f"{name}.{kind}" for name in convolutions for kind in ("weight", "bias")}
    _only(state, known | {f"{name}.{kind}" for name in norms if name for kind in NORM}, "a DnCNN")
    first, bias_free = state[f"{convolutions[0]}.weight"], f"{convolutions[0]}.bias" not in state
    normalised = [name is not None for name in norms]
    if len(convolutions) < 2 or (any(normalised) and normalised != [False, *[True] * (len(norms) - 2), False]):
        raise _unknown("a DnCNN, with batch norm after every convolution but the first and last or after none", state)
    options = {"depth": len(convolutions), "width": first.shape[0], "normalised": any(normalised)}
    model = dncnn(first.shape[1], bias_free=bias_free, **options)
    for number, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True), start=1):
        _set_convolution(model.get_layer(f"conv{number}"), state, convolution)
        if norm:
            _set_norm(model.get_layer(f"norm{number}"), state, norm, bias_free)
    return model


def _set_convolution(layer, state, name):
    # PyTorch: (out, in, h, w), transposed (in, out, h, w); Keras: (h, w, in, out), transposed (h, w, out, in).
    kernel = _tensor(state, f"{name}.weight").transpose(2, 3, 1, 0)
    bias = state.get(f"{name}.bias")
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


def _tensor(state, name):
    if name not in state:
        raise InputError(f"expected the tensor {name} in the checkpoint, it has none of that name")
    return state[name]


def _only(state, known, what):
    if set(state) - known:
        raise _unknown(what, state, sorted(set(state) - known))


def _unknown(what, state, names=None):
    names = sorted(state) if names is None else names
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return InputError(f"expected the layout of {what}; not understood: {shown}")


def _torch():
    return required("torch", "importing a PyTorch checkpoint", "torch")
