"""PyTorch checkpoints: the same outputs, and refusals that name what was not understood."""

import argparse
import importlib.util

import numpy as np
import pytest

from gaintuning_tf import InputError, gain_layers, insert_gains
from gaintuning_tf.cli.program import main
from gaintuning_tf.networks.torch_checkpoints import import_torch

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")
SIZES = [(32, 40), (33, 41), (7, 1)]


def image(size, channels=1):
    return np.random.default_rng(0).random((2, *size, channels)).astype("float32")


def in_torch(network, x):
    with torch.no_grad():
        return network(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)


@pytest.mark.parametrize("name", ["dncnn_bias", "dncnn_bias_free", "unet_bias", "unet_bias_free"])
def test_published_checkpoints_agree_with_the_peer(shared, name):
    spec = importlib.util.spec_from_file_location("peer", shared / "peer" / "gaintune_torch.py")
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    path = shared / "checkpoints" / f"{name}_0-55.pt"
    ours, theirs = import_torch(path), peer.load(path)
    for size in SIZES:
        x = image(size)
        np.testing.assert_allclose(ours(x), in_torch(theirs, x), atol=1e-4)
    assert len(gain_layers(insert_gains(ours))) == len([m for m in theirs.modules() if isinstance(m, peer.GainConv)])


def stack(depth, width, channels, normalised, bias=True):
    """A DnCNN as KAIR builds it: one Sequential called `model`, the noise subtracted."""
    layers = [torch.nn.Conv2d(channels, width, 3, padding=1, bias=bias), torch.nn.ReLU()]
    for _ in range(depth - 2):
        layers.append(torch.nn.Conv2d(width, width, 3, padding=1, bias=bias))
        if normalised:
            norm = torch.nn.BatchNorm2d(width)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            layers.append(norm)
        layers.append(torch.nn.ReLU())

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = torch.nn.Sequential(*layers, torch.nn.Conv2d(width, channels, 3, padding=1, bias=bias))

        def forward(self, x):
            return x - self.model(x)

    return Network().eval()


@pytest.mark.parametrize(
    ("depth", "width", "channels", "normalised", "bias"),
    [(17, 8, 1, False, True), (5, 12, 3, True, True), (2, 4, 1, False, True), (6, 4, 1, False, False)],
)
def test_plain_stacks_of_any_depth_and_width(tmp_path, depth, width, channels, normalised, bias):
    torch.manual_seed(0)
    network = stack(depth, width, channels, normalised, bias)
    for content in (network.state_dict(), {"params": network.state_dict()}):
        torch.save(content, tmp_path / "d.pth")
        model = import_torch(tmp_path / "d.pth")
        x = image((13, 10), channels)
        np.testing.assert_allclose(model(x), in_torch(network, x), atol=1e-4)


def test_unknown_layouts_are_refused_by_name(tmp_path):
    cases = [
        ({"encoder.weight": torch.zeros(3)}, "not understood: encoder"),
        ({**stack(4, 4, 1, False).state_dict(), "model.attention": torch.zeros(3)}, "model.attention"),
        ({"conv9.weight": torch.zeros(1, 4, 5, 5), "conv1.weight": torch.zeros(4, 1, 5, 5)}, r"conv2\.weight"),
        (
            {"model.0.weight": torch.zeros(4, 1, 5, 5), "model.2.weight": torch.zeros(1, 4, 3, 3)},
            "expected model.0.weight",
        ),
        ([1, 2], "state dict"),
    ]
    for state, message in cases:
        torch.save(state, tmp_path / "x.pt")
        with pytest.raises(InputError, match=message):
            import_torch(tmp_path / "x.pt")


def test_the_options_of_a_training_are_no_code(tmp_path):
    content = {"args": argparse.Namespace(depth=3), "model": [stack(3, 4, 1, False).state_dict()]}
    for legacy in (False, True):
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
        assert import_torch(tmp_path / "a.pt").name == "dncnn"


class Harmless:
    """Something of which a pickle runs code."""


def test_files_that_need_pickle_need_a_word(tmp_path, capsys):
    torch.save({"model": stack(3, 4, 1, False).state_dict(), "arguments": Harmless()}, tmp_path / "p.pt")
    with pytest.raises(InputError, match="--allow-pickle"):
        import_torch(tmp_path / "p.pt")
    assert import_torch(tmp_path / "p.pt", allow_pickle=True).count_params() > 0
    command = ["import-torch", str(tmp_path / "p.pt"), str(tmp_path / "m.keras")]
    assert main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "m.keras").exists()
    assert main([*command, "--allow-pickle"]) == 0
    assert (tmp_path / "m.keras").exists()


class Trap:
    """Something that, unpickled, leaves a file behind."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_not_run_without_a_word(tmp_path, capsys, legacy):
    content = {"model": stack(3, 4, 1, False).state_dict(), "trap": Trap(tmp_path / "sprung")}
    torch.save(content, tmp_path / "p.pt", _use_new_zipfile_serialization=not legacy)
    (tmp_path / "m.keras").write_text("previous")
    assert main(["import-torch", str(tmp_path / "p.pt"), str(tmp_path / "m.keras")]) == 2
    error = capsys.readouterr().err
    assert "--allow-pickle" in error and error.count("\n") == 1
    assert (tmp_path / "m.keras").read_text() == "previous"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.keras", "p.pt"]
    # It is a trap: with the word it springs.
    assert main(["import-torch", str(tmp_path / "p.pt"), str(tmp_path / "m.keras"), "--allow-pickle"]) == 0
    assert (tmp_path / "sprung").exists()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "text.pt").write_text("text")
    for allow in (False, True):
        with pytest.raises(InputError, match=r"text\.pt is no"):
            import_torch(tmp_path / "text.pt", allow_pickle=allow)
    with pytest.raises(InputError, match="no such file"):
        import_torch(tmp_path / "absent.pt")
    assert main(["import-torch", str(tmp_path / "text.pt"), str(tmp_path / "m.h5")]) == 2
