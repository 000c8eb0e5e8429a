"""Pictures in one place with a slider between two of them, at full size, and zoom."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gaintuning_tf.denoising import result_figure
from gaintuning_tf.images.array_layout import SHOWN, Layout
from gaintuning_tf.reports import figures, scale_bar
from gaintuning_tf.reports.pages import data_uri, jpeg, paragraph, png

# What the pictures are called.
NOISY, BEFORE, TUNED, REFERENCE = "noisy", "before tuning", "tuned", "reference"

# Pictures of up to so many samples, a megapixel of grey, are kept to the last bit: noise
# does not pack, and a page of three of them is 4 MB.
LOSSLESS = 1 << 20
# Larger ones are JPEG files, and from so many samples on reduced: a page stays below 20 MB.
LARGEST = 6 << 20
# Of reduced pictures, a window of this side is shown in full size, too.
WINDOW = 768
# Percentiles between which pictures can be shown, beside those that they are shown between.
_NARROWER = ((1, 99), (5, 95))


class Range(NamedTuple):
    """Two levels of a picture, of 0 to 255, that are to be black and white, and what they are called."""

    name: str
    low: float
    high: float


def pictures_section(
    images: Mapping[str, np.ndarray], layout: Layout, metres: float | None, *, name: str = "view"
) -> list[str]:
    """Make the HTML of images in a viewer, and of what is to be known of the pictures.

    Args:
        images: By name, of the layout's axes, the noisy one first.
        layout: Theirs.
        metres: The width of a pixel, if it is known.
        name: What the viewer is called in its page.
    """
    display = layout.display(images[NOISY])
    pictures = {title: display.picture(image) for title, image in images.items()}
    options = {"left": NOISY, "right": TUNED, "metres": metres}
    ranges = ranges_of(display, layout, pictures[NOISY])
    note = f"{_range_words(display, ranges[0].name)} {reduction_words(pictures.values())}"
    parts = [viewer(pictures, name=name, ranges=ranges, **options), paragraph(note)]
    if reduction(pictures.values()) > 1:
        change = result_figure.difference(display, images[TUNED], images.get(BEFORE, images[NOISY]))
        window = figures.most_changed(change, WINDOW)
        cut = {title: np.ascontiguousarray(one[window]) for title, one in pictures.items()}
        parts += [
            f"<h3>In full size: rows from {window[0].start}, columns from {window[1].start}</h3>",
            viewer(cut, name=f"{name}-part", ranges=ranges, **options),
        ]
    return parts


def _range_words(display, name):
    low, high = display.offset, display.offset + display.data_range
    return f"Black is {low:.4g}, white {high:.4g} ({name}); “black to white” narrows that to percentiles."


def ranges_of(display: Layout, layout: Layout, noisy: np.ndarray) -> list[Range]:
    """Find between which percentiles of a noisy picture pictures can be shown.

    Args:
        display: The range of values that the pictures have, see `Layout.display`.
        layout: That of the image.
        noisy: The noisy picture, uint8.
    """
    whole = "the network's range" if display == layout else f"{SHOWN[0]} to {SHOWN[1]} %"
    found = [Range(whole, 0, 255)]
    for low, high in _NARROWER:
        levels = np.percentile(noisy, (low, high))
        if levels[1] > levels[0]:
            found.append(Range(f"{low} to {high} %", *map(float, levels)))
    return found


def viewer(
    pictures: Mapping[str, np.ndarray],
    *,
    left: str,
    right: str,
    name: str = "view",
    ranges: Sequence[Range] = (),
    metres: float | None = None,
) -> str:
    """Make the HTML of pictures in one place: a slider, a choice of two of them, and zoom.

    Without its script, and on paper, it is a row of the pictures.

    Args:
        pictures: By name, uint8, (H, W) or (H, W, 3), all of one size.
        left: Name of the one that is first on the left.
        right: Name of the one that is first on the right.
        name: What the viewer is called in its page: no other has this name.
        ranges: Between which levels they can be shown, the first as they are.
        metres: The width of a pixel, for a scale bar.
    """
    factor = reduction(pictures.values())
    shown = {title: reduced(one, factor) for title, one in pictures.items()}
    height, width = next(iter(shown.values())).shape[:2]
    metres = metres * factor if metres else None
    data = f'data-width="{width}" data-height="{height}"' + (f' data-metres="{metres:.6g}"' if metres else "")
    data += f' style="--ratio:{width / height:.4f}"'
    figures = "".join(_figure(title, one, metres) for title, one in shown.items())
    overlay = '<span class="scale"></span>' if metres else ""
    return (
        f'<div class="viewer" id="{name}" {data}>{_filters(name, ranges)}{_bar(shown, left, right, name, ranges)}'
        '<div class="frame"><span class="tag of-left"></span><span class="tag of-right"></span>'
        f'<div class="stage" tabindex="0" aria-label="pictures"><div class="sheet">{figures}</div></div>'
        '<div class="handle" role="slider" tabindex="0" aria-orientation="horizontal" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="50" aria-label="between the pictures"></div>{overlay}</div></div>'
    )


def reduction(pictures: Collection[np.ndarray]) -> int:
    """Find by which whole number the sides of pictures are divided so that the largest has few enough samples."""
    return int(np.ceil(max(1.0, (max(one.size for one in pictures) / LARGEST) ** 0.5)))


def reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    """Reduce a picture by averaging blocks; at the right and the lower border of what there is.

    Example:

    >>> reduced(np.array([[0, 2, 9], [4, 6, 9]], np.uint8), 2)
    array([[3, 9]], dtype=uint8)
    """
    if factor == 1:
        return picture
    height, width = picture.shape[:2]
    edges = [(0, -height % factor), (0, -width % factor)] + [(0, 0)] * (picture.ndim - 2)
    padded = np.pad(picture, edges, mode="edge").astype(np.float64)
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor, *picture.shape[2:])
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)


def reduction_words(pictures: Collection[np.ndarray]) -> str:
    """Say in a sentence what of pictures a page does not have; empty if it has all."""
    factor = reduction(pictures)
    if factor > 1:
        return (
            f"The pictures are reduced: each of their pixels is the mean of {factor} x {factor}, which lessens noise, "
            "packed as JPEG; beneath is a part in full size."
        )
    if max(one.size for one in pictures) > LOSSLESS:
        return "The pictures are in full size, packed as JPEG, which changes the finest grain a little."
    return ""


def _figure(title, picture, metres):
    height, width = picture.shape[:2]
    encoded = png(picture) if picture.size <= LOSSLESS else jpeg(picture)
    name, scale = html.escape(title), ""
    if metres:
        length, words = scale_bar.bar(metres, width)
        scale = f'<span class="scale" style="width:{100 * length / width:.2f}%">{words}</span>'
    image = f'<img alt="{name}" width="{width}" height="{height}" src="{data_uri(encoded)}">'
    return f"<figure>{image}{scale}<figcaption>{name}</figcaption></figure>"


def _bar(pictures, left, right, name, ranges):
    sides = "".join(
        f'<label>{side} <select class="{side}">{_options(pictures, first)}</select></label>'
        for side, first in (("left", left), ("right", right))
    )
    choices = [("" if number == 0 else f"{name}-{number}", one.name) for number, one in enumerate(ranges)]
    listed = "".join(f'<option value="{value}">{html.escape(text)}</option>' for value, text in choices)
    display = f'<label>black to white <select class="range">{listed}</select></label>' if len(ranges) > 1 else ""
    zoom = (
        '<span><button type="button" class="smaller" aria-label="smaller">&minus;</button> '
        '<button type="button" class="larger" aria-label="larger">+</button> '
        '<button type="button" class="whole">whole</button> <button type="button" class="pixels">1:1</button></span>'
        '<output aria-live="polite"></output>'
    )
    return f'<div class="bar">{sides}{display}{zoom}</div>'


def _options(pictures, first):
    return "".join(
        f"<option{' selected' if title == first else ''}>{html.escape(title)}</option>" for title in pictures
    )


def _filters(name, ranges):
    """Make an SVG filter of each range but the first: a line from its ends to black and white."""
    made = "".join(_filter(f"{name}-{number}", one) for number, one in enumerate(ranges) if number)
    return f'<svg width="0" height="0" style="position:absolute" aria-hidden="true">{made}</svg>' if made else ""


def _filter(name, one):
    slope = 255 / (one.high - one.low)
    line = f'type="linear" slope="{slope:.5g}" intercept="{-slope * one.low / 255:.5g}"'
    parts = "".join(f"<feFunc{channel} {line}/>" for channel in "RGB")
    transfer = f"<feComponentTransfer>{parts}</feComponentTransfer>"
    return (
        f'<filter id="{name}" color-interpolation-filters="sRGB" x="0" y="0" width="1" height="1">{transfer}</filter>'
    )
