"""Files, locks, limits and optional packages: the ground floor, which knows nothing of
images.

May import: `errors` only.

- `atomic_files`: whole files or none: written under a temporary name, then renamed.
- `extras`: packages that are only needed for some things.
- `hdf5_check`: HDF5 files looked through before they are read.
- `interruption`: Ctrl-C as a question that a loop asks, and as the end of a program.
- `journal`: what an interrupted run has done.
- `labelled_arrays`: which axis is which by scikit-image's and xarray's ways to say it.
- `limits`: how much memory a file may ask for.
- `locks`: the partial file of an output, and who is at it.
- `normalization`: what a network's numbers mean, in words.
- `phases`: what a program is at, for whoever waits.
- `plotting`: matplotlib, drawing to memory.
- `processor`: what the machine computes in hardware.
- `tensorflow_messages`: TensorFlow's messages.
- `tensorflow_start`: TensorFlow, started late and quietly.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
