"""A network of one's own, on any backend of Keras: needs no TensorFlow.

May import: `support`, `images`, `noise`, `gains`, `networks`.

- `batches`: noisy batches.
- `camera_noise`: noise as cameras make it, drawn for one crop.
- `config`: the settings of a run.
- `image_pairs`: a TensorFlow Datasets builder of one's own images.
- `image_sources`: images to train on: folders, TensorFlow Datasets, by rule.
- `jax_batches`: the same batches, made on an accelerator.
- `muon`: the optimizer of kernels.
- `run`: the run.
- `synthetic`: images made by rule.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
