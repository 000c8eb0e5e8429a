"""Networks of collections that people build upon, in an environment of its own: docs/guides/networks-of-others.md."""

import keras
import numpy as np
import pytest
from keras import layers

from gaintuning_tf import Network, fold_gains, gain_layers, gaintune, insert_gains
from gaintuning_tf.gains.convolutions import DENSE, convolutions, sublayers
from helpers.document_tables import DocumentTable, rows_of
from helpers.places import ROOT

DOCUMENT = ROOT / "docs" / "guides" / "networks-of-others.md"
HEAD = ["network", "of", "convolutions, dense layers", "gains", "before tuning", "two steps", "folded"]
SIDE = 64


def collection():
    return pytest.importorskip("keras_unet_collection.models", reason="needs keras-unet-collection")


def segmentation():
    return pytest.importorskip("segmentation_models", reason="needs segmentation-models")


def attention_unet():
    options = {
        "stack_num_down": 1,
        "stack_num_up": 1,
        "attention": "add",
        "batch_norm": True,
        "output_activation": None,
    }
    return collection().att_unet_2d((None, None, 1), [8, 16, 32], n_labels=1, unpool="bilinear", **options)


def unet_3plus():
    options = {"stack_num_down": 1, "stack_num_up": 1, "output_activation": None, "deep_supervision": False}
    return collection().unet_3plus_2d((SIDE, SIDE, 1), n_labels=1, filter_num_down=[8, 16, 32], **options)


def r2_unet():
    options = {"stack_num_down": 1, "stack_num_up": 1, "recur_num": 2, "output_activation": None}
    return collection().r2_unet_2d((SIDE, SIDE, 1), [8, 16, 32], n_labels=1, **options)


def u2net():
    filters = {"filter_num_down": [8, 16], "filter_num_up": [8, 16], "filter_mid_num_down": [4, 8]}
    filters |= {"filter_mid_num_up": [4, 8], "filter_4f_num": [16, 16], "filter_4f_mid_num": [8, 8]}
    whole = collection().u2net_2d((SIDE, SIDE, 1), n_labels=1, output_activation=None, **filters)
    # Its last output is the one of all scales together.
    return keras.Model(whole.input, [whole.outputs[-1]])


def unet_of_efficientnet():
    options = {"stack_num_down": 1, "stack_num_up": 1, "output_activation": None, "batch_norm": True}
    options |= {"backbone": "EfficientNetB0", "weights": None, "freeze_backbone": False}
    return collection().unet_2d((SIDE, SIDE, 3), [16, 32, 64], n_labels=3, **options)


def linknet():
    return segmentation().Linknet("resnet18", (None, None, 3), classes=3, activation="linear", encoder_weights=None)


def fpn():
    options = {"classes": 3, "activation": "linear", "encoder_weights": None, "pyramid_block_filters": 32}
    return segmentation().FPN("resnet18", (SIDE, SIDE, 3), **options)


def unet_around(encoder):
    """A UNet around an encoder of `keras.applications`: the last tensors of each resolution are its skips."""
    skips = {}
    for layer in encoder.layers:
        shape = layer.output.shape if isinstance(layer.output, keras.KerasTensor) else ()
        if len(shape) == 4 and shape[1] and SIDE % shape[1] == 0 and shape[1] > 1:
            skips[shape[1]] = layer.output
    sides = sorted(skips)
    x = skips[sides[0]]
    for smaller, side in zip(sides, [*sides[1:], SIDE], strict=True):
        if side > smaller:
            x = layers.UpSampling2D(side // smaller, interpolation="bilinear")(x)
        x = layers.Conv2D(16, 3, padding="same", activation="gelu")(layers.Concatenate()([x, skips.get(side, x)]))
    return keras.Model(encoder.input, layers.Conv2D(3, 1)(x))


def convnext_unet():
    options = {"include_top": False, "weights": None, "input_shape": (SIDE, SIDE, 3), "include_preprocessing": False}
    return unet_around(keras.applications.ConvNeXtTiny(**options))


def mobilenet_unet():
    options = {"include_top": False, "weights": None, "input_shape": (SIDE, SIDE, 3), "include_preprocessing": False}
    return unet_around(keras.applications.MobileNetV3Small(**options))


COLLECTION, SEGMENTATION, KERAS = "keras-unet-collection", "segmentation_models", "keras.applications"
NETWORKS = {
    "attention UNet": (COLLECTION, attention_unet),
    "UNet3+": (COLLECTION, unet_3plus),
    "R2-UNet": (COLLECTION, r2_unet),
    "U²-Net": (COLLECTION, u2net),
    "UNet, EfficientNetB0": (COLLECTION, unet_of_efficientnet),
    "Linknet, ResNet18": (SEGMENTATION, linknet),
    "FPN, ResNet18": (SEGMENTATION, fpn),
    "UNet, ConvNeXt": (KERAS, convnext_unet),
    "UNet, MobileNetV3": (KERAS, mobilenet_unet),
}


@pytest.fixture(scope="module")
def table(request):
    write = request.config.getoption("--write-tables")
    found = DocumentTable(DOCUMENT, "network collections", HEAD, list(NETWORKS), write)
    yield found
    found.finish()


def image(channels):
    shape = (1, SIDE, SIDE, channels)
    return np.random.default_rng(1).random(shape).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_has_a_gain_and_folds(name, table):
    package, build = NETWORKS[name]
    keras.utils.set_random_seed(0)
    model = build()
    weights = model.get_weights()
    network = Network(model)
    x = image(network.channels)
    dense = len(sublayers(model, DENSE))
    count = len(convolutions(model)) + dense
    gained = insert_gains(network.model)
    assert len(gain_layers(gained)) == len(gain_layers(insert_gains(model))) == count
    np.testing.assert_array_equal(gained(x), network.model(x))
    np.testing.assert_array_equal(keras.tree.flatten(model(x))[0], network.model(x))
    for number, gain in enumerate(gain_layers(gained)):
        gain.gain.assign(np.random.default_rng(number).uniform(0.9, 1.1, gain.gain.shape))
    wanted, found = np.asarray(gained(x)), np.asarray(fold_gains(gained)(x))
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    noisy = x[0] if network.channels > 1 else x[0, ..., 0]
    result = gaintune(noisy, model, sigma=0.1, loss="monte-carlo-sure", prior=None, steps=2, progress=False)
    assert np.isfinite(result.denoised).all()
    assert np.any(result.denoised != result.pretrained)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    counted = f"{count - dense}, {dense}"
    table.add(name, package, counted, f"{count}", "the same", "yes", "to 1e-5")


def test_the_table_has_these_networks_in_their_order():
    assert list(rows_of(DOCUMENT, "network collections")) == list(NETWORKS)
