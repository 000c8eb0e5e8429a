"""matplotlib, drawing to memory."""

from __future__ import annotations

from types import ModuleType

from gaintuning_tf.support.extras import required


def check_available() -> None:
    """Refuse to promise charts that cannot be drawn.

    Raises:
        InputError: matplotlib is not installed.
    """
    pyplot()


def pyplot() -> ModuleType:
    """Import `matplotlib.pyplot`, drawing to memory.

    Returns:
        The module.

    Raises:
        InputError: matplotlib is not installed.
    """
    required("matplotlib", "a report or plot", "report").use("agg", force=False)
    import matplotlib.pyplot as plt

    return plt
