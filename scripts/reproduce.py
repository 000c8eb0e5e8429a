#!/usr/bin/env python
"""Reproduce a table of docs/measured/results.md or docs/measured, and write it there.

    python scripts/reproduce.py dncnn --shared FOLDER --work FOLDER
    python scripts/reproduce.py tem --shared FOLDER --work FOLDER
    python scripts/reproduce.py all --shared FOLDER --work FOLDER --limit 2
    python scripts/reproduce.py real-noise --shared FOLDER --work FOLDER

--shared holds `data/set12`, `data/tem` and `checkpoints/*.pt`. --work keeps what was measured, a JSON file for
each setting: an interrupted run continues, and a setting that is there is not measured again. Steps compute in
float32 on every machine, unless --precision says otherwise; the tables say which. --limit N measures the first N
images only: a run with a larger one, or with none, goes on from there. --write puts the tables of all that is in
--work into docs/measured/results.md.

`real-noise` is a table of its own, docs/measured/real-noise.md, of `data/real`, and not in `all`: it goes
on from each image and method. --network NAME is another network, --crop N the middle of each image, --colour the
pictures among them in colour, a table of its own.
"""

import argparse
import json
import os
import platform
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import real_noise

from gaintuning_tf.tuning.defaults import PRECISIONS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "measured" / "results.md"
DNCNN, BF_DNCNN = "dncnn_bias_0-55", "dncnn_bias_free_0-55"
UNET, BF_UNET = "unet_bias_0-55", "unet_bias_free_0-55"
# Table: its settings, each the network, sigma, and further arguments of `evaluate`.
TABLES = {
    "dncnn": [(DNCNN, sigma, []) for sigma in (30, 40, 50, 70, 80)],
    "bf-dncnn": [(BF_DNCNN, sigma, []) for sigma in (30, 50, 70, 80)],
    "unet": [(name, sigma, ["--oracle"]) for name, sigma in ((UNET, 30), (UNET, 70), (UNET, 80), (BF_UNET, 30))],
    "piecewise": [("unet-piecewise", 30, ["--oracle"])],
    "harm": [(name, sigma, []) for name in ("unet-bf-natural", BF_UNET, UNET) for sigma in (15, 25, 40, 50)],
    "shipped": [
        *(("drunet-grey", sigma, []) for sigma in (15, 30, 50)),
        *((name, 30, []) for name in ("dncnn-natural", "dncnn-bf-natural", "unet-bf-natural")),
    ],
    "ablation": [(UNET, sigma, ["--compare", "all-weights", "last-layer", "bm3d", "nlm"]) for sigma in (30, 70)],
    "plain": [(UNET, sigma, ["--plain"]) for sigma in (30, 70)],
    "oracle": [(DNCNN, sigma, ["--oracle", "--limit", "4"]) for sigma in (30, 70)],
}
# What the issue of the tables asks for, mean PSNR in dB.
TARGETS = {
    **{(DNCNN, sigma): value for sigma, value in {30: 29.66, 40: 28.36, 50: 27.36, 70: 25.75, 80: 25.05}.items()},
    **{(BF_DNCNN, sigma): value for sigma, value in {30: 29.65, 50: 27.31, 70: 25.73, 80: 25.09}.items()},
    (UNET, 70): 25.5,
    (UNET, 80): 24.8,
    ("drunet-grey", 30): 29.78,
    ("drunet-grey", 50): 27.48,
}
AUTO = [(name, sigma) for name in ("unet-bf-natural", "drunet-grey") for sigma in (15, 30, 50)]
DOSES = (1, 5)
TEM_NETWORKS = ("unet-tem", "unet-bf-natural")


def imported(name, options):
    """The network of a published checkpoint as a file, or the name itself of one that is shipped."""
    checkpoint = Path(options.shared) / "checkpoints" / f"{name}.pt"
    if not checkpoint.is_file():
        return name
    file = Path(options.work) / f"{name}.keras"
    if not file.exists():
        run(["import-torch", str(checkpoint), str(file)])
    return str(file)


def run(arguments):
    """The command line, in this process: TensorFlow is started once."""
    from gaintuning_tf.cli.program import main

    if main(arguments):
        raise SystemExit(f"failed: gaintuning-tf {' '.join(arguments)}")


def measure(table, options):
    """Measure the settings of a table that are not there yet."""
    for name, sigma, more in TABLES[table]:
        out = Path(options.work) / f"{table}-{name}-{sigma}.json"
        limit = options.limit or (int(more[more.index("--limit") + 1]) if "--limit" in more else None)
        if out.exists() and not reopened(out, limit):
            continue
        more = [*more, "--precision", options.precision, *(["--limit", str(limit)] if limit else [])]
        folder = str(Path(options.shared) / "data" / "set12")
        run(["evaluate", folder, "--model", imported(name, options), "--sigma", str(sigma), "--json", str(out), *more])
        note(out, options)


def reopened(file, limit):
    """Whether more images are wanted than a table has: then its rows are where `evaluate` goes on from."""
    from gaintuning_tf.images.files import image_files
    from gaintuning_tf.networks.pretrained import find_denoiser, network_digest
    from gaintuning_tf.support.journal import Journal

    table = json.loads(file.read_text())
    settings = table["settings"]
    wanted = len(image_files(settings["folder"])[:limit])
    if len(table["images"]) >= wanted or settings["limit"] != len(table["images"]):
        return False
    known = {**settings, "limit": limit, "network": network_digest(find_denoiser(settings["model"]))}
    journal = Journal(f"{file}.partial.jsonl", [known])
    for row in table["images"][len(journal.rows[0]) :]:
        journal.append(0, row)
    file.unlink()
    return True


def note(file, options):
    """Add the machine to a table."""
    table = json.loads(file.read_text())
    table["machine"] = {"cores": os.cpu_count(), "processor": processor(), "precision": options.precision}
    file.write_text(json.dumps(table, indent=1))


def processor():
    """As the operating system names it, and whether it multiplies numbers of bfloat16."""
    known = Path("/proc/cpuinfo")
    text = known.read_text() if known.is_file() else ""
    name = re.search(r"model name\s*: (.*)", text)
    has = [words for flag, words in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")) if flag in text]
    return (name[1] if name else platform.machine()) + (f" with {' and '.join(has)}" if has else "")


def measure_tem(options):
    """Counts of simulated micrographs: pretrained, tuned by gains, tuned in all weights, BM3D after Anscombe."""
    from gaintuning_tf import gaintune, load_denoiser, psnr, ssim
    from gaintuning_tf.evaluation.baselines import anscombe_bm3d
    from gaintuning_tf.evaluation.weight_tuning import WeightTuner
    from gaintuning_tf.images.files import image_files, load_image
    from gaintuning_tf.losses.count_splitting import CountSplitting
    from gaintuning_tf.noise.models import PoissonNoise

    for name in TEM_NETWORKS:
        model = load_denoiser(name)
        for dose in DOSES:
            out = Path(options.work) / f"tem-{name}-{dose}.json"
            if out.exists():
                continue
            weights = WeightTuner(model, CountSplitting(), "all")
            rows = []
            for index, file in enumerate(image_files(Path(options.shared) / "data" / "tem")):
                clean = load_image(file).astype(np.float32)
                noisy = (np.random.RandomState(index).poisson(dose * clean) / dose).astype(np.float32)
                noise = PoissonNoise(1 / dose)
                result = gaintune(noisy, model, noise=noise, data_range=1.0, progress=False)
                shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
                shown["all-weights"] = weights.denoise(noisy[None, ..., None], sigma=noise)[0, ..., 0]
                shown["bm3d-anscombe"] = anscombe_bm3d(noisy * dose) / dose
                row = {"image": file.name}
                for method, image in shown.items():
                    image = np.clip(image, 0, 1)
                    row[f"psnr_{method}"] = psnr(clean, image, data_range=1.0)
                    row[f"ssim_{method}"] = ssim(clean, image, data_range=1.0)
                row["seconds"] = float(result.history["seconds"])
                row["contrast"] = float(result.contrast)
                print(row, flush=True)
                rows.append(row)
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "image"}
            out.write_text(json.dumps({"images": rows, "mean": mean, "settings": {"model": name, "dose": dose}}))
            note(out, options)


def measure_auto(options):
    """White noise of a level that is told, and that is found: what tuning makes of each, and how far the level is off.

    A table goes on from the image that it had come to.
    """
    from gaintuning_tf import load_denoiser
    from gaintuning_tf.images.files import image_files, load_image

    files = image_files(Path(options.shared) / "data" / "set12")[: options.limit]
    for name, sigma in AUTO:
        out = Path(options.work) / f"auto-{name}-{sigma}.json"
        rows = json.loads(out.read_text())["images"] if out.exists() else []
        model = load_denoiser(name)
        for index, file in list(enumerate(files))[len(rows) :]:
            rows.append({"image": file.name, **told_and_found(load_image(file), model, sigma, index, options)})
            print(name, sigma, rows[-1], flush=True)
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "image"}
            out.write_text(json.dumps({"images": rows, "mean": mean, "settings": {"model": name, "sigma": sigma}}))
            note(out, options)


def told_and_found(clean, model, sigma, index, options):
    """Tune one image with the level of its noise told and found, the noise drawn as `evaluate` does."""
    from skimage.restoration import estimate_sigma

    from gaintuning_tf import gaintune, psnr
    from gaintuning_tf.evaluation.samples import noisy_version

    clean = clean.astype(np.float32) / 255
    noisy, level = noisy_version(clean, sigma, index), sigma / 255
    how = {"data_range": 1.0, "progress": False, "precision": options.precision}
    told, found = (gaintune(noisy, model, **noise, **how) for noise in ({"sigma": level}, {}))
    shown = {"noisy": noisy, "pretrained": told.pretrained, "told": told.denoised, "auto": found.denoised}
    row = {f"psnr_{key}": psnr(clean, np.clip(image, 0, 1), data_range=1.0) for key, image in shown.items()}
    levels = float(found.noise.sigma), float(estimate_sigma(noisy))
    return row | {key: value / level - 1 for key, value in zip(("level", "level_skimage"), levels, strict=True)}


def markdown_auto(found):
    head = ["network", "sigma", "images", "noisy", "pretrained", "told", "auto", "auto less told", "least", "most"]
    head += ["level off by, mean", "most", "scikit-image's, mean", "most"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in found:
        mean, images = one["mean"], one["images"]
        less = [row["psnr_auto"] - row["psnr_told"] for row in images]
        off = [np.abs([row[key] for row in images]) for key in ("level", "level_skimage")]
        cells = [one["settings"]["model"], f"{one['settings']['sigma']:g}", str(len(images))]
        cells += [f"{mean[f'psnr_{key}']:.2f}" for key in ("noisy", "pretrained", "told", "auto")]
        cells += [f"{value:+.3f}" for value in (np.mean(less), min(less), max(less))]
        cells += [f"{value:.1%}" for values in off for value in (values.mean(), values.max())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *machines_of(found)])


def written(options):
    """The tables of what is in --work, as markdown; of what is not there, none."""
    found = {table: rows_of(table, options) for table in [*TABLES, *OTHERS]}
    return {table: lines for table, lines in found.items() if lines}


def rows_of(table, options):
    files = sorted(Path(options.work).glob(f"{table}-*.json"), key=lambda f: [natural(p) for p in f.stem.split("-")])
    files = [file for file in files if ".partial" not in file.name]
    found = [json.loads(file.read_text()) for file in files]
    if table in TABLES:
        known = {(Path(n).stem, s) for n, s, _ in TABLES[table]}
        found = [one for one in found if (Path(one["settings"]["model"]).stem, one["settings"]["sigma"]) in known]
    if not found:
        return ""
    return markdown_auto(found) if table == "auto" else markdown(found)


def natural(text):
    return (1, float(text), "") if re.fullmatch(r"[\d.]+", text) else (0, 0.0, text)


def markdown(found):
    keys = [key for key in found[0]["mean"] if key.startswith("psnr_")]
    head = ["network", "noise", "images", *(key[5:] for key in keys), "gained", "least", "most", "asked", "s per image"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in found:
        settings, mean, images = one["settings"], one["mean"], one["images"]
        gained = [row["psnr_tuned"] - row["psnr_pretrained"] for row in images]
        noise = f"dose {settings['dose']}" if "dose" in settings else f"sigma {settings['sigma']:g}"
        target = TARGETS.get((Path(settings["model"]).stem, settings.get("sigma")))
        cells = [Path(settings["model"]).stem.removesuffix("_0-55"), noise, str(len(images))]
        cells += [f"{mean[key]:.2f}" for key in keys]
        cells += [f"{np.mean(gained):+.3f}", f"{min(gained):+.3f}", f"{max(gained):+.3f}"]
        cells += [f"{target:.2f}" if target else "", f"{mean['seconds']:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *machines_of(found)])


def machines_of(found):
    machines = {json.dumps(one.get("machine", {}), sort_keys=True) for one in found}
    return ["", "Machine: " + "; ".join(sentence(json.loads(machine)) for machine in sorted(machines)) + ".", ""]


def sentence(machine):
    return f"{machine.get('cores')} cores, {machine.get('processor')}, {machine.get('precision', 'float32')}"


def write(options):
    """Put each table between its marks in docs/measured/results.md."""
    text = RESULTS.read_text()
    for table, lines in written(options).items():
        begin, end = f"<!-- {table}: begin -->", f"<!-- {table}: end -->"
        before, _, rest = text.partition(begin)
        if rest:
            text = f"{before}{begin}\n{lines}{end}{rest.partition(end)[2]}"
    RESULTS.write_text(text)


# Tables that are not made by `evaluate`.
OTHERS = {"tem": measure_tem, "auto": measure_auto}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=[*TABLES, *OTHERS, "all", "real-noise"])
    parser.add_argument("--shared", required=True, help="folder with data/ and checkpoints/")
    parser.add_argument("--work", required=True, help="folder that keeps what was measured")
    parser.add_argument("--limit", type=int, help="only the first images")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the steps [%(default)s]")
    parser.add_argument("--write", action="store_true", help="write the tables into the document")
    parser.add_argument("--network", default="auto", help="real-noise: the network [%(default)s]")
    parser.add_argument("--colour", action="store_true", help="real-noise: pictures in colour, as such")
    parser.add_argument("--crop", type=int, metavar="N", help="real-noise: the middle N x N pixels only")
    parser.add_argument("--docs", default=str(real_noise.DOCS), help="real-noise: folder of the document [%(default)s]")
    options = parser.parse_args()
    Path(options.work).mkdir(parents=True, exist_ok=True)
    if options.table == "real-noise":
        real_noise.measure(options)
        return real_noise.write(options) if options.write else None
    for table in [*TABLES, *OTHERS] if options.table == "all" else [options.table]:
        OTHERS[table](options) if table in OTHERS else measure(table, options)
    if options.write:
        write(options)


if __name__ == "__main__":
    main()
