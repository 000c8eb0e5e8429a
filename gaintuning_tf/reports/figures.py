"""The drawings of the report: what is to be seen of a result and of its analysis, in matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.support.atomic_files import replacing
from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gaintuning_tf.reports.analysis import Analysis, GainChange

# Weights below this share of a filter's largest are left out at its border.
FAINT = 0.01
MOVED = (0.01, 0.05)
DIVERGING = "RdBu_r"
# The drawing of filters has this width, height of a row and side of a panel, in inches.
_WIDTH, _ROW, _PANEL = 11.7, 3.15, 2.0


def write_figures(folder: str | Path, drawings: Mapping[str, Figure]) -> None:
    """Write figures, by name, as PNG (300 dots per inch) and PDF into a folder, made if need be; they are closed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawings.items():
        for suffix in ("png", "pdf"):
            with replacing(folder / f"{name.lower().replace(' ', '-')}.{suffix}") as temporary:
                figure.savefig(temporary, dpi=300)
        pyplot().close(figure)


def gains_figure(changes: Sequence[GainChange]) -> Figure:
    """Draw, layer by layer in the order of the network, every gain, how far they moved, and how many of them."""
    width = float(np.clip(2.5 + 0.55 * len(changes), 9, 12))
    figure, (points, distance, shares) = pyplot().subplots(
        3, 1, figsize=(width, 7), sharex=True, layout="constrained", height_ratios=(2, 1, 1)
    )
    positions = np.arange(1, len(changes) + 1)
    for position, change in zip(positions, changes, strict=True):
        spread = np.linspace(-0.3, 0.3, change.gains.size) if change.gains.size > 1 else np.zeros(1)
        points.plot(position + spread, change.gains, ".", markersize=3)
    points.axhline(1, color="gray", linewidth=1)
    points.set(ylabel="gain", title="each point is the gain of a channel; layers in the order of the network")
    distance.bar(positions, [change.rms for change in changes], 0.6, color="tab:gray")
    distance.set_ylabel("RMS of gain - 1")
    for by, offset, colour in zip(MOVED, (-0.16, 0.16), ("tab:blue", "tab:red"), strict=True):
        moved = [100 * change.moved(by) for change in changes]
        shares.bar(positions + offset, moved, 0.3, color=colour, label=f"by more than {100 * by:.0f} %")
    shares.set(ylabel="channels moved, %", ylim=(0, 105))
    shares.legend(fontsize=8, ncols=2, loc="upper right", frameon=False)
    shares.set_xticks(positions, [_short(change.layer) for change in changes], rotation=45, ha="right", fontsize=7)
    for axis in (points, distance, shares):
        axis.grid(axis="y", alpha=0.3)
        axis.set_axisbelow(True)
    return figure


def filters_figure(analysis: Analysis) -> Figure:
    """Draw a row per pixel: the tuned image about it, the filter there before and after tuning, and their difference.

    The colours of the filters go with the signed square root of the weights: the many small ones are seen beside
    the few large ones.
    """
    count = len(analysis.filters)
    figure = pyplot().figure(figsize=(_WIDTH, _ROW * count))
    for number, (name, (before, after)) in enumerate(analysis.filters.items()):
        place, first, second, bar, third, difference_bar = _panels(figure, number, count)
        radius = _visible(before, after)
        old, new = (_about(found, radius) for found in (before, after))
        _draw_place(place, analysis.denoised, name, before.pixel, radius)
        span = max(np.abs(old).max(), np.abs(new).max())
        _draw_weights(first, old, span, f"before tuning\n{_described(before)}", radius)
        shown = _draw_weights(second, new, span, f"after tuning\n{_described(after)}", radius)
        _draw_bar(bar, shown, span)
        span = np.abs(new - old).max() or 1.0  # where all is zero, any scale will do
        shown = _draw_signed(third, new - old, span, "after - before\nwith its own scale of colours\n", radius)
        figure.colorbar(shown, cax=difference_bar).set_label("difference of weights", fontsize=8)
        difference_bar.tick_params(labelsize=7)
        place.set_ylabel("rows from the pixel", fontsize=8)
        for axis in (first, second, third):
            axis.set_yticklabels([])
    return figure


def biases_figure(analysis: Analysis, scale: float = 1.0) -> Figure:
    """Draw the net bias before and after tuning, with one scale of colours, in units of the image.

    Args:
        analysis: The analysis, whose first channel is shown.
        scale: Units of the image per unit of the network.
    """
    figure, axes = pyplot().subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    fields = [scale * found.bias[0, ..., 0] for found in (analysis.before, analysis.after)]
    # A few pixels, mostly at the borders of the image, may have far more than all others.
    span = np.percentile(np.abs(fields), 95)
    rows, columns = analysis.window
    extent = (columns.start - 0.5, columns.stop - 0.5, rows.stop - 0.5, rows.start - 0.5)
    for axis, field, found, title in zip(
        axes, fields, (analysis.before, analysis.after), ("before tuning", "after"), strict=True
    ):
        shown = axis.imshow(field, cmap=DIVERGING, vmin=-span, vmax=span, extent=extent)
        text = f"{title}: RMS {scale * found.rms:.3g} ({100 * found.relative:.3g} % of the residual's), "
        text += f"median size {scale * found.median:.3g}"
        axis.set_title(text, fontsize=10)
        axis.set_xlabel("column")
    axes[0].set_ylabel("row")
    figure.colorbar(shown, ax=axes, label="net bias, in units of the image", shrink=0.85, extend="both")
    return figure


def most_changed(difference: np.ndarray, side: int) -> tuple[slice, slice]:
    """Find the window of so many pixels squared in which a picture differs most from grey, or all of a small one."""
    energy = np.square(difference.astype(np.float64) - 127.5)
    energy = energy.mean(-1) if energy.ndim == 3 else energy
    height, width = (min(side, whole) for whole in energy.shape)
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    windows = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(np.argmax(windows), windows.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def _panels(figure, number, count):
    """Make the axes of a row: a place, two filters and their bar, a difference and its bar. By hand, as the
    engines of matplotlib leave gaps about square pictures and take longer than all the rest."""
    height = _ROW * count
    bottom = height - _ROW * (number + 1) + 0.5
    sides = (_PANEL, _PANEL, _PANEL, 0.12, _PANEL, 0.12)
    lefts = (0.6, 2.95, 5.2, 7.3, 8.55, 10.65)
    boxes = [
        (left / _WIDTH, bottom / height, side / _WIDTH, _PANEL / height)
        for left, side in zip(lefts, sides, strict=True)
    ]
    return [figure.add_axes(box) for box in boxes]


def _draw_place(axis, image, name, pixel, radius):
    """Draw the image about a pixel, as far as the filter beside it is shown."""
    picture = image.clip(0, 1) if image.shape[-1] == 3 else image.mean(-1)
    row, column = pixel
    height, width = picture.shape[:2]
    extent = (-column - 0.5, width - column - 0.5, height - row - 0.5, -row - 0.5)
    axis.imshow(picture, cmap="gray", extent=extent, interpolation="nearest")
    axis.plot(0, 0, "+", color="tab:red", markersize=9)
    axis.set(xlim=(-radius - 0.5, radius + 0.5), ylim=(radius + 0.5, -radius - 0.5), facecolor="lavender")
    _label(axis, f"tuned image, {name}\nrow {row}, column {column}\n", radius)


def _draw_weights(axis, weights, span, title, radius):
    return _draw_signed(axis, _root(weights / (span or 1.0)), 1, title, radius)


def _draw_signed(axis, values, span, title, radius):
    extent = (-radius - 0.5, radius + 0.5, radius + 0.5, -radius - 0.5)
    _label(axis, title, radius)
    return axis.imshow(values, cmap=DIVERGING, vmin=-span, vmax=span, extent=extent, interpolation="nearest")


def _draw_bar(axis, shown, span):
    """Draw a bar of the colours of square roots, ticked in weights."""
    bar = axis.figure.colorbar(shown, cax=axis)
    shares = np.array([-1, -0.5, -0.1, 0, 0.1, 0.5, 1])
    bar.set_ticks(_root(shares), labels=[f"{span * share:.2g}" for share in shares], fontsize=7)
    bar.set_label("weight", fontsize=8)


def _root(values):
    return np.sign(values) * np.sqrt(np.abs(values))


def _label(axis, title, radius):
    axis.set_title(title, fontsize=8)
    step = next((step for step in (1, 2, 5, 10, 20, 50) if radius < 4 * step), 100)
    ticks = np.arange(-(radius // step) * step, radius + 1, step)
    axis.set(xticks=ticks, yticks=ticks)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("columns from the pixel", fontsize=8)


def _described(found):
    return f"sum {found.sum:.3f}, width {found.width:.2f} px\nnoise kept {100 * found.energy:.3g} %"


def _visible(*filters):
    """Find how far from the pixel any weight is more than faint."""
    found = [3]
    for each in filters:
        weights = np.abs(each.weights).max(-1)
        (places,) = np.nonzero((weights > FAINT * weights.max()).any(0) | (weights > FAINT * weights.max()).any(1))
        found += list(np.abs(places - each.radius))
    return int(max(found))


def _about(found, radius):
    """Cut out the filter's weights on its own channel, as far as `radius`, zeros beyond its support."""
    weights = np.pad(found.weights[..., found.channel], max(radius - found.radius, 0))
    middle = weights.shape[0] // 2
    return weights[middle - radius : middle + radius + 1, middle - radius : middle + radius + 1]


def _short(name, longest=28):
    name = name.removesuffix("_gain")
    return name if len(name) <= longest else f"...{name[-longest:]}"
