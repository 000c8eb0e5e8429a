# %% [markdown]
# # A fluorescence movie with correlated noise
#
# Cameras and the software behind them often leave noise that neighbouring pixels share.
# A denoising network takes it for detail. Here such a movie is drawn, so that the clean
# frames are known, and denoised from file to file.
# The whole takes about a minute on two cores.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

from gaintuning_tf import psnr
from gaintuning_tf.stacks import denoise_stack

rng = np.random.default_rng(0)
FRAMES, SIDE = 3, 192


# %% [markdown]
# Filaments and vesicles, the latter moving, in counts of a camera with 12 bits:


# %%
def filaments():
    """Draw a few curved lines, blurred as by a lens."""
    image = np.zeros((SIDE, SIDE))
    along = np.linspace(-20, SIDE + 20, 2000)
    for _ in range(9):
        angle, bend, place = rng.uniform(0, np.pi), rng.uniform(-15, 15), rng.uniform(-50, 50)
        across = place + bend * np.sin(along / SIDE * np.pi)
        y = SIDE / 2 + np.sin(angle) * (along - SIDE / 2) + np.cos(angle) * across
        x = SIDE / 2 + np.cos(angle) * (along - SIDE / 2) - np.sin(angle) * across
        inside = (y > 0) & (y < SIDE - 1) & (x > 0) & (x < SIDE - 1)
        image[y[inside].astype(int), x[inside].astype(int)] = 1
    return gaussian_filter(image, 1.3)


def vesicles(time):
    """Draw round spots, further along their ways at each time."""
    image = np.zeros((SIDE, SIDE))
    for start, speed in zip(PLACES, SPEEDS, strict=True):
        y, x = (start + time * speed).astype(int) % SIDE
        image[y, x] = 1
    return 12 * gaussian_filter(image, 2)


PLACES, SPEEDS = rng.uniform(0, SIDE, (25, 2)), rng.uniform(-3, 3, (25, 2))
network_of_filaments = filaments()
clean = np.stack([network_of_filaments + vesicles(time) for time in range(FRAMES)])
clean = 300 + 2500 * clean / clean.max()

# %% [markdown]
# The noise grows with the signal, and is blurred a little, so that neighbours share it:

# %%
white = rng.standard_normal(clean.shape)
shared = gaussian_filter(white, (0, 0.6, 0.6), mode="wrap")
shared /= shared.std()
noisy = np.rint((clean + np.sqrt(40 * clean) * shared).clip(0, 4095)).astype(np.uint16)

folder = Path(tempfile.mkdtemp())
tifffile.imwrite(folder / "movie.tif", noisy, imagej=True, metadata={"axes": "TYX"})

# %% [markdown]
# From file to file. On a command line the same is
#
#     gaintuning-tf denoise movie.tif -o clean.tif --axes TYX --share-gains 1 --one-noise
#
# Nothing is said of the noise; `share_gains` tunes one set of gains on one frame, and
# uses it for all. That neighbours share their noise, is seen in flat parts of the image:
# cut to 128x128 pixels, these frames would have too few.

# %%
result = denoise_stack(
    folder / "movie.tif",
    folder / "clean.tif",
    "unet-bf-natural",
    axes="TYX",
    share_gains=1,
    one_noise=True,
    progress=False,
)
denoised = tifffile.imread(folder / "clean.tif")
print(f"frames that failed: {result.failed}")
for number in range(FRAMES):
    before, after = (psnr(clean[number], movie[number], data_range=2800) for movie in (noisy, denoised))
    print(f"frame {number}: {before:.1f} dB, denoised {after:.1f} dB")


# %%
def show(label, images, **colours):
    """Draw images side by side, each under its name."""
    figure, axes = plt.subplots(1, len(images), num=label, layout="constrained")
    figure.set_size_inches(3.5 * len(images), 3.8)
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        axis.set_title(name)
        axis.imshow(image, **colours)
        axis.axis("off")


first = {"noisy": noisy[0], "denoised": denoised[0], "clean": clean[0]}
show("the first frame: noisy, denoised, clean", first, cmap="inferno", vmin=0, vmax=2800)

# %% [markdown]
# What was taken out should be the noise and nothing else: no filament should be seen in
# it, and its neighbours should be about as correlated as those of the noise. Along the
# filaments, where the noise is strongest, less was taken out than there was: some of it is
# still in the result.

# %%
removed = noisy.astype(float) - denoised


def neighbours(values):
    """Return how far each pixel is correlated with the one to its right."""
    values = values - values.mean()
    return float(np.mean(values[..., 1:] * values[..., :-1]) / np.mean(values**2))


print(f"correlation of neighbours: removed {neighbours(removed):.2f}, true noise {neighbours(noisy - clean):.2f}")
taken = {"removed": removed[0], "true noise": noisy[0] - clean[0]}
show("what was removed, and the true noise", taken, cmap="gray", vmin=-800, vmax=800)
