"""A TensorFlow Datasets builder for one's own images: clean ones, or noisy ones with their clean ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.files import image_files, load_image


@dataclasses.dataclass(kw_only=True)
class ImagePairsConfig(tfds.core.BuilderConfig):
    """What the images are.

    Attributes:
        pairs: Whether there are noisy images besides the clean ones.
        bits: The bits of each value, 8 or 16.
        channels: 1 or 3.
    """

    pairs: bool = True
    bits: int = 8
    channels: int = 1


class ImagePairs(tfds.core.GeneratorBasedBuilder):
    """Folders of images as a TFDS data set with the features `name`, `clean` and, for pairs, `noisy`.

    The folder, given as `manual_dir`, holds `clean/` and, for pairs, `noisy/`, with files of the same names; or
    folders named after splits (`train/`, `test/`, ...) that hold these. Without such folders, all is `train`.
    Its configurations are `pairs` and `clean`, each with `_rgb`, `_16` or `_rgb_16` for colour and 16 bits.

    Example (prepared once, read by name ever after):

        builder = ImagePairs(config="pairs", data_dir=DATA_DIR)
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=FOLDER))

        gaintuning-tf train tfds:image_pairs/pairs#noisy --clean tfds:image_pairs/pairs#clean --data-dir DATA_DIR ...
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder with clean/ and, for pairs, noisy/, or with such folders for each split."
    BUILDER_CONFIGS = [  # noqa: RUF012, what TFDS asks for
        ImagePairsConfig(
            name=f"{'pairs' if pairs else 'clean'}{'_rgb' if channels == 3 else ''}{'_16' if bits == 16 else ''}",
            description=f"{'Noisy and clean' if pairs else 'Clean'} images, {channels} channel(s) of {bits} bits.",
            pairs=pairs,
            bits=bits,
            channels=channels,
        )
        for pairs in (True, False)
        for channels in (1, 3)
        for bits in (8, 16)
    ]

    def _info(self):
        config: Any = self.builder_config
        dtype = {8: np.uint8, 16: np.uint16}[config.bits]
        image = {"shape": (None, None, config.channels), "dtype": dtype, "encoding_format": "png"}
        features = {"name": tfds.features.Text(), "clean": tfds.features.Image(**image)}
        if config.pairs:
            features["noisy"] = tfds.features.Image(**image)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("noisy", "clean") if config.pairs else None,
        )

    def _split_generators(self, dl_manager):
        folder = Path(dl_manager.manual_dir)
        if (folder / "clean").is_dir():
            return {"train": self._generate_examples(folder)}
        splits = sorted(inner for inner in folder.iterdir() if (inner / "clean").is_dir())
        if not splits:
            raise InputError(f"expected a folder clean/ in {folder}, or in folders named after splits inside it")
        return {split.name: self._generate_examples(split) for split in splits}

    def _generate_examples(self, folder):
        config: Any = self.builder_config
        for file in image_files(folder / "clean"):
            example = {"name": file.name, "clean": self._image(file)}
            if config.pairs:
                example["noisy"] = self._image(folder / "noisy" / file.name)
                if example["noisy"].shape != example["clean"].shape:
                    raise InputError(f"expected {file.name} to have one shape in clean/ and noisy/")
            yield file.name, example

    def _image(self, file):
        image = load_image(file)
        image = image[..., None] if image.ndim == 2 else image
        features: Any = self.info.features
        expected = features["clean"]
        if image.dtype != expected.np_dtype or image.ndim != 3 or image.shape[-1] != expected.shape[-1]:
            raise InputError(
                f"expected {expected.shape[-1]} channel(s) of {np.dtype(expected.np_dtype)} in {file}, received "
                f"{image.shape} of {image.dtype}; see the other configurations"
            )
        return image
