"""What tuning minimises: estimates of the mean squared error from the noisy image alone.

May import: `noise`.

- `base`: `RiskEstimate`, what every loss is.
- `blind_spot`: guessing pixels from those around them.
- `count_splitting`: counts, split into two images.
- `coupled_bootstrap`: the default: noise added and taken away.
- `divergence`: the divergence of a denoiser, by probes and exactly.
- `drawn_noise`: noise drawn on a denoised or a clean image.
- `names`: the losses that can be asked for by name.
- `sure`: estimates after Stein.
- `weighted_sum`: sums of losses.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
