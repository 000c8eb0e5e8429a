"""The verdict says what the numbers say, and no more."""

import math

from gaintuning_tf.reports.verdict import Outcome, verdict_of


def test_a_smaller_error_is_an_improvement_by_its_share():
    found = verdict_of([Outcome(100.0, 64.0, 400.0)])
    assert found[:2] == ("improved", "Improved by an estimated 20 %")
    assert found.reasons == [
        "Tuning took the estimated error (RMS, in units of the image) from 10 to 8, where the noisy image has 20."
    ]


def test_a_change_that_nobody_sees_is_none():
    found = verdict_of([Outcome(100.0, 99.5, 400.0)])
    assert found[:2] == ("unchanged", "Unchanged by tuning")


def test_what_is_worse_than_the_input_says_what_to_check():
    found = verdict_of([Outcome(900.0, 800.0, 400.0, worse=True)])
    assert found[:2] == ("worse", "Worse than the input")
    assert "a squared error of 800 where that has 400" in found.reasons[0] and "check that" in found.reasons[0]


def test_of_a_loss_that_estimates_no_error_the_risk_is_said():
    found = verdict_of([Outcome(100.0, 64.0, 400.0)], loss="blind-spot")
    assert found.headline == "Risk lowered by 36 %"
    assert "error (RMS" not in found.reasons[0] and "the noise is part of it" in found.reasons[0]


def test_an_estimate_below_zero_gives_no_share():
    found = verdict_of([Outcome(2.0, -1.0, 400.0)])
    assert found[:2] == ("improved", "Improved, as far as can be told")
    assert "%" not in " ".join(found.reasons)


def test_where_nothing_was_tuned_the_reason_is_said():
    found = verdict_of([Outcome(100.0, 100.0, 400.0, not_tuned="the noise has stripes")])
    assert found == ("unchanged", "Not tuned: the network as it is", ["The noise has stripes."])
    assert verdict_of([Outcome(math.inf, math.inf, 400.0)]).kind == "unchanged"


def test_of_several_frames_the_mean_is_said_and_those_that_failed():
    found = verdict_of([Outcome(100.0, 64.0, 400.0), Outcome(100.0, 64.0, 400.0, worse=True)] * 2, failed=1)
    assert found.headline == "Improved by an estimated 20 %"
    assert "on average over 4 frames" in found.reasons[0]
    assert found.reasons[1:] == [
        "2 of 4 frames are estimated to be worse than the input.",
        "1 of 5 frames could not be denoised, see below.",
    ]
