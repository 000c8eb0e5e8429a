"""Names of networks on the hub of Hugging Face go to Keras's loader, or are one line."""

import importlib.util
from pathlib import Path

import keras
import pytest

from gaintuning_tf import InputError, load_denoiser
from gaintuning_tf.networks.formats import hugging_face
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.networks.pretrained import find_denoiser, network_digest
from helpers.networks import make_tiny

NAMES = (
    "hf://owner/net-1.0",
    "hf.co/owner/net-1.0",
    "https://hf.co/owner/net-1.0",
    "https://huggingface.co/owner/net-1.0/",
)


@pytest.fixture
def hub(monkeypatch):
    """A hub of one network; asked for is what Keras was."""
    asked = []

    def load_model(address, compile):
        asked.append(address)
        if address != "hf://owner/net-1.0":
            raise OSError("Name or service not known\nwith more below")
        return make_tiny()

    monkeypatch.setattr(keras.saving, "load_model", load_model)
    monkeypatch.setattr(hugging_face, "check_installed", lambda *_: None)
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_write_a_name_is_keras_one(hub, name):
    assert load_denoiser(name).output_shape == (None, None, None, 1)
    assert hub == ["hf://owner/net-1.0"]


def test_it_is_loaded_once_and_known_by_its_name(hub):
    first, second = (network_of("hf://owner/net-1.0").model for _ in range(2))
    assert first is second and len(hub) == 1
    assert network_digest(find_denoiser("hf://owner/a")) != network_digest(find_denoiser("hf://owner/b"))


def test_what_cannot_be_reached_is_one_line(hub):
    with pytest.raises(InputError, match=r"from hf://owner/absent: Name or service not known$"):
        load_denoiser("hf://owner/absent")


@pytest.mark.parametrize("name", ["hf://owner", "hf://", "hf.co/a/b/c", "https://hf.co/owner/net/resolve/main/a.keras"])
def test_a_name_without_owner_or_with_more_is_refused(hub, name):
    with pytest.raises(InputError, match="hf://OWNER/NAME"):
        find_denoiser(name)


def test_a_folder_of_such_a_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("hf.co.keras").write_bytes(b"")
    assert find_denoiser("hf.co.keras") == Path("hf.co.keras")


@pytest.mark.skipif(importlib.util.find_spec("huggingface_hub") is not None, reason="huggingface_hub is installed")
def test_the_package_that_downloads_is_named():
    with pytest.raises(InputError, match=r"huggingface_hub: pip install 'gaintuning-tf\[huggingface\]'"):
        find_denoiser("hf://owner/net")


def test_onnx_is_one_line_that_names_the_recipe(tmp_path):
    with pytest.raises(InputError, match=r"onnx2tf -osd -i net\.onnx, see docs/guides/onnx\.md$"):
        find_denoiser(tmp_path / "net.onnx")
