"""A run in another process, as napari sees it; the process itself is seen to in `test_dock`."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.viewer import remote_run
from gaintuning_tf.viewer.remote_run import RemoteRun
from gaintuning_tf.viewer.request import Request
from gaintuning_tf.viewer.run import Progress

SHAPE = (2, 8, 6)
WHOLE = slice(None)


class Process:
    """What answers with messages that were written before."""

    alive = True

    def __init__(self, *messages):
        self.messages, self.sent, self.closed = list(messages), [], False

    def send(self, *message):
        self.sent.append(message)

    def receive(self):
        return self.messages.pop(0)

    def close(self):
        self.closed = True


def frame(number):
    return ("frame", "YX", SHAPE, (number, WHOLE, WHOLE), np.full(SHAPE[1:], number + 1, np.float32))


def run_of(process, data=None):
    data = np.arange(96, dtype=np.uint8).reshape(SHAPE) if data is None else data
    return RemoteRun(process, Request(sigma=10), data, "TYX")


def test_parts_are_given_when_they_are_asked_for():
    process = Process(("read", (1, WHOLE, WHOLE)), ("progress", Progress("step", 0.5)), frame(0), ("end", ["done"]))
    run = run_of(process)
    assert list(run) == [1] and run.summary == ["done"] and run.progress.share == 0.5 and not process.closed
    kind, part = process.sent[1]
    assert kind == "part" and part.tolist() == np.arange(48, 96).reshape(8, 6).tolist()
    assert (run.image[0] == 1).all() and np.isnan(run.image[1]).all()


def test_a_layer_that_cannot_be_read_is_said():
    class Broken:
        shape, dtype = SHAPE, np.dtype(np.uint8)

        def __getitem__(self, index):
            raise OSError("the disk is gone")

    process = Process(("read", (0, WHOLE, WHOLE)), ("refused", "frame 0: cannot read"))
    with pytest.raises(InputError, match="frame 0: cannot read"):
        list(run_of(process, Broken()))
    assert process.sent[1] == ("part", "cannot read the layer: the disk is gone") and not process.closed


def test_a_run_that_is_given_up_ends_its_process():
    process = Process(frame(0), frame(1), ("end", []))
    frames = iter(run_of(process))
    assert next(frames) == 1
    frames.close()
    assert process.closed


def test_stop_is_sent_at_once_and_again_where_the_run_starts_after_it():
    process = Process(("end", ["stopped"]))
    run = run_of(process)
    run.stop()
    assert list(run) == [] and [message[0] for message in process.sent] == ["stop", "run", "stop"]


def test_large_results_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr(remote_run, "IN_MEMORY", 100)
    run = run_of(Process(frame(1), ("end", [])))
    list(run)
    assert isinstance(run.image, np.memmap) and (run.image[1] == 2).all() and np.isnan(run.image[0]).all()
