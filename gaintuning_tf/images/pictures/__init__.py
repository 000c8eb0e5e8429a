"""Pictures, PNG and the like: read and written whole, with what says how to show them.

- `canvas`: how large a WebP picture says that it is, before its decoder believes it.
- `png`: what Pillow leaves out of PNG: 16 bits in colour, and chunks that go along.
- `reading`: pixels as they are shown, and what else the file says.
- `targets`: a picture as an image file that is open to be read, or to be written.
- `writing`: pixels and what else there was to say, in the bytes of a file.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
