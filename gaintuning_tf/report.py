"""What tuning did to an image, to look at: a figure, and a page that needs no other file."""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.files import replacing
from gaintuning_tf.page import chart, check_available, data_uri, page, pyplot, table

__all__ = ["check_available", "plot_result", "write_report"]

if TYPE_CHECKING:
    from gaintuning_tf.pipeline import GainTuningResult

ZOOM = 96
# Of the network's range: a difference of this much is shown black or white.
DIFFERENCE_SPAN = 0.1


def plot_result(result: GainTuningResult):
    """A matplotlib figure: pretrained, tuned, their difference, and the risk at each step.

    Raises:
        InputError: matplotlib is not installed.
    """
    plt = pyplot()
    figure, axes = plt.subplots(1, 4, figsize=(17, 4.4), layout="constrained")
    pictures = _pictures(result.layout, {"pretrained": result.pretrained, "tuned": result.denoised})
    pictures["tuned - pretrained"] = _difference(result.layout, result.denoised, result.pretrained)
    for axis, (title, picture) in zip(axes, pictures.items(), strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set(title=title, xticks=[], yticks=[])
    _draw_risk(axes[3], result)
    return figure


def write_report(
    path, result: GainTuningResult, noisy: np.ndarray, *, facts: dict, scores: list[dict], clean=None
) -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        result: What `gaintune` returned.
        noisy: The image it was given.
        facts: What to say at the top, as name and value.
        scores: Rows of a table, with the same keys; none if there is no reference.
        clean: The reference image, to be shown beside the others.

    Raises:
        InputError: matplotlib is not installed.
    """
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    if clean is not None:
        shown["reference"] = clean
    pictures = _pictures(result.layout, shown)
    difference = _difference(result.layout, result.denoised, result.pretrained)
    window = _most_changed(difference)
    span = f"grey is none; black and white are {DIFFERENCE_SPAN / 2:.0%} of the range less and more"
    parts = [
        "<h1>GainTuning report</h1>",
        table([{"": name, " ": value} for name, value in facts.items()], head=False),
        table(scores),
        "<h2>Image</h2>",
        _figures({**pictures, f"tuned - pretrained ({span})": difference}),
        f"<h2>Where tuning changed most</h2><p>{window[0].stop - window[0].start} x "
        f"{window[1].stop - window[1].start} pixels from row {window[0].start}, column {window[1].start}.</p>",
        _figures({name: picture[window] for name, picture in pictures.items()}, zoom=True),
        "<h2>Risk estimate at each step</h2>",
        chart(_draw_risk, result),
        "<h2>Gains by layer</h2>",
        chart(_draw_gains, result),
    ]
    with replacing(path) as temporary:
        temporary.write_text(page("GainTuning report", parts), encoding="utf-8")


def _pictures(layout, images):
    return {name: layout.picture(image) for name, image in images.items()}


def _difference(layout, image, other):
    """The difference of two images as a picture: grey where there is none."""
    change = (image.astype(np.float64) - other.astype(np.float64)) / DIFFERENCE_SPAN + layout.data_range / 2
    return layout.picture(change + layout.offset)


def _most_changed(difference):
    """The window of `ZOOM` pixels squared in which the difference has the most energy."""
    energy = np.square(difference.astype(np.float64) - 127.5)
    energy = energy.mean(-1) if energy.ndim == 3 else energy
    height, width = (min(side, ZOOM) for side in energy.shape)
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    windows = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(np.argmax(windows), windows.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def _draw_risk(axis, result):
    risks = np.atleast_2d(result.history["risk"])
    for number, risk in enumerate(risks):
        axis.plot(
            np.arange(1, risk.size + 1), risk, ".-", label=f"frame {number}" if len(risks) > 1 else "at each step"
        )
    if len(risks) == 1:
        for key, style in (("risk_before", "--"), ("risk_after", "-")):
            label = f"{key.replace('_', ' ')}, held-out probes"
            axis.axhline(float(result.history[key]), linestyle=style, color="gray", linewidth=1, label=label)
    if len(risks) <= 4:
        axis.legend(fontsize=8)
    axis.set(xlabel="step", ylabel="estimated mean squared error", title="risk")
    axis.grid(alpha=0.3)


def _draw_gains(axis, result):
    values = [gains.ravel() for gains in result.gains.values()]
    for position, gains in enumerate(values, start=1):
        spread = np.linspace(-0.25, 0.25, gains.size) if gains.size > 1 else [0.0]
        axis.plot(position + np.asarray(spread), gains, ".", markersize=3)
    axis.axhline(1, color="gray", linewidth=1)
    axis.set_xticks(range(1, len(values) + 1), list(result.gains), rotation=45, ha="right", fontsize=7)
    axis.set(ylabel="gain", title="each point is a channel")
    axis.grid(axis="y", alpha=0.3)


def _figures(pictures, zoom=False):
    kind = "zoom" if zoom else "picture"
    cells = [
        f'<figure><img class="{kind}" alt="{html.escape(name)}" src="{data_uri(_png(picture))}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, picture in pictures.items()
    ]
    return f'<div class="row">{"".join(cells)}</div>'


def _png(picture):
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="png")
    return data.getvalue()
