"""The frames of a stack on a Dask cluster: a few in flight at a time, done again where a worker dies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.denoising.frame_job import FrameJob, FrameResult
from gaintuning_tf.denoising.shipped_network import ShippedNetwork, run_frame
from gaintuning_tf.errors import InputError

if TYPE_CHECKING:
    from distributed import Client


# Frames that are at a worker, for each worker: one in work, one that waits.
AHEAD = 2


def results_of(
    client: Client,
    network: ShippedNetwork,
    job: FrameJob,
    numbers: Sequence[int],
    read: Callable[[int], np.ndarray],
    shared: np.ndarray | None = None,
) -> Generator[FrameResult, None, None]:
    """Do frames on a cluster; they come as they are done, in any order.

    A frame whose worker dies is done by another; if that happens to it too often (Dask's setting
    `distributed.scheduler.allowed-failures`), it ends the run.

    Args:
        client: A `distributed.Client`.
        network: Goes to the scheduler once, and from there to each worker once.
        job: How.
        numbers: Which frames.
        read: The frame of a number, read here: workers need not see the file.
        shared: See `FrameJob.run`.

    Raises:
        InputError: See `FrameJob.run`; or workers died of the same frame again and again.
    """
    from distributed import KilledWorker, as_completed

    # Submitted, not scattered: what is lost with a worker can be made again.
    here = client.submit(_identity, network, pure=False)
    waiting = iter(numbers)
    running: dict = {}
    done = as_completed(loop=client.loop)

    def fill():
        workers: Any = client.nthreads()  # its type allows for clients that are awaited
        room = AHEAD * max(len(workers), 1) - len(running)
        for number in itertools.islice(waiting, max(room, 0)):
            future = client.submit(_answer, here, job, number, read(number), shared, pure=False)
            running[future] = number
            done.add(future)

    try:
        fill()
        for future in done:
            number = running.pop(future)
            try:
                result = future.result()
            except KilledWorker as error:
                raise InputError(f"frame {number}: workers died of it again and again: {error}") from error
            if isinstance(result, InputError):
                raise result
            future.release()
            fill()
            yield result
    finally:
        client.cancel(list(running))


def _answer(*arguments):
    """Return a frame's result, or the error: raised there, it would be printed there too, with a traceback."""
    try:
        return run_frame(*arguments)
    except InputError as error:
        return error


def _identity(network):
    return network
