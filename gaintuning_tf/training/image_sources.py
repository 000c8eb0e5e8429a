"""Images to train on: from a folder, a TensorFlow Datasets set, or a rule."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError, reason_of
from gaintuning_tf.images.files import image_files, load_image
from gaintuning_tf.images.stack_files import open_stack
from gaintuning_tf.support.extras import required

TFDS, SYNTHETIC = "tfds:", "synthetic:"
GREY = np.array([0.2125, 0.7154, 0.0721])  # weights of red, green and blue, as scikit-image's


def load_images(
    source: str | Path, *, channels: int = 1, data_dir: str | Path | None = None, dimensions: int = 2
) -> list[np.ndarray]:
    """Read all images of a source.

    Args:
        source: One of

            - a folder: its image files, in the order of their names; for a network of volumes, their volumes;
            - `tfds:NAME`, or with all that can be given `tfds:NAME/CONFIG:SPLIT#FEATURE`, a data set of TensorFlow
              Datasets, prepared already or downloaded by it. SPLIT is as TFDS has it, `train[:200]` say; without,
              all splits. FEATURE holds the image; without, the only one that is an image;
            - `synthetic:KIND` or `synthetic:KIND:COUNT`: drawn by `synthetic.images`, by default 400.
        channels: 1: colour is turned into grey; 3: grey is refused.
        data_dir: TFDS: where its data sets lie; by default where TFDS keeps them.
        dimensions: Spatial axes of what the network takes: with 3, the folder has volumes.

    Returns:
        Arrays (H, W, channels), or volumes (D, H, W, channels): uint8 or uint16 as stored, or float32.

    Raises:
        InputError: There is no such source, or its images cannot be used.

    Example:

    >>> len(load_images("synthetic:piecewise-constant:3"))
    3
    """
    source = str(source)
    if dimensions == 3:
        check_volumes(source)
        return [volume for file in image_files(source) for volume in _volumes(file, channels)]
    if source.startswith(SYNTHETIC):
        return _synthetic(source)
    if source.startswith(TFDS):
        return [_channels(image, channels, source) for image in _tfds(source, data_dir)]
    with ThreadPoolExecutor() as threads:
        read = threads.map(lambda file: _channels(_frame(load_image(file), file), channels, file), image_files(source))
        return list(read)


def at_scales(images: Sequence[np.ndarray], scales: Sequence[float], least: int) -> list[np.ndarray]:
    """Shrink images to each of the scales, as far as they stay large enough.

    Args:
        images: Arrays (H, W, C).
        scales: Factors of the sides, above 0 and at most 1; 1 is the image as it is.
        least: Side in pixels below which a shrunk image is left out.

    Returns:
        All images of the first scale, then of the next; in their dtype.

    Example:

    >>> [image.shape for image in at_scales([np.zeros((40, 30, 1), "uint8")], (1, 0.5), 15)]
    [(40, 30, 1), (20, 15, 1)]
    """
    with ThreadPoolExecutor() as threads:
        jobs = [(image, scale) for scale in scales for image in images]
        shrunk = threads.map(lambda job: _shrunk(job[0], job[1], least), jobs)
        return [image for image in shrunk if image is not None]


def _shrunk(image, scale, least):
    from skimage.transform import resize

    if scale == 1:
        return image
    sides = (round(image.shape[0] * scale), round(image.shape[1] * scale))
    if min(sides) < least:
        return None
    # Values between the ends of the range stay there: the filter against aliasing is an average.
    shrink: Any = resize  # typed for all that it may return
    smaller = shrink(image.astype(np.float32), sides, order=1, anti_aliasing=True, preserve_range=True)
    return np.rint(smaller).astype(image.dtype) if image.dtype.kind in "iu" else smaller


def check_source(source: str | Path) -> None:
    """Refuse what `load_images` could not read, as far as that shows without reading it.

    Raises:
        InputError: With the reason.
    """
    from gaintuning_tf.training import synthetic

    source = str(source)
    if source.startswith(SYNTHETIC):
        kind, _ = _kind_and_count(source)
        if kind not in synthetic.KINDS:
            raise InputError(f"expected a kind of synthetic image in {sorted(synthetic.KINDS)}, received {kind!r}")
    elif source.startswith(TFDS):
        _import_tfds()
    else:
        image_files(source)


def check_volumes(source: str | Path) -> None:
    """Refuse a source that is no folder, for volumes to train on are read from files alone.

    Raises:
        InputError: It is another one.
    """
    if str(source).startswith((SYNTHETIC, TFDS)):
        raise InputError(f"expected a folder of volumes for a network of volumes, received {source}")


def _volumes(file, channels):
    """Read the volumes of a file, (D, H, W, channels), uint8, uint16 or else float32."""
    with open_stack(file, model_channels=channels, dimensions=3) as stack:
        frames = [stack.frame(number) for number in range(stack.frame_count)]
    frames = [frame if frame.ndim == 4 else frame[..., None] for frame in frames]
    return [frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.float32) for frame in frames]


def _synthetic(source):
    from gaintuning_tf.training import synthetic

    kind, count = _kind_and_count(source)
    return synthetic.images(kind, count)


def _kind_and_count(source):
    kind, _, count = source.removeprefix(SYNTHETIC).partition(":")
    if count and not (count.isdecimal() and int(count) > 0):
        raise InputError(f"expected synthetic:KIND:COUNT with a whole number, received {source!r}")
    return kind, int(count or 400)


def _tfds(source, data_dir):
    """Read the images of one feature of a TFDS data set, as stored."""
    tfds = _import_tfds()
    from gaintuning_tf.training import image_pairs  # noqa: F401, registers the project's own builder

    name, _, feature = source.removeprefix(TFDS).partition("#")
    name, _, split = name.partition(":")
    try:
        builder: Any = tfds.builder(name, data_dir=data_dir)
        builder.download_and_prepare()
        parts = [split] if split else sorted(builder.info.splits)
        feature = feature or _image_feature(tfds, builder, source)
        sets = (builder.as_dataset(split=part, decoders=_only(tfds, builder, feature)) for part in parts)
        return [example[feature].numpy() for part in sets for example in part]
    except InputError:
        raise
    except (tfds.core.DatasetNotFoundError, ValueError, KeyError, AssertionError, OSError) as error:
        raise InputError(f"cannot read {source}: {reason_of(error)}") from error


def _image_feature(tfds, builder, source):
    images = [name for name, kind in builder.info.features.items() if isinstance(kind, tfds.features.Image)]
    if len(images) != 1:
        raise InputError(
            f"expected one image per example of {source}, it has {images or 'none'}; name it: {source}#FEATURE"
        )
    return images[0]


def _only(tfds, builder, feature):
    """Make TFDS read one feature and leave the others."""
    if feature not in builder.info.features:
        raise InputError(f"expected a feature in {sorted(builder.info.features)}, received {feature!r}")
    return tfds.decode.PartialDecoding({feature: True})


def _frame(image, file):
    """Refuse what is not (H, W) or (H, W, C)."""
    if image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in (1, 3, 4)):
        return image
    raise InputError(f"expected one image per file, received an array of shape {image.shape} in {file}")


def _channels(image, channels, where):
    """Make an image (H, W, channels), uint8, uint16 or else float32."""
    if image.dtype.kind == "b":
        raise InputError(f"expected an image of greys or colours, received one of only two values, {where}")
    image = image[..., None] if image.ndim == 2 else image
    if channels == 1 and image.shape[-1] >= 3:
        grey = image[..., :3] @ GREY
        image = (grey if image.dtype.kind == "f" else np.rint(grey).astype(image.dtype))[..., None]
    elif image.shape[-1] == 4:
        image = image[..., :3]  # without opacity
    if image.shape[-1] != channels:
        raise InputError(f"expected images of {channels} channel(s), received one of {image.shape[-1]}, {where}")
    return image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32)


def _import_tfds():
    return required("tensorflow_datasets", "tfds:NAME", "train")
