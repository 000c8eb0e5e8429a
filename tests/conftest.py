"""What several test modules share."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
README = ROOT / "README.md"
BEGIN, END = "<!-- surgery table: begin -->", "<!-- surgery table: end -->"


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that need minutes")
    parser.addoption("--write-tables", action="store_true", help="write the tables that tests produce into the README")


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
    """Collects rows for the README's table of layer kinds; writes it with --write-tables."""
    rows = {}

    def add(kind, gains, identity, folding):
        rows[kind] = f"| {kind} | {gains} | {identity:.0e} | {folding:.0e} |"

    yield add
    if request.config.getoption("--write-tables") and rows:
        head = "| what | gains | identity at one | folding |\n|---|---|---|---|\n"
        before, _, rest = README.read_text().partition(BEGIN)
        table = head + "\n".join(rows.values()).replace("0e+00", "0")
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


@pytest.fixture(scope="session")
def photograph():
    """A real photograph that comes with scikit-image, (96, 80), float32 in [0, 1]."""
    from skimage.data import camera

    return camera()[100:196, 200:280].astype(np.float32) / 255


def make_tiny():
    """A small denoiser with an activation and a batch norm: the mean of neighbours, perturbed."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(1, 3, padding="same", name="last")(x)
    model = keras.Model(inputs, x)
    kernel = np.random.default_rng(0).normal(0, 0.05, (3, 3, 1, 4)) + 1 / 9
    model.get_layer("first").kernel.assign(kernel)
    last = np.random.default_rng(1).normal(0, 0.01, (3, 3, 4, 1))
    last[1, 1] += 0.25
    model.get_layer("last").kernel.assign(last)
    return model


@pytest.fixture
def tiny():
    return make_tiny()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The tiny denoiser, exported: the model and the folder of its version."""
    from gaintuning_tf import export_saved_model

    model = make_tiny()
    return model, export_saved_model(model, tmp_path_factory.mktemp("served") / "tiny")
