"""Packages of bioimage.io: what is written is the same network again, and passes the test of bioimage.io's own."""

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from gaintuning_tf import InputError, Network, insert_gains, load_denoiser
from gaintuning_tf.cli import main
from gaintuning_tf.gains.contrast import with_contrast
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.serving.bioimageio_package import About, export_bioimageio
from helpers.networks import make_tiny, make_tiny_of_volumes

spec = pytest.importorskip("bioimageio.spec")
MEANINGS = ("0..1", "-1..1", "mean-std:100:30", "percentiles", "standardize")


def with_gains(contrast=0.8):
    model = insert_gains(make_tiny())
    for layer in model.layers:
        if "gain" in layer.name:
            for weight in layer.weights:
                weight.assign(np.linspace(0.8, 1.2, int(np.prod(weight.shape))).reshape(weight.shape))
    return with_contrast(model, np.array([contrast], np.float32))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(0.1, 0.9, (1, 32, 40, 1)).astype(np.float32)


@pytest.mark.parametrize("predicts", ["image", "noise"])
@pytest.mark.parametrize("normalize", MEANINGS)
def test_what_is_written_is_the_same_network_again(tmp_path, image, normalize, predicts):
    network = Network(with_gains(), normalize=normalize, predicts=predicts)
    before = [value.copy() for value in network.model.get_weights()]
    path = export_bioimageio(network, tmp_path / "net.zip")
    again = network_of(path)
    # A mean and a deviation are in units of the image.
    seen = image if "mean" not in normalize else 100 + 60 * image
    expected = np.asarray(network.whole()(seen))
    np.testing.assert_allclose(again.whole()(seen), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    for old, new in zip(before, network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_it_holds_test_tensors_a_cover_and_documentation(tmp_path):
    about = About("My denoiser", "For actin.", ("Ada B", "Cora D"), "CC-BY-4.0")
    example = np.random.default_rng(0).uniform(0, 1, (100, 300))
    path = export_bioimageio(make_tiny(), tmp_path / "net.zip", example=example, about=about)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert {"weights.keras", "saved_model.zip", "README.md", "test_input.npy", "test_output.npy"} <= set(names)
    assert any(name.endswith((".png", ".gif", ".jpeg")) for name in names)
    known = spec.load_model_description(path, format_version="latest")
    assert known.name == "My denoiser" and [author.name for author in known.authors] == ["Ada B", "Cora D"]
    given, returned = (np.load(file) for file in extracted(path, tmp_path, "test_input.npy", "test_output.npy"))
    np.testing.assert_array_equal(given[0, ..., 0], example[:100, :128].astype(np.float32))
    np.testing.assert_allclose(returned, make_tiny()(given), atol=1e-6)
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".zip"] == ["net.zip"]


def extracted(path, folder, *names):
    with zipfile.ZipFile(path) as archive:
        return [archive.extract(name, folder / "inner") for name in names]


def test_layers_of_this_package_are_in_a_graph_alone(tmp_path, image):
    model = load_denoiser("unet-bf-natural")
    path = export_bioimageio(model, tmp_path / "net.zip")
    with zipfile.ZipFile(path) as archive:
        assert "weights.keras" not in archive.namelist()
    np.testing.assert_allclose(load_denoiser(path)(image), model(image), atol=1e-5)


def test_keras_alone_reads_the_weights(tmp_path):
    path = export_bioimageio(Network(with_gains(), normalize="-1..1", predicts="noise"), tmp_path / "net.zip")
    (weights,) = extracted(path, tmp_path, "weights.keras")
    with zipfile.ZipFile(weights) as archive:
        config = archive.read("config.json").decode()
    assert {name.split(".")[0] for name in re.findall(r'"module": "([^"]*)"', config)} == {"keras"}
    assert "gaintuning" not in config
    assert keras.models.load_model(weights).count_params() == make_tiny().count_params()


def test_the_package_of_a_network_that_fixes_its_sides_says_them(tmp_path):
    keras.utils.set_random_seed(0)
    fixed = keras.Sequential([keras.Input((48, 64, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    path = export_bioimageio(fixed, tmp_path / "net.zip")
    axes = spec.load_model_description(path, format_version="latest").inputs[0].axes
    assert [axis.size for axis in axes[1:]] == [48, 64, 1]


def test_what_cannot_be_written_is_one_line(tmp_path):
    level = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Conv2D(1, 3, padding="same")])
    several = with_contrast(make_tiny(), np.full(3, 0.9, np.float32))
    cases = [
        (level, "a.zip", {}, "takes the level of the noise"),
        (several, "a.zip", {}, "gains for 3 images"),
        (make_tiny(), "a.keras", {}, r"end in \.zip"),
        (make_tiny(), "a.zip", {"example": np.zeros((8, 8, 3))}, "1 channel"),
        (make_tiny(), "a.zip", {"about": About(license="no such licence")}, "cannot write a package"),
        (make_tiny(), "a.zip", {"about": About(name="a/b")}, "cannot write a package"),
    ]
    for model, name, options, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            export_bioimageio(model, tmp_path / name, **options)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.iterdir())


def test_the_command_line_writes_and_takes_a_package(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tiny().save("tiny.keras")
    options = ["--format", "bioimageio", "--author", "Ada B", "--license", "MIT"]
    assert main(["export", "--model", "tiny.keras", "net.zip", *options]) == 0
    assert "net.zip: " in capsys.readouterr().err
    np.save("noisy.npy", np.random.default_rng(0).uniform(0, 1, (40, 40)).astype(np.float32))
    assert (
        main(["denoise", "noisy.npy", "-o", "clean.npy", "--model", "net.zip", "--steps", "1", "--sigma", "0.1"]) == 0
    )
    assert np.load("clean.npy").shape == (40, 40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["o", "--author", "A"], "--author with --format bioimageio alone"),
        (["o.zip", "--format", "bioimageio", "--version", "0"], "--version with --format saved-model alone"),
        (["o.zip", "--format", "bioimageio", "--no-adaptive"], "--no-adaptive with --format saved-model alone"),
        (["o", "--format", "bioimageio"], "end in .zip"),
    ],
)
def test_options_of_the_other_format_are_refused(options, message, capsys):
    assert main(["export", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("bioimageio.core") is None, reason="bioimageio.core is not installed")
@pytest.mark.parametrize("name", [*MEANINGS, "volumes", "unet-bf-natural", "dncnn-natural"])
def test_bioimage_io_itself_finds_no_fault(tmp_path, name):
    if name in MEANINGS:
        network = Network(with_gains(), normalize=name)
    else:
        network = network_of(make_tiny_of_volumes() if name == "volumes" else name)
    path = export_bioimageio(network, tmp_path / "net.zip", about=About(authors=("A B",), license="MIT"))
    program = Path(sys.executable).with_name("bioimageio")
    command = [str(program) if program.is_file() else shutil.which("bioimageio") or "bioimageio", "test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout + done.stderr
