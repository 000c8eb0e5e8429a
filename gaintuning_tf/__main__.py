"""`python -m gaintuning_tf`, and `gaintuning-tf`: the command line, which answers to Ctrl-C while it is imported."""

# PYTHON_ARGCOMPLETE_OK

import gc
import sys

from gaintuning_tf.support.interruption import ends_at_once

# Importing TensorFlow and tracing make a million objects, of which hardly any is garbage: looking for it that
# seldom saves half a second of a first image, and at the end another half
# (docs/log/2026-11-28-garbage-collection-of-a-short-process.md).
COLLECTED_EVERY = (100_000, 50, 100)


def main() -> int:
    """Import the command line and run it; returns its exit status."""
    gc.set_threshold(*COLLECTED_EVERY)
    try:
        with ends_at_once():
            from gaintuning_tf.cli import program
        return program.main()
    finally:
        # What is left goes with the process.
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
