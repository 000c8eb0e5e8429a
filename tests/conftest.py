"""Options and fixtures of all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# As the package does where it is imported before TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import pytest
import tensorflow as tf

from helpers.places import BEGIN, END, LAYER_KINDS, SHARED

# TensorFlow's optimiser of graphs takes most of the time of each function's first call. It
# is TensorFlow's own, and has no say in what a graph computes; commands that tests run in
# processes of their own, and the C++ program that serves, have it.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# A script that runs in an environment of its own, with onnx, which this one lacks.
collect_ignore = ["helpers/onnx_networks.py"]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that need minutes")
    parser.addoption("--write-tables", action="store_true", help="write the tables that tests produce into docs/")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs minutes; run with --slow"))


@pytest.fixture
def shared():
    """The folder of test data beside the repository, where there is one."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the data in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def surgery_table(request):
    """Collects rows for the table of layer kinds; writes it with --write-tables."""
    rows = {}

    def add(kind, gains, identity, folding):
        rows[kind] = f"| {kind} | {gains} | {identity:.0e} | {folding:.0e} |"

    yield add
    if request.config.getoption("--write-tables") and rows:
        head = "| what | gains | identity at one | folding |\n|---|---|---|---|\n"
        before, _, rest = LAYER_KINDS.read_text().partition(BEGIN)
        table = head + "\n".join(rows.values()).replace("0e+00", "0")
        LAYER_KINDS.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


@pytest.fixture(scope="session")
def photograph():
    """A real photograph that comes with scikit-image, (96, 80), float32 in [0, 1]."""
    from skimage.data import camera

    return camera()[100:196, 200:280].astype(np.float32) / 255


@pytest.fixture
def tiny():
    from helpers.networks import make_tiny

    return make_tiny()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The tiny denoiser, exported: the model and the folder of its version."""
    from gaintuning_tf import export_saved_model
    from helpers.networks import make_tiny

    model = make_tiny()
    return model, export_saved_model(model, tmp_path_factory.mktemp("served") / "tiny")
