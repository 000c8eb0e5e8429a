"""The command line. TensorFlow is imported only after the arguments have been checked.

May import: every room.

- `common`: kinds of arguments, and options that several commands have.
- `denoise`: `denoise` of an image.
- `denoise_stack`: `denoise` of a stack.
- `evaluate`: `evaluate`.
- `export`: `export`.
- `networks`: `models` and `import-torch`.
- `program`: `main`: the parser, and how errors end.
- `summary`: what `denoise` says it has done.
- `train`: `train`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
