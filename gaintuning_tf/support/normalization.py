"""What a network's numbers mean: the range that it knows, and whether it returns the image or the noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from gaintuning_tf.errors import InputError

Numbers: TypeAlias = Sequence[float]
RANGE, MEAN_STD, PERCENTILES, STANDARDIZE = KINDS = ("range", "mean-std", "percentiles", "standardize")
PREDICTS = ("image", "noise")
# Percentiles of CSBDeep (Weigert et al., "Content-aware image restoration: pushing the
# limits of fluorescence microscopy", Nature Methods 2018): those that its plugin for Fiji
# has. Its `predict` in Python takes 2 and 99.8, see `csbdeep_config.CARE_PERCENTILES`.
CSBDEEP = (3.0, 99.8)
# Where a mean and a standard deviation are all that is known of a network's range, it
# reaches this many deviations to both sides: uniform brightness reaches 1.7.
DEVIATIONS = 2.0
_EXPECTED = (
    "expected normalize to be LOW..HIGH such as 0..255 or -1..1, mean-std:MEAN:STD, percentiles, percentiles:LOW:HIGH "
    "or standardize, received {!r}"
)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """What the numbers of a network mean, which is asked once, where the network is loaded.

    Everything around a network takes images of which 0 and 1 are the ends of the range that the network knows.
    These ends are values of the image (`limits`), and numbers of the network (`ends`).

    Attributes:
        kind: `"range"`, the ends of the image's range are the network's; `"mean-std"`, the network
            sees the image less a mean, over a standard deviation, that are given (Noise2Void);
            `"percentiles"`, its 0 and 1 are percentiles of each image (CSBDeep); `"standardize"`,
            each image less its own mean, over its own standard deviation.
        low: The lower end, the mean, or the lower percentile: one number, or one for each channel.
        high: The upper end, the standard deviation, or the upper percentile.
        predicts: Whether it returns the `"image"` or the `"noise"`.
        scale, offset: Which difference of values is 1, and which value 0, to the images that the
            layers of `with_normalization` get: a mean is in units of the image as it came.
        assumed: Whether it is only what is usual for such networks, and may be said otherwise.

    Raises:
        InputError: They are none of these.

    Example:

    >>> Normalization(low=(0.0,), high=(255.0,)).ends
    ((0.0,), (255.0,))
    >>> Normalization("mean-std", (100.0,), (20.0,)).limits()
    (60.0, 140.0)
    """

    kind: str = RANGE
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)
    predicts: str = PREDICTS[0]
    scale: float = dataclasses.field(default=1.0, compare=False)
    offset: float = dataclasses.field(default=0.0, compare=False)
    assumed: bool = dataclasses.field(default=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "low", tuple(map(float, self.low)))
        object.__setattr__(self, "high", tuple(map(float, self.high)))
        if self.kind not in KINDS or len(self.low) != len(self.high) or not self.low:
            raise InputError(_EXPECTED.format(self.kind))
        if self.predicts not in PREDICTS:
            raise InputError(f"expected predicts to be one of {', '.join(PREDICTS)}, received {self.predicts!r}")
        rising = [high > (0 if self.kind == MEAN_STD else low) for low, high in zip(self.low, self.high, strict=True)]
        if not all(rising) or not all(map(math.isfinite, (*self.low, *self.high))):
            raise InputError(f"expected finite numbers, the second above the first, received {self.low}, {self.high}")
        if self.kind == PERCENTILES and not (len(self.low) == 1 and self.low[0] >= 0 and self.high[0] <= 100):
            raise InputError(f"expected two percentiles from 0 to 100, received {self.low} and {self.high}")

    @property
    def is_plain(self) -> bool:
        """Whether the network takes 0 to 1 and returns the image."""
        return self == Normalization()

    @property
    def is_fixed(self) -> bool:
        """Whether the range is that of the image, and nothing has to be known of the image's values."""
        return self.kind == RANGE

    @property
    def ends(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The network's numbers for 0 and for 1, one or one for each channel."""
        if self.kind == RANGE:
            return self.low, self.high
        if self.kind == PERCENTILES:
            return (0.0,), (1.0,)
        if self.kind == STANDARDIZE:
            return (-DEVIATIONS,), (DEVIATIONS,)
        pairs = list(zip(self.low, self.high, strict=True))
        low, high = ([(end - mean) / std for mean, std in pairs] for end in self.limits())
        return tuple(low), tuple(high)

    def limits(self) -> tuple[float, float]:
        """Find which values of the image are 0 and 1, where that is known without it: a mean that is given says it."""
        if self.kind != MEAN_STD:
            return 0.0, 1.0
        mean, std = (math.fsum(part) / len(part) for part in (self.low, self.high))
        return mean - DEVIATIONS * std, mean + DEVIATIONS * std

    def of_frames(self, scale: float, offset: float) -> Normalization:
        """Make the same for images of which `scale` is 1 and `offset` 0 in units of the image as it came."""
        return dataclasses.replace(self, scale=float(scale), offset=float(offset))

    def __str__(self):
        low, high = (",".join(f"{number:.9g}" for number in part) for part in (self.low, self.high))
        if self.kind == RANGE:
            return f"{low}..{high}"
        return self.kind if self.kind == STANDARDIZE else f"{self.kind}:{low}:{high}"


def as_normalization(normalize: str | Normalization | None, predicts: str | None = None) -> Normalization:
    """Make a `Normalization` of what the arguments `normalize` and `predicts` say.

    Args:
        normalize: `"LOW..HIGH"`, such as `"0..255"`; `"mean-std:MEAN:STD"`, in units of the image, of
            several channels with commas; `"percentiles"`, CSBDeep's 3 and 99.8, or
            `"percentiles:LOW:HIGH"`; `"standardize"`; None for `"0..1"`.
        predicts: `"image"` or `"noise"`; None for `"image"`.

    Raises:
        InputError: It is none of these.

    Example:

    >>> print(as_normalization("-1..1"), as_normalization("percentiles"))
    -1..1 percentiles:3:99.8
    """
    more: dict[str, Any] = {} if predicts is None else {"predicts": predicts}
    if normalize is None or isinstance(normalize, Normalization):
        return dataclasses.replace(normalize or Normalization(), **more)
    kind, *parts = str(normalize).split(":")
    if kind == STANDARDIZE and not parts:
        return Normalization(kind, **more)
    if kind == PERCENTILES and not parts:
        return Normalization(kind, CSBDEEP[:1], CSBDEEP[1:], **more)
    if not parts and ".." in kind:
        kind, parts = RANGE, kind.split("..")
    if kind not in (RANGE, MEAN_STD, PERCENTILES) or len(parts) != 2:
        raise InputError(_EXPECTED.format(normalize))
    try:
        low, high = (tuple(map(float, part.split(","))) for part in parts)
    except ValueError as error:
        raise InputError(_EXPECTED.format(normalize)) from error
    return Normalization(kind, low, high, **more)
