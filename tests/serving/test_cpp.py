"""An export served without Python: a C++ program with TensorFlow Serving's loader gives the same answers."""

import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from skimage.io import imread

from gaintuning_tf import export_saved_model, gain_layers, gaintune, insert_gains, load_denoiser, psnr
from gaintuning_tf.evaluation.samples import noisy_version
from gaintuning_tf.networks.torch_checkpoints import import_torch
from helpers.correlations import BLURRED
from helpers.graph_writers import WRITERS, plain
from helpers.level_networks import ffdnet
from helpers.places import ROOT

SIGMAS = (0.1, 0.05, 0.15, 0.08, 0.1, 0.2, 0.12, 0.0)
# One image may be summed in another order than the same one elsewhere; float32, of a size about one.
SAME = 1e-5


def images(shape=(8, 24, 20, 1)):
    rng = np.random.default_rng(0)
    wave = 0.5 + 0.3 * np.sin(np.arange(shape[2]) / 4)[None, None, :, None]
    return (wave + 0.1 * rng.standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("needs the compiler g++")
    libraries = tf.sysconfig.get_lib()
    if not list((ROOT / libraries).glob("libtensorflow_cc.so.2")):
        pytest.skip(f"needs TensorFlow's C++ library in {libraries}")
    out = tmp_path_factory.mktemp("cpp") / "serving"
    command = ["g++", "-std=c++17", "-w", *tf.sysconfig.get_compile_flags(), str(ROOT / "tests" / "serving.cc")]
    command += ["-o", str(out), f"-L{libraries}", "-Wl,--no-as-needed"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{libraries}", "-pthread"]
    subprocess.run(command, check=True)
    return out


@pytest.fixture
def run(program, served, tmp_path):
    def call(mode, noisy, steps=None, sigmas=(), folder=served[1]):
        noisy.tofile(tmp_path / "in")
        numbers = [*noisy.shape, *([] if steps is None else [steps]), *sigmas]
        command = [program, folder, mode, tmp_path / "in", tmp_path / "out", *numbers]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        values = np.fromfile(tmp_path / "out", np.float32)
        return values[: noisy.size].reshape(noisy.shape), values[noisy.size :], int(done.stdout.split()[-1])

    return call


@pytest.fixture(scope="module")
def python(served):
    return tf.saved_model.load(served[1]).signatures


def test_the_network_as_it_is(run, python):
    for shape in ((8, 24, 20, 1), (1, 33, 7, 1)):
        denoised, sure, _ = run("denoise", images(shape))
        assert sure.size == 0
        expected = python["serving_default"](noisy=tf.constant(images(shape)))["denoised"]
        np.testing.assert_allclose(denoised, expected, atol=SAME)


def test_the_network_that_adapts_itself_also_in_eight_threads_at_once(run, python):
    noisy = images()
    alone = [
        python["gaintune"](noisy=tf.constant(image[None]), sigma=tf.constant([sigma]), steps=tf.constant(10))
        for image, sigma in zip(noisy, SIGMAS, strict=True)
    ]
    expected = np.concatenate([answer["denoised"] for answer in alone])
    risks = np.concatenate([answer["sure"] for answer in alone])
    plain = python["serving_default"](noisy=tf.constant(noisy))["denoised"].numpy()
    assert np.all(np.abs(expected - plain).max((1, 2, 3)) > 100 * SAME), "tuning changes every image"
    for mode in ("gaintune", "threads"):
        denoised, sure, _ = run(mode, noisy, 10, SIGMAS)
        np.testing.assert_allclose(denoised, expected, atol=SAME)
        np.testing.assert_allclose(sure, risks, atol=SAME)


def test_noise_of_any_kind_is_tuned_on_as_in_python(run, python):
    noisy = images((4, 40, 36, 1))
    slope, intercept = np.float32([0, 0.02, 0, 0.02]), np.float32([0.01, -0.002, 0.01, -0.002])
    white = np.pad(np.ones((1, 1)), 2)
    correlation = np.float32([white, white, BLURRED, BLURRED])
    known = {"slope": slope, "intercept": intercept, "correlation": correlation}
    expected = python["gaintune_noise"](noisy=noisy, steps=tf.constant(6), **known)
    numbers = [len(white), *slope, *intercept, *correlation.ravel()]
    denoised, sure, _ = run("gaintune_noise", noisy, 6, numbers)
    np.testing.assert_allclose(denoised, expected["denoised"], atol=SAME)
    np.testing.assert_allclose(sure, expected["sure"], atol=SAME)
    plain = python["serving_default"](noisy=tf.constant(noisy))["denoised"].numpy()
    assert np.all(np.abs(denoised - plain).max((1, 2, 3)) > 100 * SAME), "tuning changes every image"


def test_memory_does_not_grow_with_the_steps(run):
    noisy = images((1, 64, 64, 1))
    few, many = (run("gaintune", noisy, steps, [0.1])[2] for steps in (2, 200))
    # The activations that a step keeps for its gradient are about 1 MB: if they stayed, 200 MB.
    assert many - few < 20_000, "kilobytes gained from 2 steps to 200"


@pytest.mark.parametrize("write", WRITERS)
def test_a_network_of_any_origin_is_tuned_and_served_as_the_keras_model_is(run, write, tmp_path):
    write(str(tmp_path / "theirs"))
    model = load_denoiser(tmp_path / "theirs")
    folder = export_saved_model(model, tmp_path / "ours")
    noisy = images((2, 24, 20, 1))
    denoised, _, _ = run("denoise", noisy, folder=folder)
    np.testing.assert_allclose(denoised, plain()(noisy), atol=SAME)
    tuned, _, _ = run("gaintune", noisy, 5, [0.1, 0.2], folder=folder)
    for image, sigma, found in zip(noisy, (0.1, 0.2), tuned, strict=True):
        expected = gaintune(image[..., 0], plain(), sigma=sigma, steps=5, data_range=1.0, progress=False)
        np.testing.assert_allclose(found[..., 0], expected.denoised, atol=1e-4)


def check_that_it_takes_the_level(run, model, folder):
    """The network as it is and tuned, in C++ as in Python, at levels of which each changes the result."""
    noisy, levels = images((2, 24, 20, 1)), (0.1, 0.2)
    plain, _, _ = run("denoise", noisy, 0, levels, folder=folder)
    tuned, risks, _ = run("gaintune", noisy, 5, levels, folder=folder)
    for image, level, as_it_is, denoised, risk in zip(noisy, levels, plain, tuned, risks, strict=True):
        known = {"sigma": level, "data_range": 1.0, "progress": False}
        expected = gaintune(image[..., 0], model, steps=5, contrast=False, **known)
        np.testing.assert_allclose(as_it_is[..., 0], expected.pretrained, atol=SAME)
        np.testing.assert_allclose(denoised[..., 0], expected.denoised, atol=SAME)
        np.testing.assert_allclose(risk, expected.history["risk_after"], rtol=1e-3)
        assert np.abs(denoised - as_it_is).max() > 5 * SAME, "tuning changes every image"
    swapped, _, _ = run("denoise", noisy, 0, levels[::-1], folder=folder)
    assert np.abs(swapped - plain).max() > 100 * SAME, "the level changes the result"


@pytest.mark.parametrize(("kind", "saved"), [("number", False), ("map", True)])
def test_a_network_that_takes_the_level_of_the_noise(run, kind, saved, tmp_path):
    model = ffdnet(kind)
    if saved:
        model.export(tmp_path / "theirs", verbose=False)
        model = load_denoiser(tmp_path / "theirs")
    check_that_it_takes_the_level(run, model, export_saved_model(model, tmp_path / "ours"))


def test_an_imported_drunet_takes_the_level_of_the_noise(run, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")
    from helpers.torch_networks import ResidualUNet

    torch.manual_seed(0)
    torch.save(ResidualUNet(2, 1, (4, 6), 1).state_dict(), tmp_path / "drunet.pth")
    model = import_torch(tmp_path / "drunet.pth")
    check_that_it_takes_the_level(run, model, export_saved_model(model, tmp_path / "ours"))


@pytest.mark.slow
def test_a_published_dncnn_goes_round_through_savedmodel_gains_and_savedmodel(run, shared, tmp_path):
    pytest.importorskip("torch")
    original = import_torch(shared / "checkpoints" / "dncnn_bias_0-55.pt")
    original.export(tmp_path / "theirs", verbose=False)
    model = load_denoiser(tmp_path / "theirs")
    assert len(gain_layers(insert_gains(model))) == 20
    clean = imread(shared / "data" / "set12" / "01.png")[64:192, 64:192].astype(np.float32) / 255
    noisy = noisy_version(clean, 70, 0)
    options = {"sigma": 70 / 255, "steps": 20, "data_range": 1.0, "progress": False}
    ours, theirs = gaintune(noisy, model, **options), gaintune(noisy, original, **options)
    scores = [psnr(clean, np.clip(x, 0, 1), data_range=1.0) for x in (ours.pretrained, ours.denoised, theirs.denoised)]
    print("PSNR pretrained, tuned as SavedModel, tuned as .keras:", scores)
    assert scores[1] > scores[0] + 0.2
    assert scores[1] == pytest.approx(scores[2], abs=0.02)
    folder = export_saved_model(ours.model, tmp_path / "tuned", adaptive=False)
    denoised, _, _ = run("denoise", noisy[None, ..., None], folder=folder)
    np.testing.assert_allclose(denoised[0, ..., 0], ours.denoised, atol=SAME)
    folder = export_saved_model(model, tmp_path / "adaptive")
    denoised, _, _ = run("gaintune", noisy[None, ..., None], 20, [70 / 255], folder=folder)
    np.testing.assert_allclose(denoised[0, ..., 0], ours.denoised, atol=1e-4)
