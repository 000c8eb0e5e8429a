"""The report: one page, no other file, with what it promises."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gaintuning_tf import InputError, gaintune
from gaintuning_tf.reports.image_report import write_report


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
    # Noisy, pretrained, tuned, reference, difference; the four again as zooms; risk, noise, gains and filters.
    assert sizes[:5] == [(80, 96)] * 5
    assert len(sizes) == 13
    assert "the network has no biases" in page
    shown = np.asarray(Image.open(io.BytesIO(pictures[2])))
    np.testing.assert_allclose(shown / 255, result.denoised.clip(0, 1), atol=0.51 / 255)


def test_a_stack_shows_its_first_frame(photograph, tmp_path):
    noisy = np.stack([photograph, photograph]) + 0.1
    result = gaintune(noisy, "unet-bf-natural", sigma=0.1, steps=1, axes="TYX", progress=False)
    write_report(tmp_path / "r.html", result, noisy, facts={}, scores=[])
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", (tmp_path / "r.html").read_text())
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[2]))))
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
    # Seven pictures, risk, noise, gains, net bias; and the filters, of which there may be none.
    assert [page.count("data:image/png") for page in pages] == [12, 11]
    assert all("Shown are 96 x 80 pixels from row 0, column 0." in page for page in pages)
