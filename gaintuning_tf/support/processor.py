"""What the machine computes in hardware."""

from __future__ import annotations

import functools
from pathlib import Path

# What Linux calls it where a processor multiplies numbers of bfloat16, and which TensorFlow's
# kernels make use of: those of Intel and AMD.
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
# GPUs of NVIDIA do so from this compute capability on.
BFLOAT16_CAPABILITY = (8, 0)
_CPUINFO = Path("/proc/cpuinfo")


def has_bfloat16() -> bool:
    """Say whether what TensorFlow computes on, the first GPU or else the processor, multiplies bfloat16 in hardware.

    Where it does not, bfloat16 is slower than float32. Of processors it is known on Linux alone.

    Example:

    >>> has_bfloat16() in (True, False)
    True
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return _has_any(BFLOAT16_FLAGS)
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability")
    return capability is not None and tuple(capability) >= BFLOAT16_CAPABILITY


@functools.cache
def _has_any(flags):
    try:
        lines = _CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return False
    found = next((line for line in lines if line.startswith("flags")), "")
    return not set(flags).isdisjoint(found.split())
