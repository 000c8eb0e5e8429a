"""GainTuning for TensorFlow and Keras: adapt a trained denoiser to the one noisy image at hand.

Nothing heavy is imported before a name is used, so `import gaintuning_tf` is fast. The
names are those of `__init__.pyi`, where editors and type checkers find them, too.

Thirteen rooms on a ladder, of which each imports only from those below it:

    cli, viewer              the command line; a dock in napari
    evaluation, reports      measuring; what tuning did, to look at
    denoising, serving       one array, a movie, a cluster; a SavedModel that tunes itself
    tuning, training         from network, loss and image to gains; a network of one's own
    networks                 which there are, and what they take
    gains, losses            gains into networks and out again; what tuning minimises
    images, noise            axes, range, files; what is assumed of the noise
    support                  files, locks, limits, optional packages

`stacks`, `distributed`, `models` and `image_pairs` are short names of modules in them.
"""

import os as _os
import sys as _sys

import lazy_loader as _lazy

__version__ = "0.1.0"

# oneDNN's convolutions, which TensorFlow itself takes only on processors with AVX-512 VNNI
# or AMX: on those with AVX2 alone they make a step 2.3 times as fast
# (docs/log/2026-11-27-where-the-time-of-a-small-image-goes.md). Once TensorFlow is there,
# it is as the program that imported it wants it.
if "tensorflow" not in _sys.modules:
    _os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_imported, _, __all__ = _lazy.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __getattr__(name):
    from gaintuning_tf.support.tensorflow_start import quietly

    with quietly():
        return _imported(name)


def __dir__():
    return __all__
