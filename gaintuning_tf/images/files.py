"""Image files read and written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images import formats
from gaintuning_tf.images.array_layout import Layout
from gaintuning_tf.images.pictures import picture_holds
from gaintuning_tf.support.atomic_files import replacing


def image_files(folder: str | Path) -> list[Path]:
    """List the image files directly inside `folder`, sorted by name.

    Raises:
        InputError: `folder` is no folder or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"expected a folder of images, found none at {folder}")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in formats.READABLE)
    if not files:
        raise InputError(f"expected image files ({', '.join(formats.READABLE)}) in {folder}, found none")
    return files


def load_image(path: str | Path) -> np.ndarray:
    """Read an image file into an array of its own dtype.

    Args:
        path: A file, or a folder, of any format in `formats.FORMATS`.

    Returns:
        What the file holds; of PNG and the like (H, W) or (H, W, 3), an alpha channel is
        dropped, with a warning if it is not opaque.

    Raises:
        InputError: There is no such file, or it holds no image.
    """
    return formats.load_array(path)


def save_image(path: str | Path, image: np.ndarray, like: Layout, metadata: dict | None = None) -> None:
    """Write an array as an image file, whole or not at all.

    TIFF and .npy keep the dtype. PNG keeps uint8 and uint16; a dtype that PNG
    and the like cannot hold is scaled to 8 bits by the layout's range.

    Args:
        path: The file; its suffix says the format.
        image: What to write.
        like: Its axes and range.
        metadata: That of the file it came from, such as sizes of pixels, a profile, an alpha channel: what the format
            holds of it is kept, see `kept.check_output`.

    Raises:
        InputError: The suffix is none of those written, or the format cannot hold the image.
    """
    formats.check_suffix(path)
    module = formats.module_of(path)
    image = _picture(formats.suffix_of(path), image, like) if not formats.holds_volumes(path) else image
    with replacing(path) as temporary:
        formats.save_array(temporary, image, like.axes, module, metadata)


def _picture(suffix, image, like):
    """Make an image one that a picture can hold: its dtype or 8 bits, no axes of length 1 for time or depth."""
    if not picture_holds(suffix, image.shape, image.dtype):
        return like.picture(image)
    sizes = zip(like.axes, image.shape, strict=True)
    return image.reshape([size for letter, size in sizes if letter in "YXC" or size > 1])
