"""matplotlib, drawing to memory."""

from __future__ import annotations

from gaintuning_tf.errors import InputError


def check_available() -> None:
    """Refuse to promise charts that cannot be drawn.

    Raises:
        InputError: matplotlib is not installed.
    """
    pyplot()


def pyplot():
    """`matplotlib.pyplot`, drawing to memory.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("agg", force=False)
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise InputError("reports and plots need matplotlib: pip install 'gaintuning-tf[report]'") from error
    return plt
