"""The viewer holds its pictures as they are, or says what it changed."""

import numpy as np
import pytest

from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.reports import before_after
from gaintuning_tf.reports.before_after import pictures_section, ranges_of, reduction_words, viewer
from helpers.html_pages import pictures

NOISE = np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)


def test_pictures_are_kept_to_the_last_bit_and_names_are_escaped():
    page = viewer({"<noisy>": NOISE, "tuned": NOISE // 2}, left="<noisy>", right="tuned", metres=1e-6)
    found = pictures(page)
    np.testing.assert_array_equal(found[0], NOISE)
    np.testing.assert_array_equal(found[1], NOISE // 2)
    assert "<noisy>" not in page
    assert 'data-width="50" data-height="60" data-metres="1e-06"' in page
    assert '<span class="scale" style="width:20.00%">10 µm</span>' in page
    assert reduction_words([NOISE]) == ""


def test_large_pictures_are_packed_and_larger_ones_reduced_which_is_said(monkeypatch):
    monkeypatch.setattr(before_after, "LOSSLESS", 1000)
    images = dict.fromkeys(("noisy", "before tuning", "tuned"), NOISE)
    kept = "".join(pictures_section(images, layout(NOISE, 1), None))
    assert kept.count("data:image/jpeg") == 3 and pictures(kept)[0].shape == (60, 50)
    assert "packed as JPEG, which changes the finest grain" in kept
    monkeypatch.setattr(before_after, "LARGEST", 1000)
    monkeypatch.setattr(before_after, "WINDOW", 24)
    page = "".join(pictures_section(images, layout(NOISE, 1), 1e-6))
    assert "each of their pixels is the mean of 2 x 2" in page and "In full size" in page
    sizes = [one.shape for one in pictures(page)]
    assert sizes == [(30, 25)] * 3 + [(24, 24)] * 3
    assert 'data-metres="2e-06"' in page and 'data-metres="1e-06"' in page
    assert abs(float(pictures(page)[0].mean()) - NOISE.mean()) < 2


def test_ranges_are_percentiles_of_the_noisy_picture():
    whole, narrow, narrower = ranges_of(layout(NOISE, 1), layout(NOISE, 1), NOISE)
    assert (whole.name, whole.low, whole.high) == ("the network's range", 0, 255)
    assert (narrow.low, narrow.high) == pytest.approx(tuple(np.percentile(NOISE, (1, 99))))
    assert narrower.low > narrow.low and narrower.high < narrow.high
    page = viewer({"a": NOISE, "b": NOISE}, left="a", right="b", name="v", ranges=[whole, narrow])
    slope = 255 / (narrow.high - narrow.low)
    assert f'slope="{slope:.5g}"' in page and '<filter id="v-1"' in page and '<option value="v-1">' in page
    assert len(ranges_of(layout(NOISE, 1), layout(NOISE, 1), np.zeros((4, 4), np.uint8))) == 1
