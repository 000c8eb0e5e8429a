"""The page of an evaluation: for each setting a table, where each image stands, and what it looks like."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.reports.figures import most_changed
from gaintuning_tf.reports.pages import (
    Run,
    chart,
    head,
    pane,
    panes,
    paragraph,
    picture,
    settings,
    table,
    write_document,
)
from gaintuning_tf.reports.verdict import Verdict

_FORMATS = {"psnr": ".2f", "ssim": ".4f", "seconds": ".1f", "fraction": ".0%", "gain": "+.2f"}
_SHOWN = ("folder", "clean", "model", "sigma", "loss")  # settings that name a table, if they are there
# What a reader calls what is measured, whose image it is, and what was set.
_MEASURES = {"psnr": "PSNR", "ssim": "SSIM", "seconds": "seconds"}
_OF = {"pretrained": "before tuning", "oracle": "oracle", "nlm": "NLM", "bm3d": "BM3D", "": ""}
_SETTINGS = {
    "folder": "images",
    "clean": "clean images",
    "channel": "channel",
    "sigma": "noise, standard deviation on the scale of 0 to 255",
    "model": "network",
    "loss": "loss",
    "steps": "steps",
    "limit": "only the first",
    "compare": "beside",
    "no_tune": "not tuned",
}
# Side of the part of each image that is shown, and of at most how many images.
_SIDE, _IMAGES = 128, 24
# A gain of fewer dB is none that anybody sees.
_SMALLEST = 0.005


class Pictures:
    """Parts of the images of a setting, where tuning changed most: what `evaluate` calls with each image.

    Example:

    >>> pictures = Pictures()
    >>> pictures.add("a.png", {name: np.zeros((40, 50)) for name in ("noisy", "pretrained", "tuned", "clean")})
    >>> {name: part.shape for name, part in pictures.of("a.png").items()}["before tuning"]
    (40, 50)
    """

    def __init__(self):
        self._parts: dict[str, dict[str, np.ndarray]] = {}

    def add(self, name: str, images: Mapping[str, np.ndarray]) -> None:
        """Keep the part of an image where tuning changed most.

        Args:
            name: Of the image.
            images: `noisy`, `pretrained`, `tuned` and `clean`, in [0, 1], (H, W) or (H, W, 3).
        """
        change = np.asarray(images["tuned"], np.float64) - images["pretrained"]
        window = most_changed(127.5 + change, _SIDE)
        self._parts[name] = {
            _OF.get(which, which): np.rint(255 * np.clip(image[window], 0, 1)).astype(np.uint8)
            for which, image in images.items()
        }

    def of(self, name: str) -> dict[str, np.ndarray]:
        """Give the pictures of an image, uint8, by what they are; none of one that was not added."""
        return self._parts.get(name, {})


def write_page(path: str | Path, results: Sequence[dict], pictures: Sequence[Pictures] = (), command: str = "") -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        results: One `{"images", "mean", "spread", "settings"}` for each setting, as the command writes them.
        pictures: Of each setting.
        command: As it was typed.

    Raises:
        InputError: matplotlib is not installed.
    """
    overview = [{"setting": title(one["settings"]), **_formatted(one["mean"])} for one in results]
    run = Run(command, network=_joined(one["settings"].get("model", "") for one in results))
    facts = {"images": _joined(one["settings"].get("folder", "") for one in results)}
    facts |= {"measured": "PSNR in dB and SSIM, on [0, 1] after clipping, against the clean image"}
    parts = [head("GainTuning evaluation", _verdict(results), run, facts)]
    parts += ["<h2>Means</h2>", table(_aligned(overview), kind="numbers")] if len(results) > 1 else []
    for number, one in enumerate(results):
        parts += _setting(one, pictures[number] if pictures else Pictures())
    write_document(path, "GainTuning evaluation", parts)


def _setting(one, pictures):
    rows = [{"image": row["image"], **_formatted(row)} for row in one["images"]]
    return [
        f"<h2>{html.escape(title(one['settings']))}</h2>",
        paragraph(f"{sentence(one)}."),
        table(_aligned([*rows, {"image": "mean", **_formatted(one["mean"])}]), kind="numbers"),
        panes(
            pane("Tuned beside before; on the line nothing changed", chart(_draw_tuned, one["images"])),
            pane("Gain; below the line tuning did harm", chart(_draw_gain, one["images"])),
        ),
        *_gallery(one["images"], pictures),
        settings(dict(map(_in_words, one["settings"].items()))),
    ]


def _gallery(rows, pictures):
    """Show a part of each image; of many, of those that gained most and least."""
    seen = [row for row in rows if pictures.of(row["image"])]
    if not seen:
        return []
    by_gain = sorted(seen, key=lambda row: -_gain(row))
    chosen = seen if len(seen) <= _IMAGES else by_gain[: _IMAGES // 2] + by_gain[-_IMAGES // 2 :]
    some = "" if len(seen) == len(rows) else f" {len(rows) - len(seen)} were measured by a run before this one."
    which = "" if len(chosen) == len(seen) else f" The {_IMAGES // 2} that gained most, and as many that gained least."
    note = f"At most {_SIDE} x {_SIDE} pixels of each image, where tuning changed most.{which}{some}"
    return [paragraph(note), panes(*(_card(row, pictures.of(row["image"])) for row in chosen))]


def _card(row, parts):
    line = f"{row['image']}: {row['psnr_pretrained']:.2f} dB before, {row['psnr_tuned']:.2f} tuned ({_gain(row):+.2f})"
    shown = "".join(picture(name, part, "crop") for name, part in parts.items())
    return pane(line, f'<div class="pictures">{shown}</div>')


def _verdict(results):
    """Say in words what tuning gained on average."""
    gains = [_gain(one["mean"]) for one in results]
    images = sum(len(one["images"]) for one in results)
    if all(one["settings"].get("no_tune") for one in results):
        return Verdict("unchanged", "Not tuned: the network as it is", [])
    low, high = min(gains), max(gains)
    size = f"{low:+.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:+.2f} to {high:+.2f}"
    several = f" in {len(results)} settings" if len(results) > 1 else ""
    kind = "improved" if low > _SMALLEST else "worse" if high < -_SMALLEST else "unchanged"
    words = f"Tuning changes PSNR by {size} dB on average"
    return Verdict(kind, words, [f"Measured on {images} image{'s' * (images != 1)}{several}."])


def _gain(row):
    return row["psnr_tuned"] - row["psnr_pretrained"]


def _joined(names):
    return ", ".join(dict.fromkeys(map(str, names)))


def _in_words(setting):
    key, value = setting
    value = ", ".join(value) if isinstance(value, list) else {True: "yes", False: "no"}.get(value, value)
    return _SETTINGS.get(key, key.replace("_", " ")), value


def sentence(result: dict) -> str:
    """Say in words the spread of a result, and of the oracle's if it was measured.

    Example:

    >>> spread = {"below_pretrained": 1, "least_gain": -0.0512, "most_gain": 0.3}
    >>> print(sentence({"images": [{}, {}], "mean": {"fraction": 0.63}, "spread": spread}))
    1 of 2 images below the pre-trained output; gain least -0.051, most +0.300 dB; 63 % of the oracle's gain
    """
    spread, mean = result["spread"], result["mean"]
    text = (
        f"{spread['below_pretrained']} of {len(result['images'])} images below the pre-trained output; "
        f"gain least {spread['least_gain']:+.3f}, most {spread['most_gain']:+.3f} dB"
    )
    if "fraction" not in mean:
        return text
    if mean["fraction"] is None:
        return f"{text}; the oracle gained nothing"
    return f"{text}; {100 * mean['fraction']:.0f} % of the oracle's gain"


def name(settings: dict) -> str:
    """Make a line that distinguishes one setting from another.

    Example:

    >>> name({"folder": "set12", "sigma": 30.0, "model": "unet", "loss": "sure", "clean": None})
    'folder set12, model unet, sigma 30, loss sure'
    """
    found = [(key, settings.get(key)) for key in _SHOWN]
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in found if value
    )


def title(settings: Mapping[str, Any]) -> str:
    """Make the heading of a setting: images, noise, network, loss.

    Example:

    >>> title({"folder": "data/set12", "sigma": 30.0, "model": "nets/my-unet.keras", "loss": "sure", "clean": None})
    'set12, noise of 30 on 0 to 255, my-unet, loss sure'
    """
    sigma = settings.get("sigma")
    noise = f"noise of {sigma:g} on 0 to 255" if isinstance(sigma, (int, float)) else "noise as it is found"
    loss = f"loss {settings['loss']}" if settings.get("loss") else ""
    return ", ".join(filter(None, [_last(settings.get("folder", "")), noise, _last(settings.get("model", "")), loss]))


def _last(path):
    return Path(str(path)).name.removesuffix(".keras")


def _formatted(row):
    """Write the measures of a row, and the gain, by what a reader calls them."""
    shown = {key: value for key, value in row.items() if key != "image" and value is not None}
    shown |= {"gain": _gain(row)}
    return {_column(key): format(value, _FORMATS[key.partition("_")[0]]) for key, value in shown.items()}


def _column(key):
    kind, _, which = key.partition("_")
    named = {"gain": "gain, dB", "fraction": "part of the oracle's gain"}
    return named.get(kind) or f"{_MEASURES[kind]} {_OF.get(which, which)}".strip()


def _aligned(rows):
    """Give the rows the same keys, empty where they had none."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key, "") for key in keys} for row in rows]


def _draw_tuned(axis, rows):
    """Draw a point per image: tuned against before."""
    before, after = ([row[f"psnr_{which}"] for row in rows] for which in ("pretrained", "tuned"))
    ends = [min(before + after), max(before + after)]
    axis.plot(ends, ends, color="gray", linewidth=1)
    axis.plot(before, after, ".")
    _finish(axis, "tuned PSNR, dB")


def _draw_gain(axis, rows):
    """Draw a point per image: what it gained against where it was before."""
    axis.axhline(0, color="gray", linewidth=1)
    axis.plot([row["psnr_pretrained"] for row in rows], [_gain(row) for row in rows], ".")
    _finish(axis, "gain, dB")


def _finish(axis, label):
    axis.set(xlabel="PSNR before tuning, dB", ylabel=label)
    axis.grid(alpha=0.3)
