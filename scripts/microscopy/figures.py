"""The drawings of docs/guides/microscopy.md, as small PNG files."""

import io

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot

# Side of the enlarged part, pixels, and of the scale bar.
PART, BAR = 80, 20
# Shades of a drawing: those of its grey pictures and of one coloured map.
SHADES = 256


def draw_tem(path, shown, clean, dose):
    """The middle frame: each method's above its error, enlarged."""
    middle = len(clean) // 2
    good = clean[middle]
    side = min(PART, *good.shape)
    top, left = ((size - side) // 2 for size in good.shape)
    window = slice(top, top + side), slice(left, left + side)
    low, high = np.quantile(good, [0.001, 0.999])
    limit = 0.5 * (high - low)
    figure, axes = pyplot.subplots(2, len(shown) + 1, figsize=(14, 4.5), layout="constrained")
    for column, (name, image) in enumerate([*shown.items(), ("clean", clean)]):
        frame = image[middle][window]
        axes[0, column].imshow(frame, "gray", vmin=low, vmax=high, interpolation="nearest")
        axes[0, column].set_title(name.replace("`", "").replace(", ", ",\n"), fontsize=9)
        error = axes[1, column].imshow(frame - good[window], "RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(error, ax=axes[1], label="error, electrons\nper pixel / dose", pad=0.01)
    scale_bar(axes[0, 0])
    figure.suptitle(f"dose {dose:g}, frame {middle}, {side} x {side} pixels", fontsize=10)
    finish(figure, axes, path)


def draw_fluorescence(path, images, noisy, published):
    """The middle frame, dark values spread, above what tuning changed."""
    middle = len(noisy) // 2
    names = ["noisy", "not tuned", "tuned, `--noise poisson-gaussian`", "tuned, `--loss noise-resampling`"]
    names += ["tuned, `--loss blind-spot`"]
    shown = {name: images[name][middle] for name in names if name in images} | {"published (UDVD)": published[middle]}
    figure, axes = pyplot.subplots(2, len(shown), figsize=(14, 5), layout="constrained")
    change = None
    for column, (name, frame) in enumerate(shown.items()):
        low, high = np.quantile(frame, 0.02), 110
        axes[0, column].imshow(frame, "gray", vmin=low, vmax=high, interpolation="nearest")
        axes[0, column].set_title(name.replace("`", "").replace(", ", ",\n"), fontsize=9)
        if name.startswith("tuned"):
            change = axes[1, column].imshow(frame - shown["not tuned"], "RdBu", vmin=-8, vmax=8)
            axes[1, column].set_title("less the one not tuned", fontsize=8)
        else:
            axes[1, column].set_visible(False)
    if change:
        figure.colorbar(change, ax=axes[1], label="grey values", pad=0.01)
    scale_bar(axes[0, 0])
    finish(figure, axes, path)


def draw_noise(path, levels, correlations):
    """The variance by grey value, and the correlation of neighbouring pixels."""
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    grey = [float(row["grey value"]) for row in levels]
    for name, mark in (("frame to frame", "o"), ("the same, diagonal", "s"), ("estimated", "-")):
        axes[0].plot(grey, [float(row[name]) for row in levels], mark, label=name)
    axes[0].set(xlabel="grey value", ylabel="variance of the noise", yscale="log")
    labels = [name for name in correlations[0] if name not in ("noise of", "variance")]
    for index, row in enumerate(correlations):
        places = np.arange(len(labels)) + 0.27 * (index - 1)
        axes[1].bar(places, [float(row[name]) for name in labels], 0.25, label=row["noise of"])
    axes[1].set_xticks(range(len(labels)), labels)
    axes[1].set(ylabel="correlation in the background")
    axes[1].axhline(0, color="black", linewidth=0.5)
    for axis in axes:
        axis.legend(fontsize=8)
    save(figure, path)


def scale_bar(axis):
    """White within black, to be seen on any picture."""
    bottom = axis.get_ylim()[0] - 5
    for colour, width in (("black", 6), ("white", 3)):
        axis.plot([4, 4 + BAR], [bottom] * 2, color=colour, linewidth=width, solid_capstyle="butt")
    box = {"facecolor": "black", "pad": 1, "linewidth": 0}
    axis.text(4, bottom - 5, f"{BAR} px", color="white", fontsize=8, bbox=box)


def finish(figure, axes, path):
    for axis in axes.ravel():
        axis.set_axis_off()
    save(figure, path)


def save(figure, path):
    """A PNG of few shades, smaller than one of all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    Image.open(drawn).convert("RGB").quantize(SHADES).save(path, optimize=True)
