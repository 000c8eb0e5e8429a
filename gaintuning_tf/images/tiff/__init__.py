"""TIFF and BigTIFF, in parts: plain, of ImageJ, of OME, of microscopes and slide scanners.

- `alpha`: how opaque each pixel is, beside the colours of an output.
- `codecs`: which compression a file has, and whether it is kept.
- `descriptions`: what a file says of itself, and what an output says.
- `ome`: sizes, channels and planes in the XML of OME.
- `options`: what the writer is asked for.
- `orientation`: pixels turned as the file says that they are shown.
- `pages`: pages that are compressed, tiled or scattered.
- `photometry`: stored samples as grey or RGB, brighter is larger, and alpha.
- `reading`: a file that is open.
- `series`: which of the images in a file is the image.
- `shown`: an array as it is shown, in parts.
- `tags`: tags that are kept as they are.
- `writing`: a file that is written.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
