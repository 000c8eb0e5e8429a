"""scripts/reproduce.py real-noise: every method once, on from where it was, and a document."""

import json
import runpy
import sys

import numpy as np
import pytest
from skimage.data import camera
from skimage.io import imsave

from gaintuning_tf.noise.models import GaussianNoise
from helpers.places import ROOT

CORRELATION = np.array([[0.0, 0.4, 0.0], [0.4, 1.0, 0.4], [0.0, 0.4, 0.0]])


@pytest.fixture
def script(monkeypatch):
    """The script, with the network's part replaced: what is tested does not depend on it."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import real_noise

    calls = []

    def by_network(method, noisy, network):
        calls.append((method, noisy.shape))
        facts = {"noise": {"kind": "GaussianNoise", **GaussianNoise(12.0, CORRELATION).parameters()}}
        facts |= {
            "network": "drunet-grey",
            "words": ["correlated"],
            "variance": 144.0,
            "risk_before": 50.0,
            "risk_after": 40.0,
            "seconds": 2.0,
        }
        return noisy // 2 * 2, facts

    monkeypatch.setattr(real_noise, "by_network", by_network)
    return calls


@pytest.fixture
def shared(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("noisy", "clean"):
        (tmp_path / "data" / "real" / kind).mkdir(parents=True)
    clean = camera()[100:164, 200:272]
    noisy = GaussianNoise(12.0, CORRELATION).sample(clean.astype(float), rng).clip(0, 255).astype("uint8")
    for kind, image in (("noisy", noisy), ("clean", clean)):
        imsave(tmp_path / "data" / "real" / kind / "grey.png", image, check_contrast=False)
        colour = np.stack([255 - image, image, image // 2], -1)
        imsave(tmp_path / "data" / "real" / kind / "colour.png", colour, check_contrast=False)
    return tmp_path


def reproduce(shared, monkeypatch, *more):
    arguments = ["real-noise", "--shared", shared, "--work", shared / "work", "--docs", shared, "--crop", "48", *more]
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *map(str, arguments)])
    runpy.run_path(str(ROOT / "scripts" / "reproduce.py"), run_name="__main__")


def test_all_methods_are_measured_once_and_the_document_has_them(script, shared, monkeypatch):
    pytest.importorskip("bm3d")
    pytest.importorskip("matplotlib")
    (shared / "real-noise.md").write_text(
        "# Real\n<!-- real-noise: begin -->\nNot run yet.\n<!-- real-noise: end -->\nrest\n"
    )
    reproduce(shared, monkeypatch, "--limit", "1")
    assert script == [(method, (48, 48)) for method in ("pretrained", "auto", "gaussian", "poisson-gaussian")]
    reproduce(shared, monkeypatch, "--write")
    assert len(script) == 8  # the first image was not measured again
    rows = {}
    for file in (shared / "work").rglob("*.json"):
        row = json.loads(file.read_text())
        rows[row["image"], row["method"]] = row
    assert len(rows) == 14
    # The green channel is the grey image, and BM3D knows what was found.
    assert rows["colour", "noisy"]["psnr"] == rows["grey", "noisy"]["psnr"]
    assert rows["grey", "bm3d"]["noise_text"] == "correlated over 1 pixel: 0.40"
    assert rows["grey", "bm3d-sigma"]["noise_text"] == "white"
    assert rows["grey", "bm3d"]["psnr"] > rows["grey", "bm3d-sigma"]["psnr"] > rows["grey", "noisy"]["psnr"]
    text = (shared / "real-noise.md").read_text()
    assert text.startswith("# Real\n")
    assert text.endswith("-->\nrest\n")
    assert "Not run yet" not in text
    assert f"| mean | {rows['grey', 'noisy']['psnr']:.2f} |" in text
    assert "| grey | drunet-grey | correlated | 12.00 | 50.00 |" in text
    for picture in (shared / "work" / "real-noise.png", shared / "real-noise-found.png"):
        assert picture.stat().st_size > 10_000


def test_pictures_in_colour_have_a_table_of_their_own(script, shared, monkeypatch):
    pytest.importorskip("bm3d")
    pytest.importorskip("matplotlib")
    (shared / "real-noise.md").write_text("<!-- real-noise-colour: begin -->\n<!-- real-noise-colour: end -->\nrest\n")
    reproduce(shared, monkeypatch, "--colour", "--write")
    assert script == [(method, (48, 48, 3)) for method in ("pretrained", "auto")]
    text = (shared / "real-noise.md").read_text()
    assert "BM3D, channel by channel" in text and "| colour | drunet-grey |" in text and text.endswith("rest\n")
    assert (shared / "work" / "real-noise-colour.png").stat().st_size > 5_000
