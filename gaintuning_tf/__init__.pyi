__version__: str

from .denoising.pipeline import GainTuningResult as GainTuningResult, gaintune as gaintune
from .errors import (
    GainTuningWarning as GainTuningWarning,
    InputError as InputError,
    NetworkError as NetworkError,
)
from .evaluation.metrics import psnr as psnr, ssim as ssim
from .gains.gain_files import load_gains as load_gains, save_gains as save_gains
from .gains.layers import Gain as Gain
from .gains.surgery import fold_gains as fold_gains, gain_layers as gain_layers, insert_gains as insert_gains
from .losses.base import RiskEstimate as RiskEstimate
from .losses.blind_spot import BlindSpotLoss as BlindSpotLoss
from .losses.count_splitting import CountSplitting as CountSplitting
from .losses.coupled_bootstrap import CoupledBootstrap as CoupledBootstrap
from .losses.drawn_noise import NoiseResamplingLoss as NoiseResamplingLoss, SupervisedLoss as SupervisedLoss
from .losses.sure import UNSURE as UNSURE, MonteCarloSURE as MonteCarloSURE, PoissonGaussianSURE as PoissonGaussianSURE
from .losses.weighted_sum import WeightedSum as WeightedSum
from .networks.network import Network as Network
from .networks.pretrained import list_denoisers as list_denoisers, load_denoiser as load_denoiser
from .noise.estimation import estimate_noise as estimate_noise
from .noise.models import (
    GaussianNoise as GaussianNoise,
    NoiseLevel as NoiseLevel,
    NoiseModel as NoiseModel,
    PoissonGaussianNoise as PoissonGaussianNoise,
    PoissonNoise as PoissonNoise,
)
from .reports.analysis import analyse as analyse, gain_changes as gain_changes
from .reports.equivalent import equivalent_filter as equivalent_filter, net_bias as net_bias
from .serving.export import export_saved_model as export_saved_model
from .tuning.tuner import GainTuner as GainTuner
