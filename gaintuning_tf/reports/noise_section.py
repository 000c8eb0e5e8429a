"""The parts of a page about noise: its variance by brightness, its correlation, and what speaks for both."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.noise.autocovariance import LAGS
from gaintuning_tf.noise.details import details_of, side_by_side
from gaintuning_tf.noise.variance_line import low_quantile, variance_groups
from gaintuning_tf.reports.pages import chart, pane, panes, table
from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gaintuning_tf.denoising.pipeline import GainTuningResult
    from gaintuning_tf.noise.models import NoiseModel

_COLOURS = "RdBu_r"
# Larger pictures of a correlation than these have their numbers left out: there is no room.
_LARGEST_NUMBERED = 13
# Width and height of the picture of a correlation, in inches.
_SQUARE = (4.3, 3.5)
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
    missing = "" if groups else " The image is too small, or too even, for its variance by brightness."
    return [
        f"<h2>The noise{first_words(result)}</h2>",
        f"<p>{html.escape(source)}{missing}{_reason(result)}</p>",
        panes(
            pane("Variance by brightness", chart(_draw_variance, noise, groups, residual.by_brightness), _LINE),
            pane("Correlation with a pixel", chart(_draw_lags, _lags_of(noise), size=_SQUARE), _LAGS),
        ),
        _evidence_table(evidence),
    ]


def taken_out(result: GainTuningResult) -> str:
    """Draw how what was taken out of the first frame of a result is correlated, as HTML."""
    image, mask = frame_of(result, 0)
    denoised, _ = frame_of(result, 0, result.denoised)
    return chart(_draw_lags, lags_of_residual(image - denoised, mask), size=_SQUARE)


def lags_of_residual(rest: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Find the correlation of a residual with itself, as far as noise is followed, (lags, lags).

    Args:
        rest: (H, W, C), or a volume (D, H, W, C), whose planes are looked at side by side.
        mask: True where a pixel does not count, of its shape.

    Returns:
        The mean over planes and channels, 1 in the middle.

    Example:

    >>> rest = np.tile(np.random.default_rng(0).normal(size=(1, 500, 1)), (2, 1, 1))
    >>> found = lags_of_residual(rest)
    >>> found.shape, found[5, 5], found[6, 5].round(6)
    ((11, 11), np.float64(1.0), np.float64(1.0))
    """
    rest, mask = side_by_side(rest), side_by_side(mask)
    counted = np.ones(rest.shape) if mask is None else (~mask).astype(np.float64)
    # So far apart that an end does not meet the other one, which the transform joins to it.
    sides = [max(side, LAGS + 1) + LAGS for side in rest.shape[:2]]
    sums, pairs = (_autocorrelation(part, sides) for part in (np.where(counted > 0, rest, 0.0), counted))
    means = sums / np.maximum(np.rint(pairs), 1)
    return means / (means[LAGS, LAGS] or 1.0)


def _autocorrelation(values, sides):
    """Sum the products of values with those some lags away, over planes and channels too."""
    powers = np.square(np.abs(np.fft.rfft2(values, sides, (0, 1))))
    found = np.fft.irfft2(powers.reshape(*powers.shape[:2], -1).sum(-1), sides)
    return np.roll(found, (LAGS, LAGS), (0, 1))[: 2 * LAGS + 1, : 2 * LAGS + 1]


def frame_of(
    result: GainTuningResult, number: int, image: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Give a frame of a result in units of the image, (H, W, C) or (D, H, W, C), and the mask of what does not count.

    Args:
        result: What `gaintune` returned.
        number: Which frame.
        image: Of the layout's axes; the noisy image, as the network was shown it, by default.
    """
    layout, bad = result.layout, result.bad_pixels
    seen = bad.filled if image is None else np.ma.getdata(image)
    frame = layout.frames(seen)[number] * np.float64(layout.data_range) + layout.offset
    mask = None if bad.mask is None else layout.order.frames(bad.mask)[number].reshape(frame.shape)
    return frame, mask


def first_words(result: GainTuningResult) -> str:
    """Say which of several frames is looked at; nothing of a single one."""
    if len(result.residuals) == 1:
        return ""
    return f", in the first {'frame' if set(result.layout.axes) - set('YXC') else 'channel'}"


def level_words(result: GainTuningResult) -> str:
    """Say in one line how strong the noise is, and where that comes from."""
    parameters = result.noise.parameters()
    names = [name for name in ("sigma", "gain", "offset") if name in parameters]
    level = ", ".join(f"{name} {np.mean(parameters[name]):.4g}" for name in names)
    return f"{level}; {result.evidence[0]['words'] if result.evidence else 'given'}"


def _evidence_table(evidence):
    rows = [{"": _EVIDENCE[name], " ": _text(value)} for name, value in _known(evidence)]
    return f'<div class="screen">{table(rows, False, "numbers")}</div>' if rows else ""


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
    image, mask = frame_of(result, 0)
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
    _draw_variance(left, noise, groups, by_brightness)
    _draw_lags(right, _lags_of(noise))
    left.set_title("variance by brightness")
    right.set_title("correlation with a pixel")
    return figure


def _draw_variance(axis, noise, groups, by_brightness):
    """Draw the variance by brightness: of the model, of the noisy image, of what was taken out."""
    taken = np.array(by_brightness, np.float64).reshape(-1, 2)
    seen = [taken[:, 0]] if groups is None else [taken[:, 0], groups.means]
    ends = np.array([min(part.min() for part in seen), max(part.max() for part in seen)])
    places = np.linspace(ends[0], ends[1], 200)
    axis.plot(places, noise.variance(places), color="black", linewidth=1.2, label="assumed")
    if groups is not None:
        axis.plot(*groups, "o", markersize=5, label="of the noisy image")
    axis.plot(taken[:, 0], taken[:, 1] * noise.variance(taken[:, 0]), "x", label="of what was taken out")
    axis.set(xlabel="brightness", ylabel="variance", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, frameon=False)


def _lags_of(noise):
    """Find the correlation of the lags, of colours the mean over the channels; a single one for white noise."""
    found = noise.correlations(1)[0]
    found = np.pad(np.ones((1, 1)), 2) if found is None else found
    return np.diagonal(found, axis1=-2, axis2=-1).mean(-1) if found.ndim == 4 else found


def _draw_lags(axis, grey):
    """Draw a correlation by lag as a picture, with its numbers where there is room."""
    rows, columns = (side // 2 for side in grey.shape)
    extent = (-columns - 0.5, columns + 0.5, rows + 0.5, -rows - 0.5)
    shown = axis.imshow(grey, cmap=_COLOURS, vmin=-1, vmax=1, extent=extent, interpolation="nearest")
    if max(grey.shape) <= _LARGEST_NUMBERED:
        for (row, column), value in np.ndenumerate(grey):
            if abs(value) >= 0.01:
                # Not black, which is light on a dark page, and the squares are not.
                colour = "white" if abs(value) > 0.6 else "#111111"
                place = (column - columns, row - rows)
                text = f"{value:.2f}".replace("0.", ".")
                axis.text(*place, text, ha="center", va="center", fontsize=5.5, color=colour)
    axis.set(xlabel="columns away", ylabel="rows away")
    axis.set(xticks=range(-columns, columns + 1), yticks=range(-rows, rows + 1))
    axis.figure.colorbar(shown, ax=axis, shrink=0.85)


def _known(evidence):
    return [(name, evidence[name]) for name in _EVIDENCE if evidence and evidence[name] is not None]


def _text(value):
    """Write a number, or an end of the range and its share."""
    return f"{value:.3g}" if np.isscalar(value) else f"{value[0]:.4g}, {value[1]:.2%}"


_LINE = (
    "<p>The line is the noise that was assumed. Dots are the variance of the finest details of the noisy image, to "
    "which texture may add; crosses the mean square of what was taken out, below the line by what was left of the "
    "noise.</p>"
)
_LAGS = "<p>How far the noise of a pixel is that of its neighbours: 1 in the middle alone, if it is white.</p>"
