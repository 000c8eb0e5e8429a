"""Frames on a Dask cluster: its workers made ready, and the denoising of a Dask array."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

from gaintuning_tf.errors import InputError, show_warning
from gaintuning_tf.support.extras import required
from gaintuning_tf.support.tensorflow_start import start_tensorflow

# Several processes pay where each has so many cores: with fewer, they are hardly faster than one process with
# all, which imports and traces once (docs/log/2026-11-28-do-workers-pay.md).
CORES_EACH = 2
# Seconds until a scheduler that does not answer, or has no worker, is given up.
PATIENCE = 30


def check_available() -> None:
    """Refuse to promise a cluster where Dask is missing.

    Raises:
        InputError: It is not installed.
    """
    for module in ("dask.array", "distributed"):
        required(module, "a cluster or a Dask array", "dask")


def why_not_several(workers: int, cores: int | None = None) -> str:
    """Say why so many processes on this machine do not pay; empty if they do, or it is one.

    Args:
        workers: How many processes.
        cores: Those of the machine; by default what this process may use.

    Example:

    >>> why_not_several(2, cores=8), why_not_several(3, cores=2)
    ('', '3 workers on 2 cores are hardly faster than this process with all of them')
    """
    cores = available_cores() if cores is None else cores
    if workers == 1 or cores >= CORES_EACH * workers:
        return ""
    return f"{workers} workers on {cores} core{'s' * (cores > 1)} are hardly faster than this process with all of them"


@contextlib.contextmanager
def cluster(address: str | None = None, *, workers: int | None = None, threads: int | None = None) -> Iterator:
    """Open a `distributed.Client` of a cluster that is ready to denoise: one there is, or processes on this machine.

    Args:
        address: Of a scheduler, such as `"tcp://host:8786"`. Its workers need this package.
        workers: Processes to start here instead; a script that does so needs `if __name__ == "__main__":`.
        threads: Threads of TensorFlow in each worker; by default the cores of its machine, shared among the workers
            there. Their number changes the last bits of the result, see docs/explained/determinism.md.

    Raises:
        InputError: Dask is not installed, or no worker answers.

    Example:

        with cluster(workers=3) as client:
            denoise_stack("movie.tif", "clean.tif", "unet-bf-natural", client=client)
    """
    check_available()
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as opened:
        ours = address is None
        scheduler: Any = address
        if ours:
            # No limit of memory, by which Dask would kill workers: TensorFlow takes what a frame needs.
            options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}
            scheduler = opened.enter_context(LocalCluster(n_workers=workers, silence_logs=logging.ERROR, **options))
        try:
            client = opened.enter_context(Client(scheduler, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(workers or 1, timeout=PATIENCE)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"no worker answers at {scheduler}: {' '.join(str(error).split())}") from error
        client.register_plugin(_plugin(client, threads, ours=ours))
        yield client


def _plugin(client, threads, *, ours):
    from distributed import WorkerPlugin
    from tqdm import tqdm

    hosts = [urlparse(address).hostname for address in client.nthreads()]

    class Ready(WorkerPlugin):
        name = "gaintuning-tf"

        def setup(self, worker):
            if ours:
                # Ctrl-C in a terminal goes to workers, too, which would print tracebacks: the process that started them
                # ends them. Killed at work, they would leave the semaphore of tqdm, with a warning.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                tqdm.set_lock(threading.RLock())
                warnings.showwarning = show_warning  # on the stderr of the process that started them
            beside = max(hosts.count(urlparse(worker.address).hostname), 1)
            start_tensorflow(threads or max(available_cores() // beside, 1))

    return Ready()


def available_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
