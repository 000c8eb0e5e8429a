"""Networks of another range, or that return the noise: they get what they want, and all around stays as it is."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile

from gaintuning_tf import (
    CoupledBootstrap,
    GainTuner,
    GainTuningWarning,
    InputError,
    Network,
    export_saved_model,
    gaintune,
    load_denoiser,
)
from gaintuning_tf.cli.program import main
from gaintuning_tf.denoising import frame_tuner
from gaintuning_tf.denoising.frame_tuner import FrameTuner
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.evaluation.oracle import Oracle
from gaintuning_tf.evaluation.weight_tuning import WeightTuner
from gaintuning_tf.losses.sure import MonteCarloSURE
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise
from gaintuning_tf.reports.analysis import analyse
from helpers.networks import make_tiny

SIGMA = 0.08
PERCENTILES = (3, 99.8)


@pytest.fixture(scope="module")
def tiny():
    return make_tiny()


@pytest.fixture(scope="module")
def noisy(photograph):
    rng = np.random.default_rng(0)
    return (photograph[:64, :56] + SIGMA * rng.standard_normal((64, 56))).astype("float32")


def foreign(model, low, high, returns="image"):
    """The network for images in [0, 1] as one for images in [low, high], or that returns the noise."""
    image = keras.Input((None, None, 1))
    seen = keras.layers.Rescaling(1 / (high - low), -low / (high - low))(image)
    output = keras.layers.Rescaling(high - low, low)(model(seen))
    output = keras.layers.Subtract()([image, output]) if returns == "noise" else output
    return keras.Model(image, output, name="foreign")


def numbers(words, image):
    """What a network that wants such images has in the place of the image's 0 and 1."""
    kind, *parts = words.split(":")
    if ".." in kind:
        return tuple(map(float, kind.split("..")))
    if kind == "mean-std":
        centre, unit = map(float, parts)
    elif kind == "standardize":
        centre, unit = image.mean(), image.std()
    else:
        low, high = np.percentile(image, PERCENTILES)
        centre, unit = low, high - low
    return -centre / unit, (1 - centre) / unit


@pytest.mark.parametrize(
    ("words", "returns"),
    [("0..255", "image"), ("-1..1", "noise"), ("mean-std:0.45:0.22", "image"), ("percentiles", "noise")]
    + [("standardize", "image")],
)
def test_a_network_gives_in_its_own_range_what_it_gives_in_the_usual_one(tiny, noisy, words, returns):
    expected = gaintune(noisy, tiny, sigma=SIGMA, contrast=False, steps=0, progress=False)
    network = Network(foreign(tiny, *numbers(words, noisy), returns), normalize=words, predicts=returns)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GainTuningWarning)
        found = gaintune(noisy, network, sigma=SIGMA, contrast=False, steps=0, progress=False)
    # Rounding in numbers up to 255, which is a millionth of the range.
    np.testing.assert_allclose(found.pretrained, expected.pretrained, atol=2e-6)
    before, other = found.history["risk_before"], expected.history["risk_before"]
    # Finite differences in other units: the risk's own rounding.
    assert before == pytest.approx(other, rel=2e-3)
    assert found.noise.sigma == pytest.approx(SIGMA)


@pytest.mark.parametrize(("words", "unit"), [("mean-std:1200:800", 4000.0), ("percentiles", 4000.0)])
def test_before_tuning_it_gives_what_csbdeep_and_n2v_predict(tiny, noisy, words, unit):
    image = (unit * noisy.clip(0)).astype("uint16")
    raw = image.astype("float32")
    low, high = np.percentile(raw, PERCENTILES) if words == "percentiles" else (1200.0, 2000.0)
    predicted = tiny(((raw - low) / (high - low))[None, ..., None])[0, ..., 0] * (high - low) + low
    result = gaintune(raw, Network(tiny, normalize=words), sigma=unit * SIGMA, steps=0, progress=False)
    np.testing.assert_allclose(result.pretrained, predicted, rtol=1e-5, atol=1e-5 * (high - low))


def test_tuning_and_all_that_comes_of_it_are_in_units_of_the_image(tiny, noisy):
    network = Network(tiny, normalize="percentiles")
    image = 100 + 1000 * noisy
    low, high = np.percentile(image, PERCENTILES)
    result = gaintune(image, network, sigma=1000 * SIGMA, steps=3, progress=False)
    itself = gaintune((image - low) / (high - low), tiny, sigma=1000 * SIGMA / (high - low), steps=3, progress=False)
    np.testing.assert_allclose((result.denoised - low) / (high - low), itself.denoised, atol=1e-5)
    for name in ("risk", "risk_before", "risk_after"):
        np.testing.assert_allclose(result.history[name] / (high - low) ** 2, itself.history[name], rtol=1e-3)
    assert result.contrast == itself.contrast
    for name, gains in result.gains.items():
        np.testing.assert_allclose(gains, itself.gains[name], atol=1e-4)
    frames = result.layout.frames(image)
    np.testing.assert_allclose(result.layout.image(result.model(frames).numpy()), result.denoised, rtol=1e-5)
    found = analyse(result, image, pixels={"middle": (32, 28)})
    assert found.filters["middle"][1].sum == pytest.approx(
        analyse(itself, (image - low) / (high - low), pixels={"middle": (32, 28)}).filters["middle"][1].sum, abs=1e-3
    )


def test_the_model_of_a_result_is_that_network_again(tiny, noisy, tmp_path):
    network = Network(foreign(tiny, -2.0, 2.0), normalize="mean-std:500:250", predicts="image")
    result = gaintune(1000 * noisy, network, sigma=80, steps=1, progress=False)
    result.model.save(tmp_path / "tuned.keras")
    again = network_of(tmp_path / "tuned.keras")
    assert again.normalization == network.normalization
    tuned = gaintune(1000 * noisy, again, sigma=80, steps=0, progress=False)
    np.testing.assert_allclose(tuned.denoised, result.denoised, atol=1e-3)
    network.whole().save(tmp_path / "plain.keras")
    plain = gaintune(1000 * noisy, str(tmp_path / "plain.keras"), sigma=80, steps=0, progress=False)
    np.testing.assert_allclose(plain.pretrained, result.pretrained, atol=1e-3)
    assert Network(tmp_path / "plain.keras", normalize="mean-std:500:250").normalization == network.normalization
    with pytest.raises(InputError, match=r"no other normalize than .* brings with it, mean-std:500:250"):
        Network(tmp_path / "plain.keras", normalize="percentiles")


def test_tiles_of_a_large_image_see_the_limits_of_the_whole(tiny, noisy, monkeypatch):
    network, large = Network(tiny, normalize="percentiles"), np.pad(noisy, ((0, 80), (0, 90)), "reflect")
    large[100:] *= 4
    whole = gaintune(large, network, sigma=SIGMA, steps=0, progress=False)
    monkeypatch.setattr(frame_tuner, "TILED_PIXELS", 100)
    tiled = frame_tuner.tiles.denoise_tiled
    monkeypatch.setattr(frame_tuner.tiles, "denoise_tiled", lambda *args, **more: tiled(*args, tile=64, **more))
    parts = gaintune(large, network, sigma=SIGMA, steps=0, progress=False)
    np.testing.assert_allclose(parts.denoised, whole.denoised, atol=1e-6)


def test_pixels_that_do_not_count_have_no_say_in_the_limits(tiny, noisy):
    network, mask = Network(tiny, normalize="standardize"), np.zeros(noisy.shape, bool)
    mask[:20] = True
    darker = np.where(mask, 0.0, noisy).astype("float32")
    options = {"sigma": SIGMA, "steps": 0, "data_range": 1.0, "progress": False}
    part = gaintune(noisy[20:], network, **options)
    found = gaintune(darker, network, mask=mask, **options)
    np.testing.assert_allclose(found.denoised[22:], part.denoised[2:], atol=1e-5)


@pytest.mark.parametrize("how", ["frame by frame", "shared"])
def test_each_frame_of_a_movie_has_its_own_limits(tiny, noisy, tmp_path, how):
    network = Network(tiny, normalize="percentiles")
    movie = np.stack([noisy, 3 * noisy + 1])[:, :32, :32]
    tifffile.imwrite(tmp_path / "in.tif", movie, photometric="minisblack")
    noise = GaussianNoise(np.array([SIGMA, 3 * SIGMA]))
    options = {"share_gains": 2} if how == "shared" else {}
    result = denoise_stack(
        tmp_path / "in.tif", tmp_path / "out.tif", network, axes="TYX", noise=noise, steps=2, progress=False, **options
    )
    first, second = tifffile.imread(tmp_path / "out.tif")
    # The second frame is the first in another unit, and so is what comes of it.
    np.testing.assert_allclose(second, 3 * first + 1, atol=2e-5 if how == "shared" else 1e-3)
    ratio = np.array(result.column("risk_before")) / [1, 9]
    assert ratio[0] == pytest.approx(ratio[1], rel=2e-3)


def test_what_the_numbers_mean_is_a_setting_of_a_run(tiny, noisy, tmp_path):
    np.save(tmp_path / "in.npy", noisy[None, :16, :16])
    options = {"axes": "TYX", "sigma": SIGMA, "steps": 0, "progress": False}

    def stop(*_):
        raise KeyboardInterrupt

    source, output = tmp_path / "in.npy", tmp_path / "out.npy"
    with pytest.raises(KeyboardInterrupt):
        denoise_stack(source, output, Network(tiny, normalize="percentiles"), listeners=[stop], **options)
    with pytest.raises(InputError, match="normalize"):
        denoise_stack(source, output, tiny, **options)


def test_dask_arrays_too(tiny, noisy):
    da = pytest.importorskip("dask.array")
    from gaintuning_tf.distributed import gaintune_array

    network, image = Network(tiny, normalize="percentiles"), noisy[None, :32, :32]
    lazy = gaintune_array(da.from_array(image), network, data_range=1.0, sigma=SIGMA, steps=0)
    expected = gaintune(image[0], network, data_range=1.0, sigma=SIGMA, steps=0, progress=False)
    np.testing.assert_allclose(lazy.compute(scheduler="sync")[0], expected.denoised, atol=1e-6)


def test_what_tuning_is_compared_with_sees_the_same(tiny, noisy):
    network, clean = Network(foreign(tiny, -0.5, 2.0), normalize="-0.5..2"), np.full_like(noisy, 0.5)
    per_image = Network(tiny, normalize="percentiles")
    low, high = np.percentile(noisy, PERCENTILES)
    seen, unit = (noisy - low) / (high - low), high - low
    oracle = Oracle(network, steps=1).denoise(noisy, clean, SIGMA)
    np.testing.assert_allclose(oracle, Oracle(tiny, steps=1).denoise(noisy, clean, SIGMA), atol=1e-4)
    found = Oracle(per_image, steps=0).denoise(noisy, clean, SIGMA)
    np.testing.assert_allclose(found, tiny(seen[None, ..., None])[0, ..., 0] * unit + low, atol=1e-5)
    weights = WeightTuner(per_image, MonteCarloSURE()).denoise(noisy[None, ..., None], sigma=SIGMA, steps=0)
    np.testing.assert_allclose(weights[0, ..., 0], found, atol=1e-5)


def test_a_tuner_of_images_as_they_are_refuses_to_normalise_each(tiny):
    network = Network(tiny, normalize="standardize")
    for given in (network, network.whole()):
        with pytest.raises(InputError, match=r"takes images as they are, .* standardize: gaintune"):
            GainTuner(given, CoupledBootstrap(0.1))
    assert GainTuner(network.model, CoupledBootstrap(0.1)).model is not network.model


def test_correlated_noise_is_found_once_more_in_units_of_the_image(tiny, photograph):
    white = np.random.default_rng(0).standard_normal((98, 82))
    noise = sum(white[r : r + 96, c : c + 80] for r in (0, 1, 2) for c in (0, 1, 2)) / 3
    image = (photograph + SIGMA * noise).astype("float32")[..., None]
    low, high = np.percentile(image, PERCENTILES)
    found = FrameTuner(Network(tiny, normalize="percentiles"), Recipe(), scale=1.0, offset=0.0).noise(image)
    seen = ((image - low) / (high - low)).astype("float32")
    expected = FrameTuner(tiny, Recipe(), scale=1.0, offset=0.0).noise(seen).scaled(high - low, low)
    assert found.correlation is not None
    assert [float(part[0]) for part in found.level(1)] == pytest.approx(
        [float(part[0]) for part in expected.level(1)], rel=1e-3, abs=1e-7
    )


def test_an_image_without_a_range_is_refused(tiny):
    with pytest.raises(InputError, match=r"range of values to be normalised by percentiles:3:99\.8"):
        network_of(Network(tiny, normalize="percentiles")).limits(np.full((4, 4, 1), 0.25))


def test_a_served_network_takes_what_clients_send(tiny, noisy, tmp_path):
    network = Network(tiny, normalize="mean-std:50:20")
    with pytest.raises(InputError, match="--data-range"):
        export_saved_model(network, tmp_path / "served")
    folder = export_saved_model(network, tmp_path / "served", data_range=100, adaptive=False)
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](noisy=noisy[None, ..., None])
    expected = 50 + 20 * tiny((100 * noisy[None, ..., None] - 50) / 20)
    np.testing.assert_allclose(100 * served["denoised"], expected, atol=1e-3)


def test_a_served_network_has_it_inside_and_tunes_as_here(tiny, noisy, tmp_path):
    network = Network(tiny, normalize="percentiles", predicts="noise")
    functions = tf.saved_model.load(str(export_saved_model(network, tmp_path / "served"))).signatures
    image, slope, intercept = noisy[None, :33, :31, None], 0.002, 0.005
    noise = PoissonGaussianNoise(slope, intercept**0.5)
    expected = gaintune(image[0, ..., 0], network, noise=noise, steps=2, data_range=1.0, progress=False)
    served = functions["serving_default"](noisy=image)["denoised"]
    np.testing.assert_allclose(served[0, ..., 0], expected.pretrained, atol=1e-5)
    line = {"slope": np.float32([slope]), "intercept": np.float32([intercept]), "correlation": np.ones((1, 1, 1), "f4")}
    found = functions["gaintune_noise"](noisy=image, **line, steps=tf.constant(2))
    np.testing.assert_allclose(found["denoised"][0, ..., 0], expected.denoised, atol=1e-4)
    np.testing.assert_allclose(found["sure"], expected.history["risk_after"], rtol=1e-3)


def test_a_network_of_another_range_is_told_with_the_option_that_helps(tiny, noisy):
    options = {"sigma": SIGMA, "steps": 0, "progress": False}
    with pytest.warns(GainTuningWarning, match="seems to return the noise.*--predicts noise"):
        found = gaintune(noisy, foreign(tiny, 0.0, 1.0, "noise"), **options)
    assert found.output_far.item() is True
    with pytest.warns(GainTuningWarning, match=r"far from the image.*--normalize: 0\.\.255"):
        gaintune(noisy, darkened(foreign(tiny, -3.0, -1.0)), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GainTuningWarning)
        assert gaintune(noisy, tiny, **options).output_far.item() is False


def darkened(model):
    """A network that returns nothing above the range that it knows."""
    image = keras.Input((None, None, 1))
    return keras.Model(image, keras.layers.ReLU(max_value=0.0, negative_slope=1.0)(model(image)))


def test_the_command_line_has_it_and_it_is_kept_beside_a_network(tiny, noisy, tmp_path, capsys):
    np.save(tmp_path / "noisy.npy", (50 * noisy).astype("float32"))
    foreign(tiny, *numbers("standardize", 50 * noisy), "noise").save(tmp_path / "net.keras")
    command = ["denoise", tmp_path / "noisy.npy", "--model", tmp_path / "net.keras", "--no-tune", "--sigma", "4"]

    def denoised(*more):
        assert main([*map(str, command), "-o", str(tmp_path / "out.npy"), "--json", *more]) == 0
        return np.load(tmp_path / "out.npy"), json.loads(capsys.readouterr().out)

    (wrong, told), (found, summary) = denoised(), denoised("--normalize", "standardize", "--predicts", "noise")
    assert (told["output_far"], summary["output_far"]) == (True, False)
    np.testing.assert_allclose(found, tiny(50 * noisy[None, ..., None])[0, ..., 0], atol=1e-3)
    (tmp_path / "net.keras.json").write_text('{"normalize": "standardize", "predicts": "noise"}')
    np.testing.assert_array_equal(denoised()[0], found)
    assert network_of(tmp_path / "net.keras").normalization.predicts == "noise"
    assert main([*map(str, command), "-o", str(tmp_path / "out.npy"), "--normalize", "0..255"]) == 2
    assert "no other normalize" in capsys.readouterr().err
    (tmp_path / "net.keras.json").write_text('{"normalize": "sometimes"}')
    with pytest.raises(InputError, match=r"net\.keras\.json.*LOW\.\.HIGH"):
        load_denoiser(tmp_path / "net.keras")
    with pytest.raises(SystemExit):
        main([*map(str, command), "-o", "x.npy", "--normalize", "sometimes"])
    assert np.abs(wrong - found).max() > 10
