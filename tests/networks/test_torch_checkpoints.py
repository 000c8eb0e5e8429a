"""PyTorch checkpoints: the same outputs, and refusals that name what was not understood."""

import argparse
import importlib.util

import numpy as np
import pytest

from gaintuning_tf import GainTuningWarning, InputError, gain_layers, insert_gains, load_denoiser
from gaintuning_tf.cli.program import main
from gaintuning_tf.networks.torch_checkpoints import import_torch

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")
from helpers.torch_networks import ResidualUNet, stack  # noqa: E402, after the check that it is there

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


class Subtracted(torch.nn.Module):
    """A DnCNN: what the stack says is the noise. The stack's name differs by who wrote it."""

    def __init__(self, name, *arguments, **options):
        super().__init__()
        self.add_module(name, stack(*arguments, **options))
        self.eval()

    def forward(self, x):
        return x - next(self.children())(x)


class Conditioned(torch.nn.Module):
    """FFDNet: blocks of pixels as channels beside the noise level, for pixel-by-pixel FDnCNN blocks of one."""

    def __init__(self, depth, width, channels, scale):
        super().__init__()
        self.scale = scale
        self.model = stack(depth, width, channels * scale**2, False, given=channels * scale**2 + 1)

    def forward(self, x, sigma):
        height, width = x.shape[-2:]
        x = torch.nn.functional.pad(x, (0, -width % self.scale, 0, -height % self.scale), "replicate")
        x = torch.nn.functional.pixel_unshuffle(x, self.scale)
        level = torch.as_tensor(sigma).reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[-2:])
        x = torch.nn.functional.pixel_shuffle(self.model(torch.cat([x, level], 1)), self.scale)
        return x[..., :height, :width]


# Who wrote it shows in the stack's name, in which convolutions have a bias, and in batch norm's epsilon.
STACKS = [
    ("model", (17, 8, 1, False), {}),
    ("model", (5, 12, 3, True), {}),
    ("model", (2, 4, 1, False), {}),
    ("model", (6, 4, 1, False), {"bias": False}),
    ("dncnn", (6, 8, 1, True), {"bias": False}),
    ("dncnn", (5, 8, 3, True), {"bias": [True, *[False] * 4], "epsilon": 1e-4}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), STACKS)
@pytest.mark.filterwarnings("ignore:the epsilon of batch norm")
def test_plain_stacks_of_any_depth_and_width(tmp_path, name, arguments, options):
    torch.manual_seed(0)
    network = Subtracted(name, *arguments, **options)
    state = network.state_dict()
    x = image((13, 10), arguments[2])
    # As it is, as training scripts wrap it, and as one for several devices names it.
    parallel = {f"module.{key}": value for key, value in state.items()}
    for content in (state, {"params": state}, {"net": parallel, "epoch": 3}):
        torch.save(content, tmp_path / "d.pth")
        model = import_torch(tmp_path / "d.pth")
        np.testing.assert_allclose(model(x), in_torch(network, x), atol=1e-4)


def test_the_epsilon_of_batch_norm_is_asked_for_where_it_matters(tmp_path, capsys):
    torch.manual_seed(0)
    network = Subtracted("model", 5, 8, 1, True, epsilon=1e-4)
    for norm in network.model:
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_var.fill_(1e-3)
    torch.save(network.state_dict(), tmp_path / "k.pth")
    x = image((9, 8))
    expected = in_torch(network, x)
    with pytest.warns(GainTuningWarning, match="--norm-epsilon 0.0001"):
        assumed = import_torch(tmp_path / "k.pth")(x)
    exact = import_torch(tmp_path / "k.pth", norm_epsilon=1e-4)(x)
    # Three layers, each off by the root of 1.1e-3 to 1.01e-3: 4 %.
    assert np.abs(assumed - expected).max() > 0.04 * np.abs(x - expected).max()
    np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    command = ["import-torch", str(tmp_path / "k.pth"), str(tmp_path / "k.keras"), "--norm-epsilon"]
    assert main([*command, "0"]) == 2
    assert "epsilon of batch norm above 0" in capsys.readouterr().err
    assert main([*command, "1e-4"]) == 0
    np.testing.assert_array_equal(load_denoiser(tmp_path / "k.keras")(x), exact)


@pytest.mark.parametrize(("channels", "scale"), [(1, 2), (3, 2), (1, 1), (3, 1)])
@pytest.mark.parametrize("size", SIZES)
def test_stacks_with_a_noise_map_by_the_shapes_alone(tmp_path, channels, scale, size):
    torch.manual_seed(0)
    network = Conditioned(4, 8, channels, scale)
    torch.save(network.state_dict(), tmp_path / "f.pth")
    model = import_torch(tmp_path / "f.pth")
    x, sigma = image(size, channels), np.array([0.1, 0.3], "float32")
    expected = in_torch(lambda images: network(images, sigma), x)
    noise_map = np.broadcast_to(sigma[:, None, None, None], (2, *size, 1))
    np.testing.assert_allclose(model([x, noise_map]), expected, atol=1e-4)
    assert model.name == ("ffdnet" if scale == 2 else "fdncnn")


@pytest.mark.parametrize("noise_map", [True, False])
@pytest.mark.parametrize(("widths", "blocks", "channels"), [((4, 6, 8, 10), 2, 1), ((6, 4), 1, 3), ((4, 4, 4), 3, 1)])
def test_residual_unets_of_any_widths_and_blocks(tmp_path, widths, blocks, channels, noise_map):
    torch.manual_seed(0)
    network = ResidualUNet(channels + noise_map, channels, widths, blocks)
    torch.save({"params": network.state_dict()}, tmp_path / "r.pth")
    model = import_torch(tmp_path / "r.pth")
    multiple = 2 ** (len(widths) - 1)
    for size in SIZES:
        x, level = image(size, channels), image(size, 1)
        given = np.concatenate([x, level], -1) if noise_map else x
        added = [(0, 0), *((0, -side % multiple) for side in size), (0, 0)]
        expected = in_torch(network, np.pad(given, added, "symmetric"))[:, : size[0], : size[1]]
        np.testing.assert_allclose(model([x, level] if noise_map else x), expected, atol=1e-4)
    assert model.count_params() == sum(tensor.numel() for tensor in network.parameters())


def test_the_command_says_that_a_network_takes_the_noise_level(tmp_path, capsys):
    network = ResidualUNet(2, 1, (4, 6), 1)
    torch.save(network.state_dict(), tmp_path / "r.pth")
    assert main(["import-torch", str(tmp_path / "r.pth"), str(tmp_path / "r.keras")]) == 0
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert f"drunet, {weights:,} weights, with the noise level as a second input" in capsys.readouterr().err


def test_unknown_layouts_are_refused_by_name(tmp_path):
    cases = [
        ({"encoder.weight": torch.zeros(3)}, "not understood: encoder"),
        ({**Subtracted("model", 4, 4, 1, False).state_dict(), "model.attention": torch.zeros(3)}, "model.attention"),
        ({"conv9.weight": torch.zeros(1, 4, 5, 5), "conv1.weight": torch.zeros(4, 1, 5, 5)}, r"conv2\.weight"),
        (
            {"model.0.weight": torch.zeros(4, 1, 5, 5), "model.2.weight": torch.zeros(1, 4, 3, 3)},
            "expected model.0.weight",
        ),
        (Subtracted("model", 3, 4, 1, False, given=3).state_dict(), "3 channels in and 1 out without"),
        (Subtracted("model", 3, 4, 4, True, given=5).state_dict(), "5 channels in and 4 out with batch norm"),
        ({**ResidualUNet(1, 1, (4, 6), 2).state_dict(), "m_down1.3.weight": torch.zeros(3)}, r"m_down1\.3\.weight"),
        (ResidualUNet(3, 1, (4, 6), 2).state_dict(), "1 channels in, or one more"),
        ({"m_head.weight": torch.zeros(4, 1, 3, 3), "m_tail.weight": torch.zeros(3)}, r"m_tail\.weight of shape \(out"),
        ({"dncnn.0.weight": torch.zeros(4)}, "two or more convolutions"),
        ([1, 2], "state dict"),
    ]
    for state, message in cases:
        torch.save(state, tmp_path / "x.pt")
        with pytest.raises(InputError, match=message):
            import_torch(tmp_path / "x.pt")


def test_the_options_of_a_training_are_no_code(tmp_path):
    content = {"args": argparse.Namespace(depth=3), "model": [Subtracted("model", 3, 4, 1, False).state_dict()]}
    for legacy in (False, True):
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
        assert import_torch(tmp_path / "a.pt").name == "dncnn"


class Harmless:
    """Something of which a pickle runs code."""


def test_files_that_need_pickle_need_a_word(tmp_path, capsys):
    torch.save({"model": Subtracted("model", 3, 4, 1, False).state_dict(), "arguments": Harmless()}, tmp_path / "p.pt")
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
    content = {"model": Subtracted("model", 3, 4, 1, False).state_dict(), "trap": Trap(tmp_path / "sprung")}
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
