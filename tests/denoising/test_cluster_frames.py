"""Frames on a real cluster of processes on this machine, whose workers die."""

import os
import signal

import numpy as np
import pytest
import tensorflow as tf
import tifffile

from gaintuning_tf import InputError
from gaintuning_tf.denoising import clusters
from gaintuning_tf.denoising.stack_run import denoise_stack
from helpers.networks import make_tiny


@pytest.fixture(scope="module", autouse=True)
def graphs_are_optimised_as_in_workers():
    """What they compute is the same, but for the last bit."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="module")
def client():
    with clusters.cluster(workers=2, threads=1) as client:
        yield client


@pytest.fixture(scope="module")
def network():
    return make_tiny()


@pytest.fixture
def source(tmp_path, photograph):
    rng = np.random.default_rng(0)
    frames = [photograph[t : t + 32, 2 * t : 2 * t + 36] * 900 for t in range(16)]
    tifffile.imwrite(tmp_path / "in.tif", rng.poisson(frames).astype(np.uint16), photometric="minisblack")
    return tmp_path / "in.tif"


def run(source, name, network, **options):
    options = {"axes": "TYX", "steps": 2, "noise": "poisson", "progress": False, **options}
    result = denoise_stack(source, source.with_name(name), network, **options)
    return result, tifffile.imread(source.with_name(name))


def test_with_a_worker_killed_in_the_middle_the_result_is_that_of_one_process(client, source, network):
    pids = client.run(os.getpid)
    done = []

    def kill(result, noisy):
        done.append(result.number)
        if len(done) == 5:
            os.kill(next(iter(pids.values())), signal.SIGKILL)

    here, expected = run(source, "a.tif", network)
    there, denoised = run(source, "b.tif", network, client=client, listeners=[kill])
    assert sorted(done) == list(range(16))
    np.testing.assert_array_equal(denoised, expected)
    for number in range(16):
        for one, other in zip(here.gains(number), there.gains(number), strict=True):
            np.testing.assert_array_equal(one, other)
    assert here.column("risk_after") == there.column("risk_after")
    client.wait_for_workers(2, timeout=30)
    assert set(client.run(os.getpid).values()) != set(pids.values())


def test_a_run_begun_on_the_cluster_goes_on_here_and_shares_gains(client, source, network):
    options = {"share_gains": 2}
    _, expected = run(source, "a.tif", network, **options)

    done = []

    def interrupt(result, noisy):
        done.append(result.number)
        if len(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, "b.tif", network, client=client, listeners=[interrupt], **options)
    _, denoised = run(source, "b.tif", network, listeners=[lambda result, _: done.append(result.number)], **options)
    assert sorted(done) == list(range(16))
    np.testing.assert_array_equal(denoised, expected)


def test_what_a_worker_refuses_is_the_error_of_the_run(client, source, network):
    image = tifffile.imread(source)
    image[3] = 0
    tifffile.imwrite(source, image, photometric="minisblack")
    with pytest.raises(InputError, match="frame 3: all pixels are 0"):
        run(source, "b.tif", network, client=client, on_failure="stop")
    result, _ = run(source, "b.tif", network, client=client)
    assert list(result.failed) == [3]


def test_a_frame_that_workers_die_of_ends_the_run(client, source, network, monkeypatch):
    from gaintuning_tf.denoising import cluster_frames

    monkeypatch.setattr(cluster_frames, "_answer", _die)
    with pytest.raises(InputError, match="workers died of it again and again"):
        run(source, "b.tif", network, client=client)


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_warm_start_needs_one_process(client, source, network):
    with pytest.raises(InputError, match="no client with warm_start"):
        run(source, "b.tif", network, client=client, warm_start=True)


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    with (
        pytest.raises(InputError, match=r"no worker answers at tcp://127.0.0.1:9"),
        clusters.cluster("tcp://127.0.0.1:9"),
    ):
        pass
