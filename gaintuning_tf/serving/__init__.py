"""A SavedModel that tunes itself for each request, and its client; a package for bioimage.io.

May import: `support`, `images`, `losses`, `gains`, `networks`, `tuning`.

- `__main__`: the client as a program.
- `bioimageio_package`: packages of bioimage.io.
- `client`: requests to TensorFlow Serving.
- `export`: SavedModels for TensorFlow Serving.
- `noise_in_graph`: the noise estimate as a graph.
- `request_checks`: what a request must hold.
- `request_noise`: the noise that a request says, as arrays.
- `tuning_in_graph`: the whole tuning as a graph without state.
- `versions`: the folders of a served model's versions.
- `warmup_requests`: the first requests, which a server makes itself.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
