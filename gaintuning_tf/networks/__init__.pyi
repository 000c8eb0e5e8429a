from .architectures import blind_spot as blind_spot, dncnn as dncnn, unet as unet
from .file_check import check_network_file as check_network_file
from .half_resolution import ffdnet as ffdnet
from .kept_networks import network_in as network_in
from .memory import bytes_per_pixel as bytes_per_pixel
from .network import Limits as Limits, Network as Network, NetworkLike as NetworkLike, network_of as network_of
from .pretrained import (
    DEFAULT as DEFAULT,
    DenoiserInfo as DenoiserInfo,
    find_denoiser as find_denoiser,
    list_denoisers as list_denoisers,
    load_denoiser as load_denoiser,
    network_digest as network_digest,
)
from .residual_unet import drunet as drunet
from .sizes import check_denoiser as check_denoiser, check_size as check_size, size_multiple as size_multiple
from .stein_risk_model import RiskMinimised as RiskMinimised
from .tiles import denoise_tiled as denoise_tiled, receptive_field as receptive_field
from .torch_checkpoints import import_torch as import_torch
from .volume_tiles import (
    denoise_in_blocks as denoise_in_blocks,
    receptive_field_of_volumes as receptive_field_of_volumes,
)
