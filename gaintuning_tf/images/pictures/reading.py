"""Pictures read whole: the pixels as they are shown, and what else the file says."""

from __future__ import annotations

import dataclasses
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaintuning_tf.errors import GainTuningWarning, InputError, reason_of
from gaintuning_tf.images.container import parsing
from gaintuning_tf.images.pictures import png
from gaintuning_tf.images.pictures.canvas import webp_canvas
from gaintuning_tf.support.limits import check_declared

if TYPE_CHECKING:
    from PIL.Image import Image

# What Pillow may take a file for, whatever its name; a JPEG with further pictures in it, a phone's, is MPO then.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
# Those whose further pictures are the frames of a movie.
_ANIMATED = ("PNG", "WEBP", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_ORIENTATION = 274
# How an array is turned so that it is as it is shown (EXIF 2.32, section 4.6.4): whether rows become columns,
# then whether rows and columns are reversed.
_TURNED = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture file, read whole.

    Attributes:
        pixels: (H, W) or (H, W, 3); of an animation (frames, H, W) or (frames, H, W, 3). Without alpha.
        metadata: What a picture that is written keeps: `alpha`, (H, W) of the dtype of the pixels; `icc_profile`,
            `exif` and `comment`, bytes; `dpi`, two floats; `chunks` of PNG.
        frames: Whether it is an animation.
    """

    pixels: np.ndarray
    metadata: dict[str, Any]
    frames: bool = False


def read_picture(path: str | Path) -> Picture:
    """Read a picture: turned as its EXIF data says, colours of a palette or of CMYK as red, green and blue.

    Raises:
        InputError: It cannot be read.
    """
    import PIL.Image

    canvas = webp_canvas(path)
    if canvas:
        # Its decoder has memory for the whole canvas before it finds out that there is nothing to put there.
        check_declared(path, (*canvas, 4), np.uint8)
    with parsing(path):
        try:
            image = PIL.Image.open(path, formats=_FORMATS)
        except PIL.UnidentifiedImageError as error:
            known = f"{', '.join(SUFFIXES)} or .gif file"
            raise InputError(f"cannot read {path} as an image: it is no {known}, or it is damaged") from error
        with image:
            return _picture(path, image)


def _picture(path, image):
    metadata = _metadata(path, image)
    if image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1:
        return Picture(_frames(path, image), metadata, frames=True)
    if image.format == "MPO":
        _say(f"{path} holds {getattr(image, 'n_frames', 1)} pictures: the first is read")
    pixels = png.read_deep(path) if png.is_deep(path) else _array(path, image, metadata)
    pixels = _turned(pixels, metadata.pop("orientation", 1))
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        pixels, metadata["alpha"] = pixels[..., :-1], np.ascontiguousarray(pixels[..., -1])
    pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    return Picture(np.ascontiguousarray(pixels), metadata)


def _array(path, image, metadata):
    """Decode one picture: grey, RGB, or either with alpha."""
    if image.mode == "CMYK":
        return np.asarray(_from_cmyk(path, image, metadata))
    if image.mode in ("P", "PA"):
        return _grey(np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB")))
    if "transparency" in image.info and image.mode in ("L", "RGB"):
        return np.asarray(image.convert("LA" if image.mode == "L" else "RGBA"))
    if image.format == "WEBP":
        return _grey(np.asarray(image))  # which has no grey but that of equal colours
    array = np.asarray(image)
    # Grey of 16 bits, which some versions of Pillow give as 32.
    return array.astype(np.uint16) if array.dtype == np.int32 and image.format == "PNG" else array


def _grey(array):
    """Take one channel of three that are the same: a palette of greys."""
    same = np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
    return np.concatenate([array[..., :1], array[..., 3:]], -1) if same else array


def _from_cmyk(path, image, metadata) -> Image:
    """Make CMYK red, green and blue, by its own profile if it has one."""
    from PIL import ImageCms

    profile = metadata.pop("icc_profile", None)
    if profile:
        try:
            own, shown = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            turned = ImageCms.profileToProfile(image, own, shown, outputMode="RGB")
            assert turned is not None, "it is not done in place"
            _say(f"{path} is CMYK: it is read as sRGB, by its profile")
            return turned
        except (ImageCms.PyCMSError, OSError) as error:
            _say(f"{path}: its profile cannot be used ({reason_of(error)})")
    _say(f"{path} is CMYK without a profile: it is read as RGB, whose colours may differ from those in print")
    return image.convert("RGB")


def _frames(path, image):
    """Decode every frame of an animation."""
    check_declared(path, (image.n_frames, image.height, image.width, 3), np.uint8)
    frames = []
    for number in range(image.n_frames):
        image.seek(number)
        frame = np.asarray(image.convert("RGBA"))
        if not number and (frame[..., -1] != 255).any():
            _say(f"{path}: the alpha channel of its frames is dropped")
        frames.append(frame[..., :3])
    array = _grey(np.stack(frames))
    return array[..., 0] if array.shape[-1] == 1 else array


def _metadata(path, image):
    """Collect what a picture that is written keeps, and say what is not kept."""
    info, found = image.info, {}
    for name, kind in (("icc_profile", bytes), ("comment", bytes)):
        if isinstance(info.get(name), kind) and info[name]:
            found[name] = info[name]
    if "dpi" in info and all(0 < float(value) < 1e6 for value in info["dpi"]):
        found["dpi"] = tuple(float(value) for value in info["dpi"])
    found |= _exif(path, image)
    if image.format == "PNG":
        found["chunks"] = png.kept_chunks(path)
    dropped = [words for name, words in (("xmp", "XMP data"), ("photoshop", "data of Photoshop")) if info.get(name)]
    if dropped:
        _say(f"{path}: its {' and '.join(dropped)} are not kept")
    return {name: value for name, value in found.items() if value}


def _exif(path, image):
    """Read the EXIF data: how the picture is turned, and the rest without that and without thumbnails."""
    try:
        exif = image.getexif()
        orientation = int(exif.pop(_ORIENTATION, 1) or 1)
        return {"orientation": orientation, "exif": exif.tobytes() if len(exif) else b""}
    except Exception as error:  # damaged data makes Pillow raise anything, and the pixels do not depend on it
        _say(f"{path}: its EXIF data cannot be read and is dropped ({reason_of(error)})")
        return {}


def _turned(array, orientation):
    if orientation not in _TURNED:
        return array
    swap, rows, columns = _TURNED[orientation]
    array = array.swapaxes(0, 1) if swap else array
    return array[:: -1 if rows else 1, :: -1 if columns else 1]


def _say(words):
    warnings.warn(words, GainTuningWarning, stacklevel=2)
