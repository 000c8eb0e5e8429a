"""What `plot()` draws of a result: the images, their difference, and the risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gaintuning_tf.images.array_layout import Layout


# A difference of this share of the network's range is shown black or white.
DIFFERENCE_SPAN = 0.1
# Risks further apart than this are drawn on a logarithmic scale: else the steps are one line.
_FAR = 4


class Result(Protocol):
    """What is drawn: a `GainTuningResult` has it."""

    @property
    def pretrained(self) -> np.ndarray:
        """The image before tuning."""
        ...

    @property
    def denoised(self) -> np.ndarray:
        """The image after tuning."""
        ...

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The risks, see `GainTuningResult`."""
        ...

    @property
    def layout(self) -> Layout:
        """The axes and the range of both images."""
        ...


def result_figure(result: Result) -> Figure:
    """Draw a matplotlib figure: pretrained, tuned, their difference, and the risk at each step.

    Args:
        result: A `GainTuningResult`.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure, axes = pyplot().subplots(1, 4, figsize=(17, 4.4), layout="constrained")
    images = {"pretrained": result.pretrained, "tuned": result.denoised}
    display = result.layout.display(result.pretrained)
    pictures = {name: display.picture(image) for name, image in images.items()}
    pictures["tuned - pretrained"] = difference(display, result.denoised, result.pretrained)
    for axis, (title, picture) in zip(axes, pictures.items(), strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set(title=title, xticks=[], yticks=[])
    draw_risk(axes[3], result)
    axes[3].set_title("risk")
    return figure


def risk_figure(result: Result) -> Figure:
    """Draw the risk estimate at each step, and before and after on held-out probes."""
    figure, axis = pyplot().subplots(figsize=(9, 3.6), layout="constrained")
    draw_risk(axis, result)
    return figure


def difference(layout: Layout, image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Show the difference of two images as a picture: grey where there is none."""
    change = (image.astype(np.float64) - other.astype(np.float64)) / DIFFERENCE_SPAN + layout.data_range / 2
    return layout.picture(change + layout.offset)


def draw_risk(axis: Any, result: Result) -> None:
    """Draw the risk of each step, and beside it what was there before and what was kept, on probes of their own.

    Args:
        axis: Of matplotlib.
        result: A `GainTuningResult`.
    """
    risks = np.atleast_2d(result.history["risk"])
    ends = [np.atleast_1d(result.history[f"risk_{name}"]) for name in ("before", "after")]
    steps = risks.shape[1]
    for number, (risk, *held_out) in enumerate(zip(risks, *ends, strict=True)):
        frame = f"frame {number}: " if len(risks) > 1 else ""
        label = f"{frame}at each step, a random probe" if steps else None
        (line,) = axis.plot(np.arange(1, steps + 1), risk, ".-", alpha=0.7, label=label)
        axis.plot([0, steps + 1], held_out, "D--", color=line.get_color() if frame else "tab:red", linewidth=0.8)
        for place, value, side in zip((0, steps + 1), held_out, ("left", "right"), strict=True):
            axis.annotate(f"{value:.3g}", (place, value), (0, 7), textcoords="offset points", ha=side, fontsize=8)
    axis.plot([], [], "D--", color="tab:red" if len(risks) == 1 else "gray", linewidth=0.8, label="on fresh probes")
    if len(risks) <= 4:
        axis.legend(fontsize=8, frameon=False)
    numbers = np.unique(np.linspace(1, steps, min(steps, 6)).astype(int)) if steps else []
    axis.set_xticks([0, *numbers, steps + 1], ["before", *map(str, numbers), "kept"], fontsize=8)
    axis.set(xlabel="step", ylabel="risk, in squared units of the image")
    found = np.concatenate([risks.ravel(), *ends])
    found = found[np.isfinite(found)]
    if found.size and found.min() > 0 and found.max() > _FAR * found.min():
        axis.set_yscale("log", subs=[2, 5])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
    axis.margins(y=0.15)
    axis.grid(alpha=0.3)
