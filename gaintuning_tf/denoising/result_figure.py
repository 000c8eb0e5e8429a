"""What `plot()` draws of a result: the images, their difference, and the risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gaintuning_tf.support.plotting import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gaintuning_tf.images.array_layout import Layout


# A difference of this share of the network's range is shown black or white.
DIFFERENCE_SPAN = 0.1


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
    _draw_risk(axes[3], result)
    return figure


def risk_figure(result: Result) -> Figure:
    """Draw the risk estimate at each step, and before and after on held-out probes."""
    figure, axis = pyplot().subplots(figsize=(9, 3.6), layout="constrained")
    _draw_risk(axis, result)
    return figure


def difference(layout: Layout, image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Show the difference of two images as a picture: grey where there is none."""
    change = (image.astype(np.float64) - other.astype(np.float64)) / DIFFERENCE_SPAN + layout.data_range / 2
    return layout.picture(change + layout.offset)


def _draw_risk(axis, result):
    risks = np.atleast_2d(result.history["risk"])
    for number, risk in enumerate(risks):
        axis.plot(
            np.arange(1, risk.size + 1), risk, ".-", label=f"frame {number}" if len(risks) > 1 else "at each step"
        )
    if len(risks) == 1:
        for key, style in (("risk_before", "--"), ("risk_after", "-")):
            label = f"{key.replace('_', ' ')}, held-out probes"
            axis.axhline(float(result.history[key]), linestyle=style, color="gray", linewidth=1, label=label)
    if len(risks) <= 4:
        axis.legend(fontsize=8)
    axis.set(xlabel="step", ylabel="estimated mean squared error", title="risk")
    axis.grid(alpha=0.3)
