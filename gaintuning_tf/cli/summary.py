"""What `gaintuning-tf denoise` says it has done: as JSON, as rows of a page, as a sentence."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.cli.common import AUTO, loss_of
from gaintuning_tf.losses.names import estimates_error

if TYPE_CHECKING:
    from gaintuning_tf.reports.pages import Run

# Earlier names of `risk_before` and `risk_after`, which programs that read the JSON may know.
FORMER = ("risk_pretrained", "risk_tuned")
# What is for programs alone: a page has the same in words.
_NUMBERS = (
    *(*FORMER, "correlation", "noise_evidence", "residual", "not_tuned", "estimates_error"),
    *("rounds", "further_seconds", "precision"),
)


def summary_of(
    options: argparse.Namespace,
    *,
    noise: dict,
    contrast: float | list[float | None],
    data_range: float,
    steps: int,
    risk_before: float | list[float | None],
    risk_after: float | list[float | None],
    interrupted: bool,
    seconds: float,
) -> dict:
    """Collect what was done, for JSON: numbers, or lists with one of each frame.

    Args:
        options: Of the command line.
        noise: Parameters of the noise, in units of the image: see `NoiseModel.parameters`.
        contrast: At which the network saw the image.
        data_range: Value that it saw as 1.
        steps: Of tuning.
        risk_before: Risk before tuning.
        risk_after: Risk after tuning.
        interrupted: Whether Ctrl-C ended it.
        seconds: Wall time.
    """
    return {
        "input": str(options.input),
        "output": str(options.output),
        "model": str(options.model),
        "loss": loss_of(options),
        **noise,
        "contrast": contrast,
        "sigma_estimated": options.sigma == AUTO,
        "data_range": data_range,
        "seed": options.seed,
        "steps": steps,
        "risk_before": risk_before,
        "risk_after": risk_after,
        **dict(zip(FORMER, (risk_before, risk_after), strict=True)),
        "interrupted": interrupted,
        "seconds": round(seconds, 2),
        "estimates_error": estimates_error(loss_of(options)),
    }


def run_of(options: argparse.Namespace, metadata: Mapping[str, Any]) -> Run:
    """Say what was run, for the head of a page.

    Args:
        options: Of the command line.
        metadata: Of the input, see `images.container.Source`.
    """
    from gaintuning_tf.reports.pages import Run

    network, why = Path(options.model).name, getattr(options, "model_why", "")
    return Run(options.typed, Path(options.input).name, network, why, loss_of(options), metadata)


def verdict(summary: dict, loss: str) -> str:
    """Say in words what tuning was good for, of several frames by the means: see `reports.verdict`.

    Args:
        summary: With `steps` and the risks, of frames with `worse_than_input`, `not_tuned` and `failed`.
        loss: Name of the loss.

    Example:

    >>> verdict({"steps": 10, "risk_before": 25.0, "risk_after": 16.0}, "sure")
    'improved by an estimated 20 %'
    """
    from gaintuning_tf.reports.verdict import Outcome, verdict_of

    if summary["steps"] == 0:
        return "not tuned"
    before, after = (_numbers(summary[key]) for key in ("risk_before", "risk_after"))
    worse = [bool(one) for one in _each(summary.get("worse_than_input"), len(before))]
    reasons = [one or "" for one in _each(summary.get("not_tuned"), len(before))]
    outcomes = [Outcome(*each) for each in zip(before, after, [math.nan] * len(before), worse, reasons, strict=True)]
    found = verdict_of(outcomes, loss)
    some = f", {sum(worse)} of {len(worse)} frames worse than the input" if any(worse) and found.kind != "worse" else ""
    return f"{found.headline[:1].lower()}{found.headline[1:]}{some}"


def _numbers(values):
    """List a number, or those of frames, NaN for those that failed."""
    return np.atleast_1d(np.array(values, np.float64)).ravel()


def _each(values, count):
    return [None] * count if values is None else np.atleast_1d(np.array(values, object)).ravel().tolist()


def facts(summary: dict) -> dict:
    """Make a summary names and values to show."""
    empty = [name for name in ("bad_pixels_text", "not_tuned_text") if not summary.get(name)]
    hidden = (*_NUMBERS, "bad_pixels", *empty)
    shown = {name: value for name, value in summary.items() if name not in hidden}
    rounded = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in shown.items()}
    return {name.removesuffix("_text").replace("_", " "): value for name, value in rounded.items()}


def sentence(summary: dict) -> str:
    """Put a summary into one line, of several frames the means.

    Example:

    >>> sentence({"output": "a.tif", "sigma": [24.0, None, 26.0], "sigma_estimated": True, "steps": 10,
    ...           "risk_before": [5.0, None, 3.0], "risk_after": [1.0, None, 1.0], "seconds": 7.25,
    ...           "estimates_error": True, "verdict": "improved by an estimated 50 %"})
    'a.tif: sigma 25 (estimated), 10 steps, estimated RMS error 2 -> 1, 7.2 s: improved by an estimated 50 %'
    """
    source = "estimated" if summary["sigma_estimated"] else "given"
    before, after = (_mean(summary[key]) for key in ("risk_before", "risk_after"))
    # A risk below zero is no error to take the root of: the noise is less than was said. Nor is that of other losses.
    root = summary["estimates_error"] and min(before, after) > 0
    before, after = (before**0.5, after**0.5) if root else (before, after)
    risk = f"{'estimated RMS error' if root else 'risk'} {before:.4g} -> {after:.4g}"
    names = [name for name in ("sigma", "gain", "offset") if name in summary]
    level = ", ".join(f"{name} {_mean(summary[name]):.4g}" for name in names)
    words = [one["words"] for one in summary.get("noise_evidence", ())]
    # Of several frames, the first stands for all in one line; JSON has each.
    source = f"{source}: {words[0]}" if words else source
    text = (
        f"{summary['output']}: {level} ({source}), {summary['steps']} steps{_further(summary)}, "
        f"{risk}, {summary['seconds']:.1f} s: {summary['verdict']}"
    )
    taken = [one["words"] for one in summary.get("residual", ()) if one]
    text += f"; residual: {taken[0]}" if taken else ""
    # What is missing was said beforehand, what was found is a warning of its own.
    if "missing" in summary.get("bad_pixels_text", ""):
        text += f"; {summary['bad_pixels_text']}"
    if "model_why" in summary:
        text += f"; network {summary['model']}: {summary['model_why']}"
    if "psnr_tuned" in summary:
        values = [f"{name} {summary[f'psnr_{name}']:.2f}" for name in ("noisy", "pretrained", "tuned")]
        text += f"; PSNR in dB: {', '.join(values)}"
    if "frames" in summary:
        failed = len(summary["failed"])
        text += f", {summary['frames']} frames" + (f"; {failed} of {summary['frames']} frames failed" if failed else "")
    return text


def _further(summary):
    """Name further rounds and what they cost; of several frames the most, and of all together."""
    most = max(value for value in np.atleast_1d(summary.get("rounds", 1)) if value is not None)
    if most < 2:
        return ""
    seconds = sum(value for value in np.atleast_1d(summary["further_seconds"]) if value is not None)
    return f" in {most} rounds (after the first {seconds:.1f} s)"


# Rounding to whole numbers is an error that is uniform over [-1/2, 1/2]: this is its mean square.
_ROUNDED = 1 / 12


def coarse(summary: dict, dtype: np.dtype) -> str | None:
    """Say so if rounding the output to its dtype adds more error than is left: few counts, in integers.

    Args:
        summary: As `summary_of` makes it.
        dtype: Of the output.

    Example:

    >>> coarse({"output": "a.tif", "risk_after": [0.003, 0.001]}, np.dtype("uint16"))
    'a.tif is rounded to uint16, a squared error of 0.083 where 0.002 is left: --dtype float32 keeps what is between'
    >>> coarse({"output": "a.tif", "risk_after": 30.0}, np.dtype("uint8"))
    >>> coarse({"output": "a.tif", "risk_after": -2.0}, np.dtype("uint8"))
    """
    left = _mean(summary["risk_after"])
    # An estimate below zero does not say how much is left.
    if dtype.kind not in "iu" or not 0 <= left < _ROUNDED:
        return None
    return (
        f"{summary['output']} is rounded to {dtype}, a squared error of {_ROUNDED:.2g} where {left:.2g} is left: "
        "--dtype float32 keeps what is between"
    )


def warn_if_coarse(summary: dict, dtype: np.dtype) -> None:
    """Print a warning on stderr if the output is rounded too coarsely, see `coarse`."""
    message = coarse(summary, dtype)
    if message:
        print(f"warning: {message}", file=sys.stderr)


def _mean(values):
    """Average a number, or those of a list that are not None."""
    return float(np.mean([value for value in np.atleast_1d(np.array(values, object)).ravel() if value is not None]))
