"""What tuning did to the frames of a stack, to look at: a page that needs no other file, and its drawings as files."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np

from gaintuning_tf.denoising.stack_run import StackResult
from gaintuning_tf.images.stack_files import Stack, open_stack
from gaintuning_tf.reports import figures
from gaintuning_tf.reports.pages import data_uri, figure_image, page, png, table
from gaintuning_tf.support.atomic_files import replacing
from gaintuning_tf.support.plotting import pyplot

# More lines of gains cannot be distinguished.
_LAYERS = 12


def write_stack_report(path: str | Path, result: StackResult, noisy: Stack, *, facts: dict) -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        result: What `denoise_stack` returned.
        noisy: The stack it was given, open.
        facts: What to say at the top, as name and value.

    Raises:
        InputError: matplotlib is not installed.
    """
    failed = [{"frame": number, "reason": reason} for number, reason in result.failed.items()]
    parts = [
        "<h1>GainTuning report</h1>",
        table([{"": name, " ": value} for name, value in facts.items()], head=False),
        *(["<h2>Frames that could not be denoised</h2>", table(failed)] if failed else []),
        *[part for title, figure in _drawings(result).items() for part in (f"<h2>{title}</h2>", figure_image(figure))],
        *_extremes(result, noisy),
    ]
    with replacing(path) as temporary:
        temporary.write_text(page("GainTuning report", parts), encoding="utf-8")


def write_stack_figures(folder: str | Path, result: StackResult) -> None:
    """Write the drawings of the page as PNG (300 dots per inch) and PDF into a folder, made if need be.

    Raises:
        InputError: matplotlib is not installed.
    """
    figures.write_figures(folder, _drawings(result))


def gain_in_risk(row: dict) -> float:
    """Compute by how many dB the estimated error of a frame fell; NaN where an estimate is not positive.

    Example:

    >>> gain_in_risk({"risk_before": 10.0, "risk_after": 1.0})
    10.0
    """
    before, after = row["risk_before"], row["risk_after"]
    return float(10 * np.log10(before / after)) if min(before, after) > 0 else float("nan")


def _done(result):
    return [row for row in result.rows if not row["failed"]]


def _drawings(result):
    rows = _done(result)
    numbers = [row["frame"] for row in rows]
    names = [name for name, value in rows[0]["noise"].items() if isinstance(value, float)]
    draw = {
        "Risk by frame": ({"before tuning": "risk_before", "after tuning": "risk_after"}, "estimated squared error"),
        "Noise by frame": ({name: name for name in names}, "in units of the image"),
    }
    found = {}
    for title, (columns, label) in draw.items():
        figure, axis = pyplot().subplots(figsize=(9, 3.2), layout="constrained")
        for name, column in columns.items():
            axis.plot(numbers, [{**row, **row["noise"]}[column] for row in rows], ".-", markersize=3, label=name)
        _finish(axis, label)
        found[title] = figure
    found["Gains by frame"] = _gains_figure(result, numbers)
    return found


def _gains_figure(result, numbers):
    """Draw how far the gains of each layer are from one, frame by frame."""
    figure, axis = pyplot().subplots(figsize=(9, 3.6), layout="constrained")
    moved = np.array([[np.sqrt(np.mean((gain - 1) ** 2)) for gain in result.gains(n)[:-1]] for n in numbers])
    names = result.gain_names()
    for layer in np.argsort(-moved.mean(0), kind="stable")[:_LAYERS]:
        axis.plot(numbers, moved[:, layer], ".-", markersize=3, label=names[layer])
    _finish(axis, "RMS of gain - 1")
    return figure


def _row(cells):
    return ['<div class="row">', *cells, "</div>"]


def _finish(axis, label):
    axis.set(xlabel="frame", ylabel=label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, ncols=3)


def _extremes(result, noisy):
    """Show the frames whose risk fell most and least, noisy and denoised."""
    rows = sorted((row for row in _done(result) if np.isfinite(gain_in_risk(row))), key=gain_in_risk)
    if not rows:
        return []
    parts = ["<h2>The frames that gained most and least</h2>"]
    like = {"model_channels": result.layout.channels, "dimensions": result.layout.dimensions}
    with open_stack(result.output, axes=noisy.axes, **like) as denoised:
        for row in {row["frame"]: row for row in (rows[-1], rows[0])}.values():
            number = row["frame"]
            shown = {"noisy": noisy.frame(number), "denoised": denoised.frame(number)}
            display = result.layout.display(shown["noisy"])
            cells = [
                f'<figure><img class="picture" alt="{html.escape(name)}" src="{data_uri(png(picture))}">'
                f"<figcaption>frame {number}, {html.escape(name)}</figcaption></figure>"
                for name, picture in ((name, display.picture(image)) for name, image in shown.items())
            ]
            parts += [f"<p>Frame {number}: {gain_in_risk(row):+.3f} dB in risk.</p>", *_row(cells)]
    return parts
