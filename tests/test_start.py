"""TensorFlow starts with the threads that were asked for, and says nothing."""

import subprocess
import sys

import pytest

from gaintuning_tf.start import start_tensorflow

PROGRAM = """
import os
from gaintuning_tf.start import start_tensorflow
start_tensorflow(3)
import tensorflow as tf
tf.linalg.matmul(tf.ones((500, 500)), tf.ones((500, 500)))
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(names.count("tf_Compute"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_quiet_and_with_that_many_threads():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert int(done.stdout) == 3


def test_once_it_has_started_it_keeps_its_threads(monkeypatch):
    import tensorflow as tf

    for name in ("INTRA", "INTER"):
        monkeypatch.setenv(f"TF_NUM_{name}OP_THREADS", "0")
    tf.config.list_logical_devices()
    with pytest.warns(UserWarning, match="has started already"):
        start_tensorflow(3)
