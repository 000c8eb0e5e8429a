"""One array, a movie, a Dask array: everything from noisy to denoised.

May import: `support`, `images`, `noise`, `losses`, `gains`, `networks`, `tuning`.

- `cluster_frames`: the frames of a stack on a cluster.
- `clusters`: Dask clusters, made ready.
- `dask_arrays`: Dask arrays, denoised lazily.
- `frame_job`: what becomes of one frame of a stack.
- `frame_tuner`: one frame through one network.
- `network_choice`: which of the networks that ship is for an image.
- `pipeline`: `gaintune`.
- `recipe`: the options that hold for every frame.
- `result_figure`: what `plot()` draws of a result.
- `run_settings`: what the result of a run over a stack depends on.
- `shipped_network`: a network on its way to workers.
- `stack_record`: what an interrupted run over a stack has done.
- `stack_run`: `denoise_stack`.
- `stack_scores`: errors against a clean stack.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
