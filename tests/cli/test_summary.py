"""What `denoise` says of a result is true of its loss."""

import pytest

from gaintuning_tf.cli.summary import sentence, verdict

SUMMARY = {"output": "a.tif", "sigma": 24.0, "sigma_estimated": True, "steps": 30, "seconds": 20.0}
SUMMARY |= {"risk_before": 25.0, "risk_after": 16.0, "estimates_error": True}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "improved by an estimated 20 %"),
        ({"risk_after": 24.9}, "unchanged by tuning"),
        ({"risk_after": -1.0}, "improved, as far as can be told"),
        ({"worse_than_input": True}, "worse than the input"),
        (
            {"worse_than_input": [True, None, False], "risk_before": [4, None, 4], "risk_after": [1, None, 1]},
            "improved by an estimated 50 %, 1 of 3 frames worse than the input",
        ),
        ({"steps": 0}, "not tuned"),
        ({"not_tuned": ["stripes"]}, "not tuned: the network as it is"),
    ],
)
def test_the_verdict_is_in_words(changed, words):
    assert verdict(SUMMARY | changed, "sure") == words


def test_a_risk_that_estimates_no_error_is_called_a_risk():
    assert verdict(SUMMARY, "noise-resampling") == "risk lowered by 36 %"


def test_only_an_estimate_of_the_error_is_called_one_and_further_rounds_are_named():
    more = {"verdict": "unchanged", "rounds": [3, 1], "further_seconds": [12.25, 0.0]}
    assert "30 steps in 3 rounds (after the first 12.2 s), estimated RMS error 5 -> 4, 20.0 s" in sentence(
        SUMMARY | more
    )
    said = sentence(SUMMARY | more | {"estimates_error": False})
    assert "risk 25 -> 16" in said and "RMS" not in said
