"""A client of TensorFlow Serving for exported denoisers, by gRPC or REST."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.images.array_layout import layout
from gaintuning_tf.noise.models import NoiseModel
from gaintuning_tf.serving.request_noise import noise_inputs, noise_of_frames, refined, starts_at_zero
from gaintuning_tf.support.extras import required

PROTOCOLS = ("grpc", "rest")
DENOISE, GAINTUNE, GAINTUNE_NOISE = "serving_default", "gaintune", "gaintune_noise"
_ABSENT = (
    "{address}: expected a model with the signature `{signature}`, received one without: export it anew with "
    "`gaintuning-tf export`, without --no-adaptive, and this or a newer version of it"
)
# gRPC's own limit of 4 MB is less than one image of 1024x1024.
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class ServingClient:
    """Denoise images on a server that holds what `export_saved_model` wrote.

    Args:
        address: `HOST:PORT` of the server; by default its ports are 8500 for gRPC and 8501
            for REST.
        model: Name that the server knows the model by.
        protocol: `"grpc"`, the faster one, which needs the extra `serving`, or `"rest"`, which needs nothing.
        version: That of the model; by default the server's choice, its newest.
        channels: Those of the model's images, 1 for grey.
        dimensions: Spatial axes of them: 3 of a model of volumes.
        takes_level: Whether the network takes the level of the noise: then `serving_default` does, too.
        timeout: Seconds to wait for an answer.

    Raises:
        InputError: The protocol is neither, or gRPC is not installed.

    Example:

        client = ServingClient("localhost:8500", "unet-bf-natural")
        denoised, risk = client.gaintune(noisy, sigma=25)  # noisy: uint8, say, and so is denoised
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        protocol: str = "grpc",
        version: int | None = None,
        channels: int = 1,
        timeout: float = 600.0,
        dimensions: int = 2,
        takes_level: bool = False,
    ):
        if protocol not in PROTOCOLS:
            raise InputError(f"expected protocol in {', '.join(PROTOCOLS)}, received {protocol!r}")
        self.channels, self.dimensions, self.takes_level = channels, dimensions, takes_level
        kind = _Grpc if protocol == "grpc" else _Rest
        self._server = kind(address, model, version, timeout)

    def denoise(
        self,
        image: ArrayLike,
        *,
        sigma: float | None = None,
        axes: str | None = None,
        data_range: float | None = None,
    ) -> np.ndarray:
        """Denoise an image with the network as it is.

        Args:
            image: (H, W), (H, W, C) or what `axes` describes, of any integer or float dtype, see `gaintune`.
            sigma: Standard deviation of the noise in the image's units, for a network that takes it.
            axes: A letter per axis, such as `"TYX"`.
            data_range: Value of the image that the network is to see as 1.

        Returns:
            An array of the same shape, dtype and scale.

        Raises:
            InputError: The image cannot be used, sigma is missing or of no use, or the server cannot be asked or
                refuses.
        """
        if self.takes_level != (sigma is not None):
            needed = (
                "sigma, which the network takes" if self.takes_level else "no sigma, which the network does not take"
            )
            raise InputError(f"expected {needed} (takes_level={self.takes_level}), received {sigma}")
        if sigma is not None:
            _check_level(sigma)
        arrangement, frames = self._frames(image, axes, data_range)
        return arrangement.image(self._denoised(frames, (sigma or 0) / arrangement.data_range))

    def gaintune(
        self,
        image: ArrayLike,
        *,
        sigma: float | None = None,
        noise: str | NoiseModel | None = None,
        steps: int = 10,
        axes: str | None = None,
        data_range: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Denoise an image with the network adapted to it, frame by frame.

        Args:
            image: As for `denoise`.
            sigma: Standard deviation of white Gaussian noise in the image's units; without it and `noise`, the
                server estimates it.
            noise: `"auto"`, or another kind that `estimate_noise` knows: the noise of each frame is estimated here,
                white or correlated, the same everywhere or growing with the signal, and sent along. By `"auto"`, the
                level of correlated noise and of white Gaussian noise is then estimated once more, as `gaintune` does,
                for which the server is asked to denoise six images more, or three, or parts of them. Or a noise model
                in the image's units. The server's model needs the signature `gaintune_noise`, which takes channels for
                independent, and the noise for sure.
            steps: Steps of tuning; 0 for the network as it is.
            axes: As for `denoise`.
            data_range: As for `denoise`.

        Returns:
            The array, of the same shape, dtype and scale; and the estimated mean squared error of each frame, in
            squared units of the image.

        Raises:
            InputError: The image or the noise cannot be used, the server cannot be asked or refuses, or its
                model has no such signature.
        """
        if sigma is not None and noise is not None:
            raise InputError("expected the noise level in `sigma` or in `noise`, received both")
        if sigma is not None:
            _check_level(sigma)
        arrangement, frames = self._frames(image, axes, data_range, from_zero=starts_at_zero(noise))
        scale = arrangement.data_range
        if noise is None:
            level = -1.0 if sigma is None else sigma / scale
            signature, known = GAINTUNE, {"sigma": np.full(len(frames), level, np.float32)}
        else:
            models = noise_of_frames(noise, frames, scale, arrangement.offset)
            if noise == "auto" and steps:
                models = refined(models, frames, self._denoised)
            signature, known = GAINTUNE_NOISE, noise_inputs(models)
        outputs = self._predict(signature, {"noisy": frames, **known, "steps": np.int32(steps)})
        return arrangement.image(outputs["denoised"]), outputs["sure"] * scale**2

    def _denoised(self, frames, sigma):
        level = {"sigma": np.full(len(frames), sigma, np.float32)} if self.takes_level else {}
        return self._predict(DENOISE, {"noisy": frames, **level})["denoised"]

    def _predict(self, signature, inputs):
        try:
            return self._server.predict(signature, inputs)
        except InputError as error:
            if _says_that_it_is_absent(str(error), signature):
                raise InputError(_ABSENT.format(address=self._server.address, signature=signature)) from error
            raise

    def _frames(self, image, axes, data_range, from_zero=False):
        image = np.asarray(image)
        how = {"data_range": data_range, "from_zero": from_zero, "dimensions": self.dimensions}
        arrangement = layout(image, self.channels, axes=axes, **how)
        return arrangement, arrangement.frames(image)


def _check_level(sigma):
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(f"expected sigma to be a positive number, in the units of the image, received {sigma}")


def _says_that_it_is_absent(text, signature):
    """Whether the error is a server's `Serving signature key "..." not found` or, by REST, `signature name: ...`."""
    return all(part in text for part in ("signature", f'"{signature}"', "not found"))


class _Grpc:
    def __init__(self, address, model, version, timeout):
        grpc = required("grpc", "gRPC, unlike REST,", "serving")
        apis = required("tensorflow_serving.apis.prediction_service_pb2_grpc", "gRPC, unlike REST,", "serving")
        self.address, self.model, self.version, self.timeout = address, model, version, timeout
        channel = grpc.insecure_channel(address, options=UNLIMITED)
        self.stub = apis.PredictionServiceStub(channel)

    def predict(self, signature, inputs):
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        messages: Any = predict_pb2  # protobuf makes its classes as the module runs
        request = messages.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        if self.version is not None:
            request.model_spec.version.value = self.version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self.stub.Predict(request, self.timeout)
        except grpc.RpcError as error:
            raise InputError(
                f"{self.address}: {error.code().name}: {reason_of(error, error.details() or '')}"
            ) from error
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


class _Rest:
    def __init__(self, address, model, version, timeout):
        self.address, self.timeout = address, timeout
        of_version = "" if version is None else f"/versions/{version}"
        self.url = f"http://{address}/v1/models/{urllib.parse.quote(model, safe='')}{of_version}:predict"

    def predict(self, signature, inputs):
        content = {"signature_name": signature, "inputs": {name: value.tolist() for name, value in inputs.items()}}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url, json.dumps(content).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                outputs = json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            raise InputError(f"{self.address}: {error.code}: {reason_of(error, _error_in(error.read()))}") from error
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self.address}: {reason_of(error)}") from error
        # A single output comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {"denoised": outputs}
        return {name: np.asarray(value, np.float32) for name, value in outputs.items()}


def _error_in(body):
    """Take the text out of the server's answer, `{"error": TEXT}` over several lines; all of it if it is another's."""
    text = body.decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text
