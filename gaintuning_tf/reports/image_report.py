"""What tuning did to an image and to the network, to look at: a page that needs no other file."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.denoising import result_figure
from gaintuning_tf.reports import figures
from gaintuning_tf.reports.noise_section import first_noise_figure, noise_section
from gaintuning_tf.reports.pages import data_uri, figure_image, page, png, table
from gaintuning_tf.support.atomic_files import replacing

if TYPE_CHECKING:
    from gaintuning_tf.denoising.pipeline import GainTuningResult


def write_report(
    path: str | Path,
    result: GainTuningResult,
    noisy: np.ndarray,
    *,
    facts: dict,
    scores: list[dict],
    clean: np.ndarray | None = None,
    pixels: dict[str, tuple[int, int]] | None = None,
) -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        result: What `gaintune` returned.
        noisy: The image it was given.
        facts: What to say at the top, as name and value.
        scores: Rows of a table, with the same keys; none if there is no reference.
        clean: The reference image, to be shown beside the others.
        pixels: Where to show the network's equivalent filters, see `analyse`.

    Raises:
        InputError: matplotlib is not installed, or there is no such pixel.
    """
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    if clean is not None:
        shown["reference"] = clean
    display = result.layout.display(noisy)
    pictures = {name: display.picture(image) for name, image in shown.items()}
    difference = result_figure.difference(display, result.denoised, result.pretrained)
    window = figures.most_changed(difference)
    span = f"grey is none; black and white are {result_figure.DIFFERENCE_SPAN / 2:.0%} of that range less and more"
    parts = [
        "<h1>GainTuning report</h1>",
        table([{"": name, " ": value} for name, value in facts.items()], head=False),
        table(scores),
        f"<h2>Image{_middle(result)}</h2>",
        f"<p>Black is {display.offset:.4g}, white {display.offset + display.data_range:.4g}.</p>",
        _images({**pictures, f"tuned - pretrained ({span})": difference}),
        f"<h2>Where tuning changed most</h2><p>{window[0].stop - window[0].start} x "
        f"{window[1].stop - window[1].start} pixels from row {window[0].start}, column {window[1].start}.</p>",
        _images({name: picture[window] for name, picture in pictures.items()}, zoom=True),
        "<h2>Risk estimate at each step</h2>",
        figure_image(result_figure.risk_figure(result)),
        *noise_section(result),
        *_explained(result, noisy, pixels),
    ]
    with replacing(path) as temporary:
        temporary.write_text(page("GainTuning report", parts), encoding="utf-8")


def write_figures(folder: str | Path, result: GainTuningResult, noisy: np.ndarray) -> None:
    """Write the page's drawings as PNG (300 dots per inch) and PDF into a folder, made if need be.

    Args:
        folder: Where.
        result: What `gaintune` returned.
        noisy: The image it was given.

    Raises:
        InputError: matplotlib is not installed.
    """
    from gaintuning_tf.reports.analysis import analyse, gain_changes

    drawings = {"result": result_figure.result_figure(result), "risk": result_figure.risk_figure(result)}
    drawings["noise"] = first_noise_figure(result)
    drawings["gains"] = figures.gains_figure(gain_changes(result.model))
    found = analyse(result, noisy) if result.layout.dimensions == 2 else None
    if found and found.filters:
        drawings["filters"] = figures.filters_figure(found)
    figures.write_figures(folder, drawings)


def _explained(result, noisy, pixels):
    """Make the part of the page that says what tuning did to the network."""
    # Here, for with it comes TensorFlow, and the command line asks this module before that.
    from gaintuning_tf.reports.analysis import analyse, gain_changes

    gains = ["<h2>Gains by layer</h2>", figure_image(figures.gains_figure(gain_changes(result.model)))]
    if result.layout.dimensions == 3:
        return [*gains, f"<p>{_VOLUME}</p>"]
    found = analyse(result, noisy, pixels=pixels)
    parts = [
        *gains,
        f"<h2>The filters that the network is{_of_first(result)}</h2>",
        f"<p>{_FILTERS}</p>",
        figure_image(figures.filters_figure(found)) if found.filters else "",
        "<h2>Net bias</h2>",
    ]
    if found.before.negligible and found.after.negligible:
        return [*parts, f"<p>None before tuning and none after, to rounding: {_NO_BIAS}</p>"]
    rows, columns = found.window
    size = f"{rows.stop - rows.start} x {columns.stop - columns.start}"
    where = f"Shown are {size} pixels from row {rows.start}, column {columns.start}."
    return [*parts, f"<p>{_BIAS} {where}</p>", figure_image(figures.biases_figure(found, result.layout.data_range))]


def _middle(result):
    return ": the middle plane" if result.layout.dimensions == 3 else ""


def _of_first(result):
    return ", in the first frame" if np.ndim(result.history["seconds"]) else ""


def _images(pictures, zoom=False):
    kind = "zoom" if zoom else "picture"
    cells = [
        f'<figure><img class="{kind}" alt="{html.escape(name)}" src="{data_uri(png(picture))}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, picture in pictures.items()
    ]
    return f'<div class="row">{"".join(cells)}</div>'


_FILTERS = (
    "At one image, the network computes each denoised pixel as a weighted sum of the noisy ones about it, and a bias "
    "(Mohan et al., ICLR 2020). Shown are the weights: how far and along what the network averages. A sum of 1 keeps "
    "the brightness; the width is the root mean square distance of the squared weights, in pixels; of white noise, "
    "the sum of the squared weights is kept. Weights below 1 % of the largest are left out at the borders, and colours "
    "go with the square root of the weights."
)
_BIAS = "What the denoised image has that is no weighted sum of the noisy one: f(y) - A y, A the network's Jacobian."
_VOLUME = "The filters that the network is, and its net bias, are shown of images; this is a volume."
_NO_BIAS = "the network has no biases, so that the denoised image is a weighted sum of the noisy one."
