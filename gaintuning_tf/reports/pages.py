"""Pieces of a page that needs no other file: its frame and head, tables, charts and pictures."""

from __future__ import annotations

import base64
import datetime
import html
import importlib.metadata
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gaintuning_tf import __version__
from gaintuning_tf.support.atomic_files import replacing
from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from gaintuning_tf.reports.verdict import Verdict

# Black of matplotlib's SVG, which takes the colour of the text about it: light on a dark page.
_BLACK = re.compile(r"#000000\b")
# What matplotlib calls the parts of a drawing: the same in every drawing of a page.
_NAMES = re.compile(r' id="(?:figure|patch|axes|text|line2d|matplotlib\.axis|[xy]tick|legend|PathCollection)[^"]*"')
# Pixels of a page per inch of a drawing, for the width at which its letters have their size.
_PER_INCH = 96


class Run(NamedTuple):
    """What was run, for the head of a page.

    Attributes:
        command: As it was typed; empty where there was none.
        input: Name of the noisy file.
        network: Its name.
        why: Why it was chosen; empty where it was given.
        loss: Name of what tuning minimised, see `losses.names.LOSSES`.
        metadata: Of the noisy file, see `images.container.Source`.
    """

    command: str = ""
    input: str = ""
    network: str = ""
    why: str = ""
    loss: str = "sure"
    metadata: Mapping[str, Any] = {}


def chart(draw: Callable[..., None], *arguments: Any, size: tuple[float, float] = (4.7, 3.1)) -> str:
    """Make the HTML of what `draw(axis, *arguments)` draws, `axis` being one of matplotlib's."""
    figure, axis = pyplot().subplots(figsize=size, layout="constrained")
    draw(axis, *arguments)
    return figure_image(figure)


def figure_image(figure: Figure) -> str:
    """Make the HTML of a matplotlib figure, which is closed: a drawing in the colours of the page."""
    data = io.StringIO()
    plt = pyplot()
    # Of the same numbers the same file; and letters stay letters.
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "page"}):
        figure.savefig(data, format="svg", dpi=150, transparent=True, metadata={"Date": None})
    width, height = _PER_INCH * figure.get_size_inches()
    plt.close(figure)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", data.getvalue(), flags=re.S).partition("<svg ")[2]
    box = re.search(r'viewBox="([^"]*)"', drawing)
    inside = _NAMES.sub("", _BLACK.sub("currentColor", drawing.partition(">")[2])).replace("xlink:href", "href")
    style = f"max-width:{1.15 * width:.0f}px;aspect-ratio:{width:.0f}/{height:.0f}"
    return f'<svg class="chart" role="img" viewBox="{box[1] if box else ""}" style="{style}">{inside}'


def table(rows: Sequence[dict], head: bool = True, kind: str = "") -> str:
    """Make the HTML of a table, whose columns are the keys of the first row; nothing without rows.

    Args:
        rows: Values by the name of the column.
        head: Whether the names are shown.
        kind: Class of the table.

    Example:

    >>> table([{"a": "<1>"}], head=False)
    '<div class="scroll"><table><tr><td>&lt;1&gt;</td></tr></table></div>'
    """
    if not rows:
        return ""
    lines = ["".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) for row in rows]
    if head:
        lines = ["".join(f"<th>{html.escape(name)}</th>" for name in rows[0]), *lines]
    kind = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{kind}>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def facts_table(facts: Mapping[str, Any]) -> str:
    """Make a table of names and values, one of each a row; without those that have no value."""
    return table([{"": name, " ": value} for name, value in facts.items() if value not in ("", None)], False, "facts")


def settings(facts: Mapping[str, Any]) -> str:
    """Make a table of names and values that opens at a click; nothing without facts."""
    return f"<details><summary>All settings and numbers</summary>{facts_table(facts)}</details>" if facts else ""


def png(picture: np.ndarray) -> bytes:
    """Encode a picture, uint8, (H, W) or (H, W, 3), as the bytes of a PNG file."""
    return _encoded(picture, format="png", optimize=True)


def jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    """Encode a picture, uint8, (H, W) or (H, W, 3), as the bytes of a JPEG file."""
    return _encoded(picture, format="jpeg", quality=quality)


def _encoded(picture, **options):
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).save(data, **options)
    return data.getvalue()


def data_uri(encoded: bytes) -> str:
    """Encode a PNG or JPEG as the address of itself."""
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(encoded).decode()


def picture(name: str, pixels: np.ndarray, kind: str = "picture") -> str:
    """Make the HTML of a picture, uint8, with its name beneath."""
    height, width = pixels.shape[:2]
    image = f'<img class="{kind}" alt="" width="{width}" height="{height}" src="{data_uri(png(pixels))}">'
    return f"<figure>{image}<figcaption>{html.escape(name)}</figcaption></figure>"


def pane(title: str, *parts: str, kind: str = "pane") -> str:
    """Make a part of a row of `panes`: a title and what is beneath it."""
    return f'<div class="{kind}"><h3>{html.escape(title)}</h3>{"".join(parts)}</div>'


def panes(*parts: str) -> str:
    """Put panes beside each other where there is room, else one beneath the other."""
    return f'<div class="panes">{"".join(parts)}</div>'


def paragraph(text: str) -> str:
    """Make a paragraph of a text; nothing of an empty one."""
    return f"<p>{html.escape(text)}</p>" if text else ""


def head(kicker: str, verdict: Verdict, run: Run, facts: Mapping[str, Any]) -> str:
    """Make the top of a page: the verdict in words, and what was run.

    Args:
        kicker: What the page is of.
        verdict: The verdict.
        run: What was run.
        facts: What else is worth a row, as name and value.
    """
    network = run.network + (f" ({run.why})" if run.why else "")
    rows = {"network": network, **facts, "command": run.command, "made by": f"{versions()}, {date()}"}
    return (
        f'<header class="verdict {verdict.kind}"><p class="kicker">{html.escape(kicker)}</p>'
        f"<h1>{html.escape(verdict.headline)}</h1>{''.join(map(paragraph, verdict.reasons))}</header>"
        f"{facts_table(rows)}"
    )


def versions() -> str:
    """Name the versions of this package and of what computes."""
    names = {"TensorFlow": "tensorflow", "Keras": "keras"}
    found = [f"{name} {importlib.metadata.version(package)}" for name, package in names.items()]
    return ", ".join([f"gaintuning-tf {__version__}", *found])


def date() -> str:
    """Give the time, in UTC: that of the variable SOURCE_DATE_EPOCH, where pages are to be reproducible, or now.

    Example:

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, SOURCE_DATE_EPOCH="86400"):
    ...     date()
    '1970-01-02 00:00 UTC'
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    utc = datetime.timezone.utc
    when = datetime.datetime.fromtimestamp(int(epoch), utc) if epoch.isdigit() else datetime.datetime.now(utc)
    return when.strftime("%Y-%m-%d %H:%M UTC")


def write_document(path: str | Path, title: str, parts: Sequence[str]) -> None:
    """Write a whole HTML document of parts that are HTML already: one file that needs no other, or none.

    Args:
        path: The page.
        title: Of the browser's window.
        parts: What is in it.
    """
    files = resources.files("gaintuning_tf.reports")
    style, script = (files.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "slider.js"))
    found = _PAGE.format(title=html.escape(title), style=style, body="\n".join(filter(None, parts)), script=script)
    with replacing(path) as temporary:
        temporary.write_text(found, encoding="utf-8")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
<script>
{script}</script>
</body>
</html>
"""
