"""Numbers on the command line: what is none is told."""

import argparse

import pytest

from gaintuning_tf.cli.common import count, positive


def test_numbers_are_read():
    assert positive("0.5") == 0.5
    assert [count("0"), count("7")] == [0, 7]


@pytest.mark.parametrize(("kind", "text"), [(positive, "0"), (positive, "inf"), (positive, "nan"), (count, "-1")])
def test_what_is_out_of_range_is_told(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"received {text}"):
        kind(text)


@pytest.mark.parametrize(("kind", "text"), [(positive, "x"), (count, "1.5")])
def test_what_is_no_number_is_argparses_business(kind, text):
    with pytest.raises(ValueError, match=text):
        kind(text)
