"""What is measured on: clean images with drawn noise, or noisy images with clean ones beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images.files import image_files, load_image
from gaintuning_tf.training.image_sources import TFDS, load_images

# The channels of a colour picture, in their order.
CHANNELS = ("red", "green", "blue")


def noisy_version(clean: np.ndarray, sigma: float, index: int) -> np.ndarray:
    """Add to `clean` in [0, 1] the noise of the image at `index` of a sorted folder, not clipped.

    The noise of the peers' protocol: `numpy.random.RandomState(index).randn(*shape) *
    sigma / 255` in float32, so that everybody measures on the same pixels.

    Args:
        clean: (H, W) or (H, W, 3), float32 in [0, 1].
        sigma: Standard deviation on the 0-255 scale.
        index: Position of the image in its folder.

    Returns:
        float32 of the same shape.

    Example:

    >>> noisy_version(np.zeros((1, 2), np.float32), 255.0, 0).round(3).tolist()
    [[1.7640000581741333, 0.4000000059604645]]
    """
    noise = np.random.RandomState(index).randn(*clean.shape).astype(np.float32)
    return clean + noise * np.float32(sigma / 255)


def samples(
    source: str | Path,
    sigma: float | None = None,
    *,
    clean: str | Path | None = None,
    channel: str | None = None,
    colour: bool = False,
    data_dir: str | Path | None = None,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, the noisy and the clean version of each image, in the order of the names.

    Args:
        source: A folder of clean images, or `tfds:NAME` as in `image_sources.load_images`: noise is
            drawn on them, see `noisy_version`. With `clean`, a folder of noisy images.
        sigma: Level of the drawn noise, on the 0-255 scale; of no use with `clean`.
        clean: Folder of clean images of the same names. It may have more of them.
        channel: Of colour pictures, one of `CHANNELS`; by default they are taken as grey, which
            changes the noise of real ones: it mixes that of three channels.
        colour: Take them in colour, (H, W, 3) in place of (H, W) below; grey pictures are refused.
        data_dir: Where TensorFlow Datasets keeps its data sets.

    Yields:
        The name; noisy, (H, W), float32, not clipped; clean, (H, W), float32 in [0, 1].
        8 bits are divided by 255, float images are as they are.

    Raises:
        InputError: There is no image, no clean image of that name, or one that cannot be used.
    """
    if channel not in (None, *CHANNELS):
        raise InputError(f"expected channel to be one of {', '.join(CHANNELS)}, received {channel!r}")
    if channel is not None and colour:
        raise InputError(f"expected colour, or the channel {channel}: a network of colour pictures sees all three")
    if channel is not None and str(source).startswith(TFDS):
        raise InputError(f"expected a folder with channel {channel}: data sets of TensorFlow are taken as grey")
    if clean is not None:
        check_pairs(source, clean)
        yield from _pairs(source, clean, channel, colour)
        return
    if sigma is None:
        raise InputError("expected the level of the noise to draw on clean images; it is estimated for pairs only")
    for index, (name, image) in enumerate(_clean_images(source, channel, colour, data_dir)):
        yield name, noisy_version(image, sigma, index), image


def check_pairs(noisy: str | Path, clean: str | Path) -> None:
    """Refuse a folder of noisy images that lack a clean one of the same name, without reading them.

    Raises:
        InputError: Either is no folder of images, or an image has no counterpart.
    """
    known = {file.name for file in image_files(clean)}
    missing = [file.name for file in image_files(noisy) if file.name not in known]
    if missing:
        raise InputError(
            f"expected a clean image of the same name in {clean} for each noisy one, found none for {len(missing)}, "
            f"such as {missing[0]}"
        )


def _pairs(noisy, clean, channel, colour):
    for file in image_files(noisy):
        counterpart = Path(clean) / file.name
        one, other = _read(file, channel, colour), _checked(_read(counterpart, channel, colour), counterpart)
        if one.shape != other.shape:
            raise InputError(f"expected pairs of one shape, {file.name} is {one.shape} noisy and {other.shape} clean")
        yield file.name, one, other


def _clean_images(source, channel, colour, data_dir):
    if str(source).startswith(TFDS):
        for index, image in enumerate(load_images(source, channels=3 if colour else 1, data_dir=data_dir)):
            image = _unit(image, source)
            yield str(index), _checked(image if colour else image[..., 0], source)
        return
    for file in image_files(source):
        yield file.name, _checked(_read(file, channel, colour), file)


def _read(file: Path, channel: str | None, colour: bool) -> np.ndarray:
    image = _unit(load_image(file), file)
    if colour:
        if image.ndim != 3 or image.shape[-1] not in (3, 4):
            raise InputError(f"expected colour pictures for a network of three channels, {file} is {image.shape}")
        return image[..., :3]
    if image.ndim == 3:
        if channel is not None and image.shape[-1] == len(CHANNELS):
            return image[..., CHANNELS.index(channel)]
        from skimage.color import rgb2gray

        image = rgb2gray(image).astype(np.float32) if image.shape[-1] == 3 else image[..., 0]
    return image


def _unit(image, source):
    if image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    if image.dtype.kind == "f":
        return image.astype(np.float32)
    raise InputError(f"evaluate expects 8-bit images, or float ones in [0, 1], {source} is {image.dtype}")


def _checked(clean, source):
    low, high = float(clean.min()), float(clean.max())
    if not (low >= 0 and high <= 1):
        raise InputError(f"evaluate expects clean float images in [0, 1], {source} goes from {low:g} to {high:g}")
    return clean
