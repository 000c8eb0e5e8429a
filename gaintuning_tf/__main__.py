"""`python -m gaintuning_tf`, and `gaintuning-tf`: the command line, which answers to Ctrl-C while it is imported."""

# PYTHON_ARGCOMPLETE_OK

import sys

from gaintuning_tf.support.interruption import ends_at_once


def main() -> int:
    """Import the command line and run it; returns its exit status."""
    with ends_at_once():
        from gaintuning_tf.cli import program
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
