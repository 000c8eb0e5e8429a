"""The drawing of the risk: what each step saw, and beside it what was there before and what was kept."""

import types

import numpy as np
import pytest

from gaintuning_tf.denoising.result_figure import draw_risk

plt = pytest.importorskip("matplotlib.pyplot")


def drawn(risk, before, after):
    history = {"risk": np.array(risk), "risk_before": np.array(before), "risk_after": np.array(after)}
    figure, axis = plt.subplots()
    draw_risk(axis, types.SimpleNamespace(history=history))
    figure.canvas.draw()
    plt.close(figure)
    return axis


def named(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_held_out_risks_stand_before_the_first_step_and_behind_the_last():
    axis = drawn([31.0, 30.0, 29.5], 30.5, 28.0)
    steps, held_out = axis.lines[:2]
    assert steps.get_xydata().tolist() == [[1, 31.0], [2, 30.0], [3, 29.5]]
    assert held_out.get_xydata().tolist() == [[0, 30.5], [4, 28.0]]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["before", "1", "2", "3", "kept"]
    assert named(axis) == ["at each step, a random probe", "on fresh probes"]
    assert axis.get_yscale() == "linear" and "risk" in axis.get_ylabel()


def test_risks_far_apart_are_drawn_on_a_logarithmic_scale_and_those_below_zero_never():
    assert drawn([24.0, 22.0], 174.0, 17.9).get_yscale() == "log"
    assert drawn([24.0, -2.0], 174.0, -3.0).get_yscale() == "linear"


def test_several_frames_have_a_line_each_and_without_steps_there_is_none():
    axis = drawn([[5.0, 4.0], [8.0, np.nan]], [6.0, 9.0], [3.0, 7.0])
    assert len(axis.lines) == 5 and named(axis)[:2] == [f"frame {n}: at each step, a random probe" for n in (0, 1)]
    assert named(drawn([], 12.0, 12.0)) == ["on fresh probes"]
