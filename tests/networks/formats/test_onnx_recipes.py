"""What docs/guides/onnx.md says: converters turn ONNX into SavedModels that are loaded, tuned and folded.

GAINTUNING_ENVIRONMENTS=/somewhere pytest --slow tests/networks/formats/test_onnx_recipes.py
"""

import numpy as np
import pytest

from gaintuning_tf import fold_gains, gain_layers, gaintune, insert_gains
from gaintuning_tf.networks.network import network_of
from helpers.environments import environment, run
from helpers.places import ROOT

WRITER = ROOT / "tests" / "helpers" / "onnx_networks.py"
# Convolutions of each network, and so its gains.
COUNTS = {"dncnn": 3, "unet": 5, "group_norm": 3, "nafnet": 6}
# The last onnx-tf needs a TensorFlow of its time.
OLD = ("onnx-tf==1.10.0", "tensorflow-cpu==2.15.1", "tensorflow-probability==0.23.0", "onnx==1.14.1", "numpy<2")
TOOLS = {"onnx2tf": ("onnx2tf==1.29.24",), "onnx-tf": (*OLD, "onnxruntime")}


@pytest.fixture(scope="module", params=TOOLS)
def converted(request, tmp_path_factory):
    """A folder with each network and its image, and a function that converts one."""
    programs = environment(request.param, *TOOLS[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    run(programs / "python", WRITER, folder)

    def convert(name):
        given, made = folder / f"{name}.onnx", folder / name
        if request.param == "onnx2tf":
            run(programs / "onnx2tf", "-osd", "-i", given, "-o", made, folder=folder)
        else:
            run(programs / "onnx-tf", "convert", "-i", given, "-o", made, folder=folder)
        return made, np.load(folder / f"{name}.npz")

    return convert


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_a_converted_network_is_loaded_tuned_and_folded(converted, name):
    folder, known = converted(name)
    network = network_of(folder)
    np.testing.assert_allclose(network(known["image"]), known["output"], atol=2e-5)
    gained = insert_gains(network.model)
    assert len(gain_layers(gained)) == COUNTS[name]
    np.testing.assert_array_equal(gained(known["image"]), network.model(known["image"]))
    result = gaintune(known["image"][0, ..., 0], network, sigma=0.1, data_range=1, steps=2, progress=False)
    assert result.history["risk_after"] < result.history["risk_before"]
    folded = fold_gains(result.model)
    np.testing.assert_allclose(folded(known["image"]), result.model(known["image"]), atol=1e-5)
