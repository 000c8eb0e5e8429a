"""Zarr and OME-Zarr, in parts; needs the extra `microscopy`.

- `blosc_chunks`: chunks packed by Blosc, which its decoder trusts though they be damaged.
- `description`: what an array and its group say beside the pixels, and the same for an output.
- `finding`: which array of a folder is the image.
- `library`: zarr itself, of a version that will do.
- `reading`: an image that is open to be read.
- `safety`: what is refused before a pixel is read.
- `writing`: an image that is being written.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
