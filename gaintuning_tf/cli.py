"""The command line. TensorFlow is imported only after the arguments have been checked."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from gaintuning_tf import __version__, evaluate_command, export_command, files, images, pretrained, train_command
from gaintuning_tf.argument_types import count, positive
from gaintuning_tf.errors import InputError
from gaintuning_tf.loss_names import LOSSES, PLAIN_HELP, PLAIN_LOSS, PRIOR_HELP


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            options.run(options)
    except (InputError, OSError) as error:
        # OSError: a full disk, a folder that has gone.
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing written", file=sys.stderr)
        return 130
    return 0


def _show_warning(message, category, filename, lineno, file=None, line=None):
    # Those of the libraries below are not the user's business.
    if issubclass(category, UserWarning) and "gaintuning_tf" in filename:
        print(f"warning: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _parser():
    parser = _Parser(
        prog="gaintuning-tf",
        description="Denoise images with a network that adapts itself to each of them (GainTuning).",
        epilog="Start with:  gaintuning-tf denoise noisy.png -o clean.png --report report.html",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    _add_denoise(commands)
    evaluate_command.add(commands, _start_tensorflow)
    _add_import(commands)
    export_command.add(commands, _start_tensorflow)
    train_command.add(commands, _start_tensorflow)
    listing = commands.add_parser("models", help="list the networks that come with the package")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_models)
    return parser


def _add_denoise(commands):
    command = commands.add_parser(
        "denoise",
        help="denoise one image",
        description="Adapt a denoiser to one noisy image, without a clean one, and write the denoised image.",
        epilog="Ctrl-C while tuning ends it early and writes the result of the best gains so far.",
    )
    add = command.add_argument
    add("input", metavar="INPUT", help=f"noisy image: {', '.join(images.READABLE)}")
    add("-o", "--output", required=True, metavar="OUTPUT", help="denoised image, in the format of its suffix")
    add(
        "--model",
        default=pretrained.DEFAULT,
        metavar="NAME|PATH",
        help="network: a name from `models`, a .keras file or a SavedModel folder [%(default)s]",
    )
    add(
        "--sigma",
        default="auto",
        type=sigma_level,
        metavar="auto|X",
        help="standard deviation of the noise in the image's own units, such as 25 for 8 bits [estimated]",
    )
    add(
        "--noise",
        default="gaussian",
        choices=["gaussian", "poisson", "poisson-gaussian"],
        help="kind of noise: gaussian; poisson, of counts; poisson-gaussian, of cameras [%(default)s]",
    )
    add("--loss", choices=LOSSES, help=f"what tuning minimises [{next(iter(LOSSES))}]")
    add("--steps", type=count, metavar="N", help="steps of tuning [10, with --plain 40]")
    recipe = command.add_mutually_exclusive_group()
    recipe.add_argument("--prior", type=positive, metavar="X", help=PRIOR_HELP)
    recipe.add_argument("--plain", action="store_true", help=PLAIN_HELP)
    add("--seed", type=int, default=0, metavar="N", help="same seed, same result [%(default)s]")
    add("--axes", metavar="AXES", help="a letter per axis of the image, such as YX, YXC, TYX [found from the shape]")
    add(
        "--data-range",
        type=float,
        metavar="X",
        help="value of the image that the network is to see as 1 [found from the dtype]",
    )
    add("--no-tune", action="store_true", help="use the network as it is")
    add("--reference", metavar="CLEAN", help="clean image to measure PSNR and SSIM against; never used for tuning")
    add(
        "--report",
        metavar="OUT.html",
        help="write a page with images, risk, and what tuning did to the network; needs [report]",
    )
    add("--save-gains", metavar="F", help="write the tuned gains, by convention NAME.gains.h5")
    add("--load-gains", metavar="F", help="start from these gains; with --no-tune: use them")
    add("--json", action="store_true", help="print what was done as JSON on stdout")
    add("--quiet", action="store_true", help="no progress bar, no summary")
    command.set_defaults(run=_denoise)


def _add_import(commands):
    command = commands.add_parser(
        "import-torch",
        help="turn a PyTorch checkpoint into a .keras file",
        description="Read a PyTorch checkpoint of a DnCNN or UNet into a Keras model with the same outputs.",
    )
    command.add_argument("checkpoint", metavar="CHECKPOINT", help="a .pt or .pth file")
    command.add_argument("output", metavar="OUT.keras", help="the Keras model")
    trust = "read a file that holds more than tensors, which runs code from it: only if you trust its maker"
    command.add_argument("--allow-pickle", action="store_true", help=trust)
    command.set_defaults(run=_import_torch)


def sigma_level(text):
    if text == "auto":
        return None
    return positive(text)


def _models(options):
    known = pretrained.list_denoisers()
    if options.json:
        rows = [{**vars(info), "path": str(info.path)} for info in known.values()]
        print(json.dumps(rows, indent=2))
        return
    for info in known.values():
        scores = ", ".join(f"{where} {value:.2f} dB" for where, value in info.psnr.items())
        print(f"{info.name}{'  (default)' if info.name == pretrained.DEFAULT else ''}")
        print(f"    {info.architecture}; {info.parameters:,} weights, {info.gains} gains, {info.channels} channel(s)")
        print(f"    trained on {info.trained_on}; {info.noise}")
        print(f"    PSNR before tuning: {scores}")


def _import_torch(options):
    if Path(options.output).suffix != ".keras":
        raise InputError(f"expected an output file with the suffix .keras, received {options.output}")
    files.check_writable(options.output)
    if not Path(options.checkpoint).is_file():
        raise InputError(f"no such file: {options.checkpoint}")
    _start_tensorflow()
    from gaintuning_tf.torch_import import import_torch

    model = import_torch(options.checkpoint, allow_pickle=options.allow_pickle)
    with files.replacing(options.output) as temporary:
        model.save(temporary)
    print(f"{options.output}: {model.name}, {model.count_params():,} weights", file=sys.stderr)


def _denoise(options):
    start = time.perf_counter()
    image, reference = _check_denoise(options)
    _start_tensorflow()
    from gaintuning_tf.gain_files import load_gains, save_gains
    from gaintuning_tf.pipeline import gaintune

    model = pretrained.load_denoiser(options.model)
    if options.load_gains:
        model = load_gains(model, options.load_gains)
    result = gaintune(
        image,
        model,
        sigma=options.sigma,
        noise=options.noise,
        loss=_loss(options),
        **({"prior": options.prior} if options.plain or options.prior else {}),
        steps=0 if options.no_tune else options.steps,
        axes=options.axes,
        data_range=options.data_range,
        seed=options.seed,
        progress=not options.quiet,
    )
    summary = _summary(options, result, time.perf_counter() - start)
    scores = _scores(result, image, reference)
    if options.report:
        from gaintuning_tf.report import write_report

        rows = [{"": name, **_formatted(row)} for name, row in scores.items()]
        write_report(options.report, result, image, facts=_facts(summary), scores=rows, clean=reference)
    if options.save_gains:
        save_gains(result.model, options.save_gains)
    images.save_image(options.output, result.denoised, result.layout)
    summary.update({f"{key}_{name}": value for name, row in scores.items() for key, value in row.items()})
    if options.json:
        print(json.dumps(summary))
    elif not options.quiet:
        print(_sentence(summary), file=sys.stderr)


def _start_tensorflow():
    """Import TensorFlow, which takes seconds, without its start-up chatter, unless the user asked for it."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1"):
        return
    # The first lines ignore the level and are written by C++, past sys.stderr.
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_logical_devices()
        except BaseException:
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _check_denoise(options):
    """Everything that can be wrong with the arguments, before anything slow is imported."""
    outputs = [path for path in (options.output, options.report, options.save_gains) if path]
    for path in outputs:
        files.check_writable(path)
        if outputs.count(path) > 1 or Path(path).resolve() == Path(options.input).resolve():
            raise InputError(f"expected outputs that differ from the input and from each other, received {path} twice")
    images.check_suffix(options.output)
    pretrained.find_denoiser(options.model)
    image = images.load_image(options.input)
    known = pretrained.list_denoisers().get(options.model)
    # Of a file of the user's own, the channels are known only once TensorFlow has loaded it.
    images.layout(image, known.channels if known else 1, axes=options.axes, data_range=options.data_range)
    reference = images.load_image(options.reference) if options.reference else None
    if reference is not None and reference.shape != image.shape:
        raise InputError(f"expected a reference of the image's shape {image.shape}, received {reference.shape}")
    if options.load_gains and not Path(options.load_gains).is_file():
        raise InputError(f"no such file: {options.load_gains}")
    if options.report:
        from gaintuning_tf.report import check_available

        check_available()
    return image, reference


def _loss(options):
    return options.loss or (PLAIN_LOSS if options.plain else next(iter(LOSSES)))


def _summary(options, result, seconds):
    import numpy as np

    return {
        "input": str(options.input),
        "output": str(options.output),
        "model": str(options.model),
        "loss": _loss(options),
        **{name: np.asarray(value).tolist() for name, value in vars(result.noise).items()},
        "contrast": np.asarray(result.contrast).tolist(),
        "sigma_estimated": options.sigma is None,
        "data_range": result.layout.data_range,
        "seed": options.seed,
        "steps": int(np.isfinite(np.atleast_2d(result.history["risk"])).sum(-1).max()),
        "risk_pretrained": result.history["risk_before"].tolist(),
        "risk_tuned": result.history["risk_after"].tolist(),
        "interrupted": bool(np.any(result.history["interrupted"])),
        "seconds": round(seconds, 2),
    }


def _scores(result, noisy, reference):
    """PSNR and SSIM of the noisy, pretrained and tuned image against the reference."""
    if reference is None:
        return {}
    from gaintuning_tf.metrics import psnr, ssim

    options = {"data_range": result.layout.data_range}
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    scores = {name: {"psnr": psnr(reference, image, **options)} for name, image in shown.items()}
    axes = result.layout.axes
    if set(axes) <= set("YXC") and min(reference.shape[axes.index(letter)] for letter in "YX") >= 7:
        channel_axis = axes.index("C") if "C" in axes else None
        for name, image in shown.items():
            scores[name]["ssim"] = ssim(reference, image, channel_axis=channel_axis, **options)
    return scores


def _facts(summary):
    rounded = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in summary.items()}
    return {name.replace("_", " "): value for name, value in rounded.items()}


def _formatted(row):
    named = {"psnr": ("PSNR, dB", ".2f"), "ssim": ("SSIM", ".4f")}
    return {named[key][0]: format(value, named[key][1]) for key, value in row.items()}


def _sentence(summary):
    import numpy as np

    source = "estimated" if summary["sigma_estimated"] else "given"
    before, after = (np.mean(summary[key]) for key in ("risk_pretrained", "risk_tuned"))
    # A risk below zero is no error to take the root of: the noise is less than was said.
    root = min(before, after) > 0
    before, after = (before**0.5, after**0.5) if root else (before, after)
    risk = f"{'RMS error' if root else 'risk'} {before:.4g} -> {after:.4g}"
    names = [name for name in ("sigma", "gain", "offset") if name in summary]
    level = ", ".join(f"{name} {np.mean(summary[name]):.4g}" for name in names)
    text = (
        f"{summary['output']}: {level} ({source}), {summary['steps']} steps, "
        f"estimated {risk}, {summary['seconds']:.1f} s"
    )
    if "psnr_tuned" in summary:
        values = [f"{name} {summary[f'psnr_{name}']:.2f}" for name in ("noisy", "pretrained", "tuned")]
        text += f"; PSNR in dB: {', '.join(values)}"
    return text
