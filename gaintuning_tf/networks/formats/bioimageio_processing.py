"""What a bioimage.io package does before and after its network, as what the network's numbers mean."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.support.normalization import DEVIATIONS, MEAN_STD, PERCENTILES, STANDARDIZE, Normalization

# The postprocessing has the numbers of the preprocessing with as many digits as somebody typed.
TOLERANCE = 0.01
# Beside a range of this many times epsilon, which is added to it, nothing is seen of it.
_HARMLESS_EPSILON = 1e-3
# Floats that lie about [0, 1], noise included, as `images.array_layout.nominal_range` has it.
_ABOUT_ONE = (-2.0, 3.0)


class Affine(NamedTuple):
    """`gain * value + offset`, one number each, or one for each channel.

    Example:

    >>> scaled = Affine(2.0, 1.0).then(Affine(3.0, 0.5))
    >>> float(scaled.gain), float(scaled.offset), scaled.inverse().then(scaled).is_identity
    (6.0, 3.5, True)
    """

    gain: Any = 1.0
    offset: Any = 0.0

    def then(self, other: Affine) -> Affine:
        """Do another one after this one."""
        gain = np.asarray(other.gain, float)
        return Affine(gain * np.asarray(self.gain, float), gain * np.asarray(self.offset, float) + other.offset)

    def inverse(self) -> Affine:
        """Undo this one."""
        gain = np.asarray(self.gain, float)
        return Affine(1 / gain, -np.asarray(self.offset, float) / gain)

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes, to the digits that somebody would type."""
        gain, offset = np.asarray(self.gain, float), np.asarray(self.offset, float)
        return bool(np.all(np.abs(gain - 1) < TOLERANCE) and np.all(np.abs(offset) < TOLERANCE))

    def of_range(self, low: float, high: float) -> Affine:
        """Say the same in units of a range: of what is 0 at `low` and 1 at `high`."""
        seen = Affine(high - low, low)
        return seen.then(self).then(seen.inverse())


class Meaning(NamedTuple):
    """What a package says that its network's numbers mean.

    Attributes:
        normalization: For the network between `before` and its inverse; None where nothing is said, and the
            network takes 0 to 1.
        before: What is done to the numbers of the normalisation before the network.
    """

    normalization: Normalization | None
    before: Affine = Affine()


def meaning_of(given: Any, returned: Any, test: np.ndarray | None) -> Meaning:
    """Read pre- and postprocessing.

    Args:
        given: Description of the input tensor, of `bioimageio.spec.model.v0_5`.
        returned: That of the output tensor.
        test: The test input, in units of the image; None where there is none.

    Raises:
        InputError: They are more than a normalisation and its inverse; it says what.
    """
    statistic, before = _before(given)
    after = _after(returned)
    if not after.is_identity:
        low, high = _range_of(given, test) if statistic is None else (0.0, 1.0)
        if not before.then(after).of_range(low, high).is_identity:
            raise InputError(
                f"expected the postprocessing of {returned.id!r} to undo the preprocessing of {given.id!r}, or no "
                f"postprocessing: what is denoised has the units of the image; received "
                f"{_words(returned.postprocessing)} after {_words(given.preprocessing) or 'none'}"
            )
    if statistic is not None:
        return Meaning(statistic, before)
    return _fixed(given, before, test)


def _fixed(given, before, test):
    """Say what numbers mean to which the same is done in every image."""
    steps = [step.id for step in given.preprocessing if step.id != "ensure_dtype"]
    if steps == ["fixed_zero_mean_unit_variance"]:
        known = next(step.kwargs for step in given.preprocessing if step.id == steps[0])
        return Meaning(Normalization(MEAN_STD, _numbers(known.mean), _numbers(known.std)))
    low, high = _range_of(given, test)
    if not steps and _ABOUT_ONE[0] <= low < high <= _ABOUT_ONE[1]:
        return Meaning(None)
    if not steps and _stated_range(given):
        return Meaning(Normalization(low=(low,), high=(high,)))
    # A mean and a deviation that have these ends.
    mean, deviation = (low + high) / 2, (high - low) / (2 * DEVIATIONS)
    return Meaning(Normalization(MEAN_STD, (mean,), (deviation,)), Affine(deviation, mean).then(before))


def _range_of(given, test):
    """Find the range of an input, in units of the image: what is stated, or else that of the test input."""
    stated = _stated_range(given)
    if stated:
        return stated
    if test is None or not np.isfinite(test).all() or not np.max(test) > np.min(test):
        return 0.0, 1.0
    return float(np.min(test)), float(np.max(test))


def _stated_range(given):
    data = given.data[0] if isinstance(given.data, Sequence) else given.data
    low, high = getattr(data, "range", None) or (None, None)
    if data.type == "uint8":
        low, high = 0 if low is None else low, 255 if high is None else high
    return (float(low), float(high)) if low is not None and high is not None and high > low else None


def _before(given):
    """Read the preprocessing.

    Returns:
        A normalisation by each image's own values, or None, and what is done after that.
    """
    statistic, affine = None, Affine()
    for step in given.preprocessing:
        if step.id in ("scale_range", "zero_mean_unit_variance"):
            # By its own values, an image is normalised to the same whatever one affine step was before.
            _check_statistic(step, given, affine)
            statistic, affine = _statistic(step), Affine()
        elif step.id == "ensure_dtype" and str(step.kwargs.dtype).startswith("float"):
            pass
        else:
            affine = affine.then(_affine(step, given))
    if not np.all(np.asarray(affine.gain) > 0):
        raise InputError(f"expected preprocessing with a gain above 0, received {_words(given.preprocessing)}")
    return statistic, affine


def _after(returned):
    affine = Affine()
    for step in returned.postprocessing:
        if step.id == "clip":
            words = f"the package clips its output, {_words([step])}, which is left out: results are not clipped"
            warnings.warn(words, GainTuningWarning, stacklevel=2)
        elif step.id != "ensure_dtype":
            affine = affine.then(_affine(step, returned))
    return affine


def _affine(step, tensor):
    if step.id == "scale_linear":
        gain, offset = step.kwargs.gain, step.kwargs.offset
    elif step.id == "fixed_zero_mean_unit_variance":
        mean, deviation = np.asarray(step.kwargs.mean, float), np.asarray(step.kwargs.std, float)
        gain, offset = 1 / deviation, -mean / deviation
    else:
        raise InputError(
            f"expected a package whose processing is a normalisation (scale_linear, scale_range, "
            f"zero_mean_unit_variance, fixed_zero_mean_unit_variance) and its inverse, received {_words([step])} of "
            f"{tensor.id!r}, which cannot be expressed: load its weights by themselves, and say what its numbers mean "
            "with normalize (--normalize)"
        )
    _check_along(step, tensor)
    return Affine(np.asarray(gain, float), np.asarray(offset, float))


def _check_along(step, tensor):
    """Refuse numbers along another axis than that of the channels."""
    along = getattr(step.kwargs, "axis", None)
    kinds = {axis.id: axis.type for axis in tensor.axes}
    if along is not None and kinds.get(along) != "channel":
        raise InputError(f"expected {step.id} of {tensor.id!r} along the channels, received it along {along!s}")


def _statistic(step):
    if step.id == "scale_range":
        return Normalization(PERCENTILES, (step.kwargs.min_percentile,), (step.kwargs.max_percentile,))
    return Normalization(STANDARDIZE)


def _check_statistic(step, given, affine):
    """Refuse a normalisation by other values than all of each image."""
    axes = {axis.id: axis for axis in given.axes}
    joint = set(axes) if step.kwargs.axes is None else set(map(str, step.kwargs.axes))
    left_out = [name for name, axis in axes.items() if axis.type != "batch" and axis.size != 1 and name not in joint]
    reference = getattr(step.kwargs, "reference_tensor", None)
    gain = np.asarray(affine.gain)
    if left_out or step.kwargs.eps > _HARMLESS_EPSILON or reference not in (None, given.id) or np.ptp(gain) > 0:
        raise InputError(
            f"expected {step.id} of {given.id!r} over all axes of each image together, with an eps of at most "
            f"{_HARMLESS_EPSILON}, received {_words([step])}"
        )


def _numbers(value):
    return tuple(np.atleast_1d(np.asarray(value, float)).tolist())


def _words(steps):
    """Write steps in one line, with what is set in them."""
    said = []
    for step in steps:
        options = step.kwargs.model_dump(mode="json", exclude_none=True) if hasattr(step, "kwargs") else {}
        said.append(f"{step.id}({', '.join(f'{name}={value}' for name, value in options.items())})")
    return ", ".join(said)
