"""`gaintuning-tf denoise` of a stack: frame by frame, here or on a cluster, and on where it was interrupted."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import warnings
from collections.abc import Callable

from gaintuning_tf.cli.common import (
    at_least_one,
    choice_of,
    choose_network,
    log_of,
    loss_of,
    network_of,
    pixels_of,
    recipe_of,
    settle_sigma,
)
from gaintuning_tf.cli.summary import facts, run_of, summary_of, verdict, warn_if_coarse
from gaintuning_tf.cli.waiting import at_terminal
from gaintuning_tf.errors import GainTuningWarning, InputError
from gaintuning_tf.images import formats
from gaintuning_tf.images.stack_files import Stack, open_stack
from gaintuning_tf.support.interruption import Interrupted
from gaintuning_tf.support.phases import phase

# More frames that failed than this are not listed one by one: they would fill the screen.
REPORTED = 20
SHARED_FRAMES = 8
# Options whose being there asks for this way even of a single image; the last two are those of several images, too.
_OPTIONS = ("one_noise", "share_gains", "warm_start", "dtype", "scheduler", "workers", "on_failure", "restart")
_INSTEAD = {"pass": "passed on as it is", "blank": "blank"}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options for stacks to the command's."""
    group = command.add_argument_group("stacks")
    add = group.add_argument
    how = group.add_mutually_exclusive_group()
    how.add_argument(
        "--share-gains",
        nargs="?",
        type=at_least_one,
        const=SHARED_FRAMES,
        metavar="N",
        help="tune one set of gains, on N frames evenly spaced, and apply it to all [every frame has its own; N = 8]",
    )
    add(
        "--one-noise", action="store_true", help="estimate the noise once for all, from 5 frames [each frame by itself]"
    )
    how.add_argument("--warm-start", action="store_true", help="start each frame from the gains of the one before")
    add("--dtype", metavar="DTYPE", help="of the output, such as uint16 or float32 [that of the input]")
    add(
        "--on-failure",
        choices=["pass", "blank", "stop"],
        help="a frame that cannot be denoised is passed on as it is, or blank, or stops the run; with the first two, "
        "such frames are listed at the end and the exit status is 0 as long as any frame went well; of several images, "
        "stop ends at the first that cannot be denoised [pass]",
    )
    text = "do not go on where an interrupted run ended, nor skip outputs that are done: start anew"
    add("--restart", action="store_true", help=text)
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        help="that many processes here, unless one is as fast, which is said; needs [dask]",
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="the workers of a Dask cluster, such as tcp://host:8786; needs [dask]"
    )
    add(
        "--threads",
        type=at_least_one,
        metavar="N",
        help="threads of TensorFlow, in each worker if there are any [one per core, shared among the workers]",
    )


def wanted(options: argparse.Namespace) -> bool:
    """Tell whether any option is there that only stacks have."""
    return any(getattr(options, name) for name in (_OPTIONS[:-2] if options.several else _OPTIONS))


def run(options: argparse.Namespace, stack: Stack, start_tensorflow: Callable[..., None]) -> dict:
    """Check the options, denoise the stack, and return the summary.

    Raises:
        InputError: Something is wrong with the options.
        Interrupted: Ctrl-C, with what is kept.
    """
    _check(options, stack)
    with _reference(options, stack) as reference:
        start_tensorflow(options.threads)
        settle_sigma(options, stack)
        choose_network(options, stack)
        start = time.perf_counter()
        result = _interruptible(options, stack, reference)
    summary = _summary(options, result, time.perf_counter() - start) | choice_of(options)
    _write_pages(options, result, stack, summary)
    _report_failures(options, result)
    warn_if_coarse(summary, result.layout.dtype)
    return summary


def _check(options, stack):
    """Refuse wrong options, before anything slow is imported."""
    import numpy as np

    try:
        dtype = np.dtype(options.dtype or stack.dtype)
    except TypeError as error:
        raise InputError(f"expected --dtype such as uint16 or float32, received {options.dtype!r}") from error
    if dtype.kind not in "iuf":
        raise InputError(f"expected --dtype of integers or floats, received {options.dtype}")
    several = any(size > 1 for letter, size in zip(stack.axes, stack.shape, strict=True) if letter not in "YXC")
    if several and not formats.holds_volumes(options.output):
        raise InputError(f"expected an output that holds a stack, such as .tif or .npy, received {options.output}")
    if options.workers or options.scheduler:
        if options.warm_start:
            raise InputError("expected --warm-start without workers: each frame waits for the one before")
        from gaintuning_tf.denoising.clusters import check_available

        check_available()


@contextlib.contextmanager
def _reference(options, stack):
    """Open the clean stack, if any: once, so that what there is to say of it is said once."""
    if not options.reference:
        yield None
        return
    with open_stack(options.reference, axes=stack.axes) as reference:
        if reference.shape != stack.shape:
            raise InputError(f"expected a reference of the image's shape {stack.shape}, received {reference.shape}")
        yield reference


def _interruptible(options, stack, reference):
    try:
        return _run(options, stack, reference)
    except KeyboardInterrupt:
        from gaintuning_tf.denoising.stack_record import kept_frames

        kept = kept_frames(options.output)
        done = (
            f"{kept} of {stack.frame_count} frames are kept; the same command continues" if kept else "nothing written"
        )
        raise Interrupted(done) from None


def _write_pages(options, result, stack, summary):
    if not (options.report or options.figures):
        return
    from gaintuning_tf.reports.stack_report import write_stack_figures, write_stack_report

    phase("writing the report")
    if options.report:
        like = {"model_channels": result.layout.channels, "dimensions": result.layout.dimensions}
        noisy = open_stack(stack, **like)
        run = run_of(options, stack.metadata)
        write_stack_report(options.report, result, noisy, run=run, facts=_few(summary))
    if options.figures:
        write_stack_figures(options.figures, result)


def _run(options, stack, reference):
    from gaintuning_tf.denoising.stack_run import denoise_stack

    model = network_of(options)
    with contextlib.ExitStack() as opened:
        log = log_of(options, stack.frame_count, stack.order.dimensions)
        if log:
            opened.callback(log.close)
        client = opened.enter_context(_cluster(options))
        return denoise_stack(
            stack,
            options.output,
            model,
            data_range=options.data_range,
            one_noise=options.one_noise,
            share_gains=options.share_gains,
            warm_start=options.warm_start,
            on_failure=options.on_failure or "pass",
            dtype=options.dtype,
            gains=options.save_gains,
            reference=reference,
            restart=options.restart,
            client=client,
            listeners=[log.frame] if log else [],
            progress=at_terminal() and not options.quiet,
            **pixels_of(options),
            **recipe_of(options),
        )


def _cluster(options):
    """Open the cluster that was asked for; of processes on this machine, if they pay, which else is said."""
    if not (options.workers or options.scheduler):
        return contextlib.nullcontext()
    from gaintuning_tf.denoising import clusters

    reason = clusters.why_not_several(options.workers) if options.workers and not options.threads else ""
    if reason:
        warnings.warn(
            f"{reason}: the frames are denoised here; --threads N starts them", GainTuningWarning, stacklevel=2
        )
        return contextlib.nullcontext()
    return clusters.cluster(options.scheduler, workers=options.workers, threads=options.threads)


def _summary(options, result, seconds):
    from gaintuning_tf.denoising.stack_scores import stack_psnr

    noises = [row.get("noise") for row in result.rows]
    # Frames may have noise of different kinds.
    names = dict.fromkeys(name for noise in noises if noise for name in noise)
    summary = summary_of(
        options,
        noise={name: [noise and noise.get(name) for noise in noises] for name in names},
        contrast=result.column("contrast"),
        data_range=result.layout.data_range,
        steps=result.steps,
        risk_before=result.column("risk_before"),
        risk_after=result.column("risk_after"),
        interrupted=False,
        seconds=seconds,
    )
    summary["frames"] = len(result.rows)
    summary["failed"] = [{"frame": number, "reason": reason} for number, reason in result.failed.items()]
    summary |= {"bad_pixels": result.column("bad_pixels"), "bad_pixels_text": result.bad_pixels()}
    summary |= {name: result.column(name) for name in ("noise_variance", "worse_than_input", "residual", "not_tuned")}
    summary["not_tuned_text"] = result.not_tuned()
    summary |= {name: result.column(name) for name in ("rounds", "further_seconds", "precision")}
    summary["verdict"] = verdict(summary, loss_of(options))
    if result.tuned_on is not None:
        summary["tuned_on"] = result.tuned_on
    psnr = stack_psnr(result.rows, result.layout.data_range)
    return summary | {f"psnr_{name}": value for name, value in psnr.items()}


def _few(summary):
    """Keep the facts that are no lists over frames."""
    return facts({name: value for name, value in summary.items() if not isinstance(value, list)})


def _report_failures(options, result):
    failed, instead = list(result.failed.items()), _INSTEAD[options.on_failure or "pass"]
    name = f"{options.input}: " if options.several else ""
    for number, reason in failed[:REPORTED]:
        print(f"warning: {name}frame {number} is {instead}: {reason}", file=sys.stderr)
    if len(failed) > REPORTED:
        print(f"warning: {name}and {len(failed) - REPORTED} frames more; --json lists them", file=sys.stderr)
