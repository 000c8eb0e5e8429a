#!/usr/bin/env python
"""Measure a shipped network and write the figures into its model card.

    python scripts/model_card.py unet-bf-natural --data FOLDER/set12 --sigmas 25 30 50
    python scripts/model_card.py unet-bf-natural --data FOLDER/set12 --sigmas 30 70 --tune
    python scripts/model_card.py drunet-color --data FOLDER/colour --title "three photographs" --sigmas 25 50
    python scripts/model_card.py drunet-color --seconds
    python scripts/model_card.py unet-tem --data FOLDER/tem --doses 1 5
    python scripts/model_card.py unet-bf-natural --data FOLDER/set12 --config scripts/recipes/unet-bf-natural-3.json

Fills in `card.json` (parameters, gains, PSNR) and the table in `README.md` beside it. With --config, the
configuration of the last training, the card says the noise that it draws. With --tune it
adds the column of the tuned network, which takes minutes per image size and noise level. With --doses the images are
counts of electron microscopy: the i-th of the sorted folder, clean, is the mean of numpy.random.RandomState(i).poisson(
DOSE * image) / DOSE. PSNR on a range of 1, after clipping.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from gaintuning_tf import gain_layers, gaintune, insert_gains, load_denoiser, psnr, ssim
from gaintuning_tf.evaluation.measure import evaluate
from gaintuning_tf.images.files import image_files, load_image
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.training.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def measure(card, model, data, sigmas, tune, title):
    """Add the figures of each noise level to the card."""
    gains = gain_layers(insert_gains(model))
    card["parameters"] = model.count_params()
    card["gains"] = sum(gain.gain.shape[-1] for gain in gains)
    card["channels"] = model.inputs[0].shape[-1]
    card.setdefault("psnr", {})
    card.setdefault("measured", {})
    for sigma in sigmas:
        table = evaluate(data, model, sigma=sigma, tune=tune, report=lambda row: print(row, flush=True))
        mean, name = table["mean"], f"{title}, sigma {sigma:g}"
        card["psnr"][name] = round(mean["psnr_pretrained"], 3)
        row = card["measured"].setdefault(name, {})
        row.update(psnr=round(mean["psnr_pretrained"], 3), ssim=round(mean["ssim_pretrained"], 4))
        row["images"] = {image["image"]: round(image["psnr_pretrained"], 3) for image in table["images"]}
        if tune:
            gained = [image["psnr_tuned"] - image["psnr_pretrained"] for image in table["images"]]
            row.update(psnr_tuned=round(mean["psnr_tuned"], 3), ssim_tuned=round(mean["ssim_tuned"], 4))
            row.update(gained_least=round(min(gained), 3), gained_most=round(max(gained), 3))
            row["seconds"] = round(mean["seconds"], 1)


def measure_seconds(card, model):
    """Add how long a megapixel takes: a picture of 1024x1024, the median of three, tracing apart."""
    image = np.random.default_rng(0).random((1, 1024, 1024, card["channels"]), np.float32)
    network = tf.function(network_of(model))
    network(image)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - start)
    card["seconds"] = round(float(np.median(times)) / (1024**2 / 1e6), 2)


def measure_counts(card, model, folder, doses):
    """Add the figures of each dose of Poisson noise on the images of a folder to the card."""
    for dose in doses:
        rows = []
        for index, file in enumerate(image_files(folder)):
            clean = load_image(file).astype(np.float32)
            noisy = (np.random.RandomState(index).poisson(dose * clean) / dose).astype(np.float32)
            result = gaintune(noisy, model, sigma=0.1, steps=0, data_range=1.0, progress=False)
            shown = [np.clip(image, 0, 1) for image in (noisy, result.pretrained)]
            rows.append([file.name, *(measure(clean, x, data_range=1.0) for x in shown for measure in (psnr, ssim))])
            print(rows[-1], flush=True)
        names, noisy, _, denoised, similar = zip(*rows, strict=True)
        name = f"TEM, dose {dose:g}"
        card["psnr"][name] = round(float(np.mean(denoised)), 3)
        card["measured"][name] = {
            "psnr": card["psnr"][name],
            "ssim": round(float(np.mean(similar)), 4),
            "psnr_noisy": round(float(np.mean(noisy)), 3),
            "images": {image: round(float(value), 3) for image, value in zip(names, denoised, strict=True)},
        }


def markdown(measured):
    """The card's table, a line per noise level."""
    lines = [
        "| data, noise | PSNR, dB | SSIM | tuned PSNR | tuned SSIM | gained, least and most | s per image |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in measured.items():
        tuned = ["", "", "", ""]
        if "psnr_tuned" in row:
            spread = f"{row['gained_least']:+.3f}, {row['gained_most']:+.3f}"
            tuned = [f"{row['psnr_tuned']:.2f}", f"{row['ssim_tuned']:.3f}", spread, f"{row['seconds']:.0f}"]
        lines.append(f"| {name} | {row['psnr']:.2f} | {row['ssim']:.3f} | {' | '.join(tuned)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="folder under saved_models/")
    parser.add_argument("--data", help="folder of clean images: Set12, or micrographs")
    parser.add_argument("--title", default="Set12", help="what the card calls the images [%(default)s]")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[], help="noise levels, on the 0-255 scale")
    parser.add_argument("--doses", type=float, nargs="+", default=[], help="counts per pixel where the image is 1")
    parser.add_argument("--config", help="configuration of its training, of which the card says the noise")
    parser.add_argument("--seconds", action="store_true", help="measure how long a megapixel takes")
    parser.add_argument("--tune", action="store_true", help="measure tuning too")
    args = parser.parse_args()
    folder = ROOT / "saved_models" / args.name
    card = json.loads((folder / "card.json").read_text())
    if args.config:
        card["noise"] = TrainingConfig.read(args.config).drawn_noise().words()
    model = load_denoiser(folder / card["file"])
    measure(card, model, args.data, args.sigmas, args.tune, args.title)
    measure_counts(card, model, args.data, args.doses)
    if args.seconds:
        measure_seconds(card, model)
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    before, _, rest = (folder / "README.md").read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    (folder / "README.md").write_text(f"{before}{BEGIN}\n{markdown(card['measured'])}\n{END}{after}")
    print(f"measured with Python {platform.python_version()} on {platform.machine()}")


if __name__ == "__main__":
    main()
