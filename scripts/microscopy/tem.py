"""A movie of electron counts whose specimen drifts: made, denoised in several ways, compared with the clean one."""

import json
from pathlib import Path

import numpy as np
import tifffile
from tools import computed, denoise, fail, write_movie, write_tables

FRAMES = 10
# Pixels per frame, down and to the right.
DRIFT = (0.7, -1.3)
# Nominal, in nm: there to be seen to survive.
PIXEL = 0.01
TEM, NATURAL = ("--model", "unet-tem"), ("--model", "unet-bf-natural")
# What the table shows: the file's name, and what the command has besides the movie, the noise and the range.
METHODS = {
    "`unet-tem`, not tuned": ("pretrained", *TEM, "--no-tune"),
    "tuned, each frame alone": ("tuned", *TEM),
    "tuned, `--warm-start`": ("warm", *TEM, "--warm-start"),
    "tuned, `--share-gains`": ("shared", *TEM, "--share-gains"),
    "`unet-bf-natural`, not tuned": ("natural-pretrained", *NATURAL, "--no-tune"),
    "`unet-bf-natural`, tuned, each frame alone": ("natural-tuned", *NATURAL),
    "`unet-bf-natural`, tuned, `--share-gains`": ("natural-shared", *NATURAL, "--share-gains"),
}
SHOWN = ("noisy", "pretrained", "shared", "natural-pretrained", "natural-shared", "bm3d")


def clean_movie(data, frames, side):
    """A clean micrograph that drifts, (frames, side, side), in electrons per pixel at a dose of one."""
    from scipy import ndimage

    if data == "synthetic":
        from gaintuning_tf.training import synthetic

        # Larger than what is cut out: it drifts.
        image = synthetic.images("nanoparticles", 1, size=2 * side)[0][..., 0]
    else:
        image = tifffile.imread(min(Path(data).glob("*.tif")))
    top, left = ((size - side) // 2 for size in image.shape)
    drifted = (
        ndimage.shift(image.astype(np.float64), [t * step for step in DRIFT], order=3, mode="mirror")
        for t in range(frames)
    )
    return np.stack([np.clip(frame[top : top + side, left : left + side], 0.01, None) for frame in drifted])


def run(options):
    """Each dose: the movie, the methods, the table, the drawing."""
    clean = clean_movie(options.data, options.limit or FRAMES, options.side)
    tables = {}
    for dose in options.doses:
        folder = options.work / f"tem-dose-{dose:g}"
        folder.mkdir(exist_ok=True)
        check_same(folder, options)
        movie = folder / "movie.tif"
        if not movie.exists():
            write_movie(movie, np.random.default_rng(0).poisson(dose * clean).astype(np.uint16), pixel=PIXEL)
        made = all_of(movie, dose, options)
        tables[f"{dose:g} electrons per pixel"] = [
            row(name, image / dose, facts, clean) for name, (_, image, facts) in made.items()
        ]
        if options.figures:
            from figures import draw_tem

            shown = {name: image / dose for name, (file, image, _) in made.items() if file in SHOWN}
            draw_tem(options.figures / f"microscopy-tem-{dose:g}.png", shown, clean, dose)
    write_tables(options.work, "tem", tables)


def check_same(folder, options):
    """Refuse a --work folder of other settings, whose results would be taken for these."""
    settings = {"data": options.data, "frames": options.limit or FRAMES, "side": options.side, "steps": options.steps}
    kept = folder / "settings.json"
    if not kept.exists():
        kept.write_text(json.dumps(settings))
    found = json.loads(kept.read_text())
    if found != settings:
        fail(f"expected --work made with {settings}, received one with {found}: name another folder, or delete it")


def all_of(movie, dose, options):
    """By what the table calls it: the file's name, the movie in electrons, and the facts."""
    from gaintuning_tf.evaluation.baselines import anscombe_bm3d

    noisy = tifffile.imread(movie).astype(np.float64)
    made = {"noisy": ("noisy", noisy, {})}
    for name, (file, *more) in METHODS.items():
        if options.only and file not in options.only:
            continue
        how = ["--noise", "poisson", "--data-range", f"{dose:g}", "--quiet", *more]
        how += ["--steps", str(options.steps)] if options.steps and "--no-tune" not in more else []
        made[name] = (file, *denoise(movie, movie.with_name(f"{file}.tif"), *how))
    if not options.only or "bm3d" in options.only:
        made["BM3D after Anscombe"] = ("bm3d", *computed(movie.with_name("bm3d.tif"), noisy, anscombe_bm3d))
    return made


def row(name, image, facts, clean):
    """A line of the table: PSNR and SSIM on a range of one, and the spread over frames."""
    from gaintuning_tf import psnr, ssim

    each = [psnr(good, frame, data_range=1.0) for good, frame in zip(clean, image, strict=True)]
    similar = [ssim(good, frame, data_range=1.0) for good, frame in zip(clean, image, strict=True)]
    return {
        "method": name,
        "PSNR, dB": f"{np.mean(each):.2f}",
        "worst frame": f"{min(each):.2f}",
        "best frame": f"{max(each):.2f}",
        "SSIM": f"{np.mean(similar):.3f}",
        "s per frame": f"{facts['seconds'] / len(clean):.1f}" if facts else "",
    }
