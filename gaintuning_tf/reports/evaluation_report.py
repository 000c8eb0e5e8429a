"""The page of an evaluation: for each setting a table, and where each image stands."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from gaintuning_tf.reports.pages import chart, page, table
from gaintuning_tf.support.atomic_files import replacing

_TITLE = "GainTuning evaluation"
_FORMATS = {"psnr": ".2f", "ssim": ".4f", "seconds": ".1f", "fraction": ".0%"}
_SHOWN = ("folder", "clean", "model", "sigma", "loss")  # settings that name a table, if they are there


def write_page(path: str | Path, results: Sequence[dict]) -> None:
    """Write one self-contained HTML page, whole or not at all.

    Args:
        path: The page.
        results: One `{"images", "mean", "spread", "settings"}` for each setting, as the command writes them.

    Raises:
        InputError: matplotlib is not installed.
    """
    overview = [{"setting": name(one["settings"]), **_formatted(one["mean"])} for one in results]
    parts = [f"<h1>{_TITLE}</h1>", "<p>PSNR in dB and SSIM on [0, 1] after clipping.</p>"]
    parts += ["<h2>Means</h2>", table(_aligned(overview))] if len(results) > 1 else []
    for one in results:
        rows = [{"image": row["image"], **_formatted(row)} for row in one["images"]]
        facts = [{"": key.replace("_", " "), " ": value} for key, value in one["settings"].items()]
        parts += [
            f"<h2>{html.escape(name(one['settings']))}</h2>",
            f"<p>{html.escape(sentence(one))}</p>",
            chart(_scatter, one["images"], columns=2, size=(11, 4.6)),
            table(_aligned([*rows, {"image": "MEAN", **_formatted(one["mean"])}])),
            table(facts, head=False),
        ]
    with replacing(path) as temporary:
        temporary.write_text(page(_TITLE, parts), encoding="utf-8")


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


def _formatted(row):
    shown = {key: value for key, value in row.items() if key != "image" and value is not None}
    return {key: format(value, _FORMATS[key.partition("_")[0]]) for key, value in shown.items()}


def _aligned(rows):
    """Give the rows the same keys, empty where they had none."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key, "") for key in keys} for row in rows]


def _scatter(axes, rows):
    """Draw a point per image: tuned, and gained, against pre-trained."""
    before = [row["psnr_pretrained"] for row in rows]
    after = [row["psnr_tuned"] for row in rows]
    ends = [min(before + after), max(before + after)]
    axes[0].plot(ends, ends, color="gray", linewidth=1)
    axes[0].plot(before, after, ".")
    axes[0].set(ylabel="tuned PSNR, dB", title="tuned; on the line nothing changed")
    axes[1].axhline(0, color="gray", linewidth=1)
    axes[1].plot(before, [b - a for a, b in zip(before, after, strict=True)], ".")
    axes[1].set(ylabel="gain, dB", title="gain; below the line tuning did harm")
    for axis in axes:
        axis.set_xlabel("pre-trained PSNR, dB")
        axis.grid(alpha=0.3)
