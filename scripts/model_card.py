#!/usr/bin/env python
"""Measure a shipped network and write the figures into its model card.

    python scripts/model_card.py unet-bf-natural --data FOLDER/set12 --sigmas 25 30 50
    python scripts/model_card.py unet-bf-natural --data FOLDER/set12 --sigmas 30 70 --tune

Fills in `card.json` (parameters, gains, PSNR) and the table in `README.md` beside it. With --tune it
adds the column of the tuned network, which takes minutes per image size and noise level.
"""

import argparse
import json
import platform
from pathlib import Path

from gaintuning_tf import gain_layers, insert_gains, load_denoiser
from gaintuning_tf.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def measure(card, model, data, sigmas, tune):
    """Add the figures of each noise level to the card."""
    gains = gain_layers(insert_gains(model))
    card["parameters"] = model.count_params()
    card["gains"] = sum(gain.gain.shape[-1] for gain in gains)
    card["channels"] = model.inputs[0].shape[-1]
    for sigma in sigmas:
        table = evaluate(data, model, sigma=sigma, tune=tune, report=lambda row: print(row, flush=True))
        mean, name = table["mean"], f"Set12, sigma {sigma:g}"
        card["psnr"][name] = round(mean["psnr_pretrained"], 3)
        row = card["measured"].setdefault(name, {})
        row.update(psnr=round(mean["psnr_pretrained"], 3), ssim=round(mean["ssim_pretrained"], 4))
        row["images"] = {image["image"]: round(image["psnr_pretrained"], 3) for image in table["images"]}
        if tune:
            gained = [image["psnr_tuned"] - image["psnr_pretrained"] for image in table["images"]]
            row.update(psnr_tuned=round(mean["psnr_tuned"], 3), ssim_tuned=round(mean["ssim_tuned"], 4))
            row.update(gained_least=round(min(gained), 3), gained_most=round(max(gained), 3))
            row["seconds"] = round(mean["seconds"], 1)


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
    parser.add_argument("--data", required=True, help="the folder of Set12's images")
    parser.add_argument("--sigmas", required=True, type=float, nargs="+", help="noise levels, on the 0-255 scale")
    parser.add_argument("--tune", action="store_true", help="measure tuning too")
    args = parser.parse_args()
    folder = ROOT / "saved_models" / args.name
    card = json.loads((folder / "card.json").read_text())
    measure(card, load_denoiser(folder / card["file"]), args.data, args.sigmas, args.tune)
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    before, _, rest = (folder / "README.md").read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    (folder / "README.md").write_text(f"{before}{BEGIN}\n{markdown(card['measured'])}\n{END}{after}")
    print(f"measured with Python {platform.python_version()} on {platform.machine()}")


if __name__ == "__main__":
    main()
