"""The command line. TensorFlow is imported only after the arguments have been checked.

May import: every room.

- `common`: kinds of arguments, and options that several commands have.
- `denoise`: `denoise` of an image.
- `denoise_many`: `denoise` of several images.
- `denoise_stack`: `denoise` of a stack.
- `done_outputs`: which outputs of several images are done.
- `evaluate`: `evaluate`.
- `export`: `export`.
- `many_inputs`: which images several inputs name.
- `networks`: `models` and `import-torch`.
- `parser`: errors of arguments in one line, with what was meant.
- `program`: `main`: the commands, and how errors end.
- `summary`: what `denoise` says it has done.
- `train`: `train`.
- `waiting`: what is shown at a terminal meanwhile.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
