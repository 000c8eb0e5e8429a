from .automatic import NoiseEstimate as NoiseEstimate, examine_noise as examine_noise
from .correlation import correlation_filter as correlation_filter, effective_share as effective_share
from .estimation import estimate_noise as estimate_noise
from .models import (
    KINDS as KINDS,
    GaussianNoise as GaussianNoise,
    Noise as Noise,
    NoiseLevel as NoiseLevel,
    NoiseModel as NoiseModel,
    PoissonGaussianNoise as PoissonGaussianNoise,
    PoissonNoise as PoissonNoise,
    along_images as along_images,
    stacked as stacked,
)
from .residuals import Residual as Residual, examine_residual as examine_residual
from .structure import Structure as Structure, structure_of as structure_of
from .tensors import NoiseTensors as NoiseTensors, noise_tensors as noise_tensors
from .variance_line import count_unit as count_unit
