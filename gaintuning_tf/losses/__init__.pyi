from .base import Loss as Loss, RiskEstimate as RiskEstimate, own_noise as own_noise
from .blind_spot import BlindSpotLoss as BlindSpotLoss, grid_mask as grid_mask
from .count_splitting import CountSplitting as CountSplitting
from .coupled_bootstrap import CoupledBootstrap as CoupledBootstrap
from .divergence import (
    Denoise as Denoise,
    draw_direction as draw_direction,
    draw_probe as draw_probe,
    exact_divergence as exact_divergence,
    monte_carlo_divergence as monte_carlo_divergence,
    probe_step as probe_step,
)
from .drawn_noise import NoiseResamplingLoss as NoiseResamplingLoss, SupervisedLoss as SupervisedLoss
from .names import LOSSES as LOSSES, PLAIN_LOSS as PLAIN_LOSS, loss_named as loss_named
from .sure import UNSURE as UNSURE, MonteCarloSURE as MonteCarloSURE, PoissonGaussianSURE as PoissonGaussianSURE
from .weighted_sum import WeightedSum as WeightedSum
