"""The log: what was put in can be read by TensorBoard."""

import numpy as np
import pytest

from gaintuning_tf import gaintune
from gaintuning_tf.denoising.frame_job import FrameResult
from gaintuning_tf.reports.tensorboard import TensorBoardLog


def logged(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    (file,) = folder.iterdir()
    events = EventAccumulator(str(file), size_guidance={"tensors": 0}).Reload()
    return {
        tag: [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def frame(number, failed=None):
    row = {"frame": number, "failed": failed}
    if failed is None:
        figures = {"risk": [4.0, 3.0], "risk_before": 5.0, "risk_after": 2.0 + number, "contrast": 1.0}
        row |= {"noise": {"sigma": 7.0}, **figures}
    return FrameResult(number, np.zeros((6, 5), np.uint16), [np.ones(3), np.ones(2), np.ones(1)], row)


def test_of_a_stack_the_step_is_the_frame(tmp_path):
    log = TensorBoardLog(tmp_path, frames=24)
    for number in (0, 1, 2, 3):
        log.frame(frame(number, failed="all pixels are 0" if number == 1 else None), np.arange(30).reshape(6, 5))
    log.close()
    found = logged(tmp_path)
    assert [(step, float(value)) for step, value in found["risk/after tuning"]] == [(0, 2), (2, 4), (3, 5)]
    assert [(step, float(value)) for step, value in found["risk/each step"]] == [
        (0, 4), (1, 3), (4, 4), (5, 3), (6, 4), (7, 3)
    ]  # fmt: skip
    assert float(found["noise/sigma"][0][1]) == 7
    assert {tag for tag in found if tag.startswith("gains")} == {"gains/layer 001", "gains/layer 002"}
    assert [step for step, _ in found["noisy, denoised"]] == [0, 3]
    width, height = found["noisy, denoised"][0][1][:2]
    assert (int(width), int(height)) == (10, 6)


def test_of_one_image_the_step_is_that_of_tuning(tmp_path, tiny, photograph):
    result = gaintune(photograph, tiny, sigma=0.1, steps=3, progress=False)
    log = TensorBoardLog(tmp_path)
    log.image(result, photograph)
    log.close()
    found = logged(tmp_path)
    assert [float(value) for _, value in found["risk/each step"]] == pytest.approx(result.history["risk"])
    assert {tag for tag in found if tag.startswith("gains")} == {f"gains/{name}" for name in result.gains}
