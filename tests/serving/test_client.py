"""The client against local servers that implement TensorFlow Serving's two interfaces over an exported model."""

import json
import shutil
import subprocess
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorflow as tf
from skimage.io import imread, imsave

from gaintuning_tf import (
    GaussianNoise,
    InputError,
    PoissonGaussianNoise,
    estimate_noise,
    export_saved_model,
    gaintune,
)
from gaintuning_tf.networks.architectures import unet
from gaintuning_tf.serving.client import ServingClient
from helpers.correlations import BLURRED
from helpers.level_networks import ffdnet

grpc = pytest.importorskip("grpc")
apis = pytest.importorskip("tensorflow_serving.apis")
from tensorflow_serving.apis import (  # noqa: E402, after the check that it is there
    predict_pb2,
    prediction_service_pb2_grpc,
)

NAME = "tiny model"
# The same, as if an earlier version had exported it.
OLD, OF_OLD = "old", ("serving_default", "gaintune")
# One that takes the level of the noise.
LEVEL = "level"


def answer(signatures, name, inputs):
    function = signatures[name]
    specs = function.structured_input_signature[1]
    return {
        key: value.numpy()
        for key, value in function(**{k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()}).items()
    }


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, signatures):
        self.signatures = signatures

    def Predict(self, request, context):
        if request.model_spec.name not in self.signatures:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found: {request.model_spec.name}")
        signature = request.model_spec.signature_name
        if request.model_spec.name == OLD and signature not in OF_OLD:
            # As TensorFlow Serving says it.
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature key "{signature}" not found.')
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for key, value in answer(self.signatures[request.model_spec.name], signature, inputs).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


def handler(signatures):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = request["signature_name"]
            if self.path not in ("/v1/models/tiny%20model:predict", f"/v1/models/{OLD}:predict"):
                status, content = 404, {"error": "Servable not found"}
            elif OLD in self.path and name not in OF_OLD:
                status, content = 400, {"error": f'Serving signature name: "{name}" not found in signature def'}
            else:
                outputs = answer(signatures[NAME], request["signature_name"], request["inputs"])
                outputs = {key: value.tolist() for key, value in outputs.items()}
                status, content = 200, {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
            body = json.dumps(content, indent=4).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture(scope="module")
def model():
    return unet(width=4, bias_free=True)


@pytest.fixture(scope="module")
def level_model():
    return ffdnet("number")


@pytest.fixture(scope="module")
def addresses(model, level_model, tmp_path_factory):
    folders = [export_saved_model(one, tmp_path_factory.mktemp("served")) for one in (model, level_model)]
    ours, level = (tf.saved_model.load(str(folder)).signatures for folder in folders)
    signatures = {NAME: ours, OLD: ours, LEVEL: level}
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=unlimited)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(signatures), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    web = ThreadingHTTPServer(("localhost", 0), handler(signatures))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield {"grpc": f"localhost:{port}", "rest": f"localhost:{web.server_port}"}
    server.stop(None)
    web.shutdown()


@pytest.fixture
def picture(photograph):
    noise = 20 * np.random.default_rng(0).standard_normal(photograph.shape)
    # Without black and white, for what is served counts areas whose noise was clipped, see docs/explained/noise.md.
    return np.clip(80 + 100 * photograph + noise, 0, 255).astype("uint8")[:41, :33]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_server_denoises_as_python_does(addresses, model, picture, protocol):
    client = ServingClient(addresses[protocol], NAME, protocol=protocol)
    plain = client.denoise(picture)
    tuned, risk = client.gaintune(picture, sigma=20, steps=3)
    local = gaintune(picture, model, sigma=20, steps=3, progress=False)
    assert plain.dtype == tuned.dtype == np.uint8
    # Rounded to whole numbers on both sides of a boundary: one apart at most.
    assert np.abs(plain.astype(int) - local.pretrained).max() <= 1
    assert np.abs(tuned.astype(int) - local.denoised).max() <= 1
    assert risk.shape == (1,)
    np.testing.assert_allclose(risk, local.history["risk_after"], rtol=1e-3)


def test_stacks_are_tuned_frame_by_frame_and_the_noise_estimated(addresses, picture):
    client = ServingClient(addresses["grpc"], NAME)
    stack = np.stack([picture, picture[::-1]])
    tuned, risk = client.gaintune(stack, steps=2, axes="TYX")
    assert tuned.shape == stack.shape
    assert risk.shape == (2,)
    alone, _ = client.gaintune(stack[1], steps=2)
    assert np.abs(tuned[1].astype(int) - alone).max() <= 1


def frames_of(photograph, noise):
    """A picture large enough to tell kinds of noise apart, its lower half repeated."""
    clean = np.tile(255 * photograph[:64, :64], (2, 2)).astype(np.float32)
    return noise.sample(clean, np.random.default_rng(0)).astype(np.float32)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_noise_estimated_here_is_tuned_on_there_as_in_python(addresses, model, photograph, protocol):
    client = ServingClient(addresses[protocol], NAME, protocol=protocol)
    noisy = frames_of(photograph, GaussianNoise(20.0, correlation=BLURRED))
    # The level is found once more, there as here, from what the network makes of the image.
    noise = gaintune(noisy, model, steps=1, data_range=255, progress=False).noise
    assert noise.correlation is not None
    assert abs(noise.sigma / estimate_noise(noisy, "auto").sigma - 1) > 0.01
    tuned, risk = client.gaintune(noisy, noise="auto", steps=2, data_range=255)
    local = gaintune(noisy, model, noise=noise, steps=2, data_range=255, progress=False)
    np.testing.assert_allclose(tuned, local.denoised, atol=255 * 1e-4)
    np.testing.assert_allclose(risk, local.history["risk_after"], rtol=1e-3)


def test_a_model_of_the_noise_may_be_given_for_each_frame(addresses, model, picture):
    client = ServingClient(addresses["grpc"], NAME)
    noise = PoissonGaussianNoise(np.array([2.0, 0.0]), 10.0, 16.0)
    stack = np.stack([picture, picture[::-1]])
    tuned, risk = client.gaintune(stack, noise=noise, steps=2, axes="TYX")
    for index, own in enumerate(noise.each(2)):
        local = gaintune(stack[index], model, noise=own, steps=2, progress=False)
        assert np.abs(tuned[index].astype(int) - local.denoised).max() <= 1
        np.testing.assert_allclose(risk[index], local.history["risk_after"], rtol=1e-3)


def test_a_network_that_takes_the_level_gets_it(addresses, level_model, photograph):
    client = ServingClient(addresses["grpc"], LEVEL, takes_level=True)
    noisy = frames_of(photograph, GaussianNoise(20.0))
    tuned, _ = client.gaintune(noisy, noise="auto", steps=2, data_range=255)
    local = gaintune(noisy, level_model, steps=2, data_range=255, progress=False)
    np.testing.assert_allclose(tuned, local.denoised, atol=255 * 1e-4)
    plain = client.denoise(noisy, sigma=local.noise.sigma, data_range=255)
    np.testing.assert_allclose(plain, local.pretrained, atol=255 * 1e-4)
    for takes_level, sigma, message in (
        (True, None, "expected sigma"),
        (False, 20, "no sigma"),
        (True, -1, "positive"),
    ):
        with pytest.raises(InputError, match=message):
            ServingClient(addresses["grpc"], LEVEL, takes_level=takes_level).denoise(noisy, sigma=sigma)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_model_exported_before_is_said_to_lack_the_signature(addresses, picture, protocol):
    client = ServingClient(addresses[protocol], OLD, protocol=protocol)
    assert client.gaintune(picture, sigma=20, steps=1)[1].shape == (1,)
    with pytest.raises(InputError, match="with the signature `gaintune_noise`, received one without") as caught:
        client.gaintune(picture, noise="auto", steps=1)
    assert "export it anew" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_noise_that_cannot_be_used_is_refused_here(addresses, picture):
    client = ServingClient(addresses["grpc"], NAME)
    for options, message in (
        ({"noise": "auto", "sigma": 20}, "received both"),
        ({"noise": "rain"}, "received 'rain'"),
        ({"noise": GaussianNoise(np.array([1.0, 2.0]))}, "one for each of 1 frames, received 2"),
    ):
        with pytest.raises(InputError, match=message):
            client.gaintune(picture, **options)


def test_images_beyond_grpcs_usual_limit_are_sent(addresses):
    large = np.random.default_rng(0).random((1200, 1000)).astype("float32")
    assert large.nbytes > 4 << 20
    assert ServingClient(addresses["grpc"], NAME).denoise(large).shape == large.shape


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_what_goes_wrong_is_one_line(addresses, picture, protocol):
    with pytest.raises(InputError, match="not found") as caught:
        ServingClient(addresses[protocol], "other", protocol=protocol).denoise(picture)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="localhost:9"):
        ServingClient("localhost:9", NAME, protocol=protocol, timeout=5).denoise(picture)
    client = ServingClient(addresses[protocol], NAME, protocol=protocol)
    with pytest.raises(InputError, match="sigma"):
        client.gaintune(picture, sigma=-1)
    with pytest.raises(InputError, match="protocol"):
        ServingClient(addresses[protocol], NAME, protocol="smtp")


def test_the_example_reads_asks_and_writes(addresses, picture, tmp_path):
    imsave(tmp_path / "noisy.png", picture, check_contrast=False)
    script = [sys.executable, "-m", "gaintuning_tf.serving", str(tmp_path / "noisy.png")]
    command = [*script, str(tmp_path / "out.png"), "--model", NAME, "--address", addresses["grpc"], "--steps", "2"]
    command += ["--noise", "auto"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert imread(tmp_path / "out.png").shape == picture.shape
    command = [*script, str(tmp_path / "no.png"), "--model", "other", "--address", addresses["grpc"]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "no.png").exists()


IMAGE = "tensorflow/serving"


def docker(*arguments):
    return subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.docker
def test_the_real_server_serves_it(model, picture, tmp_path):
    if shutil.which("docker") is None or docker("image", "inspect", IMAGE).returncode != 0:
        pytest.skip(f"needs a Docker engine and the image {IMAGE}")
    export_saved_model(model, tmp_path / "tiny")
    mount, ports = f"{tmp_path / 'tiny'}:/models/tiny", ["-p", "127.0.0.1::8500", "-p", "127.0.0.1::8501"]
    started = docker("run", "-d", "--rm", *ports, "-v", mount, "-e", "MODEL_NAME=tiny", IMAGE)
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        local = gaintune(picture, model, sigma=20, steps=3, progress=False)
        for port, protocol in ((8500, "grpc"), (8501, "rest")):
            address = docker("port", container, port).stdout.split()[0]
            client = ServingClient(address, "tiny", protocol=protocol, timeout=60)
            tuned, _ = patiently(lambda client=client: client.gaintune(picture, sigma=20, steps=3))
            assert np.abs(tuned.astype(int) - local.denoised).max() <= 1
    finally:
        docker("kill", container)


def patiently(ask, seconds=60):
    """What the server answers, asked again while it starts."""
    last = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except InputError:
            if time.monotonic() > last:
                raise
            time.sleep(1)
