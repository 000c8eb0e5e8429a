"""Networks as other people have them: loaded, with gains, the same before tuning, tuned, folded; the table of it."""

import contextlib
import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    GainTuningWarning,
    InputError,
    Network,
    NetworkError,
    fold_gains,
    gain_layers,
    gaintune,
    insert_gains,
    load_denoiser,
)
from gaintuning_tf.cli.program import main
from gaintuning_tf.gains.graphs.graph_models import as_keras_model
from helpers.document_tables import DocumentTable, rows_of
from helpers.others_networks import KINDS, REFUSED, SIDE, blurring, of
from helpers.places import ROOT

DOCUMENT = ROOT / "docs" / "guides" / "networks-of-others.md"
HEAD = ["kind", "loads", "gains", "before tuning", "two steps", "folded"]
NAMES = [kind.name for kind in [*KINDS, *REFUSED]]


@pytest.fixture(scope="module")
def table(request):
    found = DocumentTable(DOCUMENT, "networks of others", HEAD, NAMES, request.config.getoption("--write-tables"))
    yield found
    found.finish()


def images(count=2):
    # Bytes, so that networks of whole numbers see the same.
    return (np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 1)) / 255).astype("float32")


def itself(network):
    """What the network itself computes, and its weights."""
    if not isinstance(network, Path):
        return network, network.get_weights()
    loaded = tf.saved_model.load(str(network))

    def run(given):
        return next(iter(loaded.signatures["serving_default"](tf.constant(given)).values()))

    return run, []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_loaded_tuned_and_folded(kind, table, tmp_path):
    keras.utils.set_random_seed(0)
    network, x = kind.build(tmp_path), images()
    run, weights = itself(network)
    expected = np.asarray(kind.outputs(run(kind.inputs(x))))
    # Around the model are layers where its numbers are others than [0, 1].
    known = Network(network)
    np.testing.assert_allclose(known(x), expected, rtol=0, atol=kind.tolerance)
    base = known.model
    gained = insert_gains(base)
    assert len(gain_layers(gained)) == kind.gains
    np.testing.assert_array_equal(gained(x), base(x))
    folding = difference_of_folding(gained, x)
    assert folding < 1e-5
    # Least is compiled for the plain method.
    result = gaintune(x[0, ..., 0], network, sigma=0.1, loss="monte-carlo-sure", prior=None, steps=2, progress=False)
    assert np.isfinite(result.denoised).all()
    assert np.abs(result.denoised - result.pretrained).max() > 1e-4
    for before, after in zip(weights, [] if isinstance(network, Path) else network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    exact = "the same" if kind.tolerance < 1e-3 else "the same, not rounded"
    table.add(kind.name, "yes", f"{kind.gains} of {kind.gains}", exact, "yes", "to 1e-5")


def difference_of_folding(gained, x):
    for number, gain in enumerate(gain_layers(gained)):
        gain.gain.assign(np.random.default_rng(number).uniform(0.5, 1.5, gain.gain.shape))
    wanted = np.asarray(gained(x))
    assert np.abs(wanted).max() > 0
    folded = fold_gains(gained)
    assert gain_layers(folded) == []
    return np.abs(np.asarray(folded(x)) - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "SavedModel" not in kind.name], ids=lambda kind: kind.name)
def test_gains_go_into_the_model_as_it_is_handed_over(kind, tmp_path):
    keras.utils.set_random_seed(0)
    model, x = kind.build(tmp_path), images()
    gained = insert_gains(model)
    assert len(gain_layers(gained)) == kind.gains
    given = own = kind.inputs(x)
    seen = as_keras_model(model)
    if seen is not model and keras.tree.is_nested(given):
        given = x
    for one, other in zip(keras.tree.flatten(gained(given)), keras.tree.flatten(seen(given)), strict=True):
        np.testing.assert_array_equal(one, other)
    if kind.tolerance < 1e-3:
        expected, found = (keras.tree.flatten(each(by))[0] for each, by in ((model, own), (gained, given)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_what_cannot_be_run_is_one_line_with_the_networks_own_words(kind, table, tmp_path):
    path = kind.build(tmp_path)
    np.save(tmp_path / "x.npy", images()[0, ..., 0])
    arguments = ["--sigma", "0.1", "--steps", "2", "--quiet", "--model", str(path)]
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        status = main(["denoise", str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.npy"), *arguments])
    assert status == 2
    assert error.getvalue().startswith("error: ")
    assert error.getvalue().count("\n") == 1
    assert kind.message in error.getvalue()
    assert not (tmp_path / "y.npy").exists()
    table.add(kind.name, f"no, in one line: … {kind.message} …", "", "", "", "")


def test_the_table_has_every_kind_and_no_other(table):
    if table.write:
        pytest.skip("it is being written")
    assert list(rows_of(DOCUMENT, "networks of others")) == NAMES


def test_what_a_live_network_raises_is_an_error_of_its_own():
    inputs = keras.Input((None, None, 1))

    class Refusing(keras.layers.Layer):
        def call(self, x):
            raise KeyError("no such scale")

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    model = keras.Model(inputs, Refusing()(keras.layers.Conv2D(1, 3, padding="same")(inputs)), name="scaled")
    with pytest.raises(NetworkError, match=r"the network 'scaled' cannot be run: .*no such scale") as caught:
        gaintune(images()[0, ..., 0], model, sigma=0.1, steps=1, progress=False)
    assert isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)


def test_bytes_have_the_range_that_is_said():
    """A network that returns 0 to 1 of bytes, and one that returns bytes of bytes, are told apart."""
    inputs = keras.Input((None, None, 1), dtype="uint8")
    blur = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="ones", bias_initializer="zeros")
    of_unit = keras.Model(inputs, blur(keras.layers.Rescaling(1 / 255)(inputs)) / 9)
    of_bytes = keras.Model(inputs, blur(keras.ops.cast(inputs, "float32")) / 9)
    x = images()
    inner = np.s_[:, 1:-1, 1:-1]
    one, other = Network(of_unit)(x)[inner], Network(of_bytes)(x)[inner]
    np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(Network(of_bytes, normalize="0..255")(x)[inner], other, atol=1e-5)


def test_whole_numbers_that_may_be_others_than_bytes_are_told():
    inputs = keras.Input((None, None, 1), dtype="int32")
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(keras.layers.Rescaling(1.0)(inputs)))
    with pytest.warns(GainTuningWarning, match=r"takes int32: taken for images of 0\.\.255"):
        Network(model)


def test_a_saved_model_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "_größe -v2"
    of(blurring).export(folder, verbose=False)
    x = images()
    assert gaintune(x[0, ..., 0], folder, sigma=0.1, steps=1, progress=False).denoised.shape == (SIDE, SIDE)
    assert load_denoiser(folder).name.isascii()


def test_a_result_that_is_saved_is_the_network_again(tmp_path):
    x = images()
    for kind in (kind for kind in KINDS if "größe" in kind.name or "one's own" in kind.name):
        result = gaintune(x[0, ..., 0], kind.build(tmp_path), sigma=0.1, steps=2, progress=False)
        result.model.save(tmp_path / "tuned.keras")
        again = Network(load_denoiser(tmp_path / "tuned.keras"))
        np.testing.assert_allclose(again.at_contrast()(x[:1])[0, ..., 0], result.denoised, atol=1e-5)
