"""The pages in a browser: the slider moves, nothing fails, nothing sticks out, and a report is printed on two pages."""

import re

import numpy as np
import pytest

from gaintuning_tf import gaintune
from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.images.stack_files import open_stack
from gaintuning_tf.reports import evaluation_report, stack_report
from gaintuning_tf.reports.before_after import Range, viewer
from gaintuning_tf.reports.image_report import write_report
from gaintuning_tf.reports.pages import Run, write_document
from helpers.browser import chromium, find_chromium
from helpers.networks import make_tiny

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="needs Chromium")
NAME = "a_long_name" * 20
RUN = Run(f"gaintuning-tf denoise {NAME}.tif", f"{NAME}.tif", "net", metadata={"ome": {"PhysicalSizeX": 1}})
PAGES = ("report", "stack", "evaluation")


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph):
    """Where a page of each kind is, and one of a viewer alone."""
    at, network = tmp_path_factory.mktemp("pages"), make_tiny()
    noisy = np.random.default_rng(0).normal(255 * photograph, 20, (2, 96, 80)).clip(0, 255).astype("uint8")
    result = gaintune(noisy[0], network, sigma=20, steps=0, progress=False)
    write_report(at / "report.html", result, noisy[0], run=RUN, facts={"a" * 200: "b" * 200}, clean=noisy[1])
    np.save(at / "noisy.npy", noisy)
    options = {"axes": "TYX", "sigma": 20, "steps": 0, "progress": False}
    done = denoise_stack(at / "noisy.npy", at / "out.npy", network, **options)
    with open_stack(at / "noisy.npy", axes="TYX") as stack:
        stack_report.write_stack_report(at / "stack.html", done, stack, run=RUN)
    _write_evaluation(at / "evaluation.html", photograph)
    black = np.zeros((48, 64), np.uint8)
    pictures = {"black": black, "white": black + 255, "grey": black + 100}
    ranges = [Range("all", 0, 255), Range("dark", 0, 50)]
    part = viewer(pictures, left="black", right="white", name="v", ranges=ranges, metres=1e-6)
    write_document(at / "viewer.html", "viewer", [part])
    return at


def _write_evaluation(path, photograph):
    row = {"image": "long_name" * 20, "psnr_noisy": 20.0, "psnr_pretrained": 30.0, "psnr_tuned": 30.5, "seconds": 1.0}
    spread = {"below_pretrained": 0, "least_gain": 0.5, "most_gain": 0.5}
    settings = {"folder": "set" * 50, "sigma": 25.0, "model": "m", "no_tune": False}
    shown = evaluation_report.Pictures()
    shown.add(row["image"], dict.fromkeys(("noisy", "pretrained", "tuned", "clean"), photograph))
    one = {"images": [row], "mean": {k: v for k, v in row.items() if k != "image"}, "spread": spread}
    evaluation_report.write_page(path, [{**one, "settings": settings}], [shown], "gaintuning-tf evaluate")


def state(browser):
    """Where the slider says that it is, how much of the width the left picture has, and the size and names shown."""
    return browser.run(
        """(() => {
        const [handle, sheet, left] = [".handle", ".sheet", "figure.left"].map(one => document.querySelector(one));
        const cut = /inset\\(0(?:px)? ([\\d.]+)px/.exec(left.style.clipPath);
        const width = sheet.getBoundingClientRect().width;
        return {now: Number(handle.getAttribute("aria-valuenow")), share: 1 - (cut ? Number(cut[1]) : 0) / width, width,
                tags: [...document.querySelectorAll(".tag")].map(tag => tag.textContent),
                zoom: document.querySelector("output").textContent};
        })()"""
    )


def test_the_slider_goes_by_keyboard_mouse_and_finger(browser, folder):
    browser.open(folder / "viewer.html")
    found = state(browser)
    assert found["now"] == 50 and found["share"] == pytest.approx(0.5, abs=0.01) and found["tags"] == ["black", "white"]
    browser.run("document.querySelector('.handle').focus()")
    for key, expected in (("ArrowRight", 51), ("PageDown", 41), ("Home", 0), ("ArrowLeft", 0), ("End", 100)):
        browser.press(key)
        found = state(browser)
        assert found["now"] == expected and found["share"] == pytest.approx(expected / 100, abs=0.01), key
    left, top, width, height = browser.run(
        "(box => [box.left, box.top, box.width, box.height])(document.querySelector('.frame').getBoundingClientRect())"
    )
    middle = top + height / 2
    browser.drag((left + width - 2, middle), (left + width / 4, middle))
    assert state(browser)["now"] == 25
    browser.swipe((left + width / 4, middle), (left + 3 * width / 4, middle))
    assert state(browser)["now"] == 75
    # Where the whole picture is seen, anywhere will do.
    browser.drag((left + 0.1 * width, middle), (left + 0.4 * width, middle))
    assert state(browser)["share"] == pytest.approx(0.4, abs=0.01)
    assert browser.errors == []


def test_pictures_are_chosen_zoomed_and_moved(browser, folder):
    browser.open(folder / "viewer.html", width=360)
    browser.run("document.querySelector('.pixels').click()")
    assert (state(browser)["zoom"], state(browser)["width"]) == ("100 %", 64)
    assert browser.run("document.querySelector('.frame > .scale').textContent") == "10 µm"
    for _ in range(4):
        browser.run("document.querySelector('.larger').click()")
    assert (state(browser)["zoom"], state(browser)["width"]) == ("1600 %", 1024)
    middle = browser.run("(s => (s.scrollLeft + s.clientWidth / 2) / s.scrollWidth)(document.querySelector('.stage'))")
    assert middle == pytest.approx(0.5, abs=0.02)
    # The slider stays in the middle of what is seen, wherever that is.
    browser.run("document.querySelector('.stage').scrollLeft = 0")
    assert state(browser)["share"] == pytest.approx(336 / 2 / 1024, abs=0.01)
    choose = "(s => {{ s.selectedIndex = {}; s.dispatchEvent(new Event('change')); }})(document.querySelector('{}'))"
    browser.run(choose.format(2, "select.left"))
    assert state(browser)["tags"] == ["grey", "white"]
    browser.run(choose.format(1, "select.range"))
    assert browser.run("getComputedStyle(document.querySelector('.sheet')).filter") == 'url("#v-1")'
    browser.run("document.querySelector('.whole').click()")
    assert state(browser)["width"] == pytest.approx(336, abs=1)
    assert browser.errors == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_fails_or_sticks_out_in_light_and_in_the_dark(browser, folder, page):
    for width, dark in ((1400, False), (360, True)):
        browser.open(folder / f"{page}.html", width=width, dark=dark)
        seen = browser.run("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert seen == [width, width]
        ground, ink = (
            np.mean([int(part) for part in re.findall(r"\d+", browser.run(f"getComputedStyle({of}).{what}"))[:3]])
            for of, what in (
                ("document.body", "backgroundColor"),
                ("document.querySelector('.chart .none, .chart text')", "fill"),
            )
        )
        assert (ground < 60 and ink > 200) if dark else (ground > 240 and ink < 60)
        assert browser.run("[...document.images].every(image => image.naturalWidth > 0)")
    assert browser.errors == []


def test_a_report_is_printed_on_two_pages(browser, folder):
    browser.open(folder / "report.html")
    pdf = browser.pdf()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2
