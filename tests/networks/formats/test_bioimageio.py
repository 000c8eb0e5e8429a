"""Packages of bioimage.io as `bioimageio.spec` writes them are loaded with their axes and what their numbers mean."""

import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import InputError, load_denoiser
from gaintuning_tf.networks.formats import bioimageio
from gaintuning_tf.networks.network import network_of
from helpers.networks import make_tiny, make_tiny_of_volumes

spec = pytest.importorskip("bioimageio.spec")
model_v5 = spec.model.v0_5
SIZES = {"batch": None, "channel": 1, "z": 8, "y": 32, "x": 40}


def axis(name, output, size=None):
    if name == "batch":
        return model_v5.BatchAxis()
    if name == "channel":
        names = [model_v5.Identifier(f"c{number}") for number in range(size or 1)]
        return model_v5.ChannelAxis(channel_names=names)
    kind = model_v5.SpaceOutputAxis if output else model_v5.SpaceInputAxis
    return kind(id=model_v5.AxisId(name), size=SIZES[name])


def described(model, folder, names=("batch", "y", "x", "channel"), weights="keras_v3", before=(), after=(), scale=1.0):
    """Describe a model whose axes are in that order."""
    folder.mkdir()
    test = np.random.default_rng(0).uniform(0, scale, [SIZES[name] or 1 for name in names]).astype(np.float32)
    np.save(folder / "in.npy", test)
    np.save(folder / "out.npy", test)
    common = {"name": "A tiny denoiser", "description": "of a test", "authors": [], "license": "MIT"}
    given = model_v5.InputTensorDescr(
        id=model_v5.TensorId("raw"),
        axes=[axis(name, False) for name in names],
        test_tensor={"source": folder / "in.npy"},
        preprocessing=list(before),
    )
    returned = model_v5.OutputTensorDescr(
        id=model_v5.TensorId("out"),
        axes=[axis(name, True) for name in names],
        test_tensor={"source": folder / "out.npy"},
        postprocessing=list(after),
    )
    entry = written(model, folder, weights)
    return model_v5.ModelDescr(**common, inputs=[given], outputs=[returned], weights=model_v5.WeightsDescr(**entry))


def written(model, folder, weights):
    version = model_v5.Version(tf.__version__)
    if weights == "keras_v3":
        model.save(folder / "net.keras")
        entry = {"keras_version": model_v5.Version(keras.__version__), "backend": ("tensorflow", version)}
        return {weights: model_v5.KerasV3WeightsDescr(source=folder / "net.keras", **entry)}
    if weights == "keras_hdf5":
        model.save(folder / "net.h5")
        return {weights: model_v5.KerasHdf5WeightsDescr(source=folder / "net.h5", tensorflow_version=version)}
    model.export(folder / "graph" / "inner", verbose=False)
    shutil.make_archive(str(folder / "graph"), "zip", folder / "graph")
    kind = model_v5.TensorflowSavedModelBundleWeightsDescr
    return {weights: kind(source=folder / "graph.zip", tensorflow_version=version)}


def packed(description, path):
    spec.save_bioimageio_package(description, output_path=path)
    return path


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).uniform(0, 1, (1, 32, 40, 1)).astype(np.float32)


@pytest.mark.parametrize("weights", bioimageio.WEIGHTS)
def test_each_kind_of_weights_gives_the_same_image(tmp_path, image, weights):
    tiny = make_tiny()
    path = packed(described(tiny, tmp_path / "a", weights=weights), tmp_path / "package.zip")
    found = load_denoiser(path)
    np.testing.assert_allclose(found(image), tiny(image), atol=1e-6)
    assert network_of(path).normalization.is_plain


def test_a_description_and_its_folder_are_the_same_network(tmp_path, image):
    path = packed(described(make_tiny(), tmp_path / "a"), tmp_path / "package.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    name = next(name for name in bioimageio.NAMES if (tmp_path / "folder" / name).is_file())
    for source in (tmp_path / "folder", tmp_path / "folder" / name):
        np.testing.assert_array_equal(load_denoiser(source)(image), load_denoiser(path)(image))
        assert (tmp_path / "folder" / name) in bioimageio.files_of(source)


@pytest.mark.parametrize("names", ["batch x y channel", "batch channel y x", "batch channel x y", "batch y channel x"])
def test_axes_in_another_order_are_put_in_order(tmp_path, image, names):
    names = tuple(names.split())
    tiny, place = make_tiny(), ("batch", "y", "x", "channel")
    order = [names.index(name) for name in place]
    # As the package has its axes: to the order of the network inside, and back.
    inputs = keras.Input([SIZES[name] for name in names[1:]])
    x = keras.layers.Permute(order[1:])(inputs)
    back = [place.index(name) for name in names[1:]]
    moved = keras.Model(inputs, keras.layers.Permute(back)(tiny(x)))
    path = packed(described(moved, tmp_path / "a", names), tmp_path / "package.zip")
    np.testing.assert_allclose(network_of(path)(image), tiny(image), atol=1e-6)


@pytest.mark.parametrize("weights", ["keras_v3", "tensorflow_saved_model_bundle"])
def test_channels_first_become_last(tmp_path, image, weights):
    keras.utils.set_random_seed(0)
    layer = keras.layers.Conv2D(1, 3, padding="same", data_format="channels_first")
    first = keras.Sequential([keras.Input((1, None, None)), layer])
    last = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    last.set_weights(first.get_weights())
    names = ("batch", "channel", "y", "x")
    path = packed(described(first, tmp_path / "a", names, weights), tmp_path / "package.zip")
    np.testing.assert_allclose(network_of(path)(image), last(image), atol=1e-5)


def test_volumes(tmp_path):
    path = packed(
        described(make_tiny_of_volumes(), tmp_path / "a", ("batch", "z", "y", "x", "channel")), tmp_path / "package.zip"
    )
    assert network_of(path).dimensions == 3


def test_processing_is_what_the_numbers_mean(tmp_path):
    tiny = make_tiny()
    before = model_v5.FixedZeroMeanUnitVarianceDescr(
        kwargs=model_v5.FixedZeroMeanUnitVarianceKwargs(mean=400.0, std=150.0)
    )
    after = model_v5.ScaleLinearDescr(kwargs=model_v5.ScaleLinearKwargs(gain=150.0, offset=400.0))
    path = packed(
        described(tiny, tmp_path / "a", before=[before], after=[after], scale=900.0), tmp_path / "package.zip"
    )
    image = np.random.default_rng(1).uniform(0, 900, (1, 32, 40, 1)).astype(np.float32)
    network = network_of(path)
    assert str(network.normalization) == "mean-std:400:150"
    expected = 150 * np.asarray(tiny((image - 400) / 150)) + 400
    np.testing.assert_allclose(load_denoiser(path)(image), expected, rtol=1e-4)


def test_a_linear_scaling_is_seen_with_the_range_of_the_test_input(tmp_path):
    tiny = make_tiny()
    before = model_v5.ScaleLinearDescr(kwargs=model_v5.ScaleLinearKwargs(gain=0.001, offset=-0.1))
    path = packed(described(tiny, tmp_path / "a", before=[before], scale=900.0), tmp_path / "package.zip")
    image = np.random.default_rng(1).uniform(0, 900, (1, 32, 40, 1)).astype(np.float32)
    low, high = network_of(path).normalization.limits()
    assert low == pytest.approx(0, abs=2) and high == pytest.approx(900, abs=2)
    expected = (np.asarray(tiny(0.001 * image - 0.1)) + 0.1) / 0.001
    np.testing.assert_allclose(load_denoiser(path)(image), expected, rtol=1e-3, atol=0.1)


def test_what_is_no_sound_package_is_one_line(tmp_path):
    path = packed(described(make_tiny(), tmp_path / "a"), tmp_path / "package.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    name = next(name for name in bioimageio.NAMES if (tmp_path / "folder" / name).is_file())
    yaml, weights = tmp_path / "folder" / name, tmp_path / "folder" / "net.keras"
    whole, data = yaml.read_text(), bytearray(weights.read_bytes())
    for damaged in ("", "a: [", "type: model\nformat_version: 0.5.0\n", whole.replace("keras_v3", "onnx")):
        yaml.write_text(damaged)
        with pytest.raises(InputError) as caught:
            load_denoiser(tmp_path / "folder")
        assert "\n" not in str(caught.value) and str(tmp_path / "folder") in str(caught.value)
    yaml.write_text(whole)
    data[len(data) // 2] ^= 255
    weights.write_bytes(data)
    with pytest.raises(InputError, match="cannot load the weights") as caught:
        load_denoiser(tmp_path / "folder")
    assert "\n" not in str(caught.value)
    weights.unlink()
    with pytest.raises(InputError, match=str(tmp_path)):
        load_denoiser(tmp_path / "folder")


def test_axes_that_are_not_those_of_an_image_are_one_line(tmp_path):
    names = ("batch", "z", "channel", "y", "x")
    path = packed(described(make_tiny(), tmp_path / "a", names[:1] + names[3:]), tmp_path / "package.zip")
    with pytest.raises(InputError, match=r"received batch, y, x$"):
        load_denoiser(path)
