"""Warm-up records are the messages that TensorFlow Serving's own package writes."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf.serving.warmup_requests import FILE, prediction_log, write_warmup


@pytest.fixture
def messages():
    return pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs the extra [serving]")


@pytest.mark.parametrize("side", [1, 5, 200])  # lengths of one, two and three bytes
def test_a_record_is_what_the_package_would_write(messages, side):
    inputs = {"noisy": np.ones((1, side, side, 1), np.float32), "steps": np.int32(3)}
    expected = messages.PredictionLog()
    request = expected.predict_log.request
    request.model_spec.name = "net"
    request.model_spec.signature_name = "gaintune"
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    received = messages.PredictionLog.FromString(prediction_log("net", "gaintune", inputs))
    assert received == expected


def test_the_file_is_where_the_server_looks(tmp_path):
    write_warmup(tmp_path, {"serving_default": {"noisy": np.zeros(3, np.float32)}}, "net")
    assert FILE.as_posix() == "assets.extra/tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(tmp_path / FILE))]
    assert records == [prediction_log("net", "serving_default", {"noisy": np.zeros(3, np.float32)})]
