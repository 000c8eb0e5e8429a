"""What tuning did, to look at.

May import: `support`, `images`, `noise`, `gains`, `losses`, `networks`, `denoising`.

- `analysis`: what tuning did to the network.
- `before_after`: pictures in one place, a slider between them.
- `equivalent`: the filter and the bias that a network is at one image.
- `evaluation_report`: the page of an evaluation.
- `figures`: drawings of an analysis.
- `image_report`: the page of one result.
- `noise_section`: the part of a page about noise.
- `page`: the look of all pages.
- `pages`: pieces of pages.
- `scale_bar`: how large a pixel is.
- `slider`: the script of the slider.
- `stack_report`: the page of a stack.
- `tensorboard`: risk, gains and images for TensorBoard.
- `verdict`: what became of an image, in words.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
