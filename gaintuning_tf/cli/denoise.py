"""`gaintuning-tf denoise`: its arguments, and what it does with one image."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gaintuning_tf.cli import common, denoise_many, denoise_stack
from gaintuning_tf.cli.common import AUTO, add_method, count, loss_of, recipe_of, sigma_level
from gaintuning_tf.cli.many_inputs import are_several
from gaintuning_tf.cli.summary import facts, run_of, sentence, summary_of, verdict, warn_if_coarse
from gaintuning_tf.cli.waiting import at_terminal
from gaintuning_tf.errors import InputError
from gaintuning_tf.images import array_layout, files, formats, kept
from gaintuning_tf.images.bad_pixels import PixelRules
from gaintuning_tf.images.formats import READABLE
from gaintuning_tf.images.stack_files import may_be_volume, open_stack
from gaintuning_tf.losses.names import LOSSES, check_noise_kind
from gaintuning_tf.networks import pretrained
from gaintuning_tf.noise.models import KINDS
from gaintuning_tf.reports.tensorboard import check_tensorboard
from gaintuning_tf.support import atomic_files
from gaintuning_tf.support.phases import phase

_EPILOG = (
    "Ctrl-C while tuning one image ends it early and writes the result of the best gains so far. A stack goes frame by "
    "frame, several images one by one; stopped or killed, the same command continues them."
)


def add(commands: argparse._SubParsersAction, start_tensorflow: Callable[..., None]) -> None:
    """Add the command to the program's; `start_tensorflow` is called once the arguments have been checked."""
    command = commands.add_parser(
        "denoise",
        help="denoise an image, a stack, or a folder of them",
        description="Adapt a denoiser to each noisy image, without a clean one, and write the denoised image.",
        epilog=_EPILOG,
    )
    add = command.add_argument
    text = f"noisy images, folders of them, or quoted patterns such as 'data/*.tif': {', '.join(READABLE)}"
    add("inputs", nargs="+", metavar="INPUT", help=text)
    text = "denoised image, in the format of its suffix; of several, a folder"
    add("-o", "--output", required=True, metavar="OUTPUT", help=text)
    _add_settings(add)
    add_method(command)
    common.add_meaning(command)
    _add_outputs(add)
    common.add_pixels(command)
    denoise_stack.add_options(command)
    denoise_many.add_options(command)
    command.set_defaults(run=lambda options: run(options, start_tensorflow))


def _add_settings(add):
    add(
        "--model",
        default="auto",
        metavar="NAME|PATH",
        help="network: a name from `models`, a .keras or .h5 file, a SavedModel folder, a folder or zip of CSBDeep or "
        "Noise2Void, a package of bioimage.io; or one that is chosen: auto, by "
        "colours, noise and size of the image; best, whatever its size; fast [%(default)s]",
    )
    add(
        "--sigma",
        default=AUTO,
        type=sigma_level,
        metavar="auto|X|8bit:X",
        help="standard deviation of the noise in the image's own units: 25 of 8 bits, 0.1 of floats from 0 to 1; or "
        "on 0 to 255 whatever the image's units, as `evaluate` has it: 8bit:25 [estimated]",
    )
    add(
        "--noise",
        default="auto",
        choices=KINDS,
        help="kind of noise: auto, the simplest that the image does not contradict, white or correlated; gaussian; "
        "poisson, of counts; poisson-gaussian, of cameras [%(default)s, with --sigma gaussian]",
    )
    add("--loss", choices=LOSSES, help=f"what tuning minimises [{next(iter(LOSSES))}]")
    add("--steps", type=count, metavar="N", help="steps of tuning [10 to 30, with --plain 40]")
    add("--seed", type=int, default=0, metavar="N", help="same seed, same result [%(default)s]")
    add(
        "--axes",
        metavar="AXES",
        help="a letter per axis of the image, such as YX, YXC, TYX; to a network of volumes, ZYX is one volume and "
        "TZYX a movie of them [what the file says, or found from the shape]",
    )
    add(
        "--series",
        type=int,
        metavar="N",
        help="which of several images in the file, from 0 [the largest; what else is there is said]",
    )
    add(
        "--data-range",
        type=float,
        metavar="X",
        help="value of the image that the network is to see as 1 [found from the dtype]",
    )
    add("--no-tune", action="store_true", help="use the network as it is")
    add("--load-gains", metavar="F", help="start from these gains; with --no-tune: use them")


def _add_outputs(add):
    add("--reference", metavar="CLEAN", help="clean image to measure PSNR and SSIM against; never used for tuning")
    add(
        "--report",
        metavar="OUT.html",
        help="write a page with images, risk, and what tuning did to the network; needs [report]",
    )
    add("--figures", metavar="DIR", help="write the drawings of the page there, as PNG and PDF; needs [report]")
    add("--tensorboard", metavar="DIR", help="write risk, gains and images for TensorBoard; needs the extra [train]")
    add("--save-gains", metavar="F", help="write the tuned gains, by convention NAME.gains.h5")
    add(
        "--json",
        action="store_true",
        help="print what was done as JSON on stdout; risk_pretrained and risk_tuned in it are earlier names of "
        "risk_before and risk_after",
    )
    add("--quiet", action="store_true", help="no progress, no summary")


def run(options: argparse.Namespace, start_tensorflow: Callable[..., None]) -> int:
    """Check everything, then denoise what is named; returns the exit status."""
    check_noise_kind(loss_of(options), options.noise)
    options.several, options.loaded = are_several(options.inputs, options.output), {}

    def denoise(one):
        return _denoise_one(one, start_tensorflow)

    if options.several:
        return denoise_many.run(options, _check_options, denoise)
    if options.suffix:
        raise InputError(f"expected --suffix with several images, received {options.output} for the output of one")
    options.input = options.inputs[0]
    _check_options(options)
    if Path(options.output).exists() and not (options.quiet or options.json):
        print(f"{options.output} is there: replaced when this is done", file=sys.stderr)
    summary = denoise(options)
    phase("")
    _tell(options, summary)
    return 0


def _denoise_one(options, start_tensorflow):
    """Denoise a stack frame by frame, an image whole; returns the summary."""
    _check_outputs(options)
    channels, dimensions = _frames_of(options, start_tensorflow)
    seen = {"axes": options.axes, "model_channels": channels, "dimensions": dimensions, "series": options.series}
    with open_stack(options.input, **seen) as stack:
        # A colour picture stays whole, though a grey network sees its channels one by one.
        picture = stack.frame_count == 1 or (stack.axes == "YXC" and stack.shape[-1] == 3)
        if not picture or denoise_stack.wanted(options):
            return denoise_stack.run(options, stack, start_tensorflow)
        image, reference, pixels = _read(options, stack, channels, dimensions)
        start_tensorflow(options.threads)
        common.settle_sigma(options, stack)
        common.choose_network(options, stack)
    return _denoise(options, image, reference, pixels, stack.axes, stack.metadata)


def _tell(options, summary):
    if options.json:
        print(json.dumps(summary))
    elif not options.quiet:
        print(sentence(summary), file=sys.stderr)


def _frames_of(options, start_tensorflow):
    """Find the channels and the spatial axes of what the network takes.

    A file of the user's own has to be loaded by TensorFlow before they are known. That is put off where the input
    can be no volume: then frames are images, and one channel says how many there are at most.
    """
    if options.model in pretrained.CHOSEN:
        return 1, 2
    known = pretrained.list_denoisers().get(options.model)
    if known or not may_be_volume(options.input, options.axes, options.series):
        return known.channels if known else 1, 2
    start_tensorflow(options.threads)
    from gaintuning_tf.networks.network import network_of

    network = network_of(common.network_of(options))
    return network.channels if network.dimensions == 3 else 1, network.dimensions


def _check_outputs(options):
    """Refuse wrong names of outputs, before anything slow is imported."""
    outputs = [path for path in (options.output, options.report, options.save_gains) if path]
    for path in outputs:
        atomic_files.check_writable(path, folder=formats.is_folder(path))
        if outputs.count(path) > 1 or os.path.realpath(path) == os.path.realpath(options.input):
            raise InputError(f"expected outputs that differ from the input and from each other, received {path} twice")
    formats.check_suffix(options.output)
    _check_kind("--report", options.report, (".html", ".htm"))
    _check_kind("--save-gains", options.save_gains, (".h5", ".hdf5"))
    for folder in filter(None, (options.figures, options.tensorboard)):
        atomic_files.check_folder(folder)


def _check_kind(option, path, suffixes):
    if path and Path(path).suffix.lower() not in suffixes:
        raise InputError(f"expected a file name with the suffix {suffixes[0]} for {option}, received {path}")


def _check_options(options):
    """Refuse what is wrong whatever the image, before anything slow is imported."""
    if options.model not in pretrained.CHOSEN:
        pretrained.find_denoiser(options.model)
    if options.load_gains and not Path(options.load_gains).is_file():
        raise InputError(f"no such file: {options.load_gains}")
    if options.report or options.figures:
        from gaintuning_tf.support.plotting import check_available

        check_available()
    if options.tensorboard:
        check_tensorboard()


def _read(options, stack, channels, dimensions):
    """Read the image, its reference and its mask, and check them."""
    pixels = common.pixels_of(options)
    stack = open_stack(stack, model_channels=channels, mask=pixels["mask"], dimensions=dimensions)
    if dimensions == 3 and not formats.holds_volumes(options.output):
        raise InputError(
            f"expected an output that holds a volume, such as .tif, .npy or .zarr, received {options.output}"
        )
    image = stack.array()
    array_layout.check_finite(image, PixelRules(options.nodata, options.nan).missing(stack.with_mask(image)))
    array_layout.check_data_range(options.data_range)
    reference = files.load_image(options.reference) if options.reference else None
    if reference is not None and reference.shape != image.shape:
        raise InputError(f"expected a reference of the image's shape {image.shape}, received {reference.shape}")
    kept.check_output(options.output, stack.shape, stack.dtype, stack.metadata)
    return image, reference, pixels


def _denoise(options, image, reference, pixels, axes, metadata):
    start = time.perf_counter()
    from gaintuning_tf.denoising.pipeline import gaintune
    from gaintuning_tf.gains.gain_files import save_gains

    model = common.network_of(options)
    log = common.log_of(options)
    result = gaintune(
        image,
        model,
        axes=axes,
        data_range=options.data_range,
        progress=at_terminal() and not options.quiet,
        **pixels,
        **recipe_of(options),
    )
    if options.several and result.history["interrupted"].any():
        raise KeyboardInterrupt  # the image is done whole when the command continues
    words = result.bad_pixels.words(image, options.hot)
    summary = _summary(options, result, time.perf_counter() - start) | common.choice_of(options)
    summary |= {"noise_evidence": list(result.evidence), "bad_pixels": result.bad_pixels.counts()}
    summary |= {"bad_pixels_text": words, "worse_than_input": result.worse_than_input.tolist()}
    summary |= {"not_tuned": [why or None for why in result.not_tuned], "not_tuned_text": max(result.not_tuned)}
    summary["output_far"] = result.output_far.tolist()
    summary |= {name: result.history[name].tolist() for name in ("rounds", "further_seconds", "precision")}
    summary["verdict"] = verdict(summary, loss_of(options))
    summary["residual"] = [residual.to_json() for residual in result.residuals]
    summary["residual_text"] = result.residuals[0].words
    scores = _scores(result, image, reference)
    if options.report:
        phase("writing the report")
        from gaintuning_tf.reports.image_report import write_report

        rows = [{"": name, **_formatted(row)} for name, row in scores.items()]
        run = run_of(options, metadata)
        write_report(options.report, result, image, run=run, facts=facts(summary), scores=rows, clean=reference)
    if options.figures:
        from gaintuning_tf.reports.image_report import write_figures

        write_figures(options.figures, result, image)
    if log:
        log.image(result, image)
        log.close()
    if options.save_gains:
        save_gains(result.model, options.save_gains)
    phase("writing")
    files.save_image(options.output, result.denoised, result.layout, metadata)
    warn_if_coarse(summary, result.layout.dtype)
    summary.update({f"{key}_{name}": value for name, row in scores.items() for key, value in row.items()})
    return summary


def _summary(options, result, seconds):
    import numpy as np

    return summary_of(
        options,
        noise=result.noise.parameters(),
        contrast=np.asarray(result.contrast).tolist(),
        data_range=result.layout.data_range,
        steps=int(np.isfinite(np.atleast_2d(result.history["risk"])).sum(-1).max()),
        risk_before=result.history["risk_before"].tolist(),
        risk_after=result.history["risk_after"].tolist(),
        interrupted=bool(np.any(result.history["interrupted"])),
        seconds=seconds,
    )


def _scores(result, noisy, reference):
    """Measure PSNR and SSIM of the noisy, pretrained and tuned image against the reference, in pixels that count."""
    if reference is None:
        return {}
    from gaintuning_tf.evaluation.metrics import psnr, ssim

    options = {"data_range": result.layout.data_range}
    shown = {"noisy": noisy, "pretrained": result.pretrained, "tuned": result.denoised}
    mask = result.bad_pixels.mask
    counted = ... if mask is None else ~mask
    scores = {name: {"psnr": psnr(reference[counted], image[counted], **options)} for name, image in shown.items()}
    axes = result.layout.axes
    # The similarity of a pixel is that of a window about it, which would have those that do not count.
    if mask is None and set(axes) <= set("YXC") and min(reference.shape[axes.index(letter)] for letter in "YX") >= 7:
        channel_axis = axes.index("C") if "C" in axes else None
        for name, image in shown.items():
            scores[name]["ssim"] = ssim(reference, image, channel_axis=channel_axis, **options)
    return scores


def _formatted(row):
    named = {"psnr": ("PSNR, dB", ".2f"), "ssim": ("SSIM", ".4f")}
    return {named[key][0]: format(value, named[key][1]) for key, value in row.items()}
