"""`gaintuning-tf evaluate`: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

from gaintuning_tf import __version__
from gaintuning_tf.cli.common import AUTO, add_meaning, add_method, count, loss_of, meaning_of, recipe_of, sigma_of_255
from gaintuning_tf.errors import InputError
from gaintuning_tf.evaluation import baselines
from gaintuning_tf.evaluation.samples import CHANNELS
from gaintuning_tf.images.files import image_files, load_image
from gaintuning_tf.losses.names import LOSSES, check_noise_kind
from gaintuning_tf.networks import pretrained
from gaintuning_tf.networks.pretrained import network_digest
from gaintuning_tf.reports import evaluation_report
from gaintuning_tf.support import atomic_files
from gaintuning_tf.support.interruption import Interrupted
from gaintuning_tf.support.journal import Journal
from gaintuning_tf.training.image_sources import TFDS, check_source

# With a number for sigma it is white Gaussian.
NOISE = "auto"
_DESCRIPTION = """\
Denoise every image of a folder with and without tuning, and measure PSNR and SSIM against the clean image.
Gaussian noise is drawn on clean images: the i-th of the sorted folder gets numpy.random.RandomState(i).randn(H, W) *
SIGMA / 255. With --clean, SOURCE holds images that are noisy already. Several of SOURCE, --model, --sigma or --loss:
every combination is measured."""
_EPILOG = """\
examples:
  gaintuning-tf evaluate set12 --sigma 30 --json set12.json --html set12.html
  gaintuning-tf evaluate set12 --sigma 30 --sigma 50 --model unet-bf-natural --model unet-piecewise --oracle
  gaintuning-tf evaluate set12 --sigma 30 --compare nlm all-weights last-layer
  gaintuning-tf evaluate noisy --clean clean --sigma auto

FILE of --json, for one combination:
  {"images": [{"image", "psnr_noisy", "psnr_pretrained", "psnr_tuned", "ssim_pretrained", "ssim_tuned", "seconds"},
              ...], "mean": {the same}, "spread": {"below_pretrained", "least_gain", "most_gain"}, "settings": {...}}
for several, a list of these in the order of "settings":
  {"results": [{"images": ..., "mean": ..., "spread": ..., "settings": ...}, ...]}
A method of --compare adds psnr_NAME, ssim_NAME and seconds_NAME, --oracle the same of oracle, and to the mean
"fraction", tuning's part of the oracle's gain. Until it is whole, the rows are in FILE.partial.jsonl.

Other methods are told the same noise as tuning: BM3D its level, line and power spectral density, nlm its mean level.
BM3D's licence (--compare bm3d) allows non-commercial use only; it comes with the extra [evaluate]."""


def add(commands: argparse._SubParsersAction, start_tensorflow: Callable[..., None]) -> None:
    """Add the command to the program's; `start_tensorflow` is called once the arguments have been checked."""
    command = commands.add_parser(
        "evaluate",
        help="PSNR and SSIM over folders of images, beside other methods",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_settings(command.add_argument)
    add_method(command)
    add_meaning(command)
    _add_outputs(command.add_argument)
    command.set_defaults(run=lambda options: run(options, start_tensorflow))


def _add_settings(add):
    add(
        "folders",
        nargs="+",
        metavar="SOURCE",
        help="a folder of clean images, 8 bits or floats in [0, 1], or tfds:NAME; a grey network takes colour as grey",
    )
    add("--channel", choices=CHANNELS, help="of colour pictures take this channel [grey, which mixes their noise]")
    add("--clean", metavar="FOLDER", help="clean images of the same names as those in SOURCE, which are noisy")
    add(
        "--sigma",
        required=True,
        action="append",
        type=sigma_of_255,
        metavar="S|8bit:S|auto",
        help="noise level on 0 to 255, whatever the images' units, by which `denoise --sigma` goes: 25, or 8bit:25, "
        "which means the same there; auto, with --clean: the noise, white or correlated, as `denoise` finds it "
        "in each image; may be repeated",
    )
    add(
        "--model",
        action="append",
        metavar="NAME|PATH",
        help="network, or as for `denoise` auto, best or fast, by the first image of the folder; may be repeated "
        f"[{pretrained.DEFAULT}]",
    )
    add(
        "--loss",
        action="append",
        choices=LOSSES,
        help=f"what tuning minimises; may be repeated [{next(iter(LOSSES))}]",
    )
    add("--steps", type=count, metavar="N", help="steps of tuning [10 to 30, with --plain 40]")
    add("--seed", type=int, default=0, metavar="N", help="seed of tuning [%(default)s]")
    add("--limit", type=count, metavar="N", help="only the first N images")
    add("--no-tune", action="store_true", help="measure the network as it is")
    add(
        "--compare",
        nargs="+",
        action="extend",
        default=[],
        choices=baselines.BASELINES,
        metavar="METHOD",
        help="measure these too: " + "; ".join(f"{name}: {text}" for name, text in baselines.BASELINES.items()),
    )
    add(
        "--scratch-iterations",
        type=count,
        metavar="N",
        help="steps of training of --compare scratch, of which its authors use 450000 [1000]",
    )
    add(
        "--oracle",
        action="store_true",
        help="measure the bound too: gains tuned on the clean image with other noise, applied to the noisy one",
    )


def _add_outputs(add):
    add("--json", metavar="FILE", help="write all figures to this file; interrupted, the same command continues")
    add("--restart", action="store_true", help="with --json: measure anew what an interrupted run has measured")
    add("--html", metavar="FILE", help="write a page with tables, charts and pictures; needs the extra [report]")
    add("--quiet", action="store_true", help="no line per image")


def run(options: argparse.Namespace, start_tensorflow: Callable[..., None]) -> None:
    """Check everything, then measure what is not measured yet."""
    settings = _checked(options)
    journal = _journal(options, settings)
    start_tensorflow()
    pictures = [evaluation_report.Pictures() for _ in settings]
    try:
        results = _results(options, settings, journal, pictures)
    except KeyboardInterrupt:
        done = "nothing written"
        if journal and any(journal.rows):
            done = f"{sum(map(len, journal.rows))} rows kept in {journal.path}; the same command continues"
        raise Interrupted(done) from None
    if options.json:
        with atomic_files.replacing(options.json) as temporary:
            whole = results[0] if len(results) == 1 else {"results": results}
            temporary.write_text(json.dumps(whole, indent=2))
    if options.html:
        evaluation_report.write_page(options.html, results, pictures, options.typed)
    if journal:
        journal.remove()


def _checked(options):
    """Check the options before anything slow is imported, and return the settings of each table."""
    outputs = [path for path in (options.json, options.html) if path]
    for path in outputs:
        atomic_files.check_writable(path)
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise InputError(f"expected outputs that differ from each other, received {options.json} twice")
    if options.limit == 0:
        raise InputError("expected --limit of at least 1, received 0")
    if options.scratch_iterations == 0:
        raise InputError("expected --scratch-iterations of at least 1, received 0")
    if options.restart and not options.json:
        raise InputError("expected --json FILE with --restart: only such a run can be continued or started anew")
    baselines.check_baselines(options.compare)
    if options.html:
        from gaintuning_tf.support.plotting import check_available

        check_available()
    models = options.model or [pretrained.DEFAULT]
    for model in models:
        if model not in pretrained.CHOSEN:
            pretrained.find_denoiser(model)
    _check_sources(options)
    losses = options.loss or [loss_of(options)]
    for loss in losses:
        if any(sigma != AUTO for sigma in options.sigma):
            check_noise_kind(loss, "gaussian")
    combinations = itertools.product(options.folders, models, options.sigma, losses)
    chosen = [
        (folder, _chosen(options, folder, model, sigma), sigma, loss) for folder, model, sigma, loss in combinations
    ]
    return [_settings(options, *one) for one in dict.fromkeys(chosen)]


def _chosen(options, folder, model, sigma):
    """Choose the network for a whole folder as `denoise` does for an image: by the noise and the first image."""
    if model not in pretrained.CHOSEN:
        return model
    if model == "fast" or sigma == AUTO:
        return pretrained.DEFAULT
    colour = False
    if not (options.channel or folder.startswith(TFDS)):
        first = load_image(image_files(folder)[0])
        colour = first.ndim == 3 and first.shape[-1] in (3, 4)
    return pretrained.LARGER[colour]


def _check_sources(options):
    if not options.clean and AUTO in options.sigma:
        raise InputError("expected --sigma with a number, the noise to draw; auto is for noisy images, with --clean")
    for folder in options.folders:
        if options.clean:
            from gaintuning_tf.evaluation.samples import check_pairs

            check_pairs(folder, options.clean)
        else:
            check_source(folder)
        if options.channel and folder.startswith(TFDS):
            raise InputError(f"expected folders with --channel, received {folder}, which is taken as grey")


def _settings(options, folder, model, sigma, loss):
    names = ("channel", "steps", "seed", "limit", "no_tune", "plain", "prior", "precision")
    more = {"loss": loss, "clean": options.clean, "compare": list(dict.fromkeys(options.compare))}
    if "scratch" in options.compare:
        more["scratch_iterations"] = options.scratch_iterations
    more |= {name: value for name, value in meaning_of(options).items() if value is not None}
    return {
        "folder": folder,
        "sigma": sigma,
        "model": model,
        **{key: getattr(options, key) for key in names},
        **more,
        "oracle": options.oracle,
        "version": __version__,
    }


def _journal(options, settings):
    if not options.json:
        return None
    path = Path(f"{options.json}.partial.jsonl")
    if options.restart:
        path.unlink(missing_ok=True)
    # A network that was trained further meanwhile has the same name, and other results.
    digests = {one["model"]: network_digest(pretrained.find_denoiser(one["model"])) for one in settings}
    return Journal(path, [{**one, "network": digests[one["model"]]} for one in settings])


def _results(options, settings, journal, pictures):
    from gaintuning_tf.networks.network import Network

    models, results = {}, []
    for number, one in enumerate(settings):
        if one["model"] not in models:
            models[one["model"]] = Network(one["model"], **meaning_of(options))
        known = list(journal.rows[number]) if journal else []
        results.append(_result(options, number, one, models[one["model"]], known, journal, pictures[number]))
    return results


def _result(options, number, settings, model, known, journal, pictures):
    """Make one table, printed row by row as it comes to be."""
    from gaintuning_tf.evaluation.measure import evaluate

    lines = _Lines(options.quiet)

    def keep(row):
        if journal:
            journal.append(number, row)
        lines.row(row["image"], row)

    lines.title(evaluation_report.name(settings))
    for row in known:
        lines.row(row["image"], row)
    # Not tuned, the other methods still are: `evaluate` has an argument of its own for that.
    recipe = recipe_of(argparse.Namespace(**settings | {"noise": NOISE, "no_tune": False}))
    weights = {key: recipe[key] for key in ("loss", "steps", "seed")}
    table = evaluate(
        settings["folder"],
        model,
        clean=settings["clean"],
        channel=settings["channel"],
        limit=settings["limit"],
        tune=not settings["no_tune"],
        compare=baselines.methods(settings["compare"], model, **weights, iterations=options.scratch_iterations),
        oracle=settings["oracle"],
        rows=known,
        report=keep,
        show=pictures.add if options.html else None,
        **recipe,
    )
    result = {**table, "settings": settings}
    lines.row("MEAN", table["mean"])
    lines.say(evaluation_report.sentence(result))
    return result


class _Lines:
    """The table on stdout: a column per measure, as wide as its name at least."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.keys = None

    def say(self, text):
        if not self.quiet:
            print(text, flush=True)

    def title(self, text):
        self.say(text)

    def row(self, name, row):
        if self.keys is None:
            self.keys = [key for key in row if key != "image"]
            self.say(f"{'image':>24}" + "".join(f"{key:>{_width(key)}}" for key in self.keys))
        self.say(f"{name:>24}" + "".join(f"{row[key]:>{_width(key)}.4f}" for key in self.keys))


def _width(key):
    return max(16, len(key) + 2)
