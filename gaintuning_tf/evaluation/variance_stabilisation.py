"""The transform that makes noise whose variance is a line of the signal the same everywhere, and the way back."""

from __future__ import annotations

import dataclasses

import numpy as np

# The unbiased inverse holds from here on: the transform of a count of zero without
# read-out noise.
_LEAST = 2 * (3 / 8) ** 0.5


@dataclasses.dataclass(frozen=True)
class VarianceStabilisation:
    """The generalised Anscombe transform of noise of variance `v = slope * x + intercept`, and its unbiased inverse.

    Forward, `T(y) = 2 / slope sqrt(max(slope y + intercept + 3/8 slope^2, 0))`, whose noise has a variance of
    about one. Back, with D an estimate of the mean of T(y),
    `x = slope (D^2/4 + sqrt(3/2)/4 D^-1 - 11/8 D^-2 + 5/8 sqrt(3/2) D^-3 - 1/8) - intercept / slope`: the
    closed form of the exact unbiased inverse (Makitalo and Foi, "Optimal inversion of the generalized Anscombe
    transformation for Poisson-Gaussian noise", IEEE TIP 2013, eq. 10). In the words of that paper,
    alpha is the slope and `sigma^2 - alpha g` the intercept.

    Attributes:
        slope: In units of the image, above zero.
        intercept: In their square; negative where there is a black level.

    Example:

    >>> way = VarianceStabilisation(slope=2.0, intercept=-40.0)
    >>> noisy = 20 + 2 * np.random.default_rng(0).poisson(30, 100_000)
    >>> stable = way.forward(noisy)
    >>> round(float(stable.var()), 1), round(float(way.back(stable.mean())), 1)
    (1.0, 80.0)
    """

    slope: float
    intercept: float

    def forward(self, image: np.ndarray) -> np.ndarray:
        """Transform a noisy image of any shape, which becomes float64."""
        line = self.slope * np.asarray(image, np.float64) + self.intercept
        return 2 / self.slope * np.sqrt(np.maximum(line + 3 / 8 * self.slope**2, 0))

    def back(self, mean: np.ndarray) -> np.ndarray:
        """Transform an estimate of the mean of transformed pixels back, to float64.

        Below the transform of a count of zero, the inverse is that of zero: there, the closed form turns.
        """
        d = np.maximum(np.asarray(mean, np.float64), _LEAST)
        root = (3 / 2) ** 0.5
        counts = d**2 / 4 + root / 4 / d - 11 / 8 / d**2 + 5 / 8 * root / d**3 - 1 / 8
        return self.slope * counts - self.intercept / self.slope
