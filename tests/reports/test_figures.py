"""The drawings show the numbers they are of."""

import numpy as np
import pytest

from gaintuning_tf.reports import figures
from gaintuning_tf.reports.analysis import Analysis, GainChange
from gaintuning_tf.reports.equivalent import EquivalentFilter, NetBias

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture
def analysis():
    weights = np.zeros((9, 9, 1))
    weights[4, 4], weights[4, 6], weights[0, 0] = 0.8, -0.2, 0.001
    before, after = (EquivalentFilter((10, 20), 0, factor * weights, 0.0) for factor in (1, 0.5))
    bias = np.random.default_rng(0).normal(0, 0.01, (1, 6, 5, 1))
    return Analysis(
        frame=0,
        denoised=np.random.default_rng(1).random((30, 40, 1)),
        gains=[GainChange("first_gain", np.array([1, 1.02, 0.9])), GainChange("last_gain", np.ones(1))],
        filters={"here": (before, after), "there": (after, after)},
        window=(slice(3, 9), slice(4, 9)),
        before=NetBias(bias, 0.1),
        after=NetBias(2 * bias, 0.1),
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_filters_are_shown_side_by_side_about_zero(analysis):
    figure = figures.filters_figure(analysis)
    place, before, after, _, change, _ = figure.axes[:6]
    shown = [axis.images[0] for axis in (before, after, change)]
    # The weight of 0.001 in the corner is faint: 3 pixels are shown. Colours are roots of shares of 0.8.
    assert [image.get_array().shape for image in shown] == [(7, 7)] * 3
    assert shown[0].get_array()[3, 3] == 1
    assert shown[0].get_array()[3, 5] == pytest.approx(-0.5)
    assert shown[1].get_array()[3, 3] == pytest.approx(0.5**0.5)
    assert shown[2].get_array()[3, 3] == pytest.approx(-0.4)
    for image in shown:
        low, high = image.get_clim()
        assert low == -high < 0
    assert "row 10, column 20" in place.get_title()
    assert "sum 0.601" in before.get_title() and "noise kept 68 %" in before.get_title()
    assert len(figure.axes) == 12
    figure.canvas.draw()  # where nothing changed, too


def test_gains_are_shown_by_layer(analysis):
    points, distance, shares = figures.gains_figure(analysis.gains).axes
    np.testing.assert_array_equal(points.lines[0].get_ydata(), [1, 1.02, 0.9])
    heights = [bar.get_height() for bar in distance.patches]
    assert heights == [pytest.approx((0.0104 / 3) ** 0.5), 0]
    assert [bar.get_height() for bar in shares.patches] == pytest.approx([200 / 3, 0, 100 / 3, 0])
    assert [text.get_text() for text in shares.get_xticklabels()] == ["first", "last"]


def test_the_net_bias_is_shown_in_units_of_the_image(analysis):
    before, after, _ = figures.biases_figure(analysis, scale=255).axes
    np.testing.assert_allclose(after.images[0].get_array(), 2 * 255 * analysis.before.bias[0, ..., 0])
    assert before.images[0].get_clim() == after.images[0].get_clim()
    assert before.images[0].get_extent() == [3.5, 8.5, 8.5, 2.5]
    assert f"RMS {255 * analysis.before.rms:.3g}" in before.get_title()


def test_the_zoom_goes_where_most_changed():
    difference = np.full((200, 300), 127, "uint8")
    difference[150:170, 10:40] = 255
    rows, columns = figures.most_changed(difference, 96)
    assert rows.start <= 150 < 170 <= rows.stop
    assert columns.start <= 10 < 40 <= columns.stop
    assert (rows.stop - rows.start, columns.stop - columns.start) == (96, 96)
    assert figures.most_changed(difference[:20, :30], 96) == (slice(0, 20), slice(0, 30))
