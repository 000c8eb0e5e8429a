"""gaintune: the whole way, for every kind of array a user may have."""

import gc
import weakref

import keras
import numpy as np
import pytest

from gaintuning_tf import (
    GaussianNoise,
    InputError,
    MonteCarloSURE,
    PoissonNoise,
    gain_layers,
    gaintune,
    insert_gains,
    load_denoiser,
    psnr,
)
from gaintuning_tf.denoising import frame_tuner
from gaintuning_tf.gains.contrast import with_contrast
from gaintuning_tf.networks.network import Network
from gaintuning_tf.noise.automatic import examine_noise
from gaintuning_tf.noise.tensors import noise_tensors
from helpers import correlations

SIGMA = 25


@pytest.fixture(scope="module")
def network():
    return load_denoiser("unet-bf-natural")


@pytest.fixture(scope="module")
def noisy(photograph):
    rng = np.random.default_rng(0)
    return (255 * photograph + SIGMA * rng.standard_normal(photograph.shape)).astype(np.float32) / 255


def quick(image, model, **options):
    return gaintune(image, model, **{"steps": 2, "progress": False, **options})


def test_a_noisy_photograph_gets_better(network, photograph, noisy):
    result = quick(noisy, network, sigma=SIGMA / 255, steps=10)
    before = psnr(photograph, noisy, data_range=1.0)
    assert psnr(photograph, result.pretrained, data_range=1.0) > before + 5
    assert (
        psnr(photograph, result.denoised, data_range=1.0) > psnr(photograph, result.pretrained, data_range=1.0) - 0.02
    )
    assert result.history["risk"].shape == (10,)
    assert result.history["risk_after"] <= result.history["risk_before"]
    assert result.noise.sigma == pytest.approx(SIGMA / 255)


def test_far_outside_its_training_a_network_gets_much_better(tiny, photograph):
    """A network that scales the brightness wrongly is set right by its gains."""
    tiny.get_layer("last").kernel.assign(0.6 * tiny.get_layer("last").kernel)
    noisy = photograph + 0.1 * np.random.default_rng(0).standard_normal(photograph.shape).astype("float32")
    result = quick(noisy, tiny, sigma=0.1, steps=100, loss=MonteCarloSURE(probe="rademacher"))
    gained = psnr(photograph, result.denoised, data_range=1.0) - psnr(photograph, result.pretrained, data_range=1.0)
    assert gained > 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64", "int16"])
def test_every_dtype_gives_the_same_picture(network, noisy, dtype):
    scale = {"uint8": 255, "uint16": 65535, "int16": 10000}.get(dtype, 1)
    image = (scale * noisy.clip(0, 1)).round().astype(dtype) if scale > 1 else noisy.astype(dtype)
    original = image.copy()
    result = quick(image, network, sigma=scale * SIGMA / 255)
    assert result.denoised.dtype == result.pretrained.dtype == image.dtype
    assert result.denoised.shape == image.shape
    assert result.noise.sigma == pytest.approx(scale * SIGMA / 255)
    np.testing.assert_array_equal(image, original)
    reference = quick(noisy.clip(0, 1) if scale > 1 else noisy, network, sigma=SIGMA / 255)
    # 8 bits quantise the output by up to 0.5 / 255 and the input too, of which the network lets at most as much
    # through as there was, give or take a half at edges; and Adam's first steps, of equal length however small
    # the gradient, carry a change of its sign further.
    np.testing.assert_allclose(result.pretrained / scale, reference.pretrained, atol=2.5 * 0.5 / 255)
    np.testing.assert_allclose(result.denoised / scale, reference.denoised, atol=0.02)


def test_single_channel_axes_and_odd_and_small_sizes(network, noisy):
    for shape in ((31, 45), (31, 45, 1), (9, 7), (5, 2), (2, 1)):
        image = noisy[: shape[0], : shape[1]].reshape(shape)
        result = quick(image, network, sigma=0.1)
        assert result.denoised.shape == shape
        assert np.isfinite(result.denoised).all()


def test_colour_through_a_grey_network_is_channel_by_channel(network, photograph):
    rng = np.random.default_rng(0)
    colour = np.stack([photograph, photograph[::-1], 0.5 * photograph], -1)
    image = colour + 0.1 * rng.standard_normal(colour.shape).astype("float32")
    result = quick(image, network, sigma=0.1, steps=3)
    alone = quick(np.ascontiguousarray(image[..., 2]), network, sigma=0.1, steps=3)
    np.testing.assert_allclose(result.denoised[..., 2], alone.denoised, atol=1e-6)
    for name, gains in alone.gains.items():
        np.testing.assert_array_equal(result.gains[name][2], gains)
    assert result.history["risk"].shape == (3, 3)
    frames = np.moveaxis(image, -1, 0)[..., None]
    again = np.moveaxis(result.model.predict(frames, verbose=0)[..., 0], 0, -1)
    np.testing.assert_allclose(again, result.denoised, atol=1e-5)


def test_colour_networks_take_colour_whole(photograph):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    image = np.stack([photograph] * 3, -1)
    result = quick(image, model, sigma=0.1)
    assert result.denoised.shape == image.shape
    assert result.gains["conv2d_gain" if "conv2d_gain" in result.gains else next(iter(result.gains))].shape == (3,)


def test_stacks_are_tuned_frame_by_frame(network, noisy):
    stack = np.stack([noisy, noisy[::-1], noisy.T[:96, :80] if noisy.T.shape == (96, 80) else noisy[:, ::-1]])
    result = quick(stack, network, sigma=0.1, axes="TYX")
    alone = quick(np.ascontiguousarray(stack[1]), network, sigma=0.1)
    np.testing.assert_allclose(result.denoised[1], alone.denoised, atol=1e-6)


def test_sigma_is_estimated_in_the_units_of_the_image(network, noisy):
    result = quick((1000 * noisy).astype("float32"), network, data_range=1000.0)
    assert result.noise.sigma == pytest.approx(1000 * SIGMA / 255, rel=0.12)


def test_the_model_is_never_changed(network, noisy):
    before = [w.copy() for w in network.get_weights()]
    result = quick(noisy, network, sigma=0.1)
    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), before, strict=True))
    assert gain_layers(network) == []
    assert result.model is not network


def test_the_result_model_makes_the_denoised_image(network, noisy):
    result = quick(noisy, network, sigma=0.1, steps=5)
    again = result.model.predict(noisy[None, ..., None], verbose=0)[0, ..., 0]
    np.testing.assert_allclose(again, result.denoised, atol=1e-5)
    assert np.any(again != result.pretrained)
    assert {name: value.shape for name, value in result.gains.items()} == {
        gain.name: tuple(gain.gain.shape) for gain in gain_layers(result.model)
    }


def test_gains_of_the_model_are_where_tuning_starts(network, noisy):
    gained = insert_gains(network)
    for gain in gain_layers(gained):
        gain.gain.assign(0.9 * np.ones(gain.gain.shape))
    result = quick(noisy, gained, sigma=0.1, steps=0)
    np.testing.assert_allclose(next(iter(result.gains.values())), 0.9)
    assert all(np.allclose(gain.gain, 0.9) for gain in gain_layers(gained))
    expected = gained.predict(noisy[None, ..., None], verbose=0)[0, ..., 0]
    np.testing.assert_allclose(result.denoised, expected, atol=1e-5)
    plain = network.predict(noisy[None, ..., None], verbose=0)[0, ..., 0]
    np.testing.assert_allclose(result.pretrained, plain, atol=1e-5)


def test_the_same_seed_gives_the_same_image(network, noisy):
    first, second, other = (quick(noisy, network, sigma=0.1, seed=seed).denoised for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)


def test_no_steps_is_the_network_as_it_is(network, noisy):
    result = quick(noisy, network, sigma=0.1, steps=0)
    np.testing.assert_array_equal(result.denoised, result.pretrained)
    assert result.history["risk"].shape == (0,)
    assert (
        repr(result).startswith(f"<GainTuningResult: {noisy.shape} float32, 0 steps, risk ") and len(repr(result)) < 120
    )


def test_the_level_of_correlated_noise_is_refined_only_where_a_result_depends_on_it(network):
    noise = GaussianNoise(0.1, correlation=correlations.BLURRED)
    image = noise.sample(np.full((96, 96), 0.5), np.random.default_rng(0)).astype(np.float32)
    first = examine_noise(image)
    options = {"data_range": 1.0, "steps": 0}
    found = quick(image, network, **options)
    assert found.noise.correlation is not None
    assert found.noise.sigma == pytest.approx(first.noise.sigma, rel=1e-6)
    assert found.evidence[0]["uncertainty"] == first.uncertainty
    # With gains, noise of that level is added to what the network sees.
    gained = insert_gains(network)
    refined = quick(image, gained, **options)
    tuned = quick(image, network, **options | {"steps": 1})
    assert refined.noise == tuned.noise != found.noise
    assert refined.evidence[0]["uncertainty"] == pytest.approx(
        abs(np.square(tuned.noise.sigma / first.noise.sigma) - 1) / 2
    )


def test_large_images_go_through_windows_and_tiles_without_a_seam(network, noisy, monkeypatch):
    whole = quick(noisy, network, sigma=0.1, steps=0).denoised
    monkeypatch.setattr(frame_tuner, "TILED_PIXELS", 1000)
    monkeypatch.setattr(frame_tuner.tiles.denoise_tiled, "__kwdefaults__", {"tile": 64})
    np.testing.assert_allclose(quick(noisy, network, sigma=0.1, steps=0).denoised, whole, atol=1e-5)


def test_a_network_of_fixed_size_is_tuned_on_images_of_any(tiny, noisy):
    inputs = keras.Input((32, 32, 1))
    fixed = keras.Model(inputs, tiny(inputs))
    for image in (noisy, noisy[:20]):
        result = quick(image, fixed, sigma=0.1)
        expected = Network(fixed)(image[None, ..., None])[0, ..., 0]
        np.testing.assert_allclose(result.pretrained, expected, atol=1e-5)
        assert result.history["risk_after"] <= result.history["risk_before"]
        assert np.any(result.denoised != result.pretrained)


def test_an_interruption_gives_the_image_of_the_best_gains_and_skips_the_rest(network, noisy):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    stack = np.stack([noisy, noisy])
    result = quick(stack, network, sigma=0.1, steps=50, axes="TYX", callbacks=[Interrupt()])
    assert result.history["interrupted"].tolist() == [True, False]
    assert np.isfinite(result.history["risk"]).sum(-1).tolist() == [2, 0]
    np.testing.assert_array_equal(result.denoised[1], result.pretrained[1])


def test_one_compilation_serves_all_calls_with_a_model_until_its_weights_change(tiny, noisy):
    quick(noisy, tiny, sigma=0.1)
    (denoiser,) = frame_tuner._denoisers[tiny].values()
    first = quick(noisy[:50], tiny, sigma=0.1)
    gains = {name: value.copy() for name, value in first.gains.items()}
    assert list(frame_tuner._denoisers[tiny].values()) == [denoiser]
    assert denoiser.tuner._compiled.functions(noise_tensors(1.0)).step.experimental_get_tracing_count() == 1
    quick(noisy, tiny, sigma=0.2)
    assert all(np.array_equal(gain.gain, gains[gain.name]) for gain in gain_layers(first.model))
    tiny.get_layer("last").bias.assign([0.25])
    moved = quick(noisy, tiny, sigma=0.1, steps=0)
    np.testing.assert_allclose(moved.pretrained, tiny.predict(noisy[None, ..., None], verbose=0)[0, ..., 0], atol=1e-6)


def test_nothing_is_kept_of_a_model_that_is_gone(tiny, noisy):
    model = keras.models.clone_model(tiny)
    quick(noisy, model, sigma=0.1, steps=1)
    gone = weakref.ref(*frame_tuner._denoisers[model].values())
    del model
    keras.utils.clear_session()
    gc.collect()
    assert gone() is None


def test_counts_are_tuned_under_their_own_noise(network, photograph):
    counts = np.random.default_rng(0).poisson(8 * photograph).astype(np.uint16)
    result = quick(counts, network, noise="poisson", data_range=8.0, steps=4)
    assert result.noise.gain == pytest.approx(1, abs=0.1)
    assert result.denoised.dtype == np.uint16
    known = quick(counts, network, noise=PoissonNoise(1.0), data_range=8.0, steps=4)
    assert known.noise == PoissonNoise(1.0)
    clean = 8 * photograph
    assert psnr(clean, known.denoised, data_range=8.0) > psnr(clean, counts, data_range=8.0) + 5


@pytest.mark.parametrize("loss", ["monte-carlo-sure", "blind-spot", "noise-resampling", "unsure"])
def test_every_loss_has_a_name(tiny, noisy, loss):
    result = quick(noisy[:32, :32], tiny, sigma=0.1, loss=loss)
    assert np.isfinite(result.history["risk"]).all()


def test_a_network_with_biases_sees_too_much_noise_at_a_lower_contrast(photograph):
    """A soft threshold made for a noise of 0.05, at a noise of 0.2."""
    model = soft_threshold(2 * 0.05)
    noisy = photograph + 0.2 * np.random.default_rng(0).standard_normal(photograph.shape).astype(np.float32)
    result = quick(noisy, model, sigma=0.2)
    assert result.contrast < 0.6
    plain = quick(noisy, model, sigma=0.2, contrast=False)
    assert plain.contrast == 1
    assert psnr(photograph, result.denoised, data_range=1.0) > psnr(photograph, plain.denoised, data_range=1.0) + 1
    again = result.model.predict(noisy[None, ..., None], verbose=0)[0, ..., 0]
    np.testing.assert_allclose(again, result.denoised, atol=1e-5)
    # Tuning goes on from a model that was tuned.
    further = quick(noisy, result.model, sigma=0.2, steps=0)
    np.testing.assert_allclose(further.denoised, result.denoised, atol=1e-5)


def soft_threshold(level):
    """A Haar-like transform along rows and columns, thresholded in place: `relu(d - t) - relu(-d - t)`."""
    image = keras.Input((None, None, 1))
    blur = np.full((3, 3, 1, 1), 1 / 9, np.float32)
    mean = keras.layers.Conv2D(1, 3, padding="same", use_bias=False, name="mean")
    smooth = mean(image)
    detail = keras.layers.Subtract()([image, smooth])
    split = keras.layers.Conv2D(2, 1, activation="relu", name="split")
    merge = keras.layers.Conv2D(1, 1, use_bias=False, name="merge")
    model = keras.Model(image, keras.layers.Add()([smooth, merge(split(detail))]))
    mean.set_weights([blur])
    split.set_weights([np.array([[[[1.0, -1.0]]]]), np.array([-level, -level])])
    merge.set_weights([np.array([[[[1.0], [-1.0]]]])])
    return model


def test_a_name_is_as_good_as_a_model(noisy):
    assert quick(noisy, "unet-bf-natural", sigma=0.1).denoised.shape == noisy.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0}, "positive"),
        ({"sigma": -3.0}, "positive"),
        ({"sigma": [0.1, 0.1]}, "one for each of 1"),
        ({"noise": "salt"}, "'salt'"),
        ({"noise": GaussianNoise(0.1), "sigma": 0.1}, "received both"),
        ({"loss": "mse"}, "'mse'"),
        ({"axes": "TYX"}, "names 3 axes"),
        ({"model": "no-such-net"}, "unet-bf-natural"),
    ],
)
def test_bad_options_are_refused(network, noisy, options, message):
    model = options.pop("model", network)
    with pytest.raises(InputError, match=message):
        quick(noisy, model, **options)


def test_non_finite_pixels_are_refused(network, noisy):
    image = noisy.copy()
    image[3, 4] = np.nan
    with pytest.raises(InputError, match="1 that are NaN"):
        quick(image, network)


def test_a_model_that_shrinks_its_image_is_refused(noisy):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3)])
    with pytest.raises(InputError, match="size of its input"):
        quick(noisy, model, sigma=0.1)


def test_plot_is_a_figure_of_four(network, noisy):
    figure = quick(noisy, network, sigma=0.1).plot()
    assert [axis.get_title() for axis in figure.axes] == ["pretrained", "tuned", "tuned - pretrained", "risk"]


def test_a_contrast_without_gains_is_kept(tiny):
    """As in a network into which tuned gains were folded."""
    image = np.random.default_rng(0).random((16, 16)).astype("float32")
    model = with_contrast(tiny, 0.5)
    result = gaintune(image, model, sigma=0.1, steps=0, progress=False)
    np.testing.assert_allclose(result.denoised, model(image[None, ..., None])[0, ..., 0], atol=1e-5)
    assert float(result.contrast) == 0.5
    np.testing.assert_allclose(result.model(image[None, ..., None])[0, ..., 0], result.denoised, atol=1e-5)
    tuned = gaintune(image, model, sigma=0.1, steps=2, progress=False)
    assert np.isfinite(tuned.denoised).all()
