"""Gains on disk: small, exact, and only for the network they belong to."""

import h5py
import keras
import numpy as np
import pytest

from gaintuning_tf import InputError, gain_layers, insert_gains, load_gains, save_gains


def tuned(model, images=None):
    gained = insert_gains(model, images=images)
    for number, gain in enumerate(gain_layers(gained)):
        gain.gain.assign(np.random.default_rng(number).uniform(0.5, 1.5, gain.gain.shape))
    return gained


def values(model):
    return [gain.gain.numpy() for gain in gain_layers(model)]


def test_a_file_from_before_dense_layers_had_gains_is_read(tmp_path):
    stack = [keras.layers.Conv2D(3, 3, name="conv"), keras.layers.Dense(2, name="dense")]
    model = keras.Sequential([keras.Input((None, None, 1)), *stack])
    earlier = insert_gains(model, lambda layer: layer.name == "conv")
    gain_layers(earlier)[0].gain.assign([0.5, 1.0, 1.5])
    save_gains(earlier, tmp_path / "a.gains.h5")
    loaded = load_gains(model, tmp_path / "a.gains.h5")
    assert [gain.gain.numpy().tolist() for gain in gain_layers(loaded)] == [[0.5, 1.0, 1.5]]


@pytest.mark.parametrize("images", [None, 3])
def test_gains_come_back_exactly(tiny, tmp_path, images):
    gained = tuned(tiny, images)
    save_gains(gained, tmp_path / "a.gains.h5")
    assert (tmp_path / "a.gains.h5").stat().st_size < 10_000
    loaded = load_gains(tiny, tmp_path / "a.gains.h5")
    assert gain_layers(tiny) == []
    assert all(np.array_equal(a, b) for a, b in zip(values(gained), values(loaded), strict=True))


def test_gains_load_in_place_into_a_model_that_has_some(tiny, tmp_path):
    save_gains(tuned(tiny), tmp_path / "a.gains.h5")
    model = insert_gains(tiny)
    assert load_gains(model, tmp_path / "a.gains.h5") is model
    assert np.any(values(model)[0] != 1)


def test_the_numbers_keras_gives_to_unnamed_layers_do_not_matter(tmp_path):
    def build():
        keras.utils.set_random_seed(0)
        return keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3)])

    first, second = build(), build()
    assert first.layers[0].name != second.layers[0].name
    save_gains(tuned(first), tmp_path / "a.gains.h5")
    np.testing.assert_array_equal(values(load_gains(second, tmp_path / "a.gains.h5"))[0], values(tuned(first))[0])


def test_other_weights_are_refused(tiny, tmp_path):
    save_gains(tuned(tiny), tmp_path / "a.gains.h5")
    tiny.get_layer("last").bias.assign([1e-6])
    with pytest.raises(InputError, match="other weights"):
        load_gains(tiny, tmp_path / "a.gains.h5")


def test_other_networks_are_refused(tiny, tmp_path):
    save_gains(tuned(tiny), tmp_path / "a.gains.h5")
    for layers, message in (([4], "2 layers"), ([4, 2], "another network"), ([4, 1], "another network")):
        other = keras.Sequential(
            [keras.Input((None, None, 1)), *[keras.layers.Conv2D(n, 3, name=f"c{n}") for n in layers]]
        )
        with pytest.raises(InputError, match=message):
            load_gains(other, tmp_path / "a.gains.h5")


def test_what_is_no_file_of_gains_is_refused(tiny, tmp_path):
    (tmp_path / "text.gains.h5").write_text("no")
    tiny.save_weights(tmp_path / "other.weights.h5")
    for name, message in (
        ("absent", "none at"),
        ("text.gains.h5", "not an HDF5"),
        ("other.weights.h5", r"other\.weights\.h5 is an HDF5 file but holds no gains"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            load_gains(tiny, tmp_path / name)
        assert str(caught.value).count(name) == 1


def test_gains_that_are_not_finite_and_newer_formats_are_refused(tiny, tmp_path):
    gained = tuned(tiny)
    gain_layers(gained)[0].gain.assign(np.full(4, np.nan))
    save_gains(gained, tmp_path / "a.gains.h5")
    with pytest.raises(InputError, match="not finite"):
        load_gains(tiny, tmp_path / "a.gains.h5")
    with h5py.File(tmp_path / "a.gains.h5", "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(InputError, match="version 99"):
        load_gains(tiny, tmp_path / "a.gains.h5")


def test_a_model_without_gains_has_none_to_save(tiny, tmp_path):
    with pytest.raises(InputError, match="has none"):
        save_gains(tiny, tmp_path / "a.gains.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.attrs.pop("fingerprint"),
        lambda file: file.attrs.update(version="new"),
        lambda file: file.attrs.update(contrast="much"),
        lambda file: file["0000"].attrs.pop("name"),
        lambda file: file["0000"].attrs.update(name=b"\xff"),
        lambda file: file["0000"].attrs.update(name=3),
        lambda file: file.create_dataset("0099", data="text"),
        lambda file: file.create_dataset("0099", data=np.zeros((2, 2, 2))),
        lambda file: file.create_group("0099").attrs.update(name="norm"),
    ],
)
def test_damaged_files_of_gains_are_refused_in_one_line(tiny, tmp_path, harm):
    save_gains(tuned(tiny), tmp_path / "a.gains.h5")
    with h5py.File(tmp_path / "a.gains.h5", "r+") as file:
        harm(file)
        if "0099" in file:
            file["0099"].attrs["name"] = "norm"
    with pytest.raises(InputError) as caught:
        load_gains(tiny, tmp_path / "a.gains.h5")
    assert "\n" not in str(caught.value)
