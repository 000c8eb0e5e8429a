"""insert_gains and fold_gains: identity at one, exact folding, every kind of layer and model."""

import keras
import numpy as np
import pytest
from keras import layers

from gaintuning_tf import Gain, fold_gains, gain_layers, insert_gains
from gaintuning_tf.gains.convolutions import convolutions
from gaintuning_tf.gains.custom_layers import WithGains
from helpers.channels_first import run
from helpers.layer_kinds import (
    KINDS,
    Standardised,
    functional,
    sequential,
    shared_layer,
    slopes,
)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1)


def build(kind):
    """The model of a kind, with biases away from zero so that they are seen to be scaled."""
    model = KINDS[kind][0]()
    for convolution in convolutions(model):
        if convolution.use_bias:
            convolution.bias.assign(np.random.default_rng(2).uniform(-0.5, 0.5, convolution.bias.shape))
    return model


def probe(model):
    rng = np.random.default_rng(3)

    def draw(x):
        return rng.standard_normal([2, *(13 if side is None else side for side in x.shape[1:])]).astype("float32")

    return keras.tree.map_structure(draw, model.inputs[0] if isinstance(model, keras.Sequential) else model.input)


def outputs(model, inputs):
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(run(model, inputs))]


def randomise(model):
    for number, gain in enumerate(gain_layers(model)):
        gain.gain.assign(np.random.default_rng(number).uniform(-1.5, 1.5, gain.gain.shape))


def relative_difference(received, expected):
    return max(float(np.abs(r - e).max() / np.abs(e).max()) for r, e in zip(received, expected, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_identity_at_one_and_exact_folding(kind, surgery_table):
    model = build(kind)
    weights = [w.copy() for w in model.get_weights()]
    config = model.get_config()
    inputs = probe(model)
    expected = outputs(model, inputs)

    gained = insert_gains(model)
    assert len(gain_layers(gained)) == KINDS[kind][1]
    identity = relative_difference(outputs(gained, inputs), expected)
    assert identity == 0

    randomise(gained)
    tuned = outputs(gained, inputs)
    assert relative_difference(tuned, expected) > 1e-2, "the gains do nothing"
    folded = fold_gains(gained)
    folding = relative_difference(outputs(folded, inputs), tuned)
    assert folding < 1e-5
    assert gain_layers(folded) == []
    assert [type(layer) for layer in folded.layers] == [type(layer) for layer in model.layers]
    assert [w.shape for w in folded.weights] == [w.shape for w in model.weights]

    assert model.get_config() == config
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))
    surgery_table(kind, KINDS[kind][1], identity, folding)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_with_gains_loads_again(kind, tmp_path):
    if kind == "shared layer" and keras.__version__.startswith("3.6."):
        pytest.skip("Keras 3.6 cannot load a model in which shared layers follow each other; 3.7 can")
    gained = insert_gains(build(kind))
    randomise(gained)
    gained.save(tmp_path / "gained.keras")
    loaded = keras.models.load_model(tmp_path / "gained.keras")
    inputs = probe(gained)
    assert relative_difference(outputs(loaded, inputs), outputs(gained, inputs)) == 0
    assert len(gain_layers(loaded)) == KINDS[kind][1]
    assert relative_difference(outputs(fold_gains(loaded), inputs), outputs(gained, inputs)) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_gains_are_trainable_and_folding_frees_the_weights(kind):
    model = build(kind)
    gained = insert_gains(model)
    assert {id(v) for v in gained.trainable_variables} == {id(g.gain) for g in gain_layers(gained)}
    trainable = len(model.trainable_variables)
    assert len(fold_gains(gained).trainable_variables) == trainable


@pytest.mark.parametrize("kind", KINDS)
def test_gains_per_image_treat_each_image_alone(kind):
    model = build(kind)
    gained = insert_gains(model, images=2)
    randomise(gained)
    inputs = probe(model)
    together = outputs(gained, inputs)
    for image in range(2):
        single = insert_gains(model)
        for gain, both in zip(gain_layers(single), gain_layers(gained), strict=True):
            assert both.gain.shape == (2, *gain.gain.shape)
            gain.gain.assign(both.gain[image])
        alone = outputs(single, keras.tree.map_structure(lambda x: x[image : image + 1], inputs))  # noqa: B023
        assert relative_difference([y[image : image + 1] for y in together], alone) < 1e-5
    with pytest.raises(ValueError, match="2 images"):
        fold_gains(gained)


def test_the_gain_comes_before_the_fused_activation():
    model = sequential(layers.Conv2D(3, 1, activation="tanh", use_bias=False), shape=(None, None, 1))
    gained = insert_gains(model)
    gain_layers(gained)[0].gain.assign([2.0, 3.0, -1.0])
    kernel = model.layers[0].kernel.numpy().ravel()
    expected = np.tanh(np.array([2.0, 3.0, -1.0]) * kernel * 0.7)
    np.testing.assert_allclose(gained(np.full((1, 1, 1, 1), 0.7, "float32")).numpy().ravel(), expected, rtol=1e-6)
    assert fold_gains(gained).layers[0].activation is keras.activations.tanh


def test_channels_first_gains_scale_axis_one():
    first = sequential(layers.Conv2D(4, 3, data_format="channels_first"), shape=(2, 8, 8))
    gained = insert_gains(first)
    assert gain_layers(gained)[0].gain.shape == (4,)
    assert gain_layers(gained)[0].data_format == "channels_first"


def test_insertion_is_idempotent():
    gained = insert_gains(build("Sequential"))
    assert insert_gains(gained) is gained


def test_folding_is_idempotent():
    folded = fold_gains(insert_gains(build("Sequential")))
    assert fold_gains(folded) is folded


def test_a_shared_layer_has_one_gain_for_all_its_calls():
    gained = insert_gains(shared_layer())
    shared, _ = gain_layers(gained)
    assert len(shared._inbound_nodes) == 2


def test_where_chooses_layers():
    model = build("nested three deep")
    chosen = convolutions(model)[1]
    gained = insert_gains(model, where=lambda layer: layer is chosen)
    assert [gain.name for gain in gain_layers(gained)] == [chosen.name + "_gain"]
    randomise(gained)
    inputs = probe(model)
    assert relative_difference(outputs(fold_gains(gained), inputs), outputs(gained, inputs)) < 1e-5


def test_where_chooses_inside_custom_layers():
    model = build("custom layer with its own call")
    gained = insert_gains(model, where=lambda layer: layer.kernel.shape[:2] == (1, 1))
    assert len(gain_layers(gained)) == 1


def test_names_already_taken_are_avoided():
    model = sequential(
        layers.Conv2D(2, 3, activation="relu", name="a"), layers.ReLU(name="a_gain"), layers.ReLU(name="a_activation")
    )
    names = [layer.name for layer in insert_gains(model).layers]
    assert len(set(names)) == len(names) == 5


def test_gains_stay_float32_under_mixed_precision():
    policy = keras.DTypePolicy("mixed_float16")
    gained = insert_gains(sequential(layers.Conv2D(2, 3, dtype=policy)))
    assert gain_layers(gained)[0].gain.dtype == "float32"
    assert gained(np.ones((1, 5, 5, 2), "float32")).dtype == "float16"


def test_a_gain_written_by_hand_folds():
    model = sequential(layers.Conv2D(3, 3), Gain(), layers.ReLU())
    randomise(model)
    inputs = probe(model)
    folded = fold_gains(model)
    assert [type(layer) for layer in folded.layers] == [layers.Conv2D, layers.ReLU]
    assert relative_difference(outputs(folded, inputs), outputs(model, inputs)) < 1e-5


def test_optimising_the_gains_leaves_the_weights_alone():
    gained = insert_gains(build("custom layer with its own call"))
    gains = {id(gain.gain) for gain in gain_layers(gained)}
    frozen = [v for v in gained.variables if id(v) not in gains]
    before = [v.numpy().copy() for v in frozen]
    gained.compile("sgd", "mse")
    inputs = probe(gained)
    gained.fit(inputs, np.zeros(gained(inputs).shape), verbose=0)
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(frozen, before, strict=True))
    assert any(np.any(gain.gain.numpy() != 1) for gain in gain_layers(gained))


def refused(message, error=ValueError):
    return pytest.raises(error, match=message)


def test_a_model_that_is_built_in_part_is_refused():
    with refused("call the model once"):
        insert_gains(sequential(layers.Conv2D(4, 3, activation=slopes())))


def test_refusals():
    with refused("no convolution"):
        insert_gains(sequential(layers.ReLU()))
    with refused("chose none of .*conv"):
        insert_gains(build("Conv2D"), where=lambda layer: False)
    with refused("expected a Keras model"):
        insert_gains("unet")
    with refused("Functional or Sequential"):
        fold_gains("unet")
    with refused("not.*built|built model"):
        insert_gains(keras.Sequential([layers.Conv2D(2, 3)]))
    with refused("follows a convolution"):
        fold_gains(sequential(layers.ReLU(), Gain()))
    with refused("follows a convolution"):
        fold_gains(functional(lambda x: (y := layers.Conv2D(2, 1)(x)) + Gain()(y)))


class Opaque(layers.Layer):
    """Has a function for an argument, and no configuration; `loops` is a graph that cannot be followed either."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def test_a_layer_that_cannot_be_copied_is_named_where_the_graph_cannot_be_followed_either():
    def loops(x):
        return keras.ops.while_loop(lambda y: keras.ops.sum(y) > 1e9, lambda y: y / 2, x)

    with refused("cannot copy layer 'opaque.*: Opaque needs a get_config.*; nor can the graph .* found"):
        insert_gains(functional(lambda x: layers.Conv2D(1, 1)(Opaque(loops)(x))))
    assert len(gain_layers(insert_gains(functional(lambda x: layers.Conv2D(1, 1)(Opaque(abs)(x)))))) == 1


def test_a_layer_that_cannot_be_folded_is_named():
    gained = insert_gains(sequential(Standardised(3, 3, name="odd")))
    randomise(gained)
    with refused("cannot fold into 'odd'"):
        fold_gains(gained)


def test_a_custom_layer_that_never_calls_its_convolution_is_named():
    @keras.saving.register_keras_serializable("test_surgery")
    class Idle(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.unused = layers.Conv2D(1, 1, name="unused")

        def call(self, inputs):
            return inputs

    with refused("unused_gain"):
        insert_gains(functional(lambda x: Idle()(x)))


def test_wrapped_custom_layers_are_undone():
    gained = insert_gains(build("custom layer with its own call"))
    assert any(isinstance(layer, WithGains) for layer in gained.layers)
    assert not any(isinstance(layer, WithGains) for layer in fold_gains(gained).layers)
