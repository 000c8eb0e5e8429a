"""The part of a page about noise: its variance by brightness, its correlation, and what speaks for both."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.details import details_of, side_by_side
from gaintuning_tf.noise.variance_line import low_quantile, variance_groups
from gaintuning_tf.reports.pages import figure_image, table
from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gaintuning_tf.denoising.pipeline import GainTuningResult
    from gaintuning_tf.noise.models import NoiseModel

_COLOURS = "RdBu_r"
# Larger pictures of a correlation than these have their numbers left out: there is no room.
_LARGEST_NUMBERED = 13
# How the page calls what `NoiseEstimate` knows.
_EVIDENCE = {
    "growth": "variance where the image is bright over that where it is dark",
    "detail_ratio": "details along rows or columns over diagonal ones; 1 if white",
    "black_level": "black level, where the variance would be zero",
    "clipped_low": "smallest value, and share of the pixels that have it",
    "clipped_high": "largest value, likewise",
    "counts": "unit of counts",
    "uncertainty": "uncertainty of the variance",
}


class Groups(NamedTuple):
    """Means and variances of groups of blocks of a noisy image, from dark to bright, in its units."""

    means: np.ndarray
    variances: np.ndarray


def noise_section(result: GainTuningResult) -> list[str]:
    """Make the HTML of the noise of a result, of the first frame if there are several.

    Args:
        result: What `gaintune` returned.

    Raises:
        InputError: matplotlib is not installed.
    """
    noise = result.noise.each(len(result.residuals))[0]
    groups, residual = groups_of(result, noise), result.residuals[0]
    evidence = result.evidence[0] if result.evidence else None
    source = f"Found: {evidence['words']}." if evidence else f"Given, or of the kind that was: {noise.text()}."
    several = ", in the first frame" if len(result.residuals) > 1 else ""
    missing = "" if groups else " The image is too small, or too even, for its variance by brightness."
    return [
        f"<h2>The noise{several}</h2>",
        f"<p>{html.escape(source)}{missing}{_reason(result)}</p>",
        table([{"": _EVIDENCE[name], " ": _text(value)} for name, value in _known(evidence)], head=False),
        f"<p>{_FIGURE}</p>",
        figure_image(noise_figure(noise, groups, residual.by_brightness)),
        f"<p>After tuning, what was taken out: {html.escape(residual.words)}.</p>",
    ]


def _reason(result):
    """Say why nothing was tuned, if there is a reason."""
    return f" {html.escape(result.not_tuned[0])}." if any(result.not_tuned[:1]) else ""


def first_noise_figure(result: GainTuningResult) -> Figure:
    """Draw the noise of the first frame of a result, see `noise_figure`."""
    noise = result.noise.each(len(result.residuals))[0]
    return noise_figure(noise, groups_of(result, noise), result.residuals[0].by_brightness)


def groups_of(result: GainTuningResult, noise: NoiseModel) -> Groups | None:
    """Find the variance of the noise by brightness in the first frame of a result; None if it cannot be seen.

    It is that of the finest details, over the share that the noise's correlation leaves to these, and their low
    quantile is that of as many independent ones as they are worth.

    Args:
        result: What `gaintune` returned.
        noise: That of the first frame.
    """
    layout, bad = result.layout, result.bad_pixels
    image = layout.frames(bad.filled)[0] * np.float64(layout.data_range) + layout.offset
    mask = None if bad.mask is None else layout.order.frames(bad.mask)[0].reshape(image.shape)
    try:
        means, variances, _ = variance_groups(side_by_side(image), side_by_side(mask))
    except InputError:
        # There is nothing to draw, which the page says.
        return None
    details = details_of(noise.correlations(1)[0])
    return Groups(means, variances * low_quantile() / low_quantile(details.independent) / details.share)


def noise_figure(noise: NoiseModel, groups: Groups | None, by_brightness: Any = ()) -> Figure:
    """Draw the variance by brightness with the line of the model, and the correlation as a picture.

    Args:
        noise: Of one image.
        groups: Of the noisy image.
        by_brightness: Mean squares of what was taken out over the model's variance, (brightness, ratio).
    """
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(3, 2))
    taken = np.array(by_brightness, np.float64).reshape(-1, 2)
    seen = [taken[:, 0]] if groups is None else [taken[:, 0], groups.means]
    ends = np.array([min(part.min() for part in seen), max(part.max() for part in seen)])
    places = np.linspace(ends[0], ends[1], 200)
    left.plot(places, noise.variance(places), color="black", linewidth=1.2, label="model")
    if groups is not None:
        left.plot(*groups, "o", markersize=5, label="noisy image, groups of blocks")
    left.plot(taken[:, 0], taken[:, 1] * noise.variance(taken[:, 0]), "x", label="what was taken out, mean square")
    left.set(xlabel="brightness", ylabel="variance", title="variance by brightness", ylim=(0, None))
    left.grid(alpha=0.3)
    left.legend(fontsize=8)
    _draw_correlation(right, noise.correlations(1)[0])
    return figure


def _draw_correlation(axis, correlation):
    """Draw the correlation of the lags, of colours the mean over the channels; a single one for white noise."""
    found = np.pad(np.ones((1, 1)), 1) if correlation is None else correlation
    grey = np.diagonal(found, axis1=-2, axis2=-1).mean(-1) if found.ndim == 4 else found
    rows, columns = (side // 2 for side in grey.shape)
    extent = (-columns - 0.5, columns + 0.5, rows + 0.5, -rows - 0.5)
    shown = axis.imshow(grey, cmap=_COLOURS, vmin=-1, vmax=1, extent=extent)
    if max(grey.shape) <= _LARGEST_NUMBERED:
        for (row, column), value in np.ndenumerate(grey):
            if abs(value) >= 0.005:
                colour = "white" if abs(value) > 0.6 else "black"
                place = (column - columns, row - rows)
                axis.text(*place, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
    axis.set(xlabel="columns away", ylabel="rows away", title="correlation with a pixel")
    axis.set(xticks=range(-columns, columns + 1), yticks=range(-rows, rows + 1))
    axis.figure.colorbar(shown, ax=axis, shrink=0.85)


def _known(evidence):
    return [(name, evidence[name]) for name in _EVIDENCE if evidence and evidence[name] is not None]


def _text(value):
    """Write a number, or an end of the range and its share."""
    return f"{value:.3g}" if np.isscalar(value) else f"{value[0]:.4g}, {value[1]:.2%}"


_FIGURE = (
    "Left: the variance of the noise that was assumed, as a line; that of the finest details of the noisy image, where "
    "texture may add to points; and the mean square of what was taken out, which is below the line by what was left of "
    "the noise. Right: how far the noise of a pixel is that of its neighbours."
)
