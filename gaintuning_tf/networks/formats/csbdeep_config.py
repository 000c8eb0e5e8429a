"""What `config.json` of a CSBDeep or Noise2Void model says, checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.support.normalization import MEAN_STD, PERCENTILES, Normalization

CONFIG = "config.json"
# The percentiles of CSBDeep's `predict` where nothing else is said. Which are best, depends
# on how its images were prepared, and the folder does not say that.
CARE_PERCENTILES = Normalization(PERCENTILES, (2.0,), (99.8,), assumed=True)
# Spatial axes in the order in which this package has them.
_ORDER = "TZYX"
_LAST_ACTIVATIONS = ("linear", "relu")
# Deeper ones would halve an image of a million pixels to nothing.
_DEEPEST = 20
_KINDS = {
    "proj_axis": "ProjectionCARE, whose output has an axis less than its input",
    "n_rays": "StarDist, which finds objects",
}
# By the name that an exported model has for its class.
REFUSED = {
    "ProjectionCARE": _KINDS["proj_axis"],
    "IsotropicCARE": "IsotropicCARE, which enlarges volumes along Z, by a factor that is not kept with it",
    "UpsamplingCARE": "UpsamplingCARE, which enlarges volumes along Z, by a factor that is not kept with it",
    "StarDist2D": _KINDS["n_rays"],
    "StarDist3D": _KINDS["n_rays"],
}


@dataclasses.dataclass(frozen=True)
class UnetConfig:
    """The UNet of a model, and what its numbers mean.

    Attributes:
        axes: Its spatial axes in its own order, such as `"ZYX"`.
        channels: Of its images.
        depth: How often it halves the resolution.
        residual: Whether its input is added to its output.
        last_activation: Behind that.
        probabilistic: Whether it has a second output, the scale of a Laplace distribution.
        batch_norm: Whether its convolutions are followed by batch normalisation.
        nets: How many UNets stand side by side: one, or one for each channel.
        blurred: Whether what it pools is blurred (N2V2).
        top_skip: Whether its full resolution is skipped to its end, which N2V2 leaves out.
        meaning: What its numbers mean.
    """

    axes: str
    channels: int
    depth: int
    residual: bool
    last_activation: str
    probabilistic: bool
    batch_norm: bool
    nets: int
    blurred: bool
    top_skip: bool
    meaning: Normalization

    @property
    def order(self) -> tuple[int, ...]:
        """Which of its axes comes first, second and third in this package's order."""
        return axes_order(self.axes)


def axes_order(axes: str) -> tuple[int, ...]:
    """Find which of some spatial axes come first, second and third in this package's order.

    Example:

    >>> axes_order("ZYX"), axes_order("XY")
    ((0, 1, 2), (1, 0))
    """
    return tuple(sorted(range(len(axes)), key=lambda place: _ORDER.index(axes[place])))


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of JSON with names and values; empty if it is none.

    Example:

    >>> read_json(Path("no such file"))
    {}
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def is_config(values: Mapping[str, Any]) -> bool:
    """Tell whether values are those of a model of the CSBDeep family.

    Example:

    >>> is_config({"axes": "YXC", "unet_n_depth": 2}), is_config({"class_name": "Functional"})
    (True, False)
    """
    return "axes" in values and "unet_n_depth" in values


def read_config(values: Mapping[str, Any], where: Path) -> UnetConfig:
    """Take from `config.json` what there is to know of a denoiser.

    Args:
        values: What it holds.
        where: Its file, for messages.

    Raises:
        InputError: It is no denoiser, or a value makes no sense.
    """
    for name, kind in _KINDS.items():
        if name in values:
            raise InputError(f"expected a denoiser of CARE or Noise2Void, {where} is of {kind}")
    try:
        return _read(values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"cannot use {where}: {type(error).__name__}: {reason_of(error)}") from error


def _read(values):
    channels, returned = int(values["n_channel_in"]), int(values["n_channel_out"])
    if channels != returned:
        raise InputError(f"expected as many channels out of a denoiser as into it, it makes {returned} of {channels}")
    config = UnetConfig(
        axes=spatial_axes(values["axes"]),
        channels=channels,
        depth=int(values["unet_n_depth"]),
        residual=bool(values["unet_residual"]),
        last_activation=values["unet_last_activation"],
        probabilistic=bool(values.get("probabilistic", False)),
        batch_norm=bool(values.get("batch_norm", False)),
        nets=channels if values.get("single_net_per_channel", False) else 1,
        blurred=bool(values.get("blurpool", False)),
        top_skip=not values.get("skip_skipone", False),
        meaning=meaning_of(values),
    )
    if not 1 <= config.depth <= _DEEPEST or config.channels < 1:
        raise InputError(f"expected a UNet of some levels and channels, it says {config.depth} and {channels}")
    if config.last_activation not in _LAST_ACTIVATIONS:
        raise InputError(f"expected a last activation linear or relu, it says {config.last_activation!r}")
    return config


def spatial_axes(axes: str) -> str:
    """Find the spatial axes of a network, such as `"ZYX"` of `"ZYXC"`.

    Raises:
        InputError: They are not two or three of T, Z, Y and X, the channels behind them.
    """
    spatial = str(axes).upper().removeprefix("S").removesuffix("C")
    known = set(spatial) <= set(_ORDER) and len(set(spatial)) == len(spatial)
    if not known or len(spatial) not in (2, 3) or not {"X", "Y"} <= set(spatial):
        raise InputError(f"expected axes such as YXC or ZYXC, it says {axes!r}")
    return spatial


def meaning_of(values: Mapping[str, Any]) -> Normalization:
    """Find what a network's numbers mean: the mean and deviation of Noise2Void, or else the percentiles of CARE.

    Raises:
        InputError: A mean has no deviation, or they are no numbers.
    """
    means, stds = (_numbers(values, plural, plural[:-1]) for plural in ("means", "stds"))
    if means and stds:
        return Normalization(MEAN_STD, means, stds)
    if means or stds or any(name.startswith("n2v_") for name in values):
        raise InputError("expected means and stds of the images of Noise2Void, they are not there")
    return CARE_PERCENTILES


def _numbers(values, *names):
    """Read numbers, which Noise2Void keeps as texts: one for each channel, in early versions one for all."""
    found = next((values[name] for name in names if values.get(name) is not None), ())
    return tuple(map(float, found if isinstance(found, (list, tuple)) else [found]))
