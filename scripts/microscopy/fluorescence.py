"""A real fluorescence time lapse without clean frames: its noise, and what can be told of tuning without them.

The files hold each noisy frame beside the published denoised one (of UDVD, Sheth et al., ICCV 2021), whose grey values
are others. The published frames serve twice: to be looked at, and as the clean frames of a second movie, on which the
errors are known: with noise drawn as it was estimated, once stored as it is and once as JPEG.
"""

import io
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from tools import denoise, fail, write_movie, write_tables

# Columns of the noisy frame and of the published one.
NOISY, PUBLISHED = slice(2, 198), slice(202, 398)
# Nothing moves where the mean over this many pixels squared changes by less than so many grey values to the next frame.
AREA, STILL = 15, 2.0
# Grey value between background and cell, and that above which pixels are clipped.
CELL, CLIPPED = 45, 150
CAMERA = ("--noise", "poisson-gaussian")
METHODS = {
    "not tuned": ("pretrained", *CAMERA, "--no-tune"),
    "tuned, `--noise gaussian`": ("gaussian",),
    "tuned, `--noise poisson-gaussian`": ("tuned", *CAMERA),
    "the same, `--share-gains`": ("shared", *CAMERA, "--share-gains"),
    "the same, `--warm-start`": ("warm", *CAMERA, "--warm-start"),
    "tuned, `--loss noise-resampling`": ("resampling", *CAMERA, "--loss", "noise-resampling"),
    "tuned, `--loss blind-spot`": ("blind-spot", *CAMERA, "--loss", "blind-spot"),
}
# Of the movie with drawn noise, these methods and as many frames.
DRAWN_FRAMES = 2
DRAWN = {name: METHODS[name] for name in METHODS if METHODS[name][0] not in ("gaussian", "warm", "shared")}


def run(options):
    files = sorted(Path(options.data).glob("*.jpg"))[: options.limit]
    if len(files) < 2:
        fail(f"expected two or more JPEG frames in {options.data}, received {len(files)}")
    both = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
    noisy, published = both[:, :, NOISY].astype(np.float64), both[:, :, PUBLISHED].astype(np.float64)
    made = all_of(options.work / "fluorescence", both[:, :, NOISY], METHODS, options)
    noise = mean_noise(made["not tuned"][1])
    levels = noise_levels(noisy, noise)
    tables = {
        "Noise": levels,
        "Noise of neighbouring pixels": [correlation("the frames", background_noise(noisy))],
        "Without clean frames": [line(name, image, facts, noisy) for name, (image, facts) in made.items()],
    }
    clean = published[:DRAWN_FRAMES]
    for stored in ("as it is", "as JPEG"):
        movie = draw_movie(clean, noise, files[0] if stored == "as JPEG" else None)
        folder = options.work / f"fluorescence-drawn-{stored.split()[-1].lower()}"
        results = all_of(folder, movie, DRAWN, options)
        tables["Noise of neighbouring pixels"].append(
            correlation(f"drawn, stored {stored}", background_noise(movie.astype(np.float64)))
        )
        tables[f"Noise drawn on the published frames, stored {stored}"] = [
            known_line(name, image, facts, clean) for name, (image, facts) in results.items()
        ]
    write_tables(options.work, "fluorescence", tables)
    if options.figures:
        from figures import draw_fluorescence, draw_noise

        images = {name: image for name, (image, _) in made.items()}
        draw_fluorescence(options.figures / "microscopy-fluorescence.png", images, noisy, published)
        draw_noise(options.figures / "microscopy-noise.png", levels, tables["Noise of neighbouring pixels"])


def all_of(folder, movie, methods, options):
    """The movie as a file, and what the methods make of it with the facts."""
    folder.mkdir(exist_ok=True)
    path = folder / "movie.tif"
    if not path.exists():
        write_movie(path, movie)
    if not np.array_equal(tifffile.imread(path), movie):
        fail(f"expected {folder} to hold this movie, received another: name another --work")
    made = {"noisy": (movie.astype(np.float64), {})}
    for name, (file, *more) in methods.items():
        # The one not tuned always: its facts have the estimated noise.
        if options.only and file not in (*options.only, "pretrained"):
            continue
        more += ["--steps", str(options.steps)] if options.steps and "--no-tune" not in more else []
        made[name] = denoise(path, path.with_name(f"{file}.tif"), "--quiet", *more)
    return made


def mean_noise(facts):
    """The noise model of the movie: the mean of its frames' estimates."""
    from gaintuning_tf import PoissonGaussianNoise

    return PoissonGaussianNoise(*(float(np.mean(facts[name])) for name in ("gain", "sigma", "offset")))


def smooth(movie):
    from scipy import ndimage

    return ndimage.uniform_filter(movie, (0, AREA, AREA))


def still(noisy):
    """Where nothing moves between a frame and the next, and the mean grey value there."""
    change = smooth(noisy[1:] - noisy[:-1])
    return np.abs(change) < STILL, smooth((noisy[1:] + noisy[:-1]) / 2)


def background_noise(noisy):
    """Differences of consecutive frames, over the root of two, NaN where something moves or the cell is."""
    change = noisy[1:] - noisy[:-1]
    where, level = still(noisy)
    return np.where(where & (level < CELL), change - smooth(change), np.nan) / 2**0.5


def noise_levels(noisy, noise):
    """The noise as it changes from frame to frame, beside what was estimated from single frames, by grey value.

    The second difference, of diagonal neighbours, does not see what moves smoothly, but sees less of JPEG's noise.
    """
    change = noisy[1:] - noisy[:-1]
    diagonal = (change[:, 1:, 1:] - change[:, 1:, :-1] - change[:, :-1, 1:] + change[:, :-1, :-1]) / 2
    where, level = still(noisy)
    rows = []
    for low, high in ((28, 32), (32, 34), (34, 38), (38, 45), (45, 60), (60, 80), (80, 110), (110, 150)):
        inside = where & (level >= low) & (level < high)
        if np.count_nonzero(inside) < 500:
            continue
        grey = level[inside].mean()
        found = {
            "frame to frame": np.var(change[inside]) / 2,
            "the same, diagonal": np.median(np.square(diagonal[inside[:, 1:, 1:]])) / 2 / 0.4549,
            "estimated": noise.variance(np.array(grey)).item(),
        }
        rows.append({"grey value": f"{grey:.1f}", "pixels": int(np.count_nonzero(inside))})
        rows[-1] |= {name: f"{value:.1f}" for name, value in found.items()}
    return rows


def correlation(name, noise):
    """The correlation of the noise of pixels one and two apart, across, down and diagonally."""
    shifts = {"across": (0, 1), "down": (1, 0), "diagonal": (1, 1), "two across": (0, 2), "two down": (2, 0)}
    variance = np.nanmean(np.square(noise))
    row = {"noise of": name, "variance": f"{variance:.1f}"}
    for label, (down, across) in shifts.items():
        ahead = noise[:, down:, across:]
        product = ahead * noise[:, : noise.shape[1] - down, : noise.shape[2] - across]
        row[label] = f"{np.nanmean(product) / variance:+.3f}"
    return row


def line(name, image, facts, noisy):
    """How well each frame tells the next one's pixels where nothing moves; risk before and after."""
    where, level = still(noisy)
    error = np.square(image[:-1] - noisy[1:])
    background = np.mean(error[where & (level < CELL)])
    cell = np.mean(error[where & (level >= CELL) & (level < CLIPPED)])
    return {
        "method": name,
        "next frame, background": f"{background:.2f}",
        "next frame, cell": f"{cell:.1f}",
        **risks(facts),
        "s per frame": f"{facts['seconds'] / len(image):.1f}" if facts else "",
    }


def risks(facts):
    if not facts:
        return {}
    return {
        "risk before": f"{np.mean(facts['risk_pretrained']):.2f}",
        "risk after": f"{np.mean(facts['risk_tuned']):.2f}",
    }


def known_line(name, image, facts, clean):
    """The true error beside the risk."""
    from gaintuning_tf import psnr

    return {
        "method": name,
        "PSNR, dB": f"{psnr(clean, image, data_range=255.0):.2f}",
        "squared error": f"{np.mean(np.square(image - clean)):.2f}",
        **risks(facts),
    }


def draw_movie(clean, noise, like=None):
    """8-bit frames with noise, clipped; `like` is a JPEG file whose compression they get."""
    noisy = noise.sample(clean, np.random.default_rng(0))
    frames = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if like is None:
        return frames
    with Image.open(like) as picture:
        tables = picture.quantization
    return np.stack([as_jpeg(frame, tables) for frame in frames])


def as_jpeg(frame, tables):
    """A frame after JPEG with these tables: luminance only, for the frames have no colour."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", qtables=[tables[0]])
    return np.asarray(Image.open(file))
