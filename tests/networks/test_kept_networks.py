"""Networks of files: loaded once, and again when the files have changed."""

import gc
import os
import shutil
import weakref

import numpy as np
import pytest

from gaintuning_tf import InputError, gaintune
from gaintuning_tf.denoising import frame_tuner, stack_run
from gaintuning_tf.denoising.dask_arrays import gaintune_array
from gaintuning_tf.denoising.stack_run import denoise_stack
from gaintuning_tf.networks.kept_networks import KEPT, network_in
from gaintuning_tf.networks.network import network_of

IMAGE = np.random.default_rng(0).random((2, 16, 16)).astype("float32")


def write_file(model, path):
    model.save(path)


def write_folder(model, path):
    model.export(path, verbose=False)


def write_version(model, path):
    model.export(path / "1", verbose=False)


FORMS = {"network.keras": write_file, "saved": write_folder, "versions": write_version}


@pytest.fixture(params=FORMS)
def rewritten(request, tiny, tmp_path):
    """The path of a network, and a function that writes it with another last bias."""
    path = tmp_path / request.param

    def write(bias):
        tiny.get_layer("last").bias.assign([bias])
        FORMS[request.param](tiny, path)

    write(0.0)
    return path, write


def denoised(path, image=IMAGE[0]):
    return gaintune(image, path, sigma=0.1, steps=0, progress=False).denoised


def test_a_network_that_was_written_anew_is_loaded_anew(rewritten):
    path, write = rewritten
    before = denoised(path)
    write(0.25)
    np.testing.assert_allclose(denoised(path), before + 0.25, atol=1e-6)


def test_a_movie_is_denoised_by_the_network_that_is_there(rewritten, tmp_path):
    path, write = rewritten
    before = movie(tmp_path, path)
    write(0.25)
    np.testing.assert_allclose(movie(tmp_path, path), before + 0.25, atol=1e-6)


def movie(folder, path):
    np.save(folder / "in.npy", IMAGE)
    how = {"axes": "TYX", "sigma": 0.1, "steps": 0, "data_range": 1.0, "progress": False}
    denoise_stack(folder / "in.npy", folder / "out.npy", path, **how)
    return np.load(folder / "out.npy")


def test_a_higher_version_is_taken_as_soon_as_it_is_there(tiny, tmp_path):
    write_folder(tiny, tmp_path / "served" / "1")
    before = denoised(tmp_path / "served")
    tiny.get_layer("last").bias.assign([0.25])
    write_folder(tiny, tmp_path / "served" / "2")
    np.testing.assert_allclose(denoised(tmp_path / "served"), before + 0.25, atol=1e-6)


def test_a_file_copied_with_its_time_is_noticed(tiny, tmp_path):
    for number, name in enumerate(("a.keras", "b.keras")):
        tiny.get_layer("last").bias.assign([0.25 * number])
        tiny.save(tmp_path / name)
        os.utime(tmp_path / name, ns=(0, 0))
    assert (tmp_path / "a.keras").stat().st_size == (tmp_path / "b.keras").stat().st_size
    before = denoised(tmp_path / "a.keras")
    shutil.copy2(tmp_path / "b.keras", tmp_path / "a.keras")
    np.testing.assert_allclose(denoised(tmp_path / "a.keras"), before + 0.25, atol=1e-6)


def test_the_same_name_in_another_folder_is_another_network(tiny, tmp_path, monkeypatch):
    found = []
    for number, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        tiny.get_layer("last").bias.assign([0.25 * number])
        tiny.save("m.keras")
        os.utime("m.keras", ns=(0, 0))
        found.append(denoised("m.keras"))
    np.testing.assert_allclose(found[1], found[0] + 0.25, atol=1e-6)


def test_an_unchanged_network_is_loaded_once_and_what_is_stale_goes(rewritten):
    path, write = rewritten
    first = network_in(path)
    assert network_in(str(path)) is first
    if path.is_dir():
        (path / "notes.txt").write_text("none of the network's files")
    assert network_in(path) is first
    gone = weakref.ref(first)
    del first
    write(0.25)
    network_in(path)
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("denoise", ["denoise_stack", "gaintune_array"])
def test_a_network_written_anew_during_a_run_changes_nothing_in_it(tiny, tmp_path, monkeypatch, denoise):
    path = tmp_path / "m.keras"
    tiny.save(path)
    before = movie(tmp_path, path) if denoise == "denoise_stack" else array(path)

    def rewriting(model):
        found = network_of(model)
        tiny.get_layer("last").bias.assign(tiny.get_layer("last").bias + 0.25)
        tiny.save(path)
        return found

    for module in (frame_tuner, stack_run):
        monkeypatch.setattr(module, "network_of", rewriting)
    after = movie(tmp_path, path) if denoise == "denoise_stack" else array(path)
    np.testing.assert_array_equal(after, before)


def array(path):
    da = pytest.importorskip("dask.array")
    how = {"sigma": 0.1, "steps": 0, "data_range": 1.0}
    return gaintune_array(da.from_array(IMAGE), path, **how).compute(scheduler="sync")


def test_only_the_last_few_are_kept(tiny, tmp_path):
    paths = [tmp_path / f"{number}.keras" for number in range(KEPT + 1)]
    for path in paths:
        tiny.save(path)
    first, *others = [weakref.ref(network_in(path)) for path in paths]
    gc.collect()
    assert first() is None
    assert all(other() is not None for other in others)


def test_a_network_that_is_gone_is_refused_though_it_was_kept(tiny, tmp_path):
    tiny.save(tmp_path / "m.keras")
    network_in(tmp_path / "m.keras")
    (tmp_path / "m.keras").unlink()
    with pytest.raises(InputError, match=r"m\.keras"):
        network_in(tmp_path / "m.keras")
