"""What tuning did to the frames of a stack, to look at: a page that needs no other file, and its drawings as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gaintuning_tf.denoising.stack_run import StackResult
from gaintuning_tf.images.stack_files import Stack, open_stack
from gaintuning_tf.reports import figures, scale_bar
from gaintuning_tf.reports.before_after import NOISY, TUNED, pictures_section
from gaintuning_tf.reports.pages import Run, figure_image, head, pane, panes, paragraph, settings, table, write_document
from gaintuning_tf.reports.verdict import Outcome, verdict_of
from gaintuning_tf.support.plotting import pyplot

# More lines of gains cannot be distinguished.
_LAYERS = 12
# Width and height of a drawing, in inches.
_SIZE = (4.4, 2.7)


def write_stack_report(
    path: str | Path, result: StackResult, noisy: Stack, *, run: Run | None = None, facts: Mapping | None = None
) -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        result: What `denoise_stack` returned.
        noisy: The stack it was given, open.
        run: What was run, for the head of the page.
        facts: What else to say at the end, as name and value.

    Raises:
        InputError: matplotlib is not installed.
    """
    run = run or Run()
    failed = [{"frame": number, "reason": reason} for number, reason in result.failed.items()]
    verdict = verdict_of([_outcome(row) for row in _done(result)], run.loss, len(failed))
    metres = scale_bar.pixel_metres(run.metadata)
    drawn = [pane(title, figure_image(figure)) for title, figure in _drawings(result).items()]
    parts = [
        head("GainTuning report of a stack", verdict, run, _facts(result, run, metres)),
        *(["<h2>Frames that could not be denoised</h2>", table(failed)] if failed else []),
        *_extremes(result, noisy, metres),
        '<h2 class="second">Frame by frame</h2>',
        paragraph(_CHARTS),
        panes(*drawn),
        settings(facts or {}),
    ]
    write_document(path, f"{verdict.headline}: {run.input or 'GainTuning report'}", parts)


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


def _outcome(row):
    worse, idle = bool(row.get("worse_than_input")), row.get("not_tuned") or ""
    variance = row.get("noise_variance")
    return Outcome(row["risk_before"], row["risk_after"], np.nan if variance is None else variance, worse, idle)


def _facts(result, run, metres):
    """Choose what a reader wants to know first."""
    rows, layout = _done(result), result.layout
    size = f"{len(result.rows)} frames of {' x '.join(map(str, layout.shape))}, {layout.dtype}"
    size += f", pixels of {scale_bar.words(metres)}" if metres else ""
    names = _levels(rows)
    levels = ", ".join(
        f"{name} {_span([row['noise'][name] for row in rows if name in row['noise']])}" for name in names
    )
    shared = result.tuned_on
    gains = f", gains shared by all frames, tuned on {len(shared)}" if shared is not None else ""
    tuning = f"at most {result.steps} steps a frame, loss {run.loss}{gains}"
    return {"stack": ": ".join(filter(None, [run.input, size])), "noise": levels, "tuning": tuning}


def _levels(rows):
    """Name what is known of the noise of any frame: they may have noise of different kinds."""
    known = [row["noise"].items() for row in rows]
    return list(dict.fromkeys(name for items in known for name, value in items if isinstance(value, float)))


def _span(values):
    low, high = (f"{value:.4g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _drawings(result):
    rows = _done(result)
    numbers = [row["frame"] for row in rows]
    names = _levels(rows)
    draw = {
        "Risk by frame": ({"before tuning": "risk_before", "after tuning": "risk_after"}, "estimated squared error"),
        "Noise by frame": ({name: name for name in names}, "in units of the image"),
    }
    found = {}
    for title, (columns, label) in draw.items():
        figure, axis = pyplot().subplots(figsize=_SIZE, layout="constrained")
        for name, column in columns.items():
            axis.plot(
                numbers, [{**row, **row["noise"]}.get(column, np.nan) for row in rows], ".-", markersize=3, label=name
            )
        _finish(axis, label)
        found[title] = figure
    found["Gains by frame"] = _gains_figure(result, numbers)
    return found


def _gains_figure(result, numbers):
    """Draw how far the gains of each layer are from one, frame by frame."""
    figure, axis = pyplot().subplots(figsize=(_SIZE[0], 1.2 * _SIZE[1]), layout="constrained")
    moved = np.array([[np.sqrt(np.mean((gain - 1) ** 2)) for gain in result.gains(n)[:-1]] for n in numbers])
    names = result.gain_names()
    for layer in np.argsort(-moved.mean(0), kind="stable")[:_LAYERS]:
        axis.plot(numbers, moved[:, layer], ".-", markersize=3, label=names[layer])
    _finish(axis, "RMS of gain - 1")
    return figure


def _finish(axis, label):
    axis.set(xlabel="frame", ylabel=label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, ncols=2, frameon=False)


def _extremes(result, noisy, metres):
    """Show the frames whose risk fell most and least, noisy and denoised."""
    rows = sorted((row for row in _done(result) if np.isfinite(gain_in_risk(row))), key=gain_in_risk)
    if not rows:
        return []
    parts = [f"<h2>{'The frames that gained most and least' if len(rows) > 1 else 'The frame'}</h2>"]
    like = {"model_channels": result.layout.channels, "dimensions": result.layout.dimensions}
    with open_stack(result.output, axes=noisy.axes, **like) as denoised:
        for row in {row["frame"]: row for row in (rows[-1], rows[0])}.values():
            number = row["frame"]
            images = {NOISY: noisy.frame(number), TUNED: denoised.frame(number)}
            parts.append(f"<h3>Frame {number}: the risk changed by {-gain_in_risk(row):+.2f} dB</h3>")
            parts += pictures_section(images, result.layout, metres, name=f"frame-{number}")
    return parts


_CHARTS = (
    "The risk is an estimate of the squared error without a clean image, on probes that no step of tuning has seen. "
    "Gains: how far those of a layer are from one; of many layers, those that moved most."
)
