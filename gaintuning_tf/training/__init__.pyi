from .batches import Batches as Batches, DrawnNoise as DrawnNoise
from .camera_noise import CameraNoise as CameraNoise, draw_camera_noise as draw_camera_noise
from .config import TrainingConfig as TrainingConfig
from .image_sources import check_source as check_source, load_images as load_images
from .muon import ConvMuon as ConvMuon
from .run import build as build, train as train
