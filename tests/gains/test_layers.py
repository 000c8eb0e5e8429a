"""Gain: one factor per channel, for any rank, either data format, shared or per image."""

import keras
import numpy as np
import pytest

from gaintuning_tf import Gain, InputError

SHAPES = {
    "channels_last": [(2, 3), (2, 7, 3), (2, 5, 7, 3), (2, 4, 5, 7, 3)],
    "channels_first": [(2, 3), (2, 3, 7), (2, 3, 5, 7), (2, 3, 4, 5, 7)],
}


def features(shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def expected(x, gains, data_format):
    """By NumPy: the channels last, then multiplied image by image."""
    moved = np.moveaxis(x, 1, -1) if data_format == "channels_first" else x
    scaled = np.stack([image * gains[i % len(gains)] for i, image in enumerate(moved)])
    return np.moveaxis(scaled, -1, 1) if data_format == "channels_first" else scaled


@pytest.mark.parametrize(("data_format", "shape"), [(f, s) for f, shapes in SHAPES.items() for s in shapes])
@pytest.mark.parametrize("images", [None, 1, 2])
def test_scales_each_channel(data_format, shape, images):
    gain = Gain(images, data_format)
    x = features(shape)
    np.testing.assert_array_equal(gain(x), x)
    values = np.random.default_rng(1).standard_normal((images or 1, 3)).astype("float32")
    gain.gain.assign(values if images else values[0])
    np.testing.assert_allclose(gain(x), expected(x, values, data_format), rtol=1e-6)


def test_per_image_gains_repeat_over_a_batch_of_whole_rounds():
    gain = Gain(images=2)
    x = features((6, 4, 4, 3))
    gain(x)
    values = np.arange(6, dtype="float32").reshape(2, 3)
    gain.gain.assign(values)
    np.testing.assert_allclose(gain(x), expected(x, values, "channels_last"), rtol=1e-6)


def test_is_ones_at_start_and_keeps_shape_and_dtype():
    gain = Gain()
    y = gain(features((1, 4, 4, 3)))
    assert gain.gain.numpy().tolist() == [1, 1, 1]
    assert gain.compute_output_shape((None, None, 4, 3)) == (None, None, 4, 3)
    assert y.dtype == "float32"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_variables_stay_float32_under_mixed_precision(policy):
    gain = Gain(dtype=policy)
    assert gain(features((1, 4, 4, 3))).dtype == policy.removeprefix("mixed_")
    assert gain.gain.dtype == "float32"


@pytest.mark.parametrize("images", [None, 2])
def test_survives_saving(images, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), Gain(images, name="g")])
    model.layers[0].gain.assign(np.random.default_rng(0).standard_normal(model.layers[0].gain.shape))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    x = features((2, 4, 4, 3))
    np.testing.assert_array_equal(model(x), loaded(x))


def test_refusals():
    with pytest.raises(ValueError, match="images"):
        Gain(images=0)
    with pytest.raises(ValueError, match="data_format"):
        Gain(data_format="NCHW")
    with pytest.raises(ValueError, match="known number of channels"):
        Gain().build((None, 4, 4, None))
    assert issubclass(InputError, ValueError)
