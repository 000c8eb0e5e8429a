"""TensorFlow starts with the threads that were asked for, and says nothing."""

import logging
import os
import subprocess
import sys

import pytest

from gaintuning_tf import GainTuningWarning
from gaintuning_tf.support.tensorflow_start import quietly, start_tensorflow

PROGRAM = """
import os
from gaintuning_tf.support.tensorflow_start import start_tensorflow
start_tensorflow(3)
import tensorflow as tf
tf.linalg.matmul(tf.ones((500, 500)), tf.ones((500, 500)))
assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
import sys
assert not {"jax", "matplotlib", "pandas"} & set(sys.modules)
import jax, matplotlib, pandas
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(names.count("tf_Compute"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_quiet_and_with_that_many_threads():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert int(done.stdout) == 3


INTERRUPTED = """
import os
import tensorflow as tf
from gaintuning_tf.support.tensorflow_start import start_tensorflow

def interrupt():
    os.write(2, b"chatter")
    raise %s

tf.config.list_logical_devices = interrupt
try:
    start_tensorflow()
except %s:
    print("raised")
"""


@pytest.mark.parametrize(("error", "said"), [("RuntimeError", "chatter"), ("KeyboardInterrupt", "")])
def test_what_it_says_is_shown_if_it_fails_but_not_after_ctrl_c(error, said):
    program = [sys.executable, "-c", INTERRUPTED % (error, error)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert done.stdout == "raised\n"
    assert done.stderr.endswith("chatter") == bool(said)


def test_once_it_has_started_it_keeps_its_threads(monkeypatch):
    import tensorflow as tf

    for name in ("INTRA", "INTER"):
        monkeypatch.setenv(f"TF_NUM_{name}OP_THREADS", "0")
    tf.config.list_logical_devices()
    with pytest.warns(GainTuningWarning, match="has started already"):
        start_tensorflow(3)


@pytest.mark.parametrize("first", ["GainTuner", "networks.pretrained.register_classes()"])
def test_python_hears_no_chatter_but_all_else(first):
    imported = f"import gaintuning_tf, gaintuning_tf.networks.pretrained; gaintuning_tf.{first}"
    program = f"import os, sys; {imported}; assert 'tensorflow' in sys.modules"
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_else_is_said_meanwhile_is_kept(monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    with quietly():
        os.write(
            2, b"I0000 00:00:1 a.cc:31] chatter\nworth a word\n2026-01-01 00:00:00.1: I tensorflow/b.cc] chatter\n"
        )
        os.write(2, b"E0000 00:00:1 a.cc:31] an error\n")
    assert capfd.readouterr().err == "worth a word\nE0000 00:00:1 a.cc:31] an error\n"


@pytest.mark.parametrize(("owner", "is_said"), [("<gaintuning_tf.tuning.steps.Steps object>", False), ("Mine", True)])
def test_of_our_own_functions_it_is_not_said_that_they_are_traced_again(caplog, owner, is_said):
    with quietly():
        pass
    message = f"5 out of the last 9 calls to <bound method Steps.optimism of {owner}> triggered tf.function retracing."
    logging.getLogger("tensorflow").warning(message)
    assert (message in caplog.text) is is_said
