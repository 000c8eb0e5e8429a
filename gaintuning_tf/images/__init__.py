"""Images in and out: files of every format, their axes, dtype and range, and the exact way
back.

May import: `support`.

- `array_file`: an array that lies in one piece in a file.
- `array_layout`: how an array becomes frames for a network, and back.
- `bad_pixels`: pixels that do not count, and what is put in their place.
- `container`: what every format gives: a file that is open to be read, or to be
  written, in parts.
- `content`: what a file is by its first bytes, whatever its name says.
- `files`: image files read and written whole.
- `formats`: which module reads and writes which suffix, or content.
- `frame_order`: which part of an array is frame number i.
- `kept`: what of an image file an output does not keep.
- `mrc`: MRC files.
- `npy`: NumPy's files.
- `pictures/`: PNG, JPEG, BMP, WebP and GIF.
- `series`: which image of a file that holds several is read.
- `stack_files`: image files of any length, frame by frame.
- `tiff/`: TIFF, OME-TIFF, ImageJ's and those of slide scanners.
- `vendors/`: files of microscope vendors, which are only read.
- `zarr_arrays/`: Zarr and OME-Zarr.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
