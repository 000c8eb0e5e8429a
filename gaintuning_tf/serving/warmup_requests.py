"""Warm-up requests for TensorFlow Serving, without its Python package.

A server replays them when it loads a version, so that the first user does not wait for what
TensorFlow does once. Four nested messages of TensorFlow Serving's `apis/*.proto` are needed,
written here in protocol buffers' wire format: a field is its number and kind, its length, and
its bytes (https://protobuf.dev/programming-guides/encoding/). The tensors are TensorFlow's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

# Where TensorFlow Serving looks, inside a version.
FILE = Path("assets.extra", "tf_serving_warmup_requests")
# apis/prediction_log.proto, predict.proto and model.proto: the numbers of the fields.
_PREDICT_LOG = 6  # in PredictionLog
_REQUEST = 1  # in PredictLog
_MODEL_SPEC, _INPUTS = 1, 2  # in PredictRequest
_NAME, _SIGNATURE = 1, 3  # in ModelSpec
_KEY, _VALUE = 1, 2  # in an entry of a map


def write_warmup(folder: str | Path, requests: Mapping[str, Mapping[str, np.ndarray | np.generic]], model: str) -> None:
    """Write the warm-up requests of a version: one of each signature.

    Args:
        folder: The version.
        requests: By signature, the inputs by name.
        model: Its name; the server puts its own in its place.
    """
    path = Path(folder) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(prediction_log(model, signature, inputs))


def prediction_log(model: str, signature: str, inputs: Mapping[str, np.ndarray | np.generic]) -> bytes:
    """Serialise a `tensorflow.serving.PredictionLog` that holds one Predict request.

    Args:
        model: The model's name.
        signature: Which of its signatures.
        inputs: Arrays by name.

    Example:

    >>> prediction_log("net", "serving_default", {})
    b'2\\x1a\\n\\x18\\n\\x16\\n\\x03net\\x1a\\x0fserving_default'
    """
    request = _field(_MODEL_SPEC, _field(_NAME, model.encode()) + _field(_SIGNATURE, signature.encode()))
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(_INPUTS, _field(_KEY, name.encode()) + _field(_VALUE, tensor))
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number, content):
    """Encode a field of bytes, text or a message: kind 2, "length-delimited"."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits to a byte, the lowest first; the eighth bit says that more follow."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
