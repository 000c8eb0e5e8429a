"""`gaintuning-tf denoise` of several images: one process, each network loaded and compiled once."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable

from gaintuning_tf.cli.done_outputs import DoneOutputs
from gaintuning_tf.cli.many_inputs import Pair, pairs_of
from gaintuning_tf.cli.summary import sentence
from gaintuning_tf.cli.waiting import at_terminal
from gaintuning_tf.errors import InputError, show_warning
from gaintuning_tf.support.interruption import Interrupted
from gaintuning_tf.support.phases import phase

# What belongs to one image alone.
_OF_ONE = ("reference", "report", "figures", "tensorboard", "save_gains", "workers", "scheduler")
FAILED = 1


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options for several images to the command's."""
    group = command.add_argument_group(
        "several images",
        "INPUT may be repeated, and be folders and quoted patterns: then OUTPUT is a folder, in which paths below the "
        "INPUT are kept. An image that cannot be denoised is named, and the others go on; the exit status is then 1. "
        "The same command does what is missing: OUTPUT/.gaintuning.jsonl knows what was made, from what and how.",
    )
    group.add_argument("--suffix", metavar=".SUFFIX", help="format of all outputs, such as .tif [that of each input]")


def run(
    options: argparse.Namespace,
    check: Callable[[argparse.Namespace], None],
    denoise: Callable[[argparse.Namespace], dict],
) -> int:
    """Denoise each image that is not done yet, say what became of all, and return the exit status.

    Args:
        options: Of the command line.
        check: Refuses options that are wrong whatever the image.
        denoise: Denoises the image of its options, and returns the summary.

    Raises:
        InputError: Something is wrong with the options, or an image with `--on-failure stop`.
        KeyboardInterrupt: Ctrl-C.
    """
    _check(options)
    check(options)
    pairs = pairs_of(options.inputs, options.output, options.suffix)
    with DoneOutputs(options.output, options) as done:
        batch = _Batch(options, pairs, done, denoise)
        batch.run()
    batch.tell()
    return FAILED if batch.failed else 0


def _check(options):
    given = [name for name in _OF_ONE if getattr(options, name)]
    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise InputError(f"expected {flag} with one image and a file name for its output, received several images")


class _Batch:
    """One command: its loop, and what became of each image."""

    def __init__(self, options, pairs, done, denoise):
        self.options, self.pairs, self.done, self.denoise = options, pairs, done, denoise
        self.rows, self.seconds, self.began = [], [], time.perf_counter()
        self.skipped = 0

    @property
    def failed(self):
        return [row for row in self.rows if row["status"] == "failed"]

    def run(self):
        known = {pair: self.done.summary(pair) for pair in self.pairs}
        self.skipped = sum(summary is not None for summary in known.values())
        self._say_what_is_there(known)
        try:
            for pair, summary in known.items():
                row = self._denoised(pair) if summary is None else {**summary, "status": "skipped"}
                phase("")
                self.rows.append(row)
        except KeyboardInterrupt as stop:
            raise Interrupted(self._kept(stop)) from None

    def _say_what_is_there(self, known):
        replaced = [pair.output for pair, summary in known.items() if summary is None and pair.output.exists()]
        if self.skipped:
            _say(self.options, f"{self.skipped} of {len(known)} are done already, by the same settings: skipped")
        if replaced:
            more = f" and {len(replaced) - 1} more outputs" if len(replaced) > 1 else ""
            _say(self.options, f"{replaced[0]}{more} of other settings, files or makers: replaced")

    def _denoised(self, pair: Pair) -> dict:
        """Denoise one image; what is wrong with it is in the row."""
        names = {"input": str(pair.input), "output": str(pair.output)}
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _naming(pair.input)
                pair.output.parent.mkdir(parents=True, exist_ok=True)
                summary = self.denoise(argparse.Namespace(**{**vars(self.options), **names}))
        except (InputError, OSError) as error:
            reason = " ".join(str(error).split())
            if self.options.on_failure == "stop":
                raise InputError(f"{_named(pair.input, reason)}; {self._kept()}") from error
            phase("")
            print(f"failed: {_named(pair.input, reason)}", file=sys.stderr)
            return {**names, "status": "failed", "reason": reason}
        self.seconds.append(time.perf_counter() - start)
        self.done.keep(pair, summary)
        phase("")
        _say(self.options, f"[{len(self.rows) + 1}/{len(self.pairs)}] {sentence(summary)}{self._left()}")
        return {**summary, "status": "done"}

    def _left(self):
        """Say at a terminal how long the others will take, as far as one can know: as long as those so far."""
        left = len(self.pairs) - len(self.rows) - 1
        # All is compiled for the first.
        known = self.seconds[1:]
        if not (left and known and at_terminal()):
            return ""
        return f"; about {_time(left * sum(known) / len(known))} for the other {left}"

    def _kept(self, stop=None):
        kept = len(self.seconds) + self.skipped
        text = f"{kept} of {len(self.pairs)} images are written"
        # What a stack has kept ends with the same words.
        return f"{text}, of the next {stop}" if isinstance(stop, Interrupted) else f"{text}; the same command continues"

    def tell(self):
        """Say what became of all: as a list in JSON, or in a few lines."""
        if self.options.json:
            print(json.dumps(self.rows))
        if len(self.rows) > 1:
            _say(self.options, self._words())

    def _words(self):
        counts = {"done": len(self.seconds), "skipped": self.skipped, "failed, as named above": len(self.failed)}
        text = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
        text = f"{len(self.pairs)} images: {text}; {time.perf_counter() - self.began:.1f} s"
        if len(self.seconds) > 1:
            first, *others = self.seconds
            text += f", the first {first:.1f} s, then {sum(others) / len(others):.1f} s each"
        return text


def _time(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _naming(path):
    """Make what shows warnings: with the image that they are of."""

    def show(message, category, *where):
        show_warning(_named(path, str(message)), category, *where)

    return show


def _named(path, text):
    """Put an image's name before a text that does not have it."""
    return text if str(path) in text else f"{path}: {text}"


def _say(options, text):
    if not (options.quiet or options.json):
        print(text, file=sys.stderr, flush=True)
