"""The TFDS builder for one's own images: TFDS's own harness, and a data set built and read offline."""

import numpy as np
import pytest
from skimage.io import imsave

from gaintuning_tf import InputError
from gaintuning_tf.training.image_sources import load_images

tfds = pytest.importorskip("tensorflow_datasets")
from gaintuning_tf.training.image_pairs import ImagePairs  # noqa: E402, it needs the one above


def write(folder, names=("a.png", "b.png"), dtype="uint8", channels=1):
    """Noisy and clean images of differing sizes; returns the clean ones, sorted."""
    rng = np.random.default_rng(0)
    clean = []
    for number, name in enumerate(names):
        shape = (20, 24 + number) if channels == 1 else (20, 24 + number, channels)
        for kind in ("noisy", "clean"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
            imsave(folder / kind / name, image, check_contrast=False)
        clean.append(image)
    return clean


def prepare(folder, data_dir, config):
    builder = ImagePairs(config=config, data_dir=data_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(folder)))
    return builder


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    write(folder)
    return folder


def test_the_harness_of_tfds_is_content(example):
    class Harness(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = ImagePairs
        EXAMPLE_DIR = str(example)
        SPLITS = {"train": 2}  # noqa: RUF012
        BUILDER_CONFIG_NAMES_TO_TEST = ["pairs", "clean"]  # noqa: RUF012
        SKIP_TF1_GRAPH_MODE = True

    import unittest

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Harness).run(result)
    assert result.testsRun >= 4
    assert not result.failures + result.errors, result.failures + result.errors


@pytest.mark.parametrize(
    ("config", "dtype", "channels"), [("pairs", "uint8", 1), ("pairs_16", "uint16", 1), ("clean_rgb", "uint8", 3)]
)
def test_a_data_set_is_built_and_read_offline(tmp_path, config, dtype, channels):
    clean = write(tmp_path / "images", dtype=dtype, channels=channels)
    prepare(tmp_path / "images", tmp_path / "data", config)
    found = load_images(f"tfds:image_pairs/{config}#clean", channels=channels, data_dir=tmp_path / "data")
    assert {image.tobytes() for image in found} == {image.tobytes() for image in clean}
    assert found[0].dtype == dtype
    assert found[0].shape[-1] == channels
    if "pairs" in config:
        noisy = load_images(f"tfds:image_pairs/{config}:train#noisy", data_dir=tmp_path / "data")
        assert [image.shape for image in noisy] == [image.shape for image in found]
        with pytest.raises(InputError, match="#FEATURE"):
            load_images(f"tfds:image_pairs/{config}", data_dir=tmp_path / "data")
    else:
        assert len(load_images(f"tfds:image_pairs/{config}", channels=3, data_dir=tmp_path / "data")) == 2


def test_folders_are_splits(tmp_path):
    write(tmp_path / "images" / "train", ["a.png", "b.png"])
    write(tmp_path / "images" / "test", ["c.png"])
    builder = prepare(tmp_path / "images", tmp_path / "data", "clean")
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 2, "test": 1}
    for split, count in ((":test", 1), (":train[:1]", 1), ("", 3)):
        assert len(load_images(f"tfds:image_pairs/clean{split}", data_dir=tmp_path / "data")) == count
    with pytest.raises(InputError, match="nowhere"):
        load_images("tfds:image_pairs/clean:nowhere", data_dir=tmp_path / "data")
    with pytest.raises(InputError, match=r"\['clean', 'name'\], received 'noisy'"):
        load_images("tfds:image_pairs/clean#noisy", data_dir=tmp_path / "data")


def test_what_does_not_suit_is_refused(tmp_path):
    with pytest.raises(InputError, match="not found"):
        load_images("tfds:no_such_set", data_dir=tmp_path / "data")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x").mkdir()
    with pytest.raises(InputError, match="clean/"):
        prepare(tmp_path / "empty", tmp_path / "data", "clean")
    write(tmp_path / "deep", dtype="uint16")
    with pytest.raises(InputError, match="uint16"):
        prepare(tmp_path / "deep", tmp_path / "data", "clean")
