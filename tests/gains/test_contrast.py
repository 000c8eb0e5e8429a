"""Contrast: nothing at one, its own inverse, and the same in a model as in the tuner."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, GainTuner, InputError, insert_gains, load_gains, save_gains
from gaintuning_tf.gains.contrast import at_contrast, take_contrast, with_contrast
from gaintuning_tf.networks.architectures import dncnn, unet


def images(n=2):
    return np.random.default_rng(0).random((n, 9, 7, 1)).astype("float32")


def test_a_contrast_of_one_changes_no_bit():
    noisy = images()
    np.testing.assert_array_equal(at_contrast(lambda y: y, noisy, tf.ones(2)), noisy)


def test_what_the_network_sees_lies_closer_to_grey_and_comes_back():
    seen = []
    noisy = images(4)
    denoised = at_contrast(lambda y: seen.append(y.numpy()) or y, noisy, tf.constant([0.5, 0.25]))
    np.testing.assert_allclose(denoised, noisy, atol=1e-6)
    scale = np.array([0.5, 0.25, 0.5, 0.25])[:, None, None, None]
    np.testing.assert_allclose(seen[0] - 0.5, scale * (noisy - 0.5), atol=1e-6)


@pytest.mark.parametrize("contrast", [0.5, [0.5, 0.25]], ids=["one", "each"])
def test_the_model_computes_the_same_and_survives_saving(tiny, tmp_path, contrast):
    noisy = images()
    expected = at_contrast(lambda y: tiny(y), noisy, tf.constant(np.atleast_1d(contrast), tf.float32))
    model = with_contrast(tiny, np.float32(contrast))
    np.testing.assert_allclose(model(noisy), expected, atol=1e-6)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(noisy), expected, atol=1e-6)
    inner, found = take_contrast(again)
    np.testing.assert_array_equal(found, np.atleast_1d(np.float32(contrast)))
    np.testing.assert_allclose(inner(noisy), tiny(noisy), atol=1e-6)


def test_at_one_there_is_nothing_to_put_around(tiny):
    assert with_contrast(tiny, 1.0) is tiny
    model, contrast = take_contrast(tiny)
    assert model is tiny
    assert contrast.tolist() == [1]


def test_a_file_of_gains_has_the_contrast_too(tiny, tmp_path):
    gained = insert_gains(tiny)
    model = with_contrast(gained, 0.5)
    save_gains(model, tmp_path / "a.gains.h5")
    again = load_gains(tiny, tmp_path / "a.gains.h5")
    np.testing.assert_array_equal(again(images()), model(images()))
    save_gains(gained, tmp_path / "b.gains.h5")
    assert take_contrast(load_gains(model, tmp_path / "b.gains.h5"))[1].tolist() == [1]


@pytest.mark.parametrize("contrast", [0.0, -1.0, np.nan, [0.5, 0.5]])
def test_a_file_with_an_impossible_contrast_is_refused(tiny, tmp_path, contrast):
    import h5py

    save_gains(insert_gains(tiny), tmp_path / "a.gains.h5")
    with h5py.File(tmp_path / "a.gains.h5", "a") as file:
        file.attrs["contrast"] = contrast
    with pytest.raises(InputError, match="contrast"):
        load_gains(tiny, tmp_path / "a.gains.h5")


@pytest.mark.parametrize("architecture", [dncnn, unet])
@pytest.mark.parametrize("bias_free", [True, False])
def test_a_contrast_is_looked_for_where_the_network_has_biases(architecture, bias_free):
    model = architecture(bias_free=bias_free)
    give_biases(model)
    assert GainTuner(model, CoupledBootstrap(0.1)).contrast is not bias_free
    assert GainTuner(model, CoupledBootstrap(0.1), contrast=True).contrast is True
    assert GainTuner(model, CoupledBootstrap(0.1), prior=None).contrast is False


def test_biases_show_in_a_network_of_fixed_size_and_in_one_with_gains(tiny):
    inputs = keras.Input((9, 7, 1), batch_size=2)
    fixed = keras.Model(inputs, tiny(inputs))
    assert GainTuner(fixed, CoupledBootstrap(0.1)).contrast is False
    give_biases(tiny)
    for model in (fixed, insert_gains(tiny, images=3)):
        assert GainTuner(model, CoupledBootstrap(0.1)).contrast is True


def give_biases(model):
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(weight + 0.1)
