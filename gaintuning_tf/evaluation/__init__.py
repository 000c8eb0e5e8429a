"""PSNR and SSIM before and after tuning, beside other methods.

May import: `images`, `noise`, `losses`, `gains`, `networks`, `tuning`, `training`,
`denoising`.

- `baselines`: other methods, by name.
- `measure`: `evaluate`.
- `metrics`: PSNR and SSIM.
- `oracle`: gains tuned on the clean image.
- `samples`: noisy images and their references.
- `self2self`: training on the one image, from scratch.
- `variance_stabilisation`: noise that depends on the signal made the same everywhere.
- `weight_tuning`: all weights, or the last layer's, in place of gains.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
