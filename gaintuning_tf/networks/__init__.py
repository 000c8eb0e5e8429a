"""Which networks there are, and what they take: sizes, memory, receptive field.

May import: `support`, `noise`, `gains`.

- `architectures`: DnCNN, UNet, blind-spot network.
- `residual_unet`: DRUNet, a UNet of residual blocks.
- `file_check`: files of networks, looked through before they are loaded.
- `formats/`: networks as other programs write them: CSBDeep, Noise2Void, Keras 2.
- `half_resolution`: FFDNet, a stack of convolutions at half the resolution that is given
  the noise level.
- `kept_networks`: networks that were read from files, kept as long as these stay as
  they are.
- `memory`: how much memory a network needs to be tuned.
- `network`: a network and what it wants, asked once.
- `pretrained`: networks by name or file.
- `sizes`: the sizes that a network takes, and images mirrored to them.
- `stein_risk_model`: a network that minimises Stein's risk in `fit`.
- `tiles`: receptive field; large images in seamless tiles.
- `torch_checkpoints`: published PyTorch weights.
- `unet3d`: a UNet of volumes.
- `volume_tiles`: receptive field of networks of volumes; large volumes in seamless
  blocks.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
