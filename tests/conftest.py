import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def surgery_table():
    rows = {}
    def add(kind, gains, identity, folding): rows[kind]=(gains,identity,folding)
    yield add
