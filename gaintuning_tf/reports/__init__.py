"""What tuning did, to look at.

May import: `support`, `images`, `gains`, `networks`, `denoising`.

- `analysis`: what tuning did to the network.
- `equivalent`: the filter and the bias that a network is at one image.
- `evaluation_report`: the page of an evaluation.
- `figures`: drawings of an analysis.
- `image_report`: the page of one result.
- `noise_section`: the part of a page about noise.
- `pages`: pieces of pages.
- `stack_report`: the page of a stack.
- `tensorboard`: risk, gains and images for TensorBoard.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
