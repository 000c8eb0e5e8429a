"""What `denoise` says of a result is true of its loss."""

import pytest

from gaintuning_tf.cli.summary import sentence, verdict

SUMMARY = {"output": "a.tif", "sigma": 24.0, "sigma_estimated": True, "steps": 30, "seconds": 20.0}
SUMMARY |= {"risk_before": 25.0, "risk_after": 16.0, "estimates_error": True}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "improved by an estimated 20 %"),
        ({"risk_after": 24.9}, "unchanged"),
        ({"risk_after": -1.0}, "not known: the estimated error is below zero"),
        ({"estimates_error": False}, "a lower risk"),
        ({"worse_than_input": True}, "worse than the input: the result, by the estimate"),
        (
            {"worse_than_input": [True, None, False], "frames": 3},
            "worse than the input: 1 of 3 frames, by the estimate",
        ),
        ({"steps": 0}, "not tuned"),
        ({"not_tuned_text": "stripes"}, "not tuned"),
    ],
)
def test_the_verdict_is_in_words(changed, words):
    assert verdict(SUMMARY | changed) == words


def test_only_an_estimate_of_the_error_is_called_one_and_further_rounds_are_named():
    more = {"verdict": "unchanged", "rounds": [3, 1], "further_seconds": [12.25, 0.0]}
    assert "30 steps in 3 rounds (after the first 12.2 s), estimated RMS error 5 -> 4, 20.0 s" in sentence(
        SUMMARY | more
    )
    said = sentence(SUMMARY | more | {"estimates_error": False})
    assert "risk 25 -> 16" in said and "RMS" not in said
