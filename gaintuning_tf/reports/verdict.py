"""What became of an image, in words: better, unchanged, or worse than the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gaintuning_tf.losses.names import estimates_error
from gaintuning_tf.noise.residuals import worse_words

# A change of the error by less than this share is none that anybody sees, nor that a few
# probes are sure of.
UNCHANGED = 0.005


class Verdict(NamedTuple):
    """What became of an image.

    Attributes:
        kind: `"improved"`, `"unchanged"` or `"worse"`.
        headline: In a few words.
        reasons: Sentences that say why.
    """

    kind: str
    headline: str
    reasons: Sequence[str] = ()


class Outcome(NamedTuple):
    """What the verdict is made of, of one image or frame.

    Attributes:
        before: Held-out risk before tuning, in squared units of the image.
        after: That of what was kept.
        variance: The mean variance of the noise; NaN where it is not known.
        worse: Whether the result is worse than the input.
        not_tuned: Why nothing was tuned; empty if it was.
    """

    before: float
    after: float
    variance: float
    worse: bool = False
    not_tuned: str = ""


def verdict_of(outcomes: Sequence[Outcome], loss: str = "sure", failed: int = 0) -> Verdict:
    """Put into words what became of an image, or of the frames of one.

    Args:
        outcomes: Of each frame.
        loss: Name of the loss: not every one estimates the error.
        failed: How many frames more could not be denoised.

    Example:

    >>> verdict_of([Outcome(100.0, 64.0, 400.0)]).headline
    'Improved by an estimated 20 %'
    >>> verdict_of([Outcome(500.0, 450.0, 400.0, worse=True)]).headline
    'Worse than the input'
    """
    known = [one for one in outcomes if np.isfinite([one.before, one.after]).all()]
    worse = [number for number, one in enumerate(outcomes) if one.worse]
    idle = [one.not_tuned for one in outcomes if one.not_tuned]
    said = [f"{failed} of {len(outcomes) + failed} frames could not be denoised, see below."] if failed else []
    if len(worse) * 2 > len(outcomes):
        worst = max((outcomes[number] for number in worse), key=lambda one: one.after)
        return Verdict("worse", "Worse than the input", [_sentence(worse_words(worst.after, worst.variance)), *said])
    if worse:
        said = [f"{len(worse)} of {len(outcomes)} frames are estimated to be worse than the input.", *said]
    if not known or len(idle) == len(outcomes):
        why = _sentence(idle[0]) if idle else ""
        return Verdict("unchanged", "Not tuned: the network as it is", [*filter(None, [why]), *said])
    return _compared(known, loss, said)


def _compared(known, loss, said):
    """Compare the risks before and after tuning, of several frames the means."""
    before, after, variance = (float(np.mean([one[place] for one in known])) for place in range(3))
    errors = estimates_error(loss)
    numbers = _numbers(before, after, variance, errors, len(known))
    if min(before, after) <= 0:
        fell = "Improved" if after < before else "Unchanged"
        doubt = (
            "An estimate that is not above zero says that little is left, or that the noise is less than was assumed: "
            "by how much it improved cannot be said."
        )
        return Verdict(fell.lower(), f"{fell}, as far as can be told", [numbers, doubt, *said])
    share = 1 - ((after / before) ** 0.5 if errors else after / before)
    if share < UNCHANGED:
        text = "Tuning found no gains that lower the estimate: the network fits this image as it is."
        return Verdict("unchanged", "Unchanged by tuning", [text, numbers, *said])
    what = "Improved by an estimated" if errors else "Risk lowered by"
    return Verdict("improved", f"{what} {percent(share)}", [numbers, *said])


def percent(share: float) -> str:
    """Write a share with as many digits as one reads.

    Example:

    >>> percent(0.004), percent(0.683), percent(0.998)
    ('0.4 %', '68 %', '99.8 %')
    """
    value = 100 * share
    return f"{value:.0f} %" if 10 <= value < 99.5 else f"{value:.1f} %"


def _numbers(before, after, variance, errors, frames):
    mean = f", on average over {frames} frames" if frames > 1 else ""
    if errors and min(before, after) > 0:
        noisy = f", where the noisy image has {variance**0.5:.3g}" if variance > 0 else ""
        return (
            f"Tuning took the estimated error (RMS, in units of the image) from {before**0.5:.3g} "
            f"to {after**0.5:.3g}{noisy}{mean}."
        )
    contains = "" if errors else "; with this loss the risk is no error of the image, for the noise is part of it"
    return f"Tuning took the risk, in squared units of the image, from {before:.3g} to {after:.3g}{mean}{contains}."


def _sentence(text):
    return f"{text[:1].upper()}{text[1:]}."
