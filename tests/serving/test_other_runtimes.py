"""What docs/guides/other-runtimes.md says: exported networks have the same output in other runtimes.

GAINTUNING_ENVIRONMENTS=/somewhere pytest --slow tests/serving/test_other_runtimes.py
"""

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import export_saved_model, load_denoiser
from helpers.environments import environment, run
from helpers.networks import make_tiny
from helpers.places import ROOT

pytestmark = pytest.mark.slow
SHAPE = (1, 96, 128, 1)
DOCUMENT = ROOT / "docs" / "guides" / "other-runtimes.md"


def recipe(after, language="python"):
    """The first block of code in the document behind a heading."""
    text = DOCUMENT.read_text().partition(f"## {after}\n")[2]
    return re.search(rf"```{language}\n(.*?)```", text, re.S)[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with an exported network, an image and what TensorFlow makes of it."""
    folder = tmp_path_factory.mktemp("runtimes")
    export_saved_model(load_denoiser("unet-bf-natural"), folder / "served" / "unet", adaptive=False)
    noisy = np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)
    denoise = tf.saved_model.load(folder / "served" / "unet" / "1").signatures["serving_default"]
    np.save(folder / "noisy.npy", noisy)
    np.save(folder / "expected.npy", denoise(noisy=noisy)["denoised"].numpy())
    return folder


def check(folder):
    expected = np.load(folder / "expected.npy")
    denoised = np.load(folder / "denoised.npy")
    (folder / "denoised.npy").unlink()
    np.testing.assert_allclose(denoised, expected, atol=2e-6)


def run_recipe(programs, code, folder, end=""):
    code = f"import numpy\nnoisy = numpy.load('noisy.npy')\n{code}\n{end}numpy.save('denoised.npy', denoised)\n"
    (folder / "recipe.py").write_text(code)
    run(programs / "python", "recipe.py", folder=folder)


def test_openvino(served):
    run_recipe(environment("openvino", "openvino"), recipe("OpenVINO"), served)
    check(served)


def test_onnxruntime(served):
    programs = environment("tf2onnx", "tf2onnx", "onnxruntime", "tensorflow-cpu")
    options = ("--saved-model", "served/unet/1", "--output", "unet.onnx", "--opset", "17")
    run(programs / "python", "-m", "tf2onnx.convert", *options, folder=served)
    run_recipe(programs, recipe("onnxruntime"), served)
    check(served)


def test_tensorflow_js_converts(served):
    programs = environment("tensorflowjs", "tensorflowjs", "ydf<0.12")
    options = ("--input_format=tf_saved_model", "--signature_name=serving_default", "served/unet/1", "web")
    run(programs / "tensorflowjs_converter", *options, folder=served)
    assert (served / "web" / "model.json").is_file()
    shutil.rmtree(served / "web")


def test_tflite_at_one_size(served, monkeypatch):
    monkeypatch.chdir(served)
    exec(recipe("TFLite"), {})
    interpreter = tf.lite.Interpreter(model_path="unet.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load("noisy.npy"))
    interpreter.invoke()
    np.save("denoised.npy", interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    check(served)


def test_mlflow_has_both_signatures(tmp_path):
    export_saved_model(make_tiny(), tmp_path / "served" / "unet")
    noisy = np.random.default_rng(0).uniform(0, 1, (2, 40, 48, 1)).astype(np.float32)
    signatures = tf.saved_model.load(tmp_path / "served" / "unet" / "1").signatures
    np.save(tmp_path / "noisy.npy", noisy)
    programs = environment("mlflow", "mlflow-skinny", "pandas", "tensorflow-cpu")
    run_recipe(programs, recipe("MLflow"), tmp_path, "numpy.save('tuned.npy', tuned)\n")
    expected = signatures["serving_default"](noisy=noisy)["denoised"]
    np.testing.assert_allclose(np.load(tmp_path / "denoised.npy"), expected, atol=2e-6)
    sigma = np.full(2, 0.1, np.float32)
    tuned = signatures["gaintune"](noisy=noisy, sigma=sigma, steps=np.int32(15))["denoised"]
    np.testing.assert_allclose(np.load(tmp_path / "tuned.npy"), tuned, atol=1e-4)
    assert np.abs(np.load(tmp_path / "tuned.npy") - expected).max() > 1e-3
