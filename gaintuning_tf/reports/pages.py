"""Pieces of a page that needs no other file: tables, charts, pictures, and the frame around them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


def chart(draw: Callable[..., None], *arguments: Any, columns: int = 1, size: tuple[float, float] = (9, 3.6)) -> str:
    """Make the HTML of what `draw(axes, *arguments)` draws, `axes` being one of matplotlib's, or several in a row."""
    figure, axes = pyplot().subplots(1, columns, figsize=size, layout="constrained")
    draw(axes, *arguments)
    return figure_image(figure)


def figure_image(figure: Figure) -> str:
    """Make the HTML of a matplotlib figure, which is closed."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    pyplot().close(figure)
    return f'<img class="chart" alt="" src="{data_uri(data.getvalue())}">'


def table(rows: Sequence[dict], head: bool = True) -> str:
    """Make the HTML of a table, whose columns are the keys of the first row; nothing without rows.

    Example:

    >>> table([{"a": "<1>"}], head=False)
    '<table><tr><td>&lt;1&gt;</td></tr></table>'
    """
    if not rows:
        return ""
    lines = ["".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) for row in rows]
    if head:
        lines = ["".join(f"<th>{html.escape(name)}</th>" for name in rows[0]), *lines]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def png(picture: np.ndarray) -> bytes:
    """Encode a picture, uint8, (H, W) or (H, W, 3), as the bytes of a PNG file."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="png")
    return data.getvalue()


def data_uri(png: bytes) -> str:
    """Encode a PNG as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def page(title: str, parts: Sequence[str]) -> str:
    """Make a whole HTML document of parts that are HTML already."""
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1300px; padding: 0 1em; color: #222; }}
.row {{ display: flex; flex-wrap: wrap; gap: 12px; }}
figure {{ margin: 0; max-width: 310px; }}
figcaption {{ font-size: 13px; color: #555; }}
.picture {{ max-width: 310px; }}
.zoom {{ width: 288px; image-rendering: pixelated; }}
.chart {{ max-width: 100%; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
td, th {{ border-bottom: 1px solid #ddd; padding: 3px 14px 3px 0; text-align: left; }}
</style></head>
<body>
{body}
</body></html>
"""
