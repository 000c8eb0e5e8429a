"""The value of one count, where an image's values are whole multiples of it."""

from __future__ import annotations

import numpy as np

# An estimate this far from the unit, as a share of it, is still taken for one of the
# unit: one from the variance was a tenth off in
# docs/log/2026-11-25-the-gain-of-counts-must-be-exact.md.
TOLERANCE = 0.2
# Beyond as many counts, the rounding of float32 makes multiples of anything.
MOST = 1000


def count_unit(image: np.ndarray, about: float) -> float | None:
    """Find the unit that all values of an image are whole multiples of, near an estimate of what one count adds.

    A detector that counts leaves nothing between the counts, which gives the gain exactly;
    the variance gives it to a few percent only, and a loss that splits counts is off by as
    much in the brightness of all it denoises.

    Args:
        image: Any shape.
        about: The estimate.

    Returns:
        The unit; None if the values are no multiples of one, or of one that differs from the estimate.

    Example:

    >>> counts = np.random.default_rng(0).poisson(3, (64, 64))
    >>> count_unit(counts, 0.95), count_unit(counts / 4, 0.26), count_unit(counts, 2.3)
    (1.0, 0.25, None)
    """
    values = np.unique(np.asarray(image, np.float64))
    gaps = np.diff(values)
    # Between two values of float32 that are the same count, there may be rounding.
    gaps = gaps[gaps > 1e-3 * about]
    if values[0] < 0 or not gaps.size:
        return None
    counts = np.rint(values / gaps.min())
    if not 0 < counts[-1] <= MOST:
        return None
    unit = float(np.sum(counts * values) / np.sum(np.square(counts)))
    if np.abs(values - counts * unit).max() > 1e-3 * unit or abs(about / unit - 1) > TOLERANCE:
        return None
    return unit
