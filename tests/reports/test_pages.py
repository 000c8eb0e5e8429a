"""Drawings on a page take its colours, and are the same where what they show is."""

import re

import numpy as np
import pytest

from gaintuning_tf.reports.pages import chart, data_uri, jpeg, png

pytest.importorskip("matplotlib")


def draw(axis, values):
    axis.plot(values, color="black", label="<values>")
    axis.imshow(np.outer(values, values), interpolation="nearest")
    axis.legend(frameon=False)


def test_a_drawing_has_the_colours_of_the_page_and_letters_and_no_names_of_its_own():
    drawn = chart(draw, np.arange(4))
    assert "stroke: currentColor" in drawn and "#000000" not in drawn
    assert ">&lt;values&gt;</text>" in drawn
    assert 'id="figure' not in drawn and "<metadata>" not in drawn
    assert drawn.startswith('<svg class="chart"') and drawn.endswith("</svg>\n")
    # What it points to is in it.
    pointed = set(re.findall(r'(?:href="|url\()#([^")]+)', drawn))
    assert pointed <= set(re.findall(r'id="([^"]+)"', drawn))


def test_the_same_numbers_make_the_same_drawing():
    assert chart(draw, np.arange(4)) == chart(draw, np.arange(4))


def test_the_address_of_a_picture_says_what_it_is():
    grey = np.zeros((4, 5), np.uint8)
    assert data_uri(png(grey)).startswith("data:image/png;") and data_uri(jpeg(grey)).startswith("data:image/jpeg;")
