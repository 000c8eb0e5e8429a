"""The report: one page, no other file, with what it promises."""

import re

import numpy as np
import pytest

from gaintuning_tf import InputError, gaintune
from gaintuning_tf.reports.image_report import write_report
from gaintuning_tf.reports.pages import Run
from helpers.html_pages import others, pictures

OME = {"ome": {"PhysicalSizeX": 2}}


@pytest.fixture(scope="module")
def made(photograph):
    noisy = photograph + 0.1 * np.random.default_rng(0).standard_normal(photograph.shape).astype("float32")
    return gaintune(noisy, "unet-bf-natural", sigma=0.1, steps=3, progress=False), noisy


def test_the_page_is_self_contained_and_complete(made, photograph, tmp_path, monkeypatch):
    result, noisy = made
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    scores = [{"": "noisy", "psnr": "20.1"}, {"": "tuned", "psnr": "28.2"}]
    run = Run("gaintuning-tf denoise '<a>.tif'", "<a>.tif", "<net>", "it is <best>", metadata=OME)
    facts = {"sigma": "<25>"}
    write_report(tmp_path / "r.html", result, noisy, run=run, facts=facts, scores=scores, clean=photograph)
    page = (tmp_path / "r.html").read_text()
    assert others(page) == []
    for text in (
        "&lt;25&gt;",
        "28.2",
        "&lt;a&gt;.tif&#x27;",
        "&lt;net&gt; (it is &lt;best&gt;)",
        "pixels of 2 µm",
        "2023-11-14 22:13 UTC",
    ):
        assert text in page
    assert not re.search("<(a|25|net|best)>", page)
    # Noisy, before tuning, tuned and reference in the viewer; what was taken out, and what tuning changed.
    shown = pictures(page)
    assert [one.shape for one in shown] == [(96, 80)] * 6
    # What was taken out, variance, correlation, risk, gains and filters.
    assert page.count('<svg class="chart"') == 6
    assert "the network has no biases" in page
    shown = shown[2]
    np.testing.assert_allclose(shown / 255, result.denoised.clip(0, 1), atol=0.51 / 255)


def test_a_stack_shows_its_first_frame(photograph, tmp_path):
    noisy = np.stack([photograph, photograph]) + 0.1
    result = gaintune(noisy, "unet-bf-natural", sigma=0.1, steps=1, axes="TYX", progress=False)
    write_report(tmp_path / "r.html", result, noisy, facts={}, scores=[])
    page = (tmp_path / "r.html").read_text()
    assert "Before and after, in the first frame" in page
    shown = pictures(page)[2]
    np.testing.assert_allclose(shown / 255, result.denoised[0].clip(0, 1), atol=0.51 / 255)


def test_of_a_network_with_biases_the_net_bias_is_shown(tiny, photograph, tmp_path):
    tiny.get_layer("last").bias.assign([0.05])
    result = gaintune(photograph, tiny, sigma=0.1, steps=1, progress=False)
    pages = []
    for number, pixels in enumerate(({"here": (40, 50)}, {}, {"outside": (96, 0)})):
        if "outside" in pixels:
            with pytest.raises(InputError, match="pixel of a 96x80 image"):
                write_report(tmp_path / f"{number}.html", result, photograph, facts={}, scores=[], pixels=pixels)
            assert not (tmp_path / f"{number}.html").exists()
            continue
        write_report(tmp_path / f"{number}.html", result, photograph, facts={}, scores=[], pixels=pixels)
        pages.append((tmp_path / f"{number}.html").read_text())
    # The same drawings and the net bias; and the filters, of which there may be none.
    assert [page.count('<svg class="chart"') for page in pages] == [7, 6]
    assert all("Shown are 96 x 80 pixels from row 0, column 0." in page for page in pages)
