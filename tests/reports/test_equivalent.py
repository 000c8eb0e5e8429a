"""The filter and the bias that a network is at one image, against networks of which both are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import InputError, gain_layers, insert_gains, load_denoiser
from gaintuning_tf.networks.architectures import dncnn, unet
from gaintuning_tf.reports.equivalent import EquivalentFilter, equivalent_filter, net_bias

RNG = np.random.default_rng(0)
# Whole numbers: sums of their products are exact.
FIRST, SECOND = RNG.integers(-4, 5, (3, 3)), RNG.integers(-4, 5, (5, 5))


def image(*size):
    return np.random.default_rng(1).random((1, *size, 1)).astype("float32")


def linear(first_bias=0.0, second_bias=0.0):
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(1, 3, padding="same"),
            keras.layers.Conv2D(1, 5, padding="same"),
        ]
    )
    arrays = FIRST[..., None, None], np.array([first_bias]), SECOND[..., None, None], np.array([second_bias])
    model.set_weights([array.astype("float32") for array in arrays])
    return model


def composed():
    """The 7x7 kernel that correlating with 3x3 and then with 5x5 amounts to."""
    kernel = np.zeros((7, 7))
    for row, column in np.ndindex(5, 5):
        kernel[row : row + 3, column : column + 3] += SECOND[row, column] * FIRST
    return kernel


def perturbed(model):
    """With gains of 0.8 to 1.2."""
    model = insert_gains(model)
    for number, gain in enumerate(gain_layers(model)):
        gain.gain.assign(np.random.default_rng(number).uniform(0.8, 1.2, gain.gain.shape))
    return model


def test_of_a_linear_network_it_is_the_composition_of_its_kernels():
    found = equivalent_filter(linear(), np.ones((1, 20, 24, 1)), (9, 13))
    np.testing.assert_array_equal(found.weights[..., 0], composed())
    assert (found.radius, found.bias, found.sum) == (3, 0, composed().sum())
    assert found.own == composed()[3, 3]
    assert found.energy == (composed() ** 2).sum()


def test_of_a_network_with_its_output_in_a_list_it_is_the_same():
    model = linear()
    listed = keras.Model(model.inputs[0], [model.outputs[0]], name="_listed")
    one, other = (equivalent_filter(each, image(20, 20), (10, 9)) for each in (model, listed))
    np.testing.assert_array_equal(one.weights, other.weights)


def test_a_gain_of_one_changes_nothing_and_gains_scale_the_filter():
    gained = insert_gains(linear())
    for factors in ((1, 1), (2, 1), (0.5, 4)):
        for gain, factor in zip(gain_layers(gained), factors, strict=True):
            gain.gain.assign([factor])
        found = equivalent_filter(gained, np.ones((1, 20, 24, 1)), (9, 13))
        np.testing.assert_array_equal(found.weights[..., 0], np.prod(factors) * composed())


def test_at_the_border_the_filter_stays_centred_and_is_zero_outside():
    found = equivalent_filter(linear(), np.ones((1, 20, 24, 1)), (0, 23))
    assert found.weights.shape == (7, 7, 1)
    assert not found.weights[:3].any() and not found.weights[:, 4:].any()
    # Two pixels inwards, and no weight goes by way of the padding between the layers.
    assert found.weights[6, 0, 0] == composed()[6, 0]


@pytest.mark.parametrize("pixel", [(7, 9), (0, 0)])
def test_rows_agree_with_finite_differences(tiny, pixel):
    model, noisy, step = perturbed(tiny), image(16, 18), 1e-3
    found = equivalent_filter(model, noisy, pixel)
    shifts = step * np.eye(16 * 18, dtype="float32").reshape(-1, 16, 18, 1)
    slopes = (model(noisy + shifts) - model(noisy - shifts)).numpy()[:, pixel[0], pixel[1], 0] / (2 * step)
    padded = np.pad(slopes.reshape(16, 18), found.radius)
    side = 2 * found.radius + 1
    expected = padded[pixel[0] : pixel[0] + side, pixel[1] : pixel[1] + side]
    # Rounding: outputs of about one are known to 1e-7 each, the more the layers before, over twice the step.
    np.testing.assert_allclose(found.weights[..., 0], expected, atol=5e-4)
    assert np.count_nonzero(padded) == np.count_nonzero(expected)  # nothing lies outside the support
    assert np.abs(expected).max() > 0.02


@pytest.mark.parametrize("pixel", [(150, 7), (101, 128)])
def test_a_window_gives_what_the_whole_image_gives(pixel):
    """Through a network that halves the sides, for windows that end inside the image and at its odd borders."""
    model, noisy = unet(width=4, bias_free=False), image(155, 301)
    whole = equivalent_filter(model, noisy, pixel, radius=301)
    cut = equivalent_filter(model, noisy, pixel)
    assert whole.radius == cut.radius >= 15
    np.testing.assert_allclose(cut.weights, whole.weights, rtol=1e-4, atol=1e-6 * np.abs(whole.weights).max())
    window = slice(pixel[0] - 5, pixel[0] + 5), slice(pixel[1] - 5, pixel[1] + 5)
    whole, cut = net_bias(model, noisy), net_bias(model, noisy, window=window)
    np.testing.assert_allclose(cut.bias, whole.bias[:, window[0], window[1]], atol=1e-5)


def test_filter_and_bias_make_up_the_output():
    model, noisy = perturbed(dncnn(depth=4, width=8)), image(15, 12)
    bias = net_bias(model, noisy).bias
    denoised = model(noisy, training=False).numpy()
    for pixel in ((3, 4), (14, 0)):
        found = equivalent_filter(model, noisy, pixel)
        assert found.bias == pytest.approx(float(bias[(0, *pixel, 0)]), abs=1e-5)
        around = np.pad(noisy[0, ..., 0], found.radius)
        side = 2 * found.radius + 1
        seen = around[pixel[0] : pixel[0] + side, pixel[1] : pixel[1] + side]
        total = (found.weights[..., 0] * seen).sum() + found.bias
        assert total == pytest.approx(float(denoised[(0, *pixel, 0)]), abs=1e-5)


def test_the_net_bias_of_a_linear_network_is_its_output_of_nothing():
    model, noisy = linear(0.25, -3.0), image(13, 17)
    expected = model(np.zeros_like(noisy)).numpy()
    assert np.ptp(expected) > 0  # the border has another than the middle
    np.testing.assert_allclose(net_bias(model, noisy).bias, expected, atol=1e-4)  # float32, of outputs up to 100


@pytest.fixture
def float64():
    kept = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(kept[0])
    keras.config.set_dtype_policy(kept[1])


@pytest.mark.usefixtures("float64")
def test_the_net_bias_agrees_with_finite_differences():
    """`b = f(y) - d/dt f(t y)` at t = 1, through batch norm."""
    model = perturbed(dncnn(depth=4, width=8))
    for variable in model.variables:
        if variable.name in ("moving_mean", "bias"):
            variable.assign(np.random.default_rng(3).normal(0, 0.1, variable.shape))
    noisy, step = image(15, 12).astype("float64"), 1e-6
    outputs = [model((1 + shift) * noisy, training=False).numpy() for shift in (step, -step, 0)]
    found = net_bias(model, noisy).bias
    np.testing.assert_allclose(found, outputs[2] - (outputs[0] - outputs[1]) / (2 * step), atol=1e-8)
    assert np.abs(found).max() > 0.01


@pytest.mark.parametrize("name", ["unet-bf-natural", "dncnn"])
def test_a_network_without_biases_has_no_net_bias(name, photograph):
    model = load_denoiser(name) if "-" in name else dncnn(depth=5, width=8, bias_free=True)
    found = net_bias(perturbed(model), photograph[None, :41, :37, None])
    assert found.residual > 0.01
    assert found.rms < 1e-6 * found.residual
    assert found.negligible


def test_a_network_with_biases_has_one(photograph):
    found = net_bias(perturbed(load_denoiser("dncnn-natural")), photograph[None, :24, :24, None])
    assert not found.negligible
    assert found.relative == pytest.approx(found.rms / found.residual)


def test_sides_that_the_network_does_not_take_are_padded_as_in_tuning():
    inputs = keras.Input((None, None, 1))
    half = keras.layers.Conv2D(1, 2, strides=2, use_bias=False, kernel_initializer="ones")(inputs)
    full = keras.layers.Conv2DTranspose(1, 2, strides=2, use_bias=False, kernel_initializer="ones")(half)
    found = equivalent_filter(keras.Model(inputs, full), image(5, 4), (4, 1))
    # The last row, mirrored, is counted twice.
    np.testing.assert_array_equal(found.weights[..., 0], [[0, 0, 0], [2, 2, 0], [0, 0, 0]])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = unet(width=2)
    for number, variable in enumerate(model.weights):
        if variable.name == "bias":
            variable.assign(np.random.default_rng(number).normal(0, 0.1, variable.shape))
    folder = tmp_path_factory.mktemp("exported") / "unet"
    model.export(folder, verbose=False)
    return model, insert_gains(load_denoiser(folder))


def test_a_network_known_as_a_graph_has_the_same_filter_and_bias(exported):
    model, graph = exported
    noisy = image(21, 18)
    expected, found = (equivalent_filter(m, noisy, (10, 11)) for m in (model, graph))
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6)
    np.testing.assert_allclose(net_bias(graph, noisy).bias, net_bias(model, noisy).bias, atol=1e-6)
    assert net_bias(model, noisy).rms > 0.01


def test_the_gains_of_a_graph_are_in_the_order_of_the_network(exported):
    from gaintuning_tf.reports.analysis import gain_changes

    names = [change.layer for change in gain_changes(exported[1])]
    assert [name.partition("conv")[2][0] for name in names] == [*"123456789"]


def test_the_filter_of_a_colour_network_has_its_channels():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1, use_bias=False)])
    kernel = np.arange(9.0).reshape(3, 3)
    model.set_weights([kernel[None, None]])
    found = equivalent_filter(model, np.ones((1, 5, 5, 3)), (2, 2), channel=1)
    assert found.weights[0, 0].tolist() == kernel[:, 1].tolist()
    assert found.own == 4


def test_width_is_the_spread_of_the_squared_weights():
    weights = np.zeros((5, 5, 1))
    weights[2, 2] = weights[2, 4] = -1
    # Half of the squares at 0, half at 2 pixels.
    assert EquivalentFilter((0, 0), 0, weights, 0).width == pytest.approx(2**0.5)


def test_what_cannot_be_analysed_is_refused_with_a_reason(tiny):
    noisy = image(8, 9)
    with pytest.raises(InputError, match=r"pixel of a 8x9 image, received \(8, 0\)"):
        equivalent_filter(tiny, noisy, (8, 0))
    with pytest.raises(InputError, match="row and column"):
        equivalent_filter(tiny, noisy, (1, 2, 0))
    with pytest.raises(InputError, match=r"channel from 0 to 0, received 1"):
        equivalent_filter(tiny, noisy, (1, 2), channel=1)
    with pytest.raises(InputError, match=r"one image .* received the shape \(2, 8, 9, 1\)"):
        equivalent_filter(tiny, tf.concat([noisy, noisy], 0), (1, 2))
    with pytest.raises(InputError, match="frame_model"):
        equivalent_filter(insert_gains(tiny, images=2), noisy, (1, 2))
    with pytest.raises(InputError, match="expects images of shape"):
        net_bias(tiny, noisy[0])


def test_the_old_name_of_the_radius_still_works():
    noisy = np.ones((1, 20, 24, 1))
    found = equivalent_filter(linear(), noisy, (9, 13), radius=2)
    with pytest.warns(DeprecationWarning, match="radius"):
        assert found.reach == found.radius > 0
    with pytest.warns(DeprecationWarning, match="radius"):
        old = equivalent_filter(linear(), noisy, (9, 13), reach=2)
    np.testing.assert_array_equal(old.weights, found.weights)
    window = (slice(3, 9), slice(4, 8))
    with pytest.warns(DeprecationWarning, match="radius"):
        old = net_bias(linear(), noisy, window=window, reach=2)
    np.testing.assert_array_equal(old.bias, net_bias(linear(), noisy, window=window, radius=2).bias)
    with pytest.raises(TypeError, match="radius and reach"):
        net_bias(linear(), noisy, window=window, radius=2, reach=2)
