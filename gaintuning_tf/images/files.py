"""Image files read and written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.images import formats, pictures
from gaintuning_tf.images.array_layout import Layout
from gaintuning_tf.images.formats import check_suffix
from gaintuning_tf.images.pictures import picture_holds
from gaintuning_tf.support.atomic_files import replacing


def image_files(folder: str | Path) -> list[Path]:
    """The image files directly inside `folder`, sorted by name.

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


def load_image(path) -> np.ndarray:
    """Read an image file into an array of its own dtype.

    Args:
        path: PNG, JPEG, TIFF, BMP, WebP or NumPy's .npy.

    Returns:
        (H, W) or (H, W, 3), or what a TIFF or .npy holds. An alpha channel is dropped,
        with a warning if it is not opaque.

    Raises:
        InputError: There is no such file, or it holds no image.
    """
    path = Path(path)
    formats.check_readable(path)
    if formats.suffix_of(path) not in formats.PICTURES:
        return formats.load_array(path)
    return pictures.read_picture(path)


def save_image(path, image: np.ndarray, like: Layout) -> None:
    """Write an array as an image file, whole or not at all.

    TIFF and .npy keep the dtype. PNG keeps uint8, and uint16 for grey; what a format
    cannot hold is scaled to 8 bits by the layout's range.

    Raises:
        InputError: The suffix is none of those readable.
    """
    path = Path(path)
    check_suffix(path)
    with replacing(path) as temporary:
        _write(temporary, image, like)


def _write(path, image, like):
    from skimage.io import imsave

    suffix = formats.suffix_of(path)
    if suffix not in formats.PICTURES:
        formats.save_array(path, image, like.axes, {})
        return
    imsave(
        path, image if picture_holds(suffix, image.shape, image.dtype) else like.picture(image), check_contrast=False
    )
