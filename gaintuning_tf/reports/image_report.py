"""What tuning did to an image and to the network, to look at: a page that needs no other file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaintuning_tf.denoising import result_figure
from gaintuning_tf.reports import figures, scale_bar
from gaintuning_tf.reports.before_after import BEFORE, NOISY, REFERENCE, TUNED, WINDOW, pictures_section
from gaintuning_tf.reports.noise_section import (
    first_noise_figure,
    first_words,
    frame_of,
    level_words,
    noise_section,
    taken_out,
)
from gaintuning_tf.reports.pages import (
    Run,
    chart,
    figure_image,
    head,
    pane,
    panes,
    paragraph,
    picture,
    settings,
    table,
    write_document,
)
from gaintuning_tf.reports.verdict import Outcome, verdict_of

if TYPE_CHECKING:
    from gaintuning_tf.denoising.pipeline import GainTuningResult


def write_report(
    path: str | Path,
    result: GainTuningResult,
    noisy: np.ndarray,
    *,
    run: Run | None = None,
    facts: Mapping | None = None,
    scores: Sequence[dict] = (),
    clean: np.ndarray | None = None,
    pixels: dict[str, tuple[int, int]] | None = None,
) -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        result: What `gaintune` returned.
        noisy: The image it was given.
        run: What was run, for the head of the page.
        facts: What else to say at the end, as name and value.
        scores: Rows of a table, with the same keys; none if there is no reference.
        clean: The reference image, to be shown beside the others.
        pixels: Where to show the network's equivalent filters, see `analyse`.

    Raises:
        InputError: matplotlib is not installed, or there is no such pixel.
    """
    run = run or Run(network=result.choice.name if result.choice else result.network)
    verdict = verdict_of(outcomes(result), run.loss)
    shown = {NOISY: noisy, BEFORE: result.pretrained, TUNED: result.denoised}
    shown |= {} if clean is None else {REFERENCE: clean}
    metres = scale_bar.pixel_metres(run.metadata)
    parts = [
        head("GainTuning report", verdict, run, _facts(result, run, metres)),
        table(scores, kind="numbers"),
        f"<h2>Before and after{_which(result)}</h2>",
        *pictures_section(shown, result.layout, metres),
        "<h2>What was taken out</h2>",
        *_differences(result, noisy),
        '<div class="second"></div>',
        *noise_section(result),
        "<h2>The risk, step by step</h2>",
        panes(chart(result_figure.draw_risk, result, size=(5.2, 3.1)), f"<div>{paragraph(_RISK)}</div>"),
        *_explained(result, noisy, pixels),
        settings(facts or {}),
    ]
    write_document(path, f"{verdict.headline}: {run.input or 'GainTuning report'}", parts)


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


def outcomes(result: GainTuningResult) -> list[Outcome]:
    """List what became of each frame of a result, for the verdict."""
    from gaintuning_tf.noise.residuals import mean_variance

    count = len(result.residuals)
    before, after, worse = (
        np.atleast_1d(each)
        for each in (result.history["risk_before"], result.history["risk_after"], result.worse_than_input)
    )
    reasons = result.not_tuned or [""] * count
    variances = [mean_variance(noise, *frame_of(result, n)) for n, noise in enumerate(result.noise.each(count))]
    return [Outcome(*each) for each in zip(before, after, variances, worse, reasons, strict=True)]


def _facts(result, run, metres):
    """Choose what a reader wants to know first."""
    shape, history = " x ".join(map(str, result.layout.shape)), result.history
    steps = int(np.isfinite(np.atleast_2d(history["risk"])).sum(-1).max())
    size = f"{shape}, {result.layout.dtype}" + (f", pixels of {scale_bar.words(metres)}" if metres else "")
    contrast = np.atleast_1d(result.contrast)
    seen = f", seen at a contrast of {contrast.mean():.3g}" if np.any(contrast != 1) else ""
    interrupted = ", interrupted" if np.any(history["interrupted"]) else ""
    took = f"{float(np.sum(history['seconds'])):.0f} s"
    return {
        "image": ": ".join(filter(None, [run.input, size])),
        "noise": level_words(result),
        "tuning": f"{steps} steps, loss {run.loss}{seen}, {took}{interrupted}",
    }


def _differences(result, noisy):
    """Show the noisy image less the tuned one with its correlation, and what tuning changed."""
    residual = result.residuals[0]
    taken, span = _signed(result, noisy, result.denoised)
    text = (
        f"Grey is nothing, black {-span:.3g}, white {span:.3g}. Outlines and textures here were taken from the image."
    )
    parts = [pane("Noisy less tuned", picture(text, taken, "crop")), pane(_LAGS, taken_out(result), paragraph(_WIDTH))]
    changed, span = _signed(result, result.denoised, result.pretrained)
    if span:
        text = f"Black is {-span:.3g}, white {span:.3g}: where tuning made it darker and brighter."
        parts.append(pane("Tuned less before tuning", picture(text, changed, "crop")))
    return [paragraph(f"{residual.words[:1].upper()}{residual.words[1:]}."), panes(*parts)]


def _signed(result, image, other):
    """Make a picture of what an image has more than another, at most a window of it; and what is white in it."""
    apart = np.ma.getdata(image).astype(np.float64) - np.ma.getdata(other)
    span = 3 * float(np.sqrt(np.mean(np.square(apart[np.isfinite(apart)]))))
    shown = dataclasses.replace(result.layout, offset=-(span or 1.0), data_range=2 * (span or 1.0)).picture(apart)
    return np.ascontiguousarray(shown[figures.most_changed(shown, WINDOW)]), span


def _explained(result, noisy, pixels):
    """Make the part of the page that says what tuning did to the network."""
    # Here, for with it comes TensorFlow, and the command line asks this module before that.
    from gaintuning_tf.reports.analysis import analyse, gain_changes

    drawn = figure_image(figures.gains_figure(gain_changes(result.model)))
    gains = ["<h2>Gains by layer</h2>", f'<div class="wide gains">{drawn}</div>']
    if result.layout.dimensions == 3:
        return [*gains, f"<p>{_VOLUME}</p>"]
    found = analyse(result, noisy, pixels=pixels)
    filters = figure_image(figures.filters_figure(found)) if found.filters else ""
    parts = [
        *gains,
        f"<h2>The filters that the network is{first_words(result)}</h2>",
        f'<p class="screen">{_FILTERS}</p>',
        f'<div class="wide filters">{filters}</div>',
    ]
    if found.before.negligible and found.after.negligible:
        return [*parts, f'<p class="screen">No net bias before tuning and none after, to rounding: {_NO_BIAS}</p>']
    rows, columns = found.window
    size = f"{rows.stop - rows.start} x {columns.stop - columns.start}"
    where = f"Shown are {size} pixels from row {rows.start}, column {columns.start}."
    drawn = figure_image(figures.biases_figure(found, result.layout.data_range))
    bias = f'<h2>Net bias</h2><p>{_BIAS} {where}</p><div class="wide">{drawn}</div>'
    return [*parts, f'<div class="screen">{bias}</div>']


def _which(result):
    layout = result.layout
    if layout.dimensions == 3:
        return ": the middle plane"
    # The channels of a colour picture are one picture, though they may be several frames.
    return ", in the first frame" if set(layout.axes) - set("YXC") else ""


_RISK = (
    "The risk is an estimate of the squared error without a clean image. A dot is what a step of tuning saw: measured "
    "with one random probe, in a large image on a random part of it, so that dots jump by chance and are no curve of "
    "progress. The two diamonds are measured with fresh probes that no step has seen, the same for both: before "
    "tuning, and what was kept in the end, which is the best of several candidates. Between “before” and the first "
    "step, the contrast at which the network sees the image is chosen, and for correlated noise how much is added to "
    "make it white, which may lower the risk at once."
)
_LAGS = "Its correlation with a pixel"
_WIDTH = (
    "It should look like the correlation of the noise, below. Wider, and with it structure was taken out; narrower, "
    "and the network kept the coarse part of the noise."
)
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
