"""The report: one page, no other file, with what it promises."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gaintuning_tf import gaintune
from gaintuning_tf.report import _most_changed, write_report


@pytest.fixture(scope="module")
def made(photograph):
    noisy = photograph + 0.1 * np.random.default_rng(0).standard_normal(photograph.shape).astype("float32")
    return gaintune(noisy, "unet-bf-natural", sigma=0.1, steps=3, progress=False), noisy


def test_the_page_is_self_contained_and_complete(made, photograph, tmp_path):
    result, noisy = made
    scores = [{"": "noisy", "psnr": "20.1"}, {"": "tuned", "psnr": "28.2"}]
    write_report(tmp_path / "r.html", result, noisy, facts={"sigma": "<25>"}, scores=scores, clean=photograph)
    page = (tmp_path / "r.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "&lt;25&gt;" in page
    assert "28.2" in page
    pictures = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    sizes = [Image.open(io.BytesIO(picture)).size for picture in pictures]
    # Noisy, pretrained, tuned, reference, difference; the four again as zooms; two charts.
    assert sizes[:5] == [(80, 96)] * 5
    assert len(sizes) == 11
    shown = np.asarray(Image.open(io.BytesIO(pictures[2])))
    np.testing.assert_allclose(shown / 255, result.denoised.clip(0, 1), atol=0.51 / 255)


def test_a_stack_shows_its_first_frame(photograph, tmp_path):
    noisy = np.stack([photograph, photograph]) + 0.1
    result = gaintune(noisy, "unet-bf-natural", sigma=0.1, steps=1, axes="TYX", progress=False)
    write_report(tmp_path / "r.html", result, noisy, facts={}, scores=[])
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", (tmp_path / "r.html").read_text())
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[2]))))
    np.testing.assert_allclose(shown / 255, result.denoised[0].clip(0, 1), atol=0.51 / 255)


def test_the_zoom_goes_where_most_changed():
    difference = np.full((200, 300), 127, "uint8")
    difference[150:170, 10:40] = 255
    rows, columns = _most_changed(difference)
    assert rows.start <= 150 < 170 <= rows.stop
    assert columns.start <= 10 < 40 <= columns.stop
    assert (rows.stop - rows.start, columns.stop - columns.start) == (96, 96)
    assert _most_changed(difference[:20, :30]) == (slice(0, 20), slice(0, 30))
