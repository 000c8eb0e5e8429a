import math

import numpy as np
import pytest

from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.images.stack_files import open_stack
from gaintuning_tf.reports.stack_report import gain_in_risk, write_stack_figures, write_stack_report
from helpers.html_pages import others, pictures

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def done(tmp_path_factory, photograph):
    folder = tmp_path_factory.mktemp("stack")
    clean = 255 * photograph[:64, :64]
    noisy = np.random.default_rng(0).normal(clean, 20, (3, 64, 64)).clip(0, 255).astype("uint8")
    noisy[1] = 7
    np.save(folder / "noisy.npy", noisy)
    result = denoise_stack(
        folder / "noisy.npy", folder / "out.npy", "unet-bf-natural", axes="TYX", sigma=20, steps=1, progress=False
    )
    return folder, result


def test_the_page_has_drawings_the_extreme_frames_and_those_that_failed(done):
    folder, result = done
    with open_stack(folder / "noisy.npy", axes="TYX") as noisy:
        write_stack_report(folder / "page.html", result, noisy, facts={"model": "<unet>"})
    page = (folder / "page.html").read_text()
    assert "all pixels are 7" in page and "&lt;unet&gt;" in page
    assert others(page) == []
    assert page.count('<svg class="chart"') == 3 and page.count('<div class="viewer"') == 2
    assert [one.shape for one in pictures(page)] == [(64, 64)] * 4
    assert "Frame 0: " in page and "Frame 2: " in page and "Frame 1: " not in page
    assert "1 of 3 frames could not be denoised" in page


def test_the_drawings_are_files_for_print(done):
    folder, result = done
    write_stack_figures(folder / "figures", result)
    names = {file.name for file in (folder / "figures").iterdir()}
    assert names == {f"{what}-by-frame.{kind}" for what in ("risk", "noise", "gains") for kind in ("png", "pdf")}
    assert (folder / "figures" / "risk-by-frame.pdf").read_bytes().startswith(b"%PDF")


def test_a_risk_that_is_not_positive_has_no_gain_in_decibels():
    assert gain_in_risk({"risk_before": 1.0, "risk_after": 10.0}) == -10
    assert math.isnan(gain_in_risk({"risk_before": 1.0, "risk_after": -1.0}))
