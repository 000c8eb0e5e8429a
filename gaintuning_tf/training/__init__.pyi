from .batches import Batches as Batches, DrawnNoise as DrawnNoise
from .camera_noise import (
    CameraNoise as CameraNoise,
    draw_camera_noise as draw_camera_noise,
    draw_filter as draw_filter,
    draw_mixing as draw_mixing,
)
from .config import TrainingConfig as TrainingConfig
from .image_sources import at_scales as at_scales, check_source as check_source, load_images as load_images
from .jax_batches import JaxBatches as JaxBatches
from .muon import ConvMuon as ConvMuon
from .run import build as build, train as train
